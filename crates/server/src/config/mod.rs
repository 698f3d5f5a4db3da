//! The configuration: one TOML file, `mifengd.toml` in the data directory, with overrides from the environment.
//!
//! Every key has a default, an unknown key is an error that names it and its line, and only this module reads the
//! environment ([`environment`]).

mod archive;
mod blobs;
pub mod environment;
mod file;
mod store;

pub use self::archive::Archive;
pub use self::blobs::{Blobs, BlobsKind, S3};
pub use self::store::{Store, StoreKind};
pub use file::{FILE_NAME, TEMPLATE, load, parse};

use rules::rate::Limit;
use serde::Deserialize;
use std::{net::SocketAddr, path::PathBuf};

/// Everything that an operator can set.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// For people's devices.
    pub clients: Clients,
    /// For `mifengd tenant` and `mifengd invite`.
    pub admin: Admin,
    /// For metrics and, later, other nodes.
    pub internal: Internal,
    /// The key above all others.
    pub root: Root,
    /// Where everything is kept.
    pub store: Store,
    /// Where files are kept, how large and how long.
    pub blobs: Blobs,
    /// What people have read is kept for their further devices: how much, how long.
    pub archive: Archive,
    /// What happens after a restore from a backup.
    pub restore: Restore,
    /// What is written to standard error.
    pub log: Log,
    /// How much is too much.
    pub limits: Limits,
}

/// The listener for devices.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Clients {
    /// Where it listens; port 0 takes any free one.
    pub listen: SocketAddr,
    /// The name that people's devices know the server by; it stands in invite lines and must be in the certificate.
    pub host: String,
}

/// The listener for administration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Admin {
    /// Where it listens; port 0 takes any free one.
    pub listen: SocketAddr,
}

/// The internal listener.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Internal {
    /// Where it listens; port 0 takes any free one.
    pub listen: SocketAddr,
}

/// Where the passphrase that opens the root key comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Root {
    /// A file with the passphrase on its first line, readable by its owner only. Without it `MIFENG_ROOT_PASSPHRASE` is
    /// taken from the environment, and without that it is asked for.
    pub passphrase_file: Option<PathBuf>,
}

/// After a restore from a backup.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Restore {
    /// How long devices have to give back what was lost, from when the first of them comes. Nothing else is recorded
    /// meanwhile; with 0 nothing is given back.
    pub resupply_seconds: u64,
}

/// Logging.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// One line of text or one JSON object per event.
    pub format: LogFormat,
    /// The least severe level that is written.
    pub level: LogLevel,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// How severe an event must be to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Failures of the server.
    Error,
    /// And what may become one.
    Warn,
    /// And what an operator wants to know.
    Info,
    /// And what a developer wants to know.
    Debug,
}

/// Limits. Each is there because somebody will reach it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections of devices in all.
    pub connections: usize,
    /// Connections of devices from one source address (an IPv6 /64 counts as one).
    pub connections_per_address: usize,
    /// How long a TLS handshake and the request that upgrades to a WebSocket may take.
    pub handshake_timeout_ms: u64,
    /// How long a connection may take to authenticate a device.
    pub authenticate_timeout_ms: u64,
    /// How long a connection may be silent; the server pings at a third of it.
    pub idle_timeout_ms: u64,
    /// How long a reader may take to accept what waits for it.
    pub slow_reader_timeout_ms: u64,
    /// Bytes that may wait for one reader.
    pub queue_bytes: usize,
    /// Frames that may wait for one reader.
    pub queue_frames: usize,
    /// How long a stop may take.
    pub drain_timeout_ms: u64,
    /// Conversations whose membership is kept in memory.
    pub cached_conversations: usize,
    /// Before a device has authenticated: connections and their requests, per source address.
    pub session_rate: Rate,
    /// Changes and look-ups, per device.
    pub control_rate: Rate,
    /// Messages, per device.
    pub message_rate: Rate,
    /// Reads, per device.
    pub read_rate: Rate,
    /// All requests of a tenant's devices together.
    pub tenant_rate: Rate,
    /// People that one user may look up in a day.
    pub lookups_per_user: u32,
    /// People that all users of a tenant together may look up in a day.
    pub lookups_per_tenant: u32,
}

/// A rate: so many at once, so many per second in the long run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// At once.
    pub burst: u32,
    /// Per second.
    pub per_second: u32,
}

impl From<Rate> for Limit {
    fn from(rate: Rate) -> Self {
        Self { burst: rate.burst, per_second: rate.per_second }
    }
}

/// The configuration cannot be used. It names the key, and the line where there is one.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file says something that it cannot say; the text names line and key.
    #[error("{path} is not a configuration:\n{text}")]
    Parse {
        /// Which file.
        path: PathBuf,
        /// What is wrong, where.
        text: String,
    },
    /// An environment variable is none of ours, or its value does not fit.
    #[error("environment variable {name}: {text}")]
    Environment {
        /// Which variable.
        name: String,
        /// What is wrong with it.
        text: String,
    },
    /// A value is out of its range.
    #[error("{key} {text}")]
    Range {
        /// Which key.
        key: &'static str,
        /// What it must be.
        text: &'static str,
    },
}

impl Config {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// [`ConfigError::Range`].
    pub fn validate(&self) -> Result<(), ConfigError> {
        let limits = &self.limits;
        let positive = [
            ("limits.connections", limits.connections as u64),
            ("limits.connections_per_address", limits.connections_per_address as u64),
            ("limits.handshake_timeout_ms", limits.handshake_timeout_ms),
            ("limits.authenticate_timeout_ms", limits.authenticate_timeout_ms),
            ("limits.slow_reader_timeout_ms", limits.slow_reader_timeout_ms),
            ("limits.queue_frames", limits.queue_frames as u64),
            ("limits.cached_conversations", limits.cached_conversations as u64),
            ("limits.lookups_per_user", u64::from(limits.lookups_per_user)),
            ("limits.lookups_per_tenant", u64::from(limits.lookups_per_tenant)),
        ];
        if let Some((key, _)) = positive.iter().find(|(_, value)| *value == 0) {
            return Err(ConfigError::Range { key, text: "must not be 0" });
        }
        if limits.queue_bytes < 2 * wire::limits::FRAME_MAX_BYTES {
            return Err(ConfigError::Range {
                key: "limits.queue_bytes",
                text: "must hold two of the largest frames (8388608)",
            });
        }
        if limits.idle_timeout_ms < 3_000 {
            return Err(ConfigError::Range { key: "limits.idle_timeout_ms", text: "must be at least 3000" });
        }
        let rates = [
            ("limits.session_rate", limits.session_rate),
            ("limits.control_rate", limits.control_rate),
            ("limits.message_rate", limits.message_rate),
            ("limits.read_rate", limits.read_rate),
            ("limits.tenant_rate", limits.tenant_rate),
        ];
        if let Some((key, _)) = rates.iter().find(|(_, rate)| rate.burst == 0 || rate.per_second == 0) {
            return Err(ConfigError::Range { key, text: "must have a burst and a rate above 0" });
        }
        self.store.validate()?;
        self.blobs.validate()?;
        self.archive.validate()?;
        if self.clients.host.is_empty() {
            return Err(ConfigError::Range { key: "clients.host", text: "must not be empty" });
        }
        Ok(())
    }
}

impl Default for Clients {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 7443)), host: "localhost".into() }
    }
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 7444)) }
    }
}

impl Default for Internal {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 7445)) }
    }
}

impl Default for Restore {
    fn default() -> Self {
        Self { resupply_seconds: 600 }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: LogLevel::Info }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            connections_per_address: 4_096,
            handshake_timeout_ms: 10_000,
            authenticate_timeout_ms: 60_000,
            idle_timeout_ms: 180_000,
            slow_reader_timeout_ms: 30_000,
            queue_bytes: 16 << 20,
            queue_frames: 8_192,
            drain_timeout_ms: 10_000,
            cached_conversations: 10_000,
            session_rate: Rate { burst: 4_000, per_second: 500 },
            control_rate: Rate { burst: 200, per_second: 20 },
            message_rate: Rate { burst: 2_000, per_second: 200 },
            read_rate: Rate { burst: 2_000, per_second: 200 },
            tenant_rate: Rate { burst: 100_000, per_second: 50_000 },
            lookups_per_user: 2_000,
            lookups_per_tenant: 100_000,
        }
    }
}
