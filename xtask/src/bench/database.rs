//! A PostgreSQL of the measurement's own: the one that the tests start, on the server's core.

#[path = "../../../crates/store/tests/common/cluster.rs"]
mod cluster;

use crate::stage::stream;
use anyhow::Result;
use cluster::{Base, Cluster, OWNER, SERVER};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

/// As on a machine that is the database's: enough memory for what is measured, and no pause for a checkpoint in between.
const SETTINGS: [&str; 3] = ["shared_buffers = 256MB", "max_wal_size = 4GB", "checkpoint_timeout = 30min"];
/// The core of whoever is measured (`mifeng bench`).
const SERVER_CORE: &str = "0";

/// An empty database, and the file with its password. It ends with this process.
pub(super) struct Database {
    base: Base,
    password: PathBuf,
}

impl Database {
    pub(super) fn start() -> Result<Self> {
        let cluster = Cluster::own(&SETTINGS);
        let password = cluster.directory().join("password-of-both");
        fs::write(&password, cluster.password())?;
        fs::set_permissions(&password, fs::Permissions::from_mode(0o600))?;
        stream(
            Command::new("taskset").args(["--all-tasks", "--cpu-list", "--pid", SERVER_CORE, &cluster.postmaster()]),
            |_| {},
        )?;
        Ok(Self { base: cluster.base(), password })
    }

    /// For `mifeng bench pairs`.
    pub(super) fn arguments(&self) -> [String; 8] {
        let text = |text: &str| text.to_owned();
        [
            text("--postgres"),
            self.base.url(SERVER),
            text("--postgres-owner"),
            text(OWNER),
            text("--postgres-password-file"),
            self.password.display().to_string(),
            text("--postgres-process"),
            self.base.cluster.postmaster(),
        ]
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.base.cluster.stop("fast");
    }
}
