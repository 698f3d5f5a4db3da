use crate::context::Context;
use crate::conversation;
use crate::failure::Failure;
use serde_json::json;

/// Begin a direct conversation, or find the one that there is.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The other person's handle.
    handle: String,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let profile = context.profile()?;
        let mut shell = context.shell(&profile)?;
        let id = conversation::open(&mut shell, context, &format!("@{}", self.handle.trim_start_matches('@'))).await?;
        conversation::catch_up(&mut shell, context).await?;
        let value = json!({"conversation": id.to_string()});
        context
            .output
            .line(format!("You can talk to {} now: mifeng send @{} 'hello'", self.handle, self.handle), &value)?;
        shell.close().await;
        Ok(())
    }
}
