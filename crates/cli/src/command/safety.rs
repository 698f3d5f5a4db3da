use crate::context::Context;
use crate::conversation::person;
use crate::failure::{Failure, Kind};
use client::{ContactView, Verification};
use runtime::now;
use serde_json::json;

/// Show the safety number that you and a person share, and note that you have compared it.
///
/// Read it to each other by voice or in person: if both see the same number, nobody stands between you. What changes
/// afterwards is told, here and in `mifeng chat`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The person's handle.
    handle: String,
    /// You have compared it, and it is the same.
    #[arg(long, conflicts_with = "unverify")]
    verify: bool,
    /// Take that back.
    #[arg(long)]
    unverify: bool,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let profile = context.profile()?;
        let mut shell = context.shell(&profile)?;
        let user = person(&mut shell, context, &self.handle).await?;
        if self.verify || self.unverify {
            shell.client().set_verified(user, self.verify, now())?;
        }
        let contact = shell.client().contacts()?.into_iter().find(|contact| contact.user == user);
        let contact = contact.ok_or_else(|| Failure::new(Kind::Internal, "the person was found and is not there"))?;
        let value = json!({
            "handle": contact.handle, "user": contact.user.to_string(), "safety_number": contact.safety_number,
            "verification": name(contact.verification), "refused": contact.refused,
        });
        context.output.line(text(&contact), &value)?;
        shell.close().await;
        Ok(())
    }
}

fn text(contact: &ContactView) -> String {
    let groups: Vec<&str> = contact.safety_number.split(' ').collect();
    let rows: Vec<String> = groups.chunks(4).map(|row| format!("    {}", row.join(" "))).collect();
    let warning = contact.refused.as_ref();
    let warning = warning.map(|why| format!("\n⚠ the server's last word about this person was refused: {why}"));
    format!(
        "You and @{}:\n\n{}\n\n{}{}",
        crate::output::in_one_line(&contact.handle),
        rows.join("\n"),
        sentence(contact.verification),
        warning.unwrap_or_default()
    )
}

fn sentence(verification: Verification) -> String {
    match verification {
        Verification::Unverified => "Not compared yet: --verify notes that it is the same on both sides.".into(),
        Verification::Verified { .. } => "✔ You have compared it.".into(),
        Verification::DevicesChanged { changes, .. } => {
            format!("⚠ Since you compared it, the person's devices have changed {changes}×. Ask whether that was them.")
        }
        Verification::KeyChanged { .. } => {
            "⚠ THIS IS ANOTHER NUMBER than the one you compared: another account key. Ask the person.".into()
        }
    }
}

/// The state for scripts.
pub(super) const fn name(verification: Verification) -> &'static str {
    match verification {
        Verification::Unverified => "unverified",
        Verification::Verified { .. } => "verified",
        Verification::DevicesChanged { .. } => "devices_changed",
        Verification::KeyChanged { .. } => "key_changed",
    }
}
