use crate::context::Context;
use crate::failure::Failure;
use crate::membership::{group, settle};
use runtime::now;
use serde_json::json;

/// Leave a group. You keep what was said, and read nothing new. The only admin makes somebody else one first.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The group's name or id.
    chat: String,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let profile = context.profile()?;
        let mut shell = context.shell(&profile)?;
        let id = group(&mut shell, context, &self.chat).await?;
        shell.client().leave_group(id, now())?;
        settle(&mut shell, context, id, None).await?;
        context.output.line("You have left.", &json!({"conversation": id.to_string()}))?;
        shell.close().await;
        Ok(())
    }
}
