//! TLS around a mifengd of our own: certificates for what stands before or beside it, and calls to it.

use anyhow::{Context, Result, bail};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair, KeyUsagePurpose};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where `mifengd init` leaves the keys and certificates of a listener.
pub(crate) struct Plane {
    folder: PathBuf,
}

impl Plane {
    /// The listener for devices.
    pub(crate) fn clients(data: &Path) -> Self {
        Self { folder: data.join("tls/clients") }
    }

    /// The listener that has the metrics.
    pub(crate) fn internal(data: &Path) -> Self {
        Self { folder: data.join("tls/internal") }
    }

    /// What a server shows that stands in for this one: a certificate by the same authority, for the same name.
    pub(crate) fn stand_in(&self, host: &str) -> Result<Arc<ServerConfig>> {
        let ca = self.text("ca.pem")?;
        let issuer = Issuer::from_ca_cert_pem(&ca, KeyPair::from_pem(&self.text("ca-key.pem")?)?)?;
        let mut params = CertificateParams::new([host.to_owned()])?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let leaf = params.signed_by(&key, &issuer)?;
        let chain = [vec![leaf.der().clone()], self.certificates("ca.pem")?].concat();
        let key =
            PrivateKeyDer::try_from(key.serialize_der()).map_err(|error| anyhow::anyhow!("the tap's key: {error}"))?;
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // As mifengd's.
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }

    /// What who calls the listener uses; with the plane's client certificate, if it has one.
    pub(crate) fn caller(&self) -> Result<Arc<ClientConfig>> {
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates("ca.pem")? {
            roots.add(certificate)?;
        }
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots);
        let mut config = if self.folder.join("client.pem").exists() {
            let key = PrivateKeyDer::from_pem_file(self.folder.join("client-key.pem"))?;
            builder.with_client_auth_cert(self.certificates("client.pem")?, key)?
        } else {
            builder.with_no_client_auth()
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    fn certificates(&self, name: &str) -> Result<Vec<CertificateDer<'static>>> {
        let path = self.folder.join(name);
        let certificates = CertificateDer::pem_file_iter(&path).with_context(|| path.display().to_string())?;
        let certificates = certificates.collect::<Result<Vec<_>, _>>().with_context(|| path.display().to_string())?;
        if certificates.is_empty() { bail!("{}: no certificate in it", path.display()) } else { Ok(certificates) }
    }

    fn text(&self, name: &str) -> Result<String> {
        let path = self.folder.join(name);
        fs::read_to_string(&path).with_context(|| path.display().to_string())
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use rcgen::{BasicConstraints, IsCa};

    /// A listener's folder as `mifengd init` makes it, with an authority and a client certificate.
    pub(crate) fn plane(data: &Path, name: &str) -> Plane {
        let plane = Plane { folder: data.join("tls").join(name) };
        fs::create_dir_all(&plane.folder).unwrap();
        let ca_key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let ca = params.self_signed(&ca_key).unwrap();
        fs::write(plane.folder.join("ca.pem"), ca.pem()).unwrap();
        fs::write(plane.folder.join("ca-key.pem"), ca_key.serialize_pem()).unwrap();
        plane
    }
}
