//! `mifengd user`

use super::say;
use crate::admin::{Caller, CloseUser};
use clap::Subcommand;
use std::{path::Path, process::ExitCode};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Closes the account of somebody who has left: their devices are disconnected at once and never let in again, and the
    /// others' devices remove them from every conversation. There is no way back.
    Close {
        /// The tenant's name.
        #[arg(long)]
        tenant: String,
        /// The person's handle.
        handle: String,
    },
}

pub(super) fn run(data: &Path, command: &Command) -> anyhow::Result<ExitCode> {
    let Command::Close { tenant, handle } = command;
    let closed = Caller::of(data)?.call(&CloseUser { tenant: tenant.clone(), handle: handle.clone() })?;
    say(format_args!("{handle} is closed ({}): {} device(s) disconnected", closed.user, closed.devices))?;
    Ok(ExitCode::SUCCESS)
}
