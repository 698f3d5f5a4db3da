//! What npm brings: everything is the file that the lock file names by its hash, and what ships to people is under a licence that
//! `deny.toml` allows.

use super::Breach;
use super::supply::Deny;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Where the lock file is, from the root.
pub(super) const LOCK: &str = "apps/web/package-lock.json";
const REGISTRY: &str = "https://registry.npmjs.org/";

/// The part of npm's lock file that is read here.
#[derive(Debug, Deserialize)]
pub(super) struct Lock {
    packages: BTreeMap<String, Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    license: Option<String>,
    integrity: Option<String>,
    resolved: Option<String>,
    /// It builds or tests, and does not ship.
    #[serde(default)]
    dev: bool,
}

/// Checks every package but our own, which has no name there.
pub(super) fn check(deny: &Deny, lock: &Lock) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (name, package) in lock.packages.iter().filter(|(name, _)| !name.is_empty()) {
        let mut breach = |what: &str| breaches.push(Breach::new(format!("{LOCK}: {name}"), what));
        if !package.integrity.as_deref().is_some_and(|hash| hash.starts_with("sha512-")) {
            breach("is not named by a SHA-512");
        }
        if package.resolved.as_deref().is_some_and(|from| !from.starts_with(REGISTRY)) {
            breach("does not come from npm's registry");
        }
        match package.license.as_deref() {
            _ if package.dev => {}
            None => breach("states no licence"),
            Some(licence) if !deny.permits(licence) => breach(&format!("its licence {licence} is not on the list")),
            Some(_) => {}
        }
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    fn breaches(package: &str) -> usize {
        let deny: Deny = workspace::read_toml(&workspace::root().join("deny.toml")).unwrap();
        let lock = format!(r#"{{ "packages": {{ "": {{}}, "node_modules/x": {{ {package} }} }} }}"#);
        check(&deny, &serde_json::from_str(&lock).unwrap()).len()
    }

    #[test]
    fn what_ships_is_under_a_listed_licence_and_everything_is_named_by_its_hash() {
        assert_eq!(breaches(r#""license": "MIT", "integrity": "sha512-a""#), 0);
        assert_eq!(breaches(r#""license": "GPL-3.0-only", "integrity": "sha512-a""#), 1);
        assert_eq!(breaches(r#""integrity": "sha512-a""#), 1);
        assert_eq!(breaches(r#""license": "MPL-2.0", "integrity": "sha512-a", "dev": true"#), 0);
        assert_eq!(breaches(r#""license": "MIT", "integrity": "sha1-a""#), 1);
        assert_eq!(breaches(r#""license": "MIT", "dev": true"#), 1);
        assert_eq!(
            breaches(r#""license": "MIT", "integrity": "sha512-a", "resolved": "git+ssh://git@example.org/x""#),
            1
        );
        assert_eq!(
            breaches(r#""license": "MIT", "integrity": "sha512-a", "resolved": "https://registry.npmjs.org/x""#),
            0
        );
    }
}
