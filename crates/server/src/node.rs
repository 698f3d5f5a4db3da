//! What a running server is made of, shared by everything that serves.

use crate::{
    blobs::Blobs, clock::Clock, config::Config, groups::Groups, hub::Hub, listen::Caps, metrics::Metrics, rates::Rates,
    tenants::Tenants,
};
use anyhow::Context;
use keyring::RootKey;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use store::{Database, Settings};
use tokio::sync::watch;

/// One server.
pub struct Node {
    /// The data directory.
    pub data: PathBuf,
    /// As the operator set it.
    pub config: Config,
    /// The truth.
    pub database: Database,
    /// Where the parts of blobs lie.
    pub blobs: Blobs,
    /// The tenants that are in use.
    pub tenants: Tenants,
    /// What time it is.
    pub clock: Clock,
    /// Who is online.
    pub hub: Hub,
    /// Who belongs to which conversation.
    pub groups: Groups,
    /// Who asks for how much.
    pub rates: Rates,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Who may connect.
    pub caps: Arc<Caps>,
    /// The connections that are being served.
    pub connections: Connections,
    draining: watch::Sender<bool>,
}

impl Node {
    /// Opens the database of a data directory.
    ///
    /// # Errors
    /// When the database is missing pieces, locked, damaged or of a later version.
    pub async fn open(data: &Path, config: Config, root: RootKey, caps: Arc<Caps>) -> anyhow::Result<Arc<Self>> {
        Self::with_clock(data, config, root, caps, Clock::SYSTEM).await
    }

    /// The same, by another clock than the system's.
    ///
    /// # Errors
    /// As [`Node::open`].
    pub async fn with_clock(
        data: &Path,
        config: Config,
        root: RootKey,
        caps: Arc<Caps>,
        clock: Clock,
    ) -> anyhow::Result<Arc<Self>> {
        let location = config.store.location(data)?;
        tracing::info!(store = %location, "opening the database");
        let opened = tokio::task::spawn_blocking(move || Database::open(location, root, Settings::default()));
        let database = opened.await?.context("cannot open the database")?;
        let blobs = Blobs::open(data, &config.blobs)?;
        let resupply_ms = config.restore.resupply_seconds.saturating_mul(1_000);
        let tenants = Tenants::new(database.clone(), clock.clone(), resupply_ms);
        let node = Self {
            data: data.into(),
            blobs,
            tenants,
            clock,
            hub: Hub::default(),
            groups: Groups::new(config.limits.cached_conversations),
            rates: Rates::new(&config.limits),
            metrics: Arc::new(Metrics::new()),
            caps,
            connections: Connections::default(),
            draining: watch::Sender::new(false),
            database,
            config,
        };
        let wakes = Arc::clone(node.hub.wakes());
        node.database.after_each_batch(move || wakes.batch_is_done());
        let wakes = Arc::clone(node.hub.wakes());
        tokio::spawn(async move { wakes.run().await });
        Ok(Arc::new(node))
    }

    /// Whether the server is about to stop.
    pub fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }

    /// Waits until the server is about to stop.
    pub async fn until_draining(&self) {
        // The sender lives in `self`, so that the channel cannot close meanwhile.
        let _ = self.draining.subscribe().wait_for(|draining| *draining).await;
    }

    /// Takes no new requests and tells every device.
    pub fn drain(&self) {
        self.draining.send_replace(true);
        self.hub.announce_drain();
    }
}

/// Counts connections, so that a stop can wait for them.
pub struct Connections(watch::Sender<usize>);

/// One connection; dropping it counts it out.
pub struct Alive(watch::Sender<usize>);

impl Connections {
    /// Counts one more.
    pub fn token(&self) -> Alive {
        self.0.send_modify(|open| *open += 1);
        Alive(self.0.clone())
    }

    /// How many are open.
    pub fn open(&self) -> usize {
        *self.0.borrow()
    }

    /// Waits for the last to go.
    pub async fn all_gone(&self) {
        // The sender lives in `self`, so that the channel cannot close meanwhile.
        let _ = self.0.subscribe().wait_for(|open| *open == 0).await;
    }
}

impl Default for Connections {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open = open.saturating_sub(1));
    }
}
