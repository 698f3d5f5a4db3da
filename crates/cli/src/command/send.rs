use crate::context::Context;
use crate::conversation::{self, CHAT_HELP};
use crate::failure::Failure;
use client::content::{Body, Content, Expiry};
use runtime::{Shell, now};
use serde_json::json;
use wire::ConversationId;

/// Send a text. Ends when the server has it, durably. `@handle` in it tells that member of the conversation.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(help = CHAT_HELP)]
    chat: String,
    /// What to say; `-` reads it from standard input.
    text: String,
    /// Leave it in the outbox: it goes out with the next command that connects.
    #[arg(long)]
    queue: bool,
    #[command(flatten)]
    manner: Manner,
}

/// How a text is to be taken.
#[derive(Debug, clap::Args)]
struct Manner {
    /// The text is Markdown.
    #[arg(long)]
    markdown: bool,
    /// It disappears so long after it was read: 30s, 5m, 2h, 1d, 4w. Without this, the conversation's timer counts.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    expires: Option<u32>,
}

/// Answer a message.
#[derive(Debug, clap::Args)]
pub(crate) struct ReplyArgs {
    #[arg(help = CHAT_HELP)]
    chat: String,
    /// `#` and the message's number, or its id.
    message: String,
    /// What to say; `-` reads it from standard input.
    text: String,
    /// Leave it in the outbox.
    #[arg(long)]
    queue: bool,
    #[command(flatten)]
    manner: Manner,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let content = self.manner.content(text(self.text)?);
        let profile = context.profile()?;
        let mut shell = context.shell(&profile)?;
        let id = conversation::open(&mut shell, context, &self.chat).await?;
        deliver(shell, context, id, content, self.queue).await
    }
}

impl ReplyArgs {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let profile = context.profile()?;
        let mut shell = context.shell(&profile)?;
        let id = conversation::find(shell.client(), &self.chat)?;
        let target = conversation::message(shell.client(), id, &self.message)?;
        let content = self.manner.content(text(self.text)?).replying_to(target);
        deliver(shell, context, id, content, self.queue).await
    }
}

impl Manner {
    fn content(&self, text: String) -> Content {
        let body = if self.markdown { Body::Markdown(text) } else { Body::Text(text) };
        let content = Content::new(body, now());
        match self.expires {
            Some(seconds) => content.expiring(Expiry::after_reading(seconds)),
            None => content,
        }
    }
}

fn duration(text: &str) -> Result<u32, String> {
    crate::duration::parse(text).ok_or_else(|| String::from("write 30s, 5m, 2h, 1d or 4w; a year at most"))
}

/// Sends, says so, and ends politely.
pub(super) async fn deliver(
    mut shell: Shell,
    context: &Context,
    conversation: ConversationId,
    content: Content,
    queue: bool,
) -> Result<(), Failure> {
    let content = shell.client().with_mentions(conversation, content, now())?;
    let (message, seq) = conversation::send(&mut shell, context, conversation, &content, queue).await?;
    let text = match seq {
        Some(seq) => format!("sent as #{seq}"),
        None if queue => String::from("waits in the outbox"),
        None => String::from("taken back; it had not been sent"),
    };
    let value = json!({"conversation": conversation.to_string(), "message": message.to_string(), "seq": seq});
    context.output.line(text, &value)?;
    shell.close().await;
    Ok(())
}

fn text(text: String) -> Result<String, Failure> {
    if text != "-" {
        return Ok(text);
    }
    let text = std::io::read_to_string(std::io::stdin())?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
