//! The local certificate authorities: one per plane, ECDSA P-256.

use super::{Files, Plane};
use crate::files::{create_private_dir, write_private};
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints,
};
use std::{fs, io, net::IpAddr, path::Path};
use time::OffsetDateTime;
use wire::UnixMillis;

/// Authorities live ten years, certificates one.
const CA_DAYS: i64 = 3_650;
const LEAF_DAYS: i64 = 397;
/// Clocks differ: a certificate is good a day before it is made.
const BEFORE_DAYS: i64 = 1;
const DAY_MS: i64 = 86_400_000;

/// Why certificates could not be made.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// A name cannot stand in a certificate.
    #[error("cannot issue a certificate")]
    Certificate(#[from] rcgen::Error),
    /// A file cannot be written or read.
    #[error("cannot write or read a certificate")]
    Io(#[from] io::Error),
}

/// Makes the authority of a plane, its server certificate and, where callers need one, its client certificate. `hosts` are
/// the names and addresses by which devices know the server.
///
/// # Errors
/// [`IssueError`].
pub fn plane(data: &Path, plane: Plane, hosts: &[String], now: UnixMillis) -> Result<(), IssueError> {
    let files = plane.files(data);
    create_private_dir(files.dir())?;
    let names = names(plane, hosts);
    let ca_key = KeyPair::generate()?;
    let ca = authority(plane, &names, now).self_signed(&ca_key)?;
    write_private(&files.ca(), ca.pem().as_bytes())?;
    write_private(&files.ca_key(), ca_key.serialize_pem().as_bytes())?;
    server(data, plane, hosts, now)?;
    if plane.wants_client_certificate() {
        client(&files, plane, now)?;
    }
    Ok(())
}

/// Makes a new server certificate under the plane's authority, with a new key. A running server takes it by itself.
///
/// # Errors
/// [`IssueError`].
pub fn server(data: &Path, plane: Plane, hosts: &[String], now: UnixMillis) -> Result<(), IssueError> {
    let files = plane.files(data);
    let params = leaf(&names(plane, hosts), ExtendedKeyUsagePurpose::ServerAuth, "mifengd", now)?;
    let (key, leaf, ca) = signed(&files, &params)?;
    // The key first: between the two writes the server keeps what it has, because key and certificate do not match.
    write_private(&files.server_key(), key.as_bytes())?;
    Ok(write_private(&files.server(), format!("{leaf}{ca}").as_bytes())?)
}

fn client(files: &Files, plane: Plane, now: UnixMillis) -> Result<(), IssueError> {
    let name = format!("caller.{}", plane.server_name());
    let params = leaf(&[name], ExtendedKeyUsagePurpose::ClientAuth, plane.as_str(), now)?;
    let (key, leaf, _) = signed(files, &params)?;
    write_private(&files.client_key(), key.as_bytes())?;
    Ok(write_private(&files.client(), leaf.as_bytes())?)
}

/// Key, certificate and authority, in PEM.
fn signed(files: &Files, params: &CertificateParams) -> Result<(String, String, String), IssueError> {
    let ca = fs::read_to_string(files.ca())?;
    let ca_key = KeyPair::from_pem(&fs::read_to_string(files.ca_key())?)?;
    let issuer = Issuer::from_ca_cert_pem(&ca, ca_key)?;
    let key = KeyPair::generate()?;
    let leaf = params.signed_by(&key, &issuer)?;
    Ok((key.serialize_pem(), leaf.pem(), ca))
}

fn names(plane: Plane, hosts: &[String]) -> Vec<String> {
    match plane {
        Plane::Clients => hosts.to_vec(),
        Plane::Admin | Plane::Internal => vec![plane.server_name().to_owned()],
    }
}

fn authority(plane: Plane, names: &[String], now: UnixMillis) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = name(&format!("Mifeng {} authority", plane.as_str()));
    (params.not_before, params.not_after) = validity(now, CA_DAYS);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    // Who trusts this authority trusts it for these names only.
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: names.iter().map(|name| subtree(name)).collect(),
        excluded_subtrees: Vec::new(),
    });
    params
}

fn leaf(
    names: &[String],
    usage: ExtendedKeyUsagePurpose,
    common_name: &str,
    now: UnixMillis,
) -> Result<CertificateParams, IssueError> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = name(common_name);
    (params.not_before, params.not_after) = validity(now, LEAF_DAYS);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn subtree(name: &str) -> GeneralSubtree {
    match name.parse() {
        Ok(IpAddr::V4(address)) => GeneralSubtree::IpAddress(CidrSubnet::V4(address.octets(), [0xff; 4])),
        Ok(IpAddr::V6(address)) => GeneralSubtree::IpAddress(CidrSubnet::V6(address.octets(), [0xff; 16])),
        Err(_) => GeneralSubtree::DnsName(name.to_owned()),
    }
}

fn name(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

fn validity(now: UnixMillis, days: i64) -> (OffsetDateTime, OffsetDateTime) {
    let now_ms = i64::try_from(now).unwrap_or(i64::MAX / 2);
    let at = |ms: i64| OffsetDateTime::from_unix_timestamp(ms / 1_000).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    (at(now_ms - BEFORE_DAYS * DAY_MS), at(now_ms + days * DAY_MS))
}
