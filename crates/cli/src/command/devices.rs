use crate::context::Context;
use crate::conversation::{catch_up, catch_up_if_possible, settle};
use crate::failure::{Failure, Kind};
use crate::output::for_terminal;
use client::{Client, DeviceState, DeviceView, Event};
use runtime::{Next, Shell, now};
use serde_json::{Value, json};
use std::io::{self, IsTerminal};
use wire::{DeviceId, ErrorCode, Refusal};

/// List your devices; link a further one, or revoke one.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show what to type on a further device.
    Link,
    /// Confirm a further device by the code that it shows. It can read and write as you from then on.
    Confirm {
        /// The code; without it, it is read from standard input.
        code: Option<String>,
        /// The number that the new device shows; another one is refused. Asks nothing.
        #[arg(long, conflicts_with = "yes")]
        number: Option<String>,
        /// Do not ask. Only when nobody else can have seen the code.
        #[arg(long)]
        yes: bool,
    },
    /// Revoke a device that is lost or no longer used. It is thrown out at once, and reads nothing of what is said from then on.
    Revoke {
        /// Its id, the beginning of it, or its name.
        device: String,
    },
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let profile = context.profile()?;
        let (address, mut shell) = (profile.address()?, context.shell(&profile)?);
        let account = shell.client().status()?.account;
        match self.command {
            None => list(&mut shell, context).await?,
            Some(Command::Link) => {
                let (line, handle) = (address.line()?.to_string(), account.handle);
                let text =
                    format!("On the new device:\n  mifeng link '{line}' --handle {handle}\nThe line holds no secret.");
                context.output.line(text, &json!({"line": line, "handle": handle}))?;
            }
            Some(Command::Confirm { code, number, yes }) => {
                let code = code.map_or_else(|| ask("Code: "), Ok)?;
                confirm(&mut shell, context, &code, number.as_deref(), yes).await?;
            }
            Some(Command::Revoke { device }) => revoke(&mut shell, context, &device).await?,
        }
        shell.close().await;
        Ok(())
    }
}

async fn list(shell: &mut Shell, context: &Context) -> Result<(), Failure> {
    if !catch_up_if_possible(shell, context).await? {
        eprintln!("offline: this is what this device knows");
    }
    for device in shell.client().devices()? {
        context.output.line(text(&device), &value(&device))?;
    }
    Ok(())
}

fn text(device: &DeviceView) -> String {
    let this = if device.this { "  (this one)" } else { "" };
    let days = device.since.map(|at| now().saturating_sub(at) / DAY_MS);
    let since = match days {
        None => String::new(),
        Some(0) => "  since today".into(),
        Some(1) => "  since yesterday".into(),
        Some(days) => format!("  for {days} days"),
    };
    let name = device.name.as_deref().map_or_else(String::new, |name| format!("  {}", for_terminal(name)));
    format!("{}  {}{name}{since}{this}", device.id, state(device.state))
}

fn value(device: &DeviceView) -> Value {
    json!({
        "device": device.id.to_string(), "name": device.name, "state": state(device.state), "this": device.this,
        "since": device.since,
    })
}

const fn state(state: DeviceState) -> &'static str {
    match state {
        DeviceState::Active => "active",
        DeviceState::Revoked => "revoked",
        DeviceState::Closed => "closed",
    }
}

const DAY_MS: u64 = 24 * 3_600_000;

/// What came of a step of linking.
enum Step {
    Offered(String, u32),
    Linked(DeviceId, String),
}

async fn confirm(
    shell: &mut Shell,
    context: &Context,
    code: &str,
    expected: Option<&str>,
    yes: bool,
) -> Result<(), Failure> {
    catch_up(shell, context).await?;
    shell.client().open_link(code, now())?;
    let (name, number) = match step(shell, context).await? {
        Step::Linked(device, name) => return linked(context, device, &name),
        Step::Offered(name, number) => (name, format!("{number:06}")),
    };
    if let Some(expected) = expected {
        if expected.replace(' ', "") != number {
            return Err(Failure::new(
                Kind::Refused,
                format!("the number is {number}, not {expected}: nothing was linked"),
            )
            .hint("somebody else may have the code: begin again on the new device"));
        }
    } else if !yes {
        let (first, last) = number.split_at(3);
        let question = format!(
            "A device that calls itself {} wants to read and write as you.\nDoes it show the number {first} {last}? [y/N] ",
            for_terminal(&name)
        );
        if !asked(shell, question).await? {
            return Err(Failure::new(Kind::Refused, "not confirmed: nothing was linked"));
        }
    }
    shell.client().confirm_link(now())?;
    match step(shell, context).await? {
        Step::Linked(device, name) => linked(context, device, &name),
        Step::Offered(..) => Err(Failure::new(Kind::Internal, "the offer came twice")),
    }
}

async fn step(shell: &mut Shell, context: &Context) -> Result<Step, Failure> {
    let done = shell.run(context.timeout(), |_, event| {
        Ok(match event {
            Some(Event::LinkOffered { name, number, .. }) => Next::Done(Ok(Step::Offered(name, number))),
            Some(Event::LinkConfirmed { device, name }) => Next::Done(Ok(Step::Linked(device, name))),
            Some(Event::LinkRefused(refusal)) => Next::Done(Err(refused(refusal))),
            Some(Event::LinkFailed { reason }) => Next::Done(Err(Failure::new(Kind::Refused, reason))),
            Some(Event::LoginRefused(refusal)) => Next::Done(Err(refusal.into())),
            Some(Event::Disconnected { .. }) => {
                Next::Done(Err(Failure::new(Kind::Offline, "the connection was lost").hint("give the same code again")))
            }
            _ => Next::Wait,
        })
    });
    done.await?
}

fn linked(context: &Context, device: DeviceId, name: &str) -> Result<(), Failure> {
    let text = format!("{} is linked ({device}).", for_terminal(name));
    Ok(context.output.line(text, &json!({"device": device.to_string(), "name": name}))?)
}

fn refused(refusal: Refusal) -> Failure {
    let hint = match refusal.code() {
        Some(ErrorCode::NotFound) => "the code has expired or was used, or it is another person's",
        Some(ErrorCode::ChainMoved) => "your devices have changed meanwhile: give the same code again in a moment",
        _ => return refusal.into(),
    };
    Failure::from(refusal).hint(hint)
}

async fn revoke(shell: &mut Shell, context: &Context, named: &str) -> Result<(), Failure> {
    catch_up(shell, context).await?;
    let id = find(shell.client(), named)?;
    shell.client().revoke_device(id, now())?;
    let done = shell.run(context.timeout(), |_, event| {
        Ok(match event {
            Some(Event::DeviceRevoked(device)) if device == id => Next::Done(Ok(())),
            Some(Event::RevokeRefused { device, refusal }) if device == id => Next::Done(Err(refusal.into())),
            Some(Event::LoginRefused(refusal)) => Next::Done(Err(Failure::from(refusal))),
            _ => Next::Wait,
        })
    });
    done.await??;
    // The commits that remove it from the conversations.
    settle(shell, context).await?;
    let text = format!("{id} is revoked: it is thrown out, and removed from every conversation.");
    Ok(context.output.line(text, &json!({"device": id.to_string(), "state": "revoked"}))?)
}

/// A device by its id, the beginning of its id, or its name.
fn find(client: &Client, named: &str) -> Result<DeviceId, Failure> {
    let matches = |device: &DeviceView| {
        let id = device.id.to_string();
        let begins = |prefix: &str| id.starts_with(prefix) && prefix.len() >= 4;
        begins(named) || begins(&format!("dev_{named}")) || device.name.as_deref() == Some(named)
    };
    let devices = client.devices()?;
    let exact = devices.iter().find(|device| device.id.to_string() == named);
    let found: Vec<_> = exact.map_or_else(|| devices.iter().filter(|d| matches(d)).collect(), |device| vec![device]);
    match found.as_slice() {
        [device] => Ok(device.id),
        [] => Err(client::Error::UnknownDevice.into()),
        _ => Err(Failure::usage(format!("several of your devices are called {named}")).hint("name it by its id")),
    }
}

/// A line from the person, or from whatever is connected to standard input.
fn ask(question: &str) -> Result<String, Failure> {
    if io::stdin().is_terminal() {
        eprint!("{question}");
    }
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    Ok(line)
}

/// Whether the person says yes; meanwhile the connection is kept.
async fn asked(shell: &mut Shell, question: String) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::usage("nobody is here to compare the numbers").hint("give --number, or --yes"));
    }
    let answer = tokio::task::spawn_blocking(move || ask(&question));
    tokio::select! {
        answer = answer => {
            let answer = answer.map_err(|_| Failure::new(Kind::Internal, "no answer"))??;
            Ok(matches!(answer.trim(), "y" | "Y" | "yes" | "Yes"))
        }
        ended = shell.run(None, |_, event| Ok(match event {
            Some(Event::Disconnected { .. }) => Next::Done(()),
            _ => Next::Wait,
        })) => {
            ended?;
            Err(Failure::new(Kind::Offline, "the connection was lost").hint("give the same code again"))
        }
    }
}
