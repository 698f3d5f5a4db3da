use super::send::deliver;
use crate::context::Context;
use crate::conversation::{self, CHAT_HELP};
use crate::failure::Failure;
use client::content::{Body, Content, Reaction};
use runtime::now;

/// React to a message.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(help = CHAT_HELP)]
    chat: String,
    /// `#` and the message's number, or its id.
    message: String,
    /// Usually one emoji.
    symbol: String,
    /// Take the reaction back.
    #[arg(long)]
    remove: bool,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let profile = context.profile()?;
        let mut shell = context.shell(&profile)?;
        let id = conversation::find(shell.client(), &self.chat)?;
        let target = conversation::message(shell.client(), id, &self.message)?;
        let reaction = Reaction { target, symbol: self.symbol, removed: self.remove };
        deliver(shell, context, id, Content::new(Body::Reaction(reaction), now()), false).await
    }
}
