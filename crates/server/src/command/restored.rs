//! `mifengd restored`: offline, on the store alone.

use super::say;
use crate::{clock, passphrase};
use anyhow::Context;
use clap::Args;
use keyring::RootKey;
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};
use store::{Database, Marked, Settings};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A file whose first line is the root key's passphrase; goes before the configuration and the environment.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

pub(super) fn run(data: &Path, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config = super::load_config(data)?;
    let file = arguments.passphrase_file.as_deref().or(config.root.passphrase_file.as_deref());
    let passphrase = passphrase::obtain(file, false)?;
    let root = RootKey::open(&data.join(crate::ROOT_KEY_FILE), &passphrase).context("cannot open the root key")?;
    drop(passphrase);
    let location = config.store.location(data)?;
    let database = Database::open(location, root, Settings::default())
        .context("cannot open the database (the server must not run)")?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let marked = runtime.block_on(crate::restored::mark(&database, clock::now()));
    database.close();
    for (tenant, marked) in marked? {
        let Marked { conversations, key_packages, invites, links } = marked;
        say(format_args!("tenant {}: {conversations} conversation(s) have another generation", tenant.name))?;
        say(format_args!(
            "  deleted: {key_packages} key package(s), {invites} invite(s), {links} offer(s) of devices"
        ))?;
    }
    let seconds = config.restore.resupply_seconds;
    say(format_args!(
        "start the server: for {seconds} seconds from when the first comes, devices give back what the backup does not have"
    ))?;
    Ok(ExitCode::SUCCESS)
}
