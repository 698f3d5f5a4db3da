//! ARCHITECTURE.md names functions, types and folders. What it names exists, or a reader follows it into nothing.

use super::Breach;
use super::scan::Source;
use anyhow::Result;
use std::collections::BTreeSet;
use std::path::Path;

const PAGE: &str = "ARCHITECTURE.md";

/// Checks every path of names (`Turn::deliver`) and every path of folders (`server/src/api`) that stands in backticks.
pub(super) fn check(root: &Path, sources: &[Source]) -> Result<Vec<Breach>> {
    let page = root.join(PAGE);
    if !page.exists() {
        return Ok(vec![Breach::new(PAGE, "is missing")]);
    }
    let known: BTreeSet<&str> = sources.iter().flat_map(Source::words).collect();
    Ok(dead(root, &std::fs::read_to_string(page)?, &known))
}

fn dead(root: &Path, text: &str, known: &BTreeSet<&str>) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        for span in line.split('`').skip(1).step_by(2) {
            let gone = if is_folders(span) {
                !root.join(span).exists() && !root.join("crates").join(span).exists()
            } else {
                names(span).is_some_and(|names| names.iter().any(|name| !known.contains(name)))
            };
            if gone {
                breaches.push(Breach::new(format!("{PAGE}:{number}"), format!("there is no `{span}`")));
            }
        }
    }
    breaches
}

/// The last two names of a path of names; crates' and modules' names before them may be left out or shortened.
fn names(span: &str) -> Option<Vec<&str>> {
    let path = span.trim_end_matches("()");
    let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let names: Vec<&str> = path.split("::").collect();
    let is_path = names.len() > 1 && names.iter().all(|name| is_name(name));
    is_path.then(|| names.into_iter().rev().take(2).collect())
}

fn is_folders(span: &str) -> bool {
    let plain = span.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-'));
    plain && span.contains('/') && !span.starts_with('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_exists() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("crates/x/src/api")).unwrap();
        let text = "mod turn; impl Turn { fn deliver() { Event::Line; } }";
        let source = Source::read("crates/x/src/turn.rs", text).unwrap();
        let known: BTreeSet<&str> = source.words().collect();
        let found = |text: &str| dead(folder.path(), text, &known).len();
        assert_eq!(
            found("`Turn::deliver` `turn::Turn::deliver()` `Event::Line` `x/src/api` `crates/x` `--json` `/healthz`"),
            0
        );
        assert_eq!(found("`Turn::delivered`, `Turned::deliver`, `x/src/apis`, `Event::Lines`"), 4);
    }
}
