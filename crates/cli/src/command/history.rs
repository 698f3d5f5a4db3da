use crate::context::Context;
use crate::conversation::{self, CHAT_HELP};
use crate::failure::Failure;
use crate::output::in_one_line;
use client::Event;
use runtime::{Next, Shell, now};
use serde_json::json;
use wire::ConversationId;

/// Fetch what was said before this device came, from the archive that your devices keep sealed on the server; or keep a
/// conversation out of it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(help = CHAT_HELP)]
    chat: Option<String>,
    /// Keep the conversation out of the archive, and destroy what is there of it: devices that come later will not have it.
    #[arg(long, requires = "chat", conflicts_with = "keep_in")]
    keep_out: bool,
    /// Let it into the archive again.
    #[arg(long, requires = "chat")]
    keep_in: bool,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let profile = context.profile()?;
        let mut shell = context.shell(&profile)?;
        conversation::catch_up(&mut shell, context).await?;
        let mut chats = shell.client().conversations()?;
        if let Some(chat) = &self.chat {
            let id = conversation::find(shell.client(), chat)?;
            chats.retain(|view| view.id == id);
        }
        for view in chats {
            let title = in_one_line(&view.title);
            if self.keep_out || self.keep_in {
                shell.client().keep_out_of_archive(view.id, self.keep_out, now())?;
                conversation::settle(&mut shell, context).await?;
                let text = if self.keep_out { "is kept out of your archive" } else { "goes into your archive" };
                let value = json!({"conversation": view.id.to_string(), "kept_out": self.keep_out});
                context.output.line(format!("{title} {text}"), &value)?;
                continue;
            }
            let lines = fetch(&mut shell, context, view.id, u32::MAX).await?;
            let value = json!({"conversation": view.id.to_string(), "lines": lines});
            context.output.line(format!("{title}: {lines} lines from before this device came"), &value)?;
        }
        shell.close().await;
        Ok(())
    }
}

/// Fetches earlier lines of a conversation until so many came, or there are no more. Returns how many came.
pub(super) async fn fetch(
    shell: &mut Shell,
    context: &Context,
    id: ConversationId,
    wanted: u32,
) -> Result<u32, Failure> {
    let mut came = 0;
    while came < wanted && shell.client().has_earlier_history(id)? {
        shell.client().fetch_history(id, now())?;
        came += shell
            .run(context.timeout(), |_, event| {
                Ok(match event {
                    Some(Event::History { conversation, lines, .. }) if conversation == id => Next::Done(Ok(lines)),
                    Some(Event::HistoryUnreadable(conversation)) if conversation == id => {
                        eprintln!("⚠ a part of the archive does not open with the keys of this device");
                        Next::Wait
                    }
                    Some(Event::LoginRefused(refusal)) => Next::Done(Err(refusal)),
                    _ => Next::Wait,
                })
            })
            .await??;
    }
    Ok(came)
}
