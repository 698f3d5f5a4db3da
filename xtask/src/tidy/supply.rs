//! Where other people's code may come from, and under which licence. Reads `deny.toml`, so that those who have
//! cargo-deny and those who do not follow one list.

use super::Breach;
use anyhow::{Context, Result, bail};
use cargo_metadata::Metadata;
use cargo_metadata::semver::{Version, VersionReq};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// The part of `deny.toml` that is read here.
#[derive(Debug, Deserialize)]
pub(super) struct Deny {
    bans: Bans,
    licenses: Licenses,
}

#[derive(Debug, Deserialize)]
struct Bans {
    deny: Vec<Banned>,
}

/// `crate` is a name, with an optional version requirement after a colon.
#[derive(Debug, Deserialize)]
struct Banned {
    #[serde(rename = "crate")]
    spec: String,
    reason: String,
}

#[derive(Debug, Deserialize)]
struct Licenses {
    allow: BTreeSet<String>,
    #[serde(default)]
    exceptions: Vec<LicenseException>,
}

#[derive(Debug, Deserialize)]
struct LicenseException {
    #[serde(rename = "crate")]
    name: String,
    allow: BTreeSet<String>,
}

/// One package in the lock file.
#[derive(Debug)]
pub(super) struct Package {
    name: String,
    version: Version,
    licence: Option<String>,
    /// `None` for those in the repository.
    source: Option<String>,
}

/// Every package that is compiled for any target, tests included. The lock file and `cargo metadata` also hold packages
/// that features nobody asked for would bring; `cargo tree` knows the difference.
pub(super) fn packages(root: &Path, metadata: &Metadata) -> Result<Vec<Package>> {
    let arguments = ["tree", "--workspace", "--target", "all", "--edges", "normal,build,dev", "--prefix", "none"];
    let tree = Command::new("cargo").args(arguments).args(["--format", "{p}"]).current_dir(root).output()?;
    if !tree.status.success() {
        bail!("cargo tree failed: {}", String::from_utf8_lossy(&tree.stderr));
    }
    let tree = String::from_utf8_lossy(&tree.stdout);
    let compiled: BTreeSet<&str> = tree.lines().filter_map(name_and_version).collect();
    let package = |package: &cargo_metadata::Package| Package {
        name: package.name.to_string(),
        version: package.version.clone(),
        licence: package.license.clone(),
        source: package.source.as_ref().map(|source| source.repr.clone()),
    };
    let is_compiled = |package: &&cargo_metadata::Package| {
        compiled.contains(format!("{} v{}", package.name, package.version).as_str())
    };
    Ok(metadata.packages.iter().filter(is_compiled).map(package).collect())
}

/// `serde v1.0.0` of `serde v1.0.0 (*)`.
fn name_and_version(line: &str) -> Option<&str> {
    let mut ends = line.match_indices(' ').map(|(at, _)| at);
    let _after_name = ends.next()?;
    Some(ends.next().and_then(|end| line.get(..end)).unwrap_or(line))
}

/// Checks every package.
///
/// # Errors
/// When `deny.toml` holds a version requirement that is not one.
pub(super) fn check(deny: &Deny, packages: &[Package]) -> Result<Vec<Breach>> {
    let mut breaches = Vec::new();
    for package in packages {
        let mut breach =
            |what: String| breaches.push(Breach::new(format!("{} {}", package.name, package.version), what));
        for banned in &deny.bans.deny {
            if banned.matches(package)? {
                breach(format!("is banned: {}", banned.reason));
            }
        }
        if package
            .source
            .as_deref()
            .is_some_and(|source| source != "registry+https://github.com/rust-lang/crates.io-index")
        {
            breach("does not come from crates.io".into());
        }
        let mut allowed = deny.licenses.allow.clone();
        for exception in deny.licenses.exceptions.iter().filter(|exception| exception.name == package.name) {
            allowed.extend(exception.allow.iter().cloned());
        }
        match package.licence.as_deref() {
            None => breach("states no licence".into()),
            Some(licence) if !permitted(licence, &allowed) => {
                breach(format!("its licence {licence} is not on the list"))
            }
            Some(_) => {}
        }
    }
    Ok(breaches)
}

impl Deny {
    /// Whether a licence is allowed to everybody.
    pub(super) fn permits(&self, expression: &str) -> bool {
        permitted(expression, &self.licenses.allow)
    }
}

impl Banned {
    fn matches(&self, package: &Package) -> Result<bool> {
        let (name, versions) = self.spec.split_once(':').unwrap_or((&self.spec, "*"));
        if name != package.name {
            return Ok(false);
        }
        let versions = VersionReq::parse(versions).with_context(|| format!("deny.toml: {}", self.spec))?;
        Ok(versions.matches(&package.version))
    }
}

/// Whether an SPDX expression can be met with the allowed licences. `A/B` is the old form of `A OR B`.
fn permitted(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    any_of(&mut rest, allowed).unwrap_or(false) && rest.is_empty()
}

/// `A OR B`; `None` if it is no expression.
fn any_of(words: &mut &[&str], allowed: &BTreeSet<String>) -> Option<bool> {
    let mut met = all_of(words, allowed)?;
    while let ["OR", rest @ ..] = *words {
        *words = rest;
        met |= all_of(words, allowed)?;
    }
    Some(met)
}

/// `A AND B` binds closer than OR.
fn all_of(words: &mut &[&str], allowed: &BTreeSet<String>) -> Option<bool> {
    let mut met = one_of(words, allowed)?;
    while let ["AND", rest @ ..] = *words {
        *words = rest;
        met &= one_of(words, allowed)?;
    }
    Some(met)
}

fn one_of(words: &mut &[&str], allowed: &BTreeSet<String>) -> Option<bool> {
    match *words {
        ["(", rest @ ..] => {
            *words = rest;
            let met = any_of(words, allowed)?;
            *words = words.strip_prefix(&[")"])?;
            Some(met)
        }
        [licence, "WITH", exception, rest @ ..] => {
            *words = rest;
            Some(allowed.contains(&format!("{licence} WITH {exception}")) || allowed.contains(*licence))
        }
        [licence, rest @ ..] if !matches!(*licence, "OR" | "AND" | ")") => {
            *words = rest;
            Some(allowed.contains(*licence))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    fn breaches(name: &str, version: &str, licence: Option<&str>, source: &str) -> usize {
        let deny: Deny = workspace::read_toml(&workspace::root().join("deny.toml")).unwrap();
        let package = Package {
            name: name.into(),
            version: version.parse().unwrap(),
            licence: licence.map(Into::into),
            source: Some(source.into()),
        };
        check(&deny, &[package]).unwrap().len()
    }

    const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

    #[test]
    fn banned_crates_and_old_versions_are_breaches() {
        assert_eq!(breaches("serde", "1.0.200", Some("MIT OR Apache-2.0"), REGISTRY), 0);
        assert_eq!(breaches("akd", "0.12.9", Some("MIT"), REGISTRY), 1);
        assert_eq!(breaches("akd", "0.13.0", Some("MIT"), REGISTRY), 0);
        assert_eq!(breaches("openssl", "0.10.70", Some("MIT"), REGISTRY), 1);
    }

    #[test]
    fn only_the_registry_and_only_listed_licences() {
        assert_eq!(breaches("serde", "1.0.200", Some("MIT"), "git+https://example.org/serde"), 1);
        assert_eq!(breaches("serde", "1.0.200", Some("GPL-3.0-only"), REGISTRY), 1);
        assert_eq!(breaches("serde", "1.0.200", None, REGISTRY), 1);
        assert_eq!(breaches("serde", "1.0.200", Some("MPL-2.0"), REGISTRY), 1);
        assert_eq!(breaches("hpke-rs", "0.6.0", Some("MPL-2.0"), REGISTRY), 0);
    }

    #[test]
    fn licence_expressions_are_understood() {
        let allowed = BTreeSet::from(["MIT".to_owned(), "Unicode-3.0".to_owned(), "Apache-2.0".to_owned()]);
        for good in [
            "MIT",
            "MIT OR GPL-3.0",
            "MIT/GPL-3.0",
            "(GPL-3.0 OR MIT) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception",
        ] {
            assert!(permitted(good, &allowed), "{good}");
        }
        for bad in
            ["GPL-3.0", "MIT AND GPL-3.0", "GPL-3.0 OR LGPL-2.1", "", "MIT OR", "(MIT", "MIT AND (GPL-3.0 OR ISC)"]
        {
            assert!(!permitted(bad, &allowed), "{bad}");
        }
    }
}
