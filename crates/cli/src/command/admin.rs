use crate::context::Context;
use crate::conversation::person;
use crate::failure::Failure;
use crate::membership::{group, settle, show};
use runtime::now;

/// Make a member of a group an admin, who may add, remove and promote others.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The group's name or id.
    chat: String,
    /// Their handle.
    person: String,
    /// Take it away again. The last admin stays one.
    #[arg(long)]
    revoke: bool,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let profile = context.profile()?;
        let mut shell = context.shell(&profile)?;
        let id = group(&mut shell, context, &self.chat).await?;
        let user = person(&mut shell, context, &self.person).await?;
        let change = shell.client().set_admin(id, user, !self.revoke, now())?;
        settle(&mut shell, context, id, Some(change)).await?;
        show(&mut shell, context, id, "done", &[])?;
        shell.close().await;
        Ok(())
    }
}
