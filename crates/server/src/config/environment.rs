//! The environment: overrides of the configuration, and the root passphrase.
//!
//! `MIFENG_<SECTION>_<KEY>` overrides `key` in `[section]`; a number or an inline table is written as in TOML, everything
//! else is taken as text. A variable that begins with a section's name and fits no key is an error, so that a slip of the
//! finger does not go unseen.

use super::ConfigError;
use zeroize::Zeroizing;

const SECTIONS: [&str; 10] =
    ["clients", "admin", "internal", "root", "store", "blobs", "archive", "restore", "log", "limits"];
const PREFIX: &str = "MIFENG_";
const PASSPHRASE: &str = "MIFENG_ROOT_PASSPHRASE";

/// What the environment says about the configuration.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Overrides(Vec<Override>);

#[derive(Debug, Clone, PartialEq)]
struct Override {
    variable: String,
    section: &'static str,
    key: String,
    value: toml::Value,
}

impl Overrides {
    /// Those of this process.
    ///
    /// # Errors
    /// [`ConfigError::Environment`].
    pub fn of_process() -> Result<Self, ConfigError> {
        let text = |name: std::ffi::OsString| name.into_string().ok();
        Self::from_variables(std::env::vars_os().filter_map(|(name, value)| Some((text(name)?, text(value)?))))
    }

    /// Those among these variables.
    ///
    /// # Errors
    /// [`ConfigError::Environment`].
    pub fn from_variables(variables: impl Iterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let mut found: Vec<_> = variables.filter_map(|(name, value)| parse(name, &value)).collect();
        found.sort_by(|a, b| a.variable.cmp(&b.variable));
        Ok(Self(found))
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&str, &'static str, &str, toml::Value)> {
        self.0.iter().map(|found| (found.variable.as_str(), found.section, found.key.as_str(), found.value.clone()))
    }
}

/// The root passphrase, if the environment holds it.
pub fn root_passphrase() -> Option<Zeroizing<String>> {
    std::env::var(PASSPHRASE).ok().map(Zeroizing::new)
}

fn parse(variable: String, value: &str) -> Option<Override> {
    if variable == PASSPHRASE {
        return None;
    }
    let rest = variable.strip_prefix(PREFIX)?.to_ascii_lowercase();
    let section = SECTIONS.into_iter().find(|section| rest.starts_with(&format!("{section}_")))?;
    let key = rest.get(section.len() + 1..)?.to_owned();
    // As TOML would read it on the right of an equals sign; what it cannot read is text.
    let document: Option<toml::Table> = toml::from_str(&format!("value = {value}")).ok();
    let value =
        document.and_then(|mut table| table.remove("value")).unwrap_or_else(|| toml::Value::String(value.into()));
    Some(Override { variable, section, key, value })
}
