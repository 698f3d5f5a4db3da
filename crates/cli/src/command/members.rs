use crate::context::Context;
use crate::conversation::{self, CHAT_HELP};
use crate::failure::Failure;
use crate::membership::member;
use crate::output::for_terminal;
use runtime::now;

/// List who is in a conversation.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(help = CHAT_HELP)]
    chat: String,
    /// Only what this device has already: do not connect.
    #[arg(long)]
    offline: bool,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let profile = context.profile()?;
        let mut shell = context.shell(&profile)?;
        shell.client().status()?;
        if !self.offline {
            conversation::catch_up_if_possible(&mut shell, context).await?;
        }
        let id = conversation::find(shell.client(), &self.chat)?;
        for view in shell.client().members(id, now())? {
            let role = if view.admin { "  admin" } else { "" };
            let text = format!("@{}  {} device(s){role}", for_terminal(&view.handle), view.devices.len());
            context.output.line(text, &member(&view))?;
        }
        shell.close().await;
        Ok(())
    }
}
