use crate::context::Context;
use crate::failure::Failure;
use serde_json::json;

/// Show who you are here, and what waits. Needs no connection.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let profile = context.profile()?;
        let (address, mut shell) = (profile.address()?, context.shell(&profile)?);
        let status = shell.client().status()?;
        let account = &status.account;
        let text = format!(
            "{} at {} ({}:{})\nuser    {}\ndevice  {}\n{} conversations, {} to be sent",
            account.handle,
            account.tenant_name,
            address.host,
            address.port,
            account.user,
            account.device,
            status.conversations,
            status.unsent
        );
        let value = json!({
            "handle": account.handle, "tenant": account.tenant_name, "user": account.user.to_string(),
            "device": account.device.to_string(), "conversations": status.conversations, "unsent": status.unsent,
            "server": format!("{}:{}", address.host, address.port),
        });
        Ok(context.output.line(text, &value)?)
    }
}
