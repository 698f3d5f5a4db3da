//! What a certificate says: for `check`, which tells an operator before a connection fails.

use super::{Plane, load};
use std::{net::IpAddr, path::Path};
use wire::UnixMillis;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

const DAY_MS: u64 = 86_400_000;
/// From here on `check` warns.
const SOON_MS: u64 = 30 * DAY_MS;

/// Something an operator should know of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The certificate is over, or not yet begun.
    Expired,
    /// It will be over in so many days.
    ExpiresIn {
        /// Days left.
        days: u64,
    },
    /// It does not have the name that devices know the server by.
    NameMissing,
    /// It is no certificate that can be read.
    Unreadable,
}

/// Looks at a plane's server certificate.
///
/// # Errors
/// [`load::TlsError`] when it cannot even be loaded.
pub fn server(data: &Path, plane: Plane, host: &str, now: UnixMillis) -> Result<Vec<Finding>, load::TlsError> {
    load::server(data, plane)?;
    let chain = load::chain(&plane.files(data).server())?;
    let Some(Ok((_, leaf))) = chain.first().map(|der| X509Certificate::from_der(der)) else {
        return Ok(vec![Finding::Unreadable]);
    };
    let mut findings = Vec::new();
    findings.extend(life(&leaf, now));
    let name = if plane == Plane::Clients { host } else { plane.server_name() };
    if !has_name(&leaf, name) {
        findings.push(Finding::NameMissing);
    }
    Ok(findings)
}

/// When a plane's server certificate is over, in seconds since the Unix epoch; nothing when it cannot be read.
pub fn expires_at_s(data: &Path, plane: Plane) -> Option<u64> {
    let chain = load::chain(&plane.files(data).server()).ok()?;
    let (_, leaf) = X509Certificate::from_der(chain.first()?).ok()?;
    u64::try_from(leaf.validity().not_after.timestamp()).ok()
}

fn life(leaf: &X509Certificate<'_>, now: UnixMillis) -> Option<Finding> {
    let now_s = i64::try_from(now / 1_000).unwrap_or(i64::MAX);
    let (begin_s, end_s) = (leaf.validity().not_before.timestamp(), leaf.validity().not_after.timestamp());
    if now_s < begin_s || now_s >= end_s {
        return Some(Finding::Expired);
    }
    let left_ms = u64::try_from(end_s - now_s).unwrap_or_default() * 1_000;
    (left_ms < SOON_MS).then_some(Finding::ExpiresIn { days: left_ms / DAY_MS })
}

fn has_name(leaf: &X509Certificate<'_>, host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let names = leaf.subject_alternative_name().ok().flatten();
    let address = host.parse::<IpAddr>().ok().map(|address| match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    });
    names.is_some_and(|names| {
        names.value.general_names.iter().any(|name| match name {
            GeneralName::DNSName(dns) => dns.eq_ignore_ascii_case(host),
            GeneralName::IPAddress(bytes) => address.as_deref() == Some(*bytes),
            _ => false,
        })
    })
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Expired => f.write_str("expired or not yet valid"),
            Self::ExpiresIn { days } => write!(f, "expires in {days} days"),
            Self::NameMissing => f.write_str("does not have the server's name"),
            Self::Unreadable => f.write_str("cannot be read"),
        }
    }
}
