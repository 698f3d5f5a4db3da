//! From files to rustls configurations.

use super::{Files, Plane, provider};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{NoServerSessionStorage, WebPkiClientVerifier},
    sign::CertifiedKey,
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use wire::sabotage::{Defence, stands};

/// Why keys and certificates cannot be used. It names the file.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is missing or is no PEM of what it should be.
    #[error("{path}: not a readable certificate or key ({text})")]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        text: String,
    },
    /// The key is not that of the certificate.
    #[error("{path}: the key does not belong to the certificate")]
    Mismatch {
        /// The certificate's file.
        path: PathBuf,
    },
    /// rustls refuses them.
    #[error("{path}: refused")]
    Refused {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// The certificates of callers cannot be checked with this authority.
    #[error("{path}: not usable as an authority for callers ({text})")]
    Verifier {
        /// The authority's file.
        path: PathBuf,
        /// Why.
        text: String,
    },
}

/// The configuration of a plane's listener.
///
/// # Errors
/// [`TlsError`].
pub fn server(data: &Path, plane: Plane) -> Result<Arc<ServerConfig>, TlsError> {
    let files = plane.files(data);
    let refused = |source| TlsError::Refused { path: files.server(), source };
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(refused)?;
    let builder = if plane.wants_client_certificate() && stands(Defence::ClientCertificate) {
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(&files)?), provider())
            .build()
            .map_err(|error| TlsError::Verifier { path: files.ca(), text: error.to_string() })?;
        builder.with_client_cert_verifier(verifier)
    } else {
        builder.with_no_client_auth()
    };
    let key = certified_key(&files)?;
    let mut config = builder.with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(key)));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Connections live for hours: resumption would save little, and tickets cost a key exchange's worth of memory each.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(Arc::new(config))
}

/// The configuration of who calls a plane's listener with the plane's client certificate.
///
/// # Errors
/// [`TlsError`].
pub fn client(data: &Path, plane: Plane) -> Result<Arc<ClientConfig>, TlsError> {
    let files = plane.files(data);
    let refused = |source| TlsError::Refused { path: files.client(), source };
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(refused)?
        .with_root_certificates(roots(&files)?)
        .with_client_auth_cert(chain(&files.client())?, private_key(&files.client_key())?)
        .map_err(refused)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The certificates in a file, the first being the holder's.
///
/// # Errors
/// [`TlsError::File`].
pub fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = |text: String| TlsError::File { path: path.into(), text };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(|e| wrong(e.to_string()))?.collect();
    let chain = chain.map_err(|error| wrong(error.to_string()))?;
    if chain.is_empty() { Err(wrong("no certificate in it".into())) } else { Ok(chain) }
}

fn certified_key(files: &Files) -> Result<CertifiedKey, TlsError> {
    let key = private_key(&files.server_key())?;
    let key = provider()
        .key_provider
        .load_private_key(key)
        .map_err(|source| TlsError::Refused { path: files.server_key(), source })?;
    let certified = CertifiedKey::new(chain(&files.server())?, key);
    match certified.keys_match() {
        Ok(()) => Ok(certified),
        Err(_) => Err(TlsError::Mismatch { path: files.server() }),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| TlsError::File { path: path.into(), text: error.to_string() })
}

fn roots(files: &Files) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in chain(&files.ca())? {
        roots.add(certificate).map_err(|source| TlsError::Refused { path: files.ca(), source })?;
    }
    Ok(roots)
}
