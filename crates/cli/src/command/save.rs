use crate::context::Context;
use crate::conversation::{self, CHAT_HELP};
use crate::failure::Failure;
use crate::file;
use client::Client;
use serde_json::json;
use std::path::PathBuf;
use wire::{ConversationId, MessageId};

/// Save the file of a message. It is fetched, checked part by part, and opened on this device; what was fetched before an
/// interruption is not fetched again.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(help = CHAT_HELP)]
    chat: String,
    /// `#` and the message's number, or its id.
    message: String,
    /// Where to: a folder, or a name that is free [default: here, by the name that its sender gave it].
    to: Option<PathBuf>,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let profile = context.profile()?;
        let mut shell = context.shell(&profile)?;
        let (id, message) = match self.named(shell.client()) {
            Ok(named) => named,
            // It may have come since this device was last here.
            Err(_) => {
                conversation::catch_up(&mut shell, context).await?;
                self.named(shell.client())?
            }
        };
        let size = file::attachment(shell.client(), id, message)?.size;
        conversation::fetch_file(&mut shell, context, id, message).await?;
        let path = file::save(shell.client(), id, message, self.to.as_deref())?;
        let text = format!("{}, {}", path.display(), file::size(size));
        context.output.line(text, &json!({"path": path.to_string_lossy(), "bytes": size}))?;
        shell.close().await;
        Ok(())
    }

    fn named(&self, client: &Client) -> Result<(ConversationId, MessageId), Failure> {
        let id = conversation::find(client, &self.chat)?;
        Ok((id, conversation::message(client, id, &self.message)?))
    }
}
