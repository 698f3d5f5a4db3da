//! The server under measurement: a mifengd of the run's own on its own core, as it is installed, with its limits raised so
//! that they count but do not refuse, and a tenant.

use super::line::Target;
use super::machine::{self, GENERATOR_CORE, SERVER_CORE};
use super::relay::Relay;
use crate::daemon::{self, Daemon, Folder, metrics, tls::Plane};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use wire::InviteLink;

/// The tenant's name.
pub(super) const TENANT: &str = "bench";

/// Rates that nobody here reaches; every request is still counted against its three buckets.
const RATE: &str = "{ burst = 1000000000, per_second = 1000000000 }";

/// A PostgreSQL database that the server keeps everything in, and that is measured with it.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Postgres {
    /// Keep everything in this empty PostgreSQL database: `postgresql://ROLE@HOST:PORT/DATABASE`.
    #[arg(long, value_name = "URL", required = false, requires_all = ["postgres_owner", "postgres_password_file", "postgres_process"])]
    postgres: String,
    /// The role that owns its tables.
    #[arg(long, value_name = "ROLE", required = false, requires = "postgres")]
    postgres_owner: String,
    /// A file with the password of both roles.
    #[arg(long, value_name = "PATH", required = false, requires = "postgres")]
    postgres_password_file: String,
    /// PostgreSQL's first process: its processor time and that of its children is the server's too.
    #[arg(long, value_name = "PID", required = false, requires = "postgres")]
    pub(super) postgres_process: u32,
}

impl Postgres {
    /// For `mifengd init`.
    fn arguments(&self) -> [&str; 8] {
        let Self { postgres, postgres_owner, postgres_password_file: password, .. } = self;
        let [user, user_password] = ["--postgres-migration-user", "--postgres-migration-password-file"];
        ["--postgres", postgres, "--postgres-password-file", password, user, postgres_owner, user_password, password]
    }
}

/// Where the measurement happens.
pub(super) struct Stage {
    pub(super) daemon: Daemon,
    folder: Folder,
}

/// What the store says it has done.
#[derive(Debug, Clone, Copy)]
pub(super) struct StoreCounters {
    /// Transactions, each synced once.
    pub(super) batches: u64,
    /// Moves of the write-ahead log, each synced twice.
    pub(super) checkpoints: u64,
}

impl Stage {
    /// Makes the data directory, starts the server and makes the tenant, whose groups use this suite.
    pub(super) fn open(mifengd: Option<PathBuf>, suite: &str, postgres: Option<&Postgres>) -> Result<Self> {
        machine::raise_open_files()?;
        if machine::online()? > 1 {
            machine::pin(GENERATOR_CORE)?;
        } else {
            eprintln!("bench: this machine has one core: server and generator share it");
        }
        let folder = Folder::new("bench")?;
        let arguments = postgres.map(Postgres::arguments).map(Vec::from).unwrap_or_default();
        let mut daemon = Daemon::init(&daemon::find(mifengd)?, folder.path(), &arguments)?;
        for limit in ["SESSION", "CONTROL", "MESSAGE", "READ", "TENANT"] {
            daemon.set(format!("MIFENG_LIMITS_{limit}_RATE"), RATE);
        }
        for limit in ["CONNECTIONS", "CONNECTIONS_PER_ADDRESS"] {
            daemon.set(format!("MIFENG_LIMITS_{limit}"), "20000");
        }
        let mut stage = Self { daemon, folder };
        stage.start()?;
        stage.daemon.create_tenant(TENANT, suite)?;
        Ok(stage)
    }

    /// Starts the server, for the first time or anew.
    pub(super) fn start(&mut self) -> Result<()> {
        machine::on_core(SERVER_CORE, || self.daemon.start()).map(drop)
    }

    /// How to connect to the server.
    pub(super) fn target(&self) -> Result<Target> {
        let caller = Plane::clients(&self.daemon.data).caller()?;
        Ok(Target::new(self.daemon.addresses()?.clients, &caller))
    }

    /// The bare relay, and how to connect to it.
    pub(super) fn relay(&self) -> Result<(Relay, Target)> {
        let relay = Relay::start(&self.daemon.data, &self.folder.path().join("relay.log"))?;
        let target = Target::new(relay.address, &*Plane::clients(&self.daemon.data).caller()?);
        Ok((relay, target))
    }

    /// An invite that lets so many in.
    pub(super) fn invite(&self, uses: u32) -> Result<InviteLink> {
        self.daemon.invite_many(TENANT, uses)
    }

    /// A place for files of the run.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What the store has done since the server's start.
    pub(super) async fn counters(&self) -> Result<StoreCounters> {
        let page = metrics::fetch(&self.daemon.data, self.daemon.addresses()?.internal).await?;
        let page = String::from_utf8(page)?;
        let read = |name: &str| -> Result<u64> {
            let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            Ok(line.with_context(|| format!("{name} is not on the page of metrics"))?.trim().parse()?)
        };
        Ok(StoreCounters {
            batches: read("mifeng_store_batches_total")?,
            checkpoints: read("mifeng_store_checkpoints_total")?,
        })
    }
}
