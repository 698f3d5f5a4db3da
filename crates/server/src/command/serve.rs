//! `mifengd serve`

use crate::{hardening, logging, passphrase, process};
use anyhow::Context;
use clap::Args;
use keyring::RootKey;
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Files that are no connections: the database, the listeners, certificates.
const SPARE_FILES: u64 = 128;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A file whose first line is the root key's passphrase; goes before the configuration and the environment.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

pub(super) fn run(data: &Path, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config = super::load_config(data)?;
    logging::start(&config.log);
    hardening::forbid_core_dumps().context("the kernel does not let core dumps be forbidden")?;
    let files = hardening::raise_open_files().context("the limit of open files cannot be read or raised")?;
    if files < config.limits.connections as u64 + SPARE_FILES {
        tracing::warn!(files, connections = config.limits.connections, "fewer open files are allowed than connections");
    }
    let file = arguments.passphrase_file.as_deref().or(config.root.passphrase_file.as_deref());
    let passphrase = passphrase::obtain(file, false)?;
    let root = RootKey::open(&data.join(crate::ROOT_KEY_FILE), &passphrase).context("cannot open the root key")?;
    drop(passphrase);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(process::run(data, config, root));
    // What still runs has had its time to end; a blocking task must not hold the process.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    served.map(|()| ExitCode::SUCCESS)
}
