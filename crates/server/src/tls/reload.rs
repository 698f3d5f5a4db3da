//! New certificates without a restart: on SIGHUP, and when the files change.

use super::{Plane, load};
use arc_swap::ArcSwap;
use rustls::ServerConfig;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::signal::unix::{SignalKind, signal};

/// How often the files are looked at.
const POLL: Duration = Duration::from_secs(2);

/// The TLS configuration of one listener: what new connections get.
pub struct Reloading {
    plane: Plane,
    data: PathBuf,
    current: ArcSwap<ServerConfig>,
}

impl Reloading {
    /// Loads a plane's keys and certificates.
    ///
    /// # Errors
    /// [`load::TlsError`].
    pub fn load(data: &Path, plane: Plane) -> Result<Arc<Self>, load::TlsError> {
        let current = ArcSwap::new(load::server(data, plane)?);
        Ok(Arc::new(Self { plane, data: data.into(), current }))
    }

    /// What a connection that is accepted now gets.
    pub fn current(&self) -> Arc<ServerConfig> {
        self.current.load_full()
    }

    /// Loads again. What cannot be used changes nothing and is logged.
    pub fn reload(&self) {
        match load::server(&self.data, self.plane) {
            Ok(config) => {
                self.current.store(config);
                tracing::info!(plane = self.plane.as_str(), "certificates reloaded");
            }
            Err(error) => {
                tracing::error!(plane = self.plane.as_str(), %error, "certificates not reloaded, the old ones stay");
            }
        }
    }

    fn stamps(&self) -> [Option<SystemTime>; 3] {
        let files = self.plane.files(&self.data);
        [files.ca(), files.server(), files.server_key()]
            .map(|path| std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok())
    }
}

/// Watches for SIGHUP and for changed files, as long as the process lives.
///
/// # Errors
/// When the signal cannot be listened for.
pub async fn watch(listeners: Vec<Arc<Reloading>>) -> std::io::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    let mut tick = tokio::time::interval(POLL);
    let mut seen: Vec<_> = listeners.iter().map(|listener| listener.stamps()).collect();
    loop {
        let forced = tokio::select! {
            _ = hangup.recv() => true,
            _ = tick.tick() => false,
        };
        for (listener, seen) in listeners.iter().zip(&mut seen) {
            let stamps = listener.stamps();
            if forced || stamps != *seen {
                listener.reload();
                *seen = stamps;
            }
        }
    }
}
