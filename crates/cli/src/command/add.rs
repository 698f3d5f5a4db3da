use crate::context::Context;
use crate::failure::Failure;
use crate::membership::{group, people, settle, show};
use runtime::now;

/// Add people to a group. They read what is said from then on, and nothing from before.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The group's name or id.
    chat: String,
    /// Their handles.
    #[arg(required = true)]
    people: Vec<String>,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let profile = context.profile()?;
        let mut shell = context.shell(&profile)?;
        let id = group(&mut shell, context, &self.chat).await?;
        let users = people(&mut shell, context, &self.people).await?;
        let change = shell.client().add_members(id, &users, now())?;
        let not_added = settle(&mut shell, context, id, Some(change)).await?;
        show(&mut shell, context, id, "done", &not_added)?;
        shell.close().await;
        Ok(())
    }
}
