//! TLS 1.3 and the certificates behind it.
//!
//! Each plane (devices, administration, internals) has a certificate authority of its own, made by `init`: a certificate
//! of one plane is worth nothing on another, whatever it says inside.

pub mod inspect;
pub mod issue;
pub mod load;
pub mod reload;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// Who talks to a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Plane {
    /// People's devices. They prove themselves inside the connection, not by certificate.
    Clients,
    /// Administration, by certificate.
    Admin,
    /// Metrics and other nodes, by certificate.
    Internal,
}

impl Plane {
    /// Every plane.
    pub const ALL: [Self; 3] = [Self::Clients, Self::Admin, Self::Internal];

    /// The name in paths, logs and certificates.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Clients => "clients",
            Self::Admin => "admin",
            Self::Internal => "internal",
        }
    }

    /// Whether a caller has to show a certificate.
    pub const fn wants_client_certificate(self) -> bool {
        matches!(self, Self::Admin | Self::Internal)
    }

    /// The name in the certificate of the plane's server, wherever it listens. Devices know the server by its host names.
    pub const fn server_name(self) -> &'static str {
        match self {
            Self::Clients => "clients.mifeng.internal",
            Self::Admin => "admin.mifeng.internal",
            Self::Internal => "internal.mifeng.internal",
        }
    }

    /// Where the plane's keys and certificates are.
    pub fn files(self, data: &Path) -> Files {
        Files { dir: data.join("tls").join(self.as_str()) }
    }
}

/// The files of one plane.
#[derive(Debug, Clone)]
pub struct Files {
    dir: PathBuf,
}

impl Files {
    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The authority's certificate.
    pub fn ca(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// The authority's key. Needed only to issue certificates: it can be kept elsewhere.
    pub fn ca_key(&self) -> PathBuf {
        self.dir.join("ca-key.pem")
    }

    /// The server's certificate, and the chain up to the authority.
    pub fn server(&self) -> PathBuf {
        self.dir.join("server.pem")
    }

    /// The server's key.
    pub fn server_key(&self) -> PathBuf {
        self.dir.join("server-key.pem")
    }

    /// The certificate of who calls.
    pub fn client(&self) -> PathBuf {
        self.dir.join("client.pem")
    }

    /// Its key.
    pub fn client_key(&self) -> PathBuf {
        self.dir.join("client-key.pem")
    }
}

/// aws-lc with TLS 1.3 suites only, and the hybrid post-quantum key exchange first.
pub fn provider() -> Arc<CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups =
        vec![aws_lc_rs::kx_group::X25519MLKEM768, aws_lc_rs::kx_group::X25519, aws_lc_rs::kx_group::SECP256R1];
    provider.cipher_suites.retain(|suite| suite.tls13().is_some());
    Arc::new(provider)
}
