use crate::context::Context;
use crate::conversation::person;
use crate::failure::{Failure, Kind};
use serde_json::json;

/// Show a person's safety number and devices.
///
/// Compare the number with the person by voice or in person: if it is the same on both sides, nobody stands between you.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The person's handle.
    handle: String,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let profile = context.profile()?;
        let mut shell = context.shell(&profile)?;
        let user = person(&mut shell, context, &self.handle).await?;
        let contacts = shell.client().contacts()?;
        let contact = contacts
            .into_iter()
            .find(|contact| contact.user == user)
            .ok_or_else(|| Failure::new(Kind::Internal, "the person was found and is not there"))?;
        let devices: Vec<String> = contact.devices.iter().map(ToString::to_string).collect();
        let warning = contact.refused.as_ref().map(|why| format!("\n⚠ the server's last word was refused: {why}"));
        let text = format!(
            "{}\nsafety number  {}\ndevices        {}{}",
            crate::output::in_one_line(&contact.handle),
            contact.safety_number,
            devices.join("\n               "),
            warning.unwrap_or_default()
        );
        let value = json!({
            "handle": contact.handle, "user": contact.user.to_string(), "safety_number": contact.safety_number,
            "devices": devices, "refused": contact.refused,
            "verification": super::safety::name(contact.verification),
        });
        context.output.line(text, &value)?;
        shell.close().await;
        Ok(())
    }
}
