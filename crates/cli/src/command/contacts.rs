use crate::context::Context;
use crate::failure::Failure;
use crate::output::for_terminal;
use serde_json::json;

/// List the people that this device knows. Needs no connection.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let profile = context.profile()?;
        let mut shell = context.shell(&profile)?;
        shell.client().status()?;
        for contact in shell.client().contacts()? {
            let devices: Vec<String> = contact.devices.iter().map(ToString::to_string).collect();
            let warning = contact.refused.as_ref().map(|why| format!("  ⚠ {why}")).unwrap_or_default();
            let text = format!("@{}  {} device(s){warning}", for_terminal(&contact.handle), devices.len());
            let value = json!({
                "handle": contact.handle, "user": contact.user.to_string(), "safety_number": contact.safety_number,
                "devices": devices, "refused": contact.refused,
                "verification": super::safety::name(contact.verification),
            });
            context.output.line(text, &value)?;
        }
        Ok(())
    }
}
