//! The life of the process: open, bind, serve, drain.

use crate::{
    admin, clock,
    config::Config,
    files,
    gateway::queue::Closed,
    http, jobs,
    listen::{self, Caps, Listener},
    node::Node,
    tls::{Plane, inspect, reload},
    web::Assets,
};
use anyhow::Context;
use keyring::RootKey;
use serde::{Deserialize, Serialize};
use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::watch,
};

/// The file in the data directory that says where a running server listens.
pub const ADDRESSES_FILE: &str = "addresses.json";
/// Administrators and other nodes are few.
const INNER_CONNECTIONS: usize = 256;

/// Where a server listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// For devices.
    pub clients: SocketAddr,
    /// For administration.
    pub admin: SocketAddr,
    /// For metrics and other nodes.
    pub internal: SocketAddr,
}

impl Addresses {
    /// Where the server of this data directory listens, or listened last.
    ///
    /// # Errors
    /// When there is no such file, or it cannot be read.
    pub fn read(data: &Path) -> std::io::Result<Self> {
        let bytes = std::fs::read(data.join(ADDRESSES_FILE))?;
        serde_json::from_slice(&bytes).map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error))
    }
}

/// Serves until SIGTERM or SIGINT, then drains.
///
/// # Errors
/// What keeps the server from starting.
pub async fn run(data: &Path, config: Config, root: RootKey) -> anyhow::Result<()> {
    let (stop, stopped) = watch::channel(false);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let running = start(data, config, root, stopped).await?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("draining");
    stop.send_replace(true);
    running.drain().await;
    tracing::info!("stopped");
    Ok(())
}

/// A server that serves.
pub struct Running {
    /// Where.
    pub addresses: Addresses,
    /// What it is made of.
    pub node: Arc<Node>,
}

/// Opens the store, binds the listeners, writes `addresses.json` and begins to serve. When `stopped` turns true nothing new
/// is accepted.
///
/// # Errors
/// What keeps the server from starting.
pub async fn start(
    data: &Path,
    config: Config,
    root: RootKey,
    stopped: watch::Receiver<bool>,
) -> anyhow::Result<Running> {
    // Of an earlier run: whoever waits for the file is to see this one's addresses.
    forget_addresses(data)?;
    let limits = &config.limits;
    let handshake_timeout = Duration::from_millis(limits.handshake_timeout_ms);
    let caps = Caps::new(limits.connections, limits.connections_per_address);
    let binds = [config.clients.listen, config.admin.listen, config.internal.listen];
    let node = Node::open(data, config, root, Arc::clone(&caps)).await?;
    let assets = Arc::new(Assets::embedded());
    let mut addresses = Vec::new();
    let mut certificates = Vec::new();
    for (plane, address) in Plane::ALL.into_iter().zip(binds) {
        let socket = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen on {address} for {}", plane.as_str()))?;
        addresses.push(socket.local_addr()?);
        let tls = reload::Reloading::load(data, plane)?;
        for finding in inspect::server(data, plane, &node.config.clients.host, clock::now())? {
            tracing::warn!(plane = plane.as_str(), %finding, "certificate");
        }
        certificates.push(Arc::clone(&tls));
        let (router, caps) = match plane {
            Plane::Clients => (http::clients(&node, &assets), Arc::clone(&caps)),
            Plane::Admin => (admin::router(Arc::clone(&node)), Caps::new(INNER_CONNECTIONS, INNER_CONNECTIONS)),
            Plane::Internal => (http::internal(Arc::clone(&node)), Caps::new(INNER_CONNECTIONS, INNER_CONNECTIONS)),
        };
        let metrics = Arc::clone(&node.metrics);
        let listener = Listener { socket, plane, tls, caps, handshake_timeout, router, metrics };
        tokio::spawn(listen::serve(listener, stopped.clone()));
    }
    let [clients, admin, internal] = addresses.as_slice() else {
        anyhow::bail!("three listeners have three addresses")
    };
    let addresses = Addresses { clients: *clients, admin: *admin, internal: *internal };
    files::write_private(&data.join(ADDRESSES_FILE), &serde_json::to_vec(&addresses)?)?;
    tokio::spawn(reload::watch(certificates));
    jobs::start(&node, stopped);
    // To be compared with what a release says, and with what a browser shows.
    tracing::info!(bundle = assets.bundle().unwrap_or("none: cargo xtask web"), "web");
    tracing::info!(%clients, %admin, %internal, "ready");
    Ok(Running { addresses, node })
}

impl Running {
    /// Tells every device, lets what was begun come to its end, and returns when the last connection has gone, or after the
    /// time configured.
    pub async fn drain(self) {
        self.node.drain();
        let time = Duration::from_millis(self.node.config.limits.drain_timeout_ms);
        let operator = self.node.database.operator();
        // Writes are done in order: when this one is, everything that was begun before has been answered.
        let _ = tokio::time::timeout(time, operator.write(|_| Ok::<_, store::Error>(()))).await;
        self.node.hub.close_all(Closed::Draining);
        if tokio::time::timeout(time, self.node.connections.all_gone()).await.is_err() {
            tracing::warn!(left = self.node.connections.open(), "connections were cut");
        }
        if let Err(error) = forget_addresses(&self.node.data) {
            tracing::warn!(%error, "the file of addresses stays");
        }
        let database = self.node.database.clone();
        // What was accepted is on the disk already; closing only tidies up.
        let _ = tokio::task::spawn_blocking(move || database.close()).await;
    }
}

fn forget_addresses(data: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(data.join(ADDRESSES_FILE)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
