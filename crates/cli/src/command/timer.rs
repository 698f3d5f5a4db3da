use super::send::deliver;
use crate::context::Context;
use crate::conversation::{self, CHAT_HELP};
use crate::duration;
use crate::failure::Failure;
use client::content::{Body, Content};
use runtime::now;
use serde_json::json;

/// Let new messages of a conversation disappear after they were read, or show the timer.
///
/// Everybody in the conversation sees that it was set. The time of a message begins on each device when it is read there, for
/// its author when the server has it. Honest clients delete it then; nobody can make a dishonest one.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(help = CHAT_HELP)]
    chat: String,
    /// How long after reading: 30s, 5m, 2h, 1d, 4w; `off`: they stay. Without it, the timer is shown.
    #[arg(value_parser = timer)]
    after: Option<u32>,
}

/// Say what a conversation is about.
#[derive(Debug, clap::Args)]
pub(crate) struct TopicArgs {
    #[arg(help = CHAT_HELP)]
    chat: String,
    /// The topic; empty: none.
    topic: String,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let profile = context.profile()?;
        let mut shell = context.shell(&profile)?;
        let Some(seconds) = self.after else {
            let id = conversation::find(shell.client(), &self.chat)?;
            let timer = shell.client().conversation(id)?.map(|view| view.timer).unwrap_or_default();
            let text = match timer {
                0 => "messages stay".into(),
                timer => format!("messages disappear {} after reading", duration::in_words(timer)),
            };
            let value = json!({"conversation": id.to_string(), "timer_seconds": timer});
            return Ok(context.output.line(text, &value)?);
        };
        let id = conversation::open(&mut shell, context, &self.chat).await?;
        deliver(shell, context, id, Content::new(Body::Timer { seconds }, now()), false).await
    }
}

impl TopicArgs {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let profile = context.profile()?;
        let mut shell = context.shell(&profile)?;
        let id = conversation::open(&mut shell, context, &self.chat).await?;
        let message = shell.client().set_topic(id, &self.topic, now())?;
        conversation::settle(&mut shell, context).await?;
        let value = json!({"conversation": id.to_string(), "message": message.to_string()});
        context.output.line("done", &value)?;
        shell.close().await;
        Ok(())
    }
}

fn timer(text: &str) -> Result<u32, String> {
    duration::parse_timer(text).ok_or_else(|| String::from("write 30s, 5m, 2h, 1d, 4w or off; a year at most"))
}
