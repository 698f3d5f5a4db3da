//! The commands of `mifengd`, a file each. Only these print.

mod check;
mod init;
mod invite;
mod renew;
mod restored;
mod serve;
mod tenant;
mod user;

use anyhow::Context;
use clap::{Parser, Subcommand};
use std::{
    fmt::Display,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

/// The Mifeng server: carries messages that it cannot read.
#[derive(Debug, Parser)]
#[command(name = "mifengd", version, about)]
pub struct Arguments {
    /// The data directory.
    #[arg(long, global = true, default_value = "/var/lib/mifeng", value_name = "DIR")]
    data: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes a data directory: configuration, root key, certificates.
    Init(init::Arguments),
    /// Runs the server until SIGTERM or SIGINT.
    Serve(serve::Arguments),
    /// Validates configuration and certificates without starting anything.
    Check,
    /// Makes new server certificates under the authorities that `init` made; a running server takes them by itself.
    Renew(renew::Arguments),
    /// Says that the database was put back from a backup, while the server does not run. Devices then give back what they
    /// have and the backup has not.
    Restored(restored::Arguments),
    /// Makes, lists and deletes tenants, on the running server.
    #[command(subcommand)]
    Tenant(tenant::Command),
    /// Makes invites, on the running server.
    #[command(subcommand)]
    Invite(invite::Command),
    /// Closes accounts, on the running server.
    #[command(subcommand)]
    User(user::Command),
}

/// Runs a command.
///
/// # Errors
/// What went wrong, for people.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let data = arguments.data;
    match arguments.command {
        Command::Init(arguments) => init::run(&data, &arguments),
        Command::Serve(arguments) => serve::run(&data, &arguments),
        Command::Check => check::run(&data),
        Command::Renew(arguments) => renew::run(&data, &arguments),
        Command::Restored(arguments) => restored::run(&data, &arguments),
        Command::Tenant(command) => tenant::run(&data, &command),
        Command::Invite(command) => invite::run(&data, &command),
        Command::User(command) => user::run(&data, &command),
    }
}

fn load_config(data: &std::path::Path) -> anyhow::Result<crate::config::Config> {
    let overrides = crate::config::environment::Overrides::of_process()?;
    crate::config::load(data, &overrides).with_context(|| {
        format!("the configuration in {} cannot be used (`mifengd init --data DIR` makes a new one)", data.display())
    })
}

/// Prints a line. A reader that went away (`mifengd invite create | head -1`) has what it wanted.
fn say(line: impl Display) -> io::Result<()> {
    match writeln!(io::stdout().lock(), "{line}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
