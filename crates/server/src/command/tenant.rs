//! `mifengd tenant`

use super::say;
use crate::admin::{Caller, CreateTenant, DeleteTenant, ListTenants, SetSuite, Suite};
use clap::{Subcommand, ValueEnum};
use std::{path::Path, process::ExitCode};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Makes a tenant.
    Create {
        /// Its name: a-z, 0-9 and -, beginning with a letter. It stands in metrics and logs.
        name: String,
        /// The MLS cipher suite of its groups.
        #[arg(long, value_enum, default_value_t = SuiteName::PostQuantum)]
        suite: SuiteName,
    },
    /// Lists the tenants.
    List,
    /// Gives a tenant a stronger cipher suite; its groups move to it. There is no way back to a weaker one.
    Suite {
        /// The tenant's name.
        #[arg(long)]
        tenant: String,
        /// The MLS cipher suite of its groups from now on.
        suite: SuiteName,
    },
    /// Destroys a tenant: its keys, its users, its conversations. There is no way back.
    Delete {
        /// Its name.
        name: String,
        /// Do it.
        #[arg(long)]
        yes: bool,
    },
}

/// The suites by the names that people use.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum SuiteName {
    /// 0x004E: X-Wing hybrid post-quantum, AES-256-GCM, SHA-384, Ed25519.
    PostQuantum,
    /// 0x0001: X25519, AES-128-GCM, SHA-256, Ed25519.
    Classical,
}

impl From<SuiteName> for Suite {
    fn from(name: SuiteName) -> Self {
        match name {
            SuiteName::PostQuantum => Self::PostQuantum,
            SuiteName::Classical => Self::Classical,
        }
    }
}

pub(super) fn run(data: &Path, command: &Command) -> anyhow::Result<ExitCode> {
    let caller = Caller::of(data)?;
    match command {
        Command::Create { name, suite } => {
            let made = caller.call(&CreateTenant { name: name.clone(), suite: (*suite).into() })?;
            say(format_args!("tenant {} made ({})", made.name, made.id))?;
        }
        Command::List => {
            for tenant in caller.call(&ListTenants {})?.tenants {
                say(format_args!("{}\t{}\t{}", tenant.name, tenant.id, tenant.suite))?;
            }
        }
        Command::Suite { tenant, suite } => {
            let set = caller.call(&SetSuite { name: tenant.clone(), suite: (*suite).into() })?;
            let before = if set.changed { "" } else { " already" };
            say(format_args!("tenant {tenant} is{before} {}", set.suite))?;
        }
        Command::Delete { name, yes: true } => {
            caller.call(&DeleteTenant { name: name.clone() })?;
            say(format_args!("tenant {name} destroyed"))?;
        }
        Command::Delete { name, yes: false } => {
            anyhow::bail!("this destroys every user and conversation of {name}; add --yes if you mean it");
        }
    }
    Ok(ExitCode::SUCCESS)
}
