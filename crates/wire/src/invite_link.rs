//! The line that an operator hands to a person who is to join: where the server is, how to know it, and the invite.
//!
//! `mifeng://HOST:PORT/TENANT#CODE&ca=SHA256HEX`. What follows `#` is never sent by a program that mistakes the line for a
//! web address; the fingerprint is that of the CA certificate that the server's chain must end in.

use crate::{Malformed, id::from_hex};
use std::{fmt, str::FromStr};

/// Everything that a person needs to join.
#[derive(Clone, PartialEq, Eq)]
pub struct InviteLink {
    /// Name or address of the server, as in its certificate. An IPv6 address stands in brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The tenant's name.
    pub tenant: String,
    /// The invite's code. A bearer secret.
    pub code: String,
    /// SHA-256 of the CA certificate (DER).
    pub ca: [u8; 32],
}

const SCHEME: &str = "mifeng://";
/// Longer lines are not ours.
const MAX_BYTES: usize = 1024;

impl fmt::Display for InviteLink {
    /// The whole line, secret included: it is made to be handed over.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}:{}/{}#{}&ca=", self.host, self.port, self.tenant, self.code)?;
        self.ca.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for InviteLink {
    /// Without the code.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("InviteLink");
        debug.field("host", &self.host).field("port", &self.port).field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

impl FromStr for InviteLink {
    type Err = Malformed;

    fn from_str(line: &str) -> Result<Self, Malformed> {
        let line = line.trim();
        let rest = line.strip_prefix(SCHEME).filter(|_| line.len() <= MAX_BYTES).ok_or(Malformed)?;
        let (place, secret) = rest.split_once('#').ok_or(Malformed)?;
        let (authority, tenant) = place.split_once('/').ok_or(Malformed)?;
        let (host, port) = authority.rsplit_once(':').ok_or(Malformed)?;
        let (code, ca) = secret.split_once("&ca=").ok_or(Malformed)?;
        let link = Self {
            host: host.into(),
            port: port.parse().map_err(|_| Malformed)?,
            tenant: tenant.into(),
            code: code.into(),
            ca: from_hex(ca).ok_or(Malformed)?,
        };
        let plain =
            is_host(host) && is_plain(tenant) && is_plain(code) && port.bytes().all(|digit| digit.is_ascii_digit());
        if plain && link.port != 0 { Ok(link) } else { Err(Malformed) }
    }
}

/// A name, an IPv4 address, or an IPv6 address in brackets.
pub(crate) fn is_host(host: &str) -> bool {
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let allowed = |extra: u8| move |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == extra;
    match bracketed {
        Some(address) => !address.is_empty() && address.bytes().all(allowed(b':')),
        None => !host.is_empty() && host.bytes().all(allowed(b'-')),
    }
}

/// Letters, digits, `-`, `_` and `.`: nothing that a shell or a web address would read as something else.
pub(crate) fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn link() -> InviteLink {
        InviteLink {
            host: "localhost".into(),
            port: 7443,
            tenant: "acme".into(),
            code: "AB-cd_09".into(),
            ca: [0xa5; 32],
        }
    }

    #[test]
    fn a_line_returns() {
        let line = link().to_string();
        assert!(line.starts_with("mifeng://localhost:7443/acme#AB-cd_09&ca=a5a5"), "{line}");
        assert_eq!(line.parse(), Ok(link()));
        assert_eq!(format!(" {line}\n").parse(), Ok(link()));
    }

    #[test]
    fn an_ipv6_address_returns() {
        let link = InviteLink { host: "[::1]".into(), ..link() };
        assert_eq!(link.to_string().parse(), Ok(link));
    }

    #[test]
    fn c6_debug_hides_the_code() {
        assert!(!format!("{:?}", link()).contains("AB-cd_09"));
    }

    #[test]
    fn what_is_not_a_line_is_refused() {
        let good = link().to_string();
        let bad = [
            good.replace("mifeng://", "https://"),
            good.replace("7443", "0"),
            good.replace("7443", "+7443"),
            good.replace("localhost", ""),
            good.replace("localhost", "local host"),
            good.replace("acme", "ac/me"),
            good.replace("a5a5", "A5a5"),
            good[..good.len() - 1].to_owned(),
            good.replace("#AB-cd_09", "#"),
            format!("{good}0"),
        ];
        for line in bad {
            assert_eq!(line.parse::<InviteLink>(), Err(Malformed), "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_line_that_returns_or_an_error(text: String) {
            if let Ok(link) = text.parse::<InviteLink>() {
                prop_assert_eq!(link.to_string().parse(), Ok(link));
            }
        }
    }
}
