use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::secret;
use client::{Client, ConversationState, Event, LinkCode};
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use runtime::{Next, now};
use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;
use wire::{ErrorCode, ServerLine};

/// Make this a further device of yours: shows a code, which you confirm on a device that you have.
///
/// `mifeng devices link` there shows the line. Put it in single quotes: it holds a `#`. If it is interrupted, run it again.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// `mifeng-server://HOST:PORT/TENANT#ca=FINGERPRINT`
    line: String,
    /// Your handle.
    #[arg(long)]
    handle: String,
    /// What to call this device [default: the machine's name].
    #[arg(long)]
    name: Option<String>,
    /// File with your password [also: MIFENG_PASSWORD; else you are asked].
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Show the code as text only.
    #[arg(long)]
    no_qr: bool,
}

/// The code is good for ten minutes.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let line: ServerLine = self.line.parse().map_err(|_| {
            Failure::usage("this is not a server line")
                .hint("it begins with mifeng-server:// and ends in #ca= and 64 digits; quote it")
        })?;
        let password = secret::read(self.password_file.as_deref(), "MIFENG_PASSWORD", Some("Password: "))?
            .ok_or_else(|| Failure::usage("no password").hint("give --password-file, or set MIFENG_PASSWORD"))?;
        let profile = context.profile()?;
        if profile.address().is_ok() && context.shell(&profile)?.client().account_view().is_some() {
            return Err(client::Error::AlreadyJoined.into());
        }
        profile.remember(&line)?;
        let mut shell = context.shell(&profile)?;
        let name = self.name.clone().unwrap_or_else(machine_name);
        shell.client().link(&line.tenant, &self.handle, password.as_bytes(), &name, now())?;
        let mut linked = false;
        let done = shell.run(context.timeout().max(Some(PATIENCE)), |client, event| {
            Ok(match event {
                Some(Event::LinkCode { code, number }) => match self.show(context, &code, number) {
                    Ok(()) => Next::Wait,
                    Err(failure) => Next::Done(Err(failure)),
                },
                Some(Event::LinkRefused(refusal)) => Next::Done(Err(refused(refusal))),
                Some(Event::LoginRefused(refusal)) => Next::Done(Err(refusal.into())),
                Some(Event::LinkFailed { reason }) => Next::Done(Err(Failure::new(Kind::Refused, reason)
                    .hint("begin again; if it happens again, the server is not to be trusted"))),
                Some(Event::Linked { .. }) => {
                    linked = true;
                    Next::Wait
                }
                _ if linked && has_arrived(client)? => Next::Done(Ok(())),
                _ => Next::Wait,
            })
        });
        done.await??;
        let status = shell.client().status()?;
        let (account, conversations) = (status.account, status.conversations);
        let text = format!(
            "Linked: this is a device of {} at {} now, in {conversations} conversations. What was said before stays on your \
             other devices.",
            account.handle, account.tenant_name
        );
        let value = json!({
            "handle": account.handle, "tenant": account.tenant_name, "user": account.user.to_string(),
            "device": account.device.to_string(), "name": name, "conversations": conversations,
        });
        context.output.line(text, &value)?;
        shell.close().await;
        Ok(())
    }

    fn show(&self, context: &Context, code: &LinkCode, number: u32) -> Result<(), Failure> {
        let number = format!("{number:06}");
        let (first, last) = number.split_at(3);
        let qr = if self.no_qr { String::new() } else { drawn(code.expose())? };
        let text = format!(
            "{qr}{}\n\nOn a device that you have, within ten minutes:\n  mifeng devices confirm\nIt asks for the code above, \
             and shows a number. Say yes there only if it is {first} {last}.\nNobody else needs this code: whoever asks you for \
             it wants to read your messages.",
            code.expose()
        );
        Ok(context.output.line(text, &json!({"code": code.expose(), "number": number}))?)
    }
}

/// Caught up, with key packages at the server, and in every conversation of the person.
fn has_arrived(client: &mut Client) -> Result<bool, client::Error> {
    if !client.is_caught_up() || client.unsent()? > 0 {
        return Ok(false);
    }
    Ok(client.conversations()?.iter().all(|view| view.state != ConversationState::Joining))
}

/// A QR code for a terminal with a dark background; every phone reads one with a light background too.
fn drawn(code: &str) -> Result<String, Failure> {
    let drawn = QrCode::new(code).map_err(|_| Failure::new(Kind::Internal, "the code does not fit a QR code"))?;
    let picture = drawn.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build();
    Ok(format!("{picture}\n\n"))
}

fn refused(refusal: wire::Refusal) -> Failure {
    let hint = match refusal.code() {
        Some(ErrorCode::WrongCredentials) => "handle or password are wrong; ten guesses are free",
        Some(ErrorCode::NotFound) => "nobody confirmed the code in time: run this again for a new one",
        Some(ErrorCode::QuotaExceeded) => "too many links are under way: wait ten minutes",
        _ => return refusal.into(),
    };
    Failure::from(refusal).hint(hint)
}

fn machine_name() -> String {
    let name = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let name: String = name.trim().chars().filter(|c| !c.is_control()).take(64).collect();
    if name.is_empty() { "device".into() } else { name }
}
