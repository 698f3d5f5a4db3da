use crate::context::Context;
use crate::failure::Failure;
use crate::membership::{group, people, settle, show};
use runtime::now;

/// Remove a person from a group, with all their devices. They keep what they have, and read nothing new.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The group's name or id.
    chat: String,
    /// Their handle.
    person: String,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let profile = context.profile()?;
        let mut shell = context.shell(&profile)?;
        let id = group(&mut shell, context, &self.chat).await?;
        let users = people(&mut shell, context, &[self.person]).await?;
        let change = shell.client().remove_members(id, &users, now())?;
        settle(&mut shell, context, id, Some(change)).await?;
        show(&mut shell, context, id, "done", &[])?;
        shell.close().await;
        Ok(())
    }
}
