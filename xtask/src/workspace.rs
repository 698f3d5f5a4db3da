//! The workspace as cargo sees it, and the plan in `layers.toml`.

use anyhow::{Context, Result};
use cargo_metadata::{Metadata, MetadataCommand};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The repository's root: the folder above xtask's own.
pub(crate) fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_path_buf()
}

/// What cargo says about every package, ours and others'.
pub(crate) fn metadata(root: &Path) -> Result<Metadata> {
    MetadataCommand::new().manifest_path(root.join("Cargo.toml")).exec().context("cargo metadata")
}

/// The crate's name in the code: `wire` for the package `mifeng-wire`.
pub(crate) fn short(package: &str) -> &str {
    package.strip_prefix("mifeng-").unwrap_or(package)
}

/// The package's name: `mifeng-wire` for `wire`.
pub(crate) fn package(short: &str) -> String {
    if short == "xtask" { short.to_owned() } else { format!("mifeng-{short}") }
}

/// `layers.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Layers {
    pub(crate) crates: BTreeMap<String, Layer>,
    pub(crate) sets: Sets,
    pub(crate) security: Security,
    /// Library to the crates that may depend on it.
    pub(crate) only: BTreeMap<String, BTreeSet<String>>,
    pub(crate) pure: Vec<Ban>,
    pub(crate) named: Vec<Ban>,
    #[serde(default)]
    pub(crate) except: Vec<Exception>,
    pub(crate) lengths: Lengths,
}

/// What one crate may depend on.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Layer {
    pub(crate) may: BTreeSet<String>,
    /// For its tests only.
    #[serde(default)]
    pub(crate) dev: BTreeSet<String>,
    #[serde(default)]
    pub(crate) pure: bool,
}

/// The package sets, built and tested in separate cargo calls.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sets {
    pub(crate) server: Vec<String>,
    pub(crate) client: Vec<String>,
    /// For wasm32 only.
    pub(crate) browser: Vec<String>,
    pub(crate) simulation: Vec<String>,
}

impl Sets {
    /// Every crate that is in a set.
    pub(crate) fn all(&self) -> impl Iterator<Item = &String> {
        self.server.iter().chain(&self.client).chain(&self.browser).chain(&self.simulation)
    }
}

/// The security arrow.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Security {
    pub(crate) from: BTreeSet<String>,
    pub(crate) never: BTreeSet<String>,
    pub(crate) never_named: Vec<String>,
}

/// Names that are not written, but in the places listed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ban {
    pub(crate) names: Vec<String>,
    /// Crates (`cli`), or folders and files (`server/src/config`), where it may be written.
    #[serde(default)]
    pub(crate) only: Vec<String>,
    pub(crate) instead: String,
}

/// One place where a banned name is right.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exception {
    pub(crate) path: String,
    pub(crate) name: String,
    pub(crate) reason: String,
}

/// How long things may be.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lengths {
    pub(crate) file_lines: usize,
    pub(crate) function_lines: usize,
}

impl Layers {
    /// Reads `layers.toml`; an unknown key is an error.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        read_toml(&root.join("layers.toml"))
    }
}

/// Reads a TOML file.
pub(crate) fn read_toml<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("in {}", path.display()))
}

/// Every file under `folder` whose name ends with one of `endings`, sorted. Skips hidden folders and what others wrote or a
/// build made.
pub(crate) fn files(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    collect(folder, endings, &mut found);
    found.sort();
    found
}

const FOREIGN: [&str; 5] = ["target", "vendor", "node_modules", "dist", "build"];

fn collect(folder: &Path, endings: &[&str], found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() {
            if !name.starts_with('.') && !FOREIGN.contains(&name.as_str()) {
                collect(&path, endings, found);
            }
        } else if endings.iter().any(|ending| name.ends_with(ending)) {
            found.push(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_return() {
        for name in ["wire", "xtask"] {
            assert_eq!(short(&package(name)), name);
        }
    }

    #[test]
    fn an_unknown_key_in_layers_is_an_error() {
        let text = std::fs::read_to_string(root().join("layers.toml")).unwrap();
        assert!(toml::from_str::<Layers>(&text).is_ok());
        assert!(toml::from_str::<Layers>(&format!("surprise = 1\n{text}")).is_err());
    }
}
