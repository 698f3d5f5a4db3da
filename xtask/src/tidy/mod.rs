//! The rules of the house that neither the compiler nor clippy knows. Each has a test with a sample that must fail.

mod attacks;
mod layers;
mod lengths;
mod links;
mod names;
mod npm;
mod scan;
mod supply;
mod walkthrough;

use crate::sabotage;
use crate::workspace::{self, Layers};
use anyhow::{Context, Result};
use scan::Source;
use std::fmt;
use std::path::Path;

/// One breach of a rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Breach {
    /// The file, with the line where there is one, or the crate.
    place: String,
    /// What is wrong, and what to do instead.
    what: String,
}

impl Breach {
    fn new(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { place: place.into(), what: what.into() }
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// `cargo xtask tidy`: says what is wrong; `false` if anything is.
pub(crate) fn run() -> Result<bool> {
    let root = workspace::root();
    let checked = check(&root)?;
    for breach in &checked.breaches {
        println!("{breach}");
    }
    println!(
        "tidy: {} files, {} packages, {} tests known; {} breaches",
        checked.files,
        checked.packages,
        checked.tests,
        checked.breaches.len()
    );
    Ok(checked.breaches.is_empty())
}

/// What was looked at, and what is wrong.
pub(crate) struct Checked {
    pub(crate) breaches: Vec<Breach>,
    pub(crate) files: usize,
    packages: usize,
    tests: usize,
}

/// Checks every rule on the repository at `root`.
pub(crate) fn check(root: &Path) -> Result<Checked> {
    let plan = Layers::read(root)?;
    let metadata = workspace::metadata(root)?;
    let sources = read_sources(root)?;
    let tests = sources.iter().flat_map(|source| source.tests.iter().cloned()).collect();

    let mut breaches = layers::check(&plan, &layers::members(&metadata));
    breaches.extend(names::check(&plan, &sources));
    breaches.extend(lengths::check(&plan.lengths, &workspace::read_toml(&root.join("ci/lengths.toml"))?, &sources));
    breaches.extend(links::check(root)?);
    breaches.extend(walkthrough::check(root, &sources)?);
    let defended = sabotage::Plan::read(root)?.attacks();
    breaches.extend(attacks::check(&root.join("docs/security/attacks.md"), &tests, &defended));
    let packages = supply::packages(root, &metadata)?;
    let deny = workspace::read_toml(&root.join("deny.toml"))?;
    breaches.extend(supply::check(&deny, &packages)?);
    let lock = std::fs::read(root.join(npm::LOCK)).context(npm::LOCK)?;
    breaches.extend(npm::check(&deny, &serde_json::from_slice(&lock).context(npm::LOCK)?));
    breaches.sort();
    breaches.dedup();
    Ok(Checked { breaches, files: sources.len(), packages: packages.len(), tests: tests.len() })
}

/// Reads our Rust files. What a `#[cfg(test)] mod name;` names is test code as a whole.
fn read_sources(root: &Path) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for path in workspace::files(root, &[".rs"]) {
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
        sources.push(Source::read(&name, &text).with_context(|| format!("in {name}"))?);
    }
    let test_modules: Vec<String> = sources.iter().flat_map(Source::test_module_paths).collect();
    for source in &mut sources {
        let is_test = test_modules
            .iter()
            .any(|module| source.path == format!("{module}.rs") || source.path.starts_with(&format!("{module}/")));
        if is_test {
            source.forget_code();
        }
    }
    Ok(sources)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The house is tidy. Without this a breach would wait for somebody to run the chore.
    #[test]
    fn the_house_is_tidy() {
        let checked = check(&workspace::root()).unwrap();
        let text: Vec<String> = checked.breaches.iter().map(ToString::to_string).collect();
        assert!(checked.files > 50, "only {} files were looked at", checked.files);
        assert!(checked.packages > 100, "only {} packages were looked at", checked.packages);
        assert!(text.is_empty(), "{}", text.join("\n"));
    }
}
