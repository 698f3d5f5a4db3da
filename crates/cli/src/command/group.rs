use crate::context::Context;
use crate::failure::Failure;
use crate::membership::{people, settle, show};
use runtime::now;

/// Begin a group, of which you are the admin.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to call it.
    name: String,
    /// The handles of the others.
    people: Vec<String>,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let profile = context.profile()?;
        let mut shell = context.shell(&profile)?;
        let users = people(&mut shell, context, &self.people).await?;
        let id = shell.client().start_group(&self.name, &users, now())?;
        let not_added = settle(&mut shell, context, id, None).await?;
        let headline = format!("The group “{}” stands: mifeng send '{}' 'hello'", self.name, self.name);
        show(&mut shell, context, id, &headline, &not_added)?;
        shell.close().await;
        Ok(())
    }
}
