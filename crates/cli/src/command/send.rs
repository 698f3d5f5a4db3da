use crate::context::Context;
use crate::conversation::{self, CHAT_HELP};
use crate::failure::Failure;
use client::content::Content;
use runtime::{Shell, now};
use serde_json::json;
use wire::ConversationId;

/// Send a text. Ends when the server has it, durably.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(help = CHAT_HELP)]
    chat: String,
    /// What to say; `-` reads it from standard input.
    text: String,
    /// Leave it in the outbox: it goes out with the next command that connects.
    #[arg(long)]
    queue: bool,
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
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let content = Content::text(text(self.text)?, now());
        let profile = context.profile()?;
        let mut shell = context.shell(&profile)?;
        let id = conversation::open(&mut shell, context, &self.chat).await?;
        deliver(shell, context, id, &content, self.queue).await
    }
}

impl ReplyArgs {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let profile = context.profile()?;
        let mut shell = context.shell(&profile)?;
        let id = conversation::find(shell.client(), &self.chat)?;
        let target = conversation::message(shell.client(), id, &self.message)?;
        let content = Content::text(text(self.text)?, now()).replying_to(target);
        deliver(shell, context, id, &content, self.queue).await
    }
}

/// Sends, says so, and ends politely.
pub(super) async fn deliver(
    mut shell: Shell,
    context: &Context,
    conversation: ConversationId,
    content: &Content,
    queue: bool,
) -> Result<(), Failure> {
    let (message, seq) = conversation::send(&mut shell, context, conversation, content, queue).await?;
    let text = seq.map_or_else(|| String::from("waits in the outbox"), |seq| format!("sent as #{seq}"));
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
