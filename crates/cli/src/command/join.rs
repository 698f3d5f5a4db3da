use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::secret;
use client::Event;
use runtime::{Next, now};
use serde_json::json;
use std::path::PathBuf;
use wire::{InviteLink, Refusal, ServerLine, UserId};
use zeroize::Zeroizing;

/// Join a tenant with an invite: makes your keys on this device.
///
/// The line comes from your administrator. Put it in single quotes: it holds a `#`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// `mifeng://HOST:PORT/TENANT#CODE&ca=FINGERPRINT`
    line: String,
    /// The name by which others find you.
    #[arg(long)]
    handle: String,
    /// File with your new password [also: MIFENG_PASSWORD; else you are asked]. It will let you link further devices; the
    /// server never sees it.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// Attackers who have the server can guess offline at what a password protects; ten per account online.
const PASSWORD_MIN_CHARS: usize = 12;

enum Outcome {
    Joined(UserId, String),
    Refused(Refusal),
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let link: InviteLink = self.line.parse().map_err(|_| {
            Failure::usage("this is not an invite line")
                .hint("it begins with mifeng:// and ends in &ca= and 64 digits; quote it")
        })?;
        let password = self.password()?;
        let profile = context.profile()?;
        if profile.address().is_ok() && context.shell(&profile)?.client().account_view().is_some() {
            return Err(client::Error::AlreadyJoined.into());
        }
        profile.remember(&ServerLine::from(&link))?;
        let mut shell = context.shell(&profile)?;
        shell.client().join(&link.tenant, &link.code, &self.handle, password.as_bytes(), now())?;
        let mut joined = None;
        let outcome = shell
            .run(context.timeout(), |_, event| {
                Ok(match event {
                    Some(Event::JoinRefused(refusal) | Event::LoginRefused(refusal)) => {
                        Next::Done(Outcome::Refused(refusal))
                    }
                    Some(Event::Joined { user, handle }) => {
                        joined = Some((user, handle));
                        Next::Wait
                    }
                    // Others can reach this device only when its key packages are published.
                    Some(Event::CaughtUp) => {
                        joined.take().map_or(Next::Wait, |(user, handle)| Next::Done(Outcome::Joined(user, handle)))
                    }
                    _ => Next::Wait,
                })
            })
            .await?;
        shell.close().await;
        match outcome {
            Outcome::Refused(refusal) => Err(refusal.into()),
            Outcome::Joined(user, handle) => {
                let text = format!("You are {handle} at {}. Keys were made on this device and stay here.", link.tenant);
                let value = json!({"user": user.to_string(), "handle": handle, "tenant": link.tenant});
                Ok(context.output.line(text, &value)?)
            }
        }
    }

    fn password(&self) -> Result<Zeroizing<String>, Failure> {
        let question = "New password: ";
        let password = secret::read(self.password_file.as_deref(), "MIFENG_PASSWORD", Some(question))?
            .ok_or_else(|| Failure::usage("no password").hint("give --password-file, or set MIFENG_PASSWORD"))?;
        if password.chars().count() < PASSWORD_MIN_CHARS {
            return Err(Failure::new(Kind::Usage, format!("a password needs {PASSWORD_MIN_CHARS} characters or more"))
                .hint("a few words that you can remember do well"));
        }
        Ok(password)
    }
}
