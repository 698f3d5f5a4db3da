//! The line by which a person's further device finds the server: an invite without the right to join.
//!
//! `mifeng-server://HOST:PORT/TENANT#ca=SHA256HEX`. It holds no secret, and its own scheme, so that it cannot be taken for an
//! invite.

use crate::invite_link::{is_host, is_plain};
use crate::{InviteLink, Malformed, id::from_hex};
use std::{fmt, str::FromStr};

/// Where the server is, and how to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerLine {
    /// Name or address of the server, as in its certificate. An IPv6 address stands in brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The tenant's name.
    pub tenant: String,
    /// SHA-256 of the CA certificate (DER).
    pub ca: [u8; 32],
}

const SCHEME: &str = "mifeng-server://";
/// Longer lines are not ours.
const MAX_BYTES: usize = 1024;

impl From<&InviteLink> for ServerLine {
    fn from(link: &InviteLink) -> Self {
        Self { host: link.host.clone(), port: link.port, tenant: link.tenant.clone(), ca: link.ca }
    }
}

impl fmt::Display for ServerLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}:{}/{}#ca=", self.host, self.port, self.tenant)?;
        self.ca.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for ServerLine {
    type Err = Malformed;

    fn from_str(line: &str) -> Result<Self, Malformed> {
        let line = line.trim();
        let rest = line.strip_prefix(SCHEME).filter(|_| line.len() <= MAX_BYTES).ok_or(Malformed)?;
        let (place, ca) = rest.split_once("#ca=").ok_or(Malformed)?;
        let (authority, tenant) = place.split_once('/').ok_or(Malformed)?;
        let (host, port) = authority.rsplit_once(':').ok_or(Malformed)?;
        let plain = is_host(host) && is_plain(tenant) && port.bytes().all(|digit| digit.is_ascii_digit());
        let port = port.parse().map_err(|_| Malformed)?;
        let ca = from_hex(ca).ok_or(Malformed)?;
        let line = Self { host: host.into(), port, tenant: tenant.into(), ca };
        if plain && port != 0 { Ok(line) } else { Err(Malformed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line() -> ServerLine {
        ServerLine { host: "localhost".into(), port: 7443, tenant: "acme".into(), ca: [0xa5; 32] }
    }

    #[test]
    fn a_line_returns() {
        assert!(line().to_string().starts_with("mifeng-server://localhost:7443/acme#ca=a5a5"));
        assert_eq!(line().to_string().parse(), Ok(line()));
    }

    #[test]
    fn a22_an_invite_is_no_server_line_and_the_reverse() {
        let invite = InviteLink { host: "h".into(), port: 1, tenant: "acme".into(), code: "c".into(), ca: [1; 32] };
        assert_eq!(invite.to_string().parse::<ServerLine>(), Err(Malformed));
        assert_eq!(line().to_string().parse::<InviteLink>(), Err(Malformed));
        assert!(!ServerLine::from(&invite).to_string().contains("#c&"), "the code stays out");
    }

    #[test]
    fn what_is_not_a_line_is_refused() {
        let good = line().to_string();
        for bad in [
            good.replace("7443", "0"),
            good.replace("7443", "+7443"),
            good.replace("localhost", "local host"),
            good.replace("acme", "ac/me"),
            good.replace("a5a5", "A5a5"),
            good.replace("#ca=", "#"),
            format!("{good}0"),
        ] {
            assert_eq!(bad.parse::<ServerLine>(), Err(Malformed), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_line_that_returns_or_an_error(text: String) {
            if let Ok(line) = text.parse::<ServerLine>() {
                prop_assert_eq!(line.to_string().parse(), Ok(line));
            }
        }
    }
}
