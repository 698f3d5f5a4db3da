use crate::context::Context;
use crate::failure::Failure;
use crate::membership::{group, settle, show};
use runtime::now;

/// Give a group another name.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The group's name or id.
    chat: String,
    /// Its name from now on.
    name: String,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let profile = context.profile()?;
        let mut shell = context.shell(&profile)?;
        let id = group(&mut shell, context, &self.chat).await?;
        shell.client().rename(id, &self.name, now())?;
        settle(&mut shell, context, id, None).await?;
        show(&mut shell, context, id, "done", &[])?;
        shell.close().await;
        Ok(())
    }
}
