use super::send::deliver;
use crate::context::Context;
use crate::conversation::{self, CHAT_HELP};
use crate::failure::Failure;
use client::content::{Body, Content};
use runtime::now;

/// Give a message of yours new words. Others can still see the old ones.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(help = CHAT_HELP)]
    chat: String,
    /// `#` and the message's number, or its id.
    message: String,
    /// Its words from now on.
    text: String,
}

/// Take a message of yours back. Devices that have it are asked to forget it.
#[derive(Debug, clap::Args)]
pub(crate) struct DeleteArgs {
    #[arg(help = CHAT_HELP)]
    chat: String,
    /// `#` and the message's number, or its id.
    message: String,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let profile = context.profile()?;
        let mut shell = context.shell(&profile)?;
        let id = conversation::find(shell.client(), &self.chat)?;
        let target = conversation::message(shell.client(), id, &self.message)?;
        deliver(shell, context, id, Content::new(Body::Edit { target, text: self.text }, now()), false).await
    }
}

impl DeleteArgs {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let profile = context.profile()?;
        let mut shell = context.shell(&profile)?;
        let id = conversation::find(shell.client(), &self.chat)?;
        let target = conversation::message(shell.client(), id, &self.message)?;
        deliver(shell, context, id, Content::new(Body::Delete { target }, now()), false).await
    }
}
