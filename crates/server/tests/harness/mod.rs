//! A server in this process, on free ports, with real TLS and a real store; and the other ends of its listeners.

#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "shared by several test binaries, each of which uses its part"
)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's help fails the test")]

pub mod bucket;
pub mod line;
pub mod phone;

use keyring::{Passphrase, RootKey};
use mifeng_server::{
    admin::{Caller, CreateInvite, CreateTenant, Suite},
    clock,
    config::Config,
    process::{self, Running},
    tls::{Plane, issue, provider},
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};
use tempfile::TempDir;
use tokio::sync::watch;
use wire::invite_link::InviteLink;

pub const PASSPHRASE: &str = "tulip-granite-oyster-7";

/// A data directory, and the server that runs on it.
pub struct Server {
    pub dir: Arc<TempDir>,
    data: PathBuf,
    pub running: Option<Running>,
    pub addresses: process::Addresses,
    stop: watch::Sender<bool>,
}

/// A configuration on free ports.
pub fn config() -> Config {
    let mut config = Config::default();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    (config.clients.listen, config.admin.listen, config.internal.listen) = (any, any, any);
    config
}

pub fn init(data: &Path) {
    let hosts = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    for plane in Plane::ALL {
        issue::plane(data, plane, &hosts, clock::now()).unwrap();
    }
    RootKey::create(&data.join(mifeng_server::ROOT_KEY_FILE), &Passphrase::new(PASSPHRASE).unwrap()).unwrap();
}

impl Server {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        init(dir.path());
        Self::on(dir, change).await
    }

    /// Starts on a directory that is there already.
    pub async fn on(dir: Arc<TempDir>, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = config();
        change(&mut config);
        config.validate().unwrap();
        let passphrase = Passphrase::new(PASSPHRASE).unwrap();
        let root = RootKey::open(&dir.path().join(mifeng_server::ROOT_KEY_FILE), &passphrase).unwrap();
        let (stop, stopped) = watch::channel(false);
        let running = process::start(dir.path(), config, root, stopped).await.unwrap();
        Self { data: dir.path().into(), dir, addresses: running.addresses, running: Some(running), stop }
    }

    /// One that runs in another process.
    pub fn elsewhere(data: PathBuf, addresses: process::Addresses) -> Self {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        Self { dir, data, addresses, running: None, stop: watch::Sender::new(false) }
    }

    pub fn data(&self) -> PathBuf {
        self.data.clone()
    }

    pub fn node(&self) -> &mifeng_server::node::Node {
        &self.running.as_ref().unwrap().node
    }

    pub async fn drain(&mut self) {
        self.stop.send_replace(true);
        self.running.take().unwrap().drain().await;
    }

    pub async fn tenant(&self, name: &str, suite: Suite) {
        self.admin().call_async(&CreateTenant { name: name.into(), suite }).await.unwrap();
    }

    pub async fn invite(&self, tenant: &str, uses: u32, life_ms: u64) -> InviteLink {
        let invite = CreateInvite { tenant: tenant.into(), life_ms, uses };
        self.admin().call_async(&invite).await.unwrap().link.parse().unwrap()
    }

    pub fn admin(&self) -> Caller {
        Caller::of(&self.data()).unwrap()
    }

    pub fn tls(&self) -> Arc<ClientConfig> {
        trusting(&Plane::Clients.files(&self.data()).ca())
    }
}

/// A client that trusts one authority and shows no certificate.
pub fn trusting(ca: &Path) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).unwrap() {
        roots.add(certificate.unwrap()).unwrap();
    }
    let builder = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[&rustls::version::TLS13]);
    Arc::new(builder.unwrap().with_root_certificates(roots).with_no_client_auth())
}
