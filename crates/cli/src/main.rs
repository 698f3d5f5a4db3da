//! `mifeng`: the command line for people. It parses, asks the shell, prints, and turns errors into a kind and a hint; what
//! there is to decide is decided in `client`.

mod bench;
mod command;
mod context;
mod conversation;
mod daemon;
mod duration;
mod failure;
mod file;
mod line;
mod membership;
mod output;
mod profile;
mod prove;
mod secret;
mod tui;

use clap::{CommandFactory, Parser};
use command::Command;
use context::{Context, Options};
use std::process::ExitCode;

/// End-to-end encrypted conversations from a terminal.
#[derive(Debug, Parser)]
#[command(name = "mifeng", version, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let as_json = cli.options.json;
    // The time zone can be asked for only while there is one thread.
    let utc_offset = time::UtcOffset::current_local_offset().unwrap_or(time::UtcOffset::UTC);
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_env("MIFENG_LOG"))
        .with_writer(std::io::stderr)
        .init();
    let result = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failure::Failure::from)
        .and_then(|runtime| runtime.block_on(cli.command.run(&Context::new(cli.options, utc_offset))));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{}", failure.text(as_json));
            ExitCode::from(failure.kind.exit_status())
        }
    }
}

/// The whole command, for completions.
fn definition() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_arguments_are_consistent() {
        super::definition().debug_assert();
    }
}
