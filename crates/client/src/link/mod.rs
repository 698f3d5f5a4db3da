//! Linking a device: what the new one does ([`newcomer`]), and what the one that confirms it does ([`confirm`]).
//! `docs/decisions/0010-devices.md` has the whole of it.

mod confirm;
mod newcomer;

pub(crate) use confirm::Opening;
pub(crate) use newcomer::Linking;

use crate::Error;
use wire::limits;
use zeroize::Zeroizing;

/// The code that a person carries from the new device to one that they have. A bearer secret for ten minutes.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkCode(Zeroizing<String>);

impl LinkCode {
    /// The code, to be shown to the person and to nobody else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for LinkCode {
    /// Without the code.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LinkCode").finish_non_exhaustive()
    }
}

/// A device's name: something to show in one line.
fn device_name(name: &str) -> Result<String, Error> {
    let name = name.trim();
    let fits = !name.is_empty() && name.chars().count() <= limits::DEVICE_NAME_MAX_CHARS;
    if fits && !name.chars().any(char::is_control) { Ok(name.into()) } else { Err(Error::InvalidDeviceName) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c6_debug_hides_the_code() {
        let code = LinkCode(Zeroizing::new("mifeng-link:canary".into()));
        assert!(!format!("{code:?}").contains("canary"));
    }

    #[test]
    fn a_device_name_is_one_short_line() {
        assert_eq!(device_name(" Li's laptop ").unwrap(), "Li's laptop");
        for name in ["", " ", "a\nb", "a\u{1b}[2J", &"x".repeat(65)] {
            assert!(matches!(device_name(name), Err(Error::InvalidDeviceName)), "{name:?}");
        }
    }
}
