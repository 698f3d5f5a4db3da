//! A file reads as a page, a function as a paragraph. What is longer today is listed in `ci/lengths.toml` and may shrink.

use super::Breach;
use super::scan::Source;
use crate::workspace::Lengths;
use serde::Deserialize;
use std::collections::BTreeMap;

/// `ci/lengths.toml`: what is too long today, by its name, with its length.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TooLong {
    #[serde(default)]
    files: BTreeMap<String, usize>,
    /// `path::function`.
    #[serde(default)]
    functions: BTreeMap<String, usize>,
}

/// Checks every file and function.
pub(super) fn check(limits: &Lengths, known: &TooLong, sources: &[Source]) -> Vec<Breach> {
    let files = sources.iter().map(|source| (source.path.clone(), source.path.clone(), source.lines));
    let functions = sources.iter().flat_map(|source| {
        source.functions.iter().map(|function| {
            let place = format!("{}:{}", source.path, function.line);
            (format!("{}::{}", source.path, function.name), place, function.lines)
        })
    });
    let mut breaches = over("file", limits.file_lines, &known.files, files);
    breaches.extend(over("function", limits.function_lines, &known.functions, functions));
    breaches
}

/// Items are (name, place, lines).
fn over(
    kind: &str,
    limit: usize,
    known: &BTreeMap<String, usize>,
    items: impl Iterator<Item = (String, String, usize)>,
) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut still: BTreeMap<String, usize> = BTreeMap::new();
    for (name, place, lines) in items.filter(|(_, _, lines)| *lines > limit) {
        let allowed = known.get(&name).copied().unwrap_or(limit);
        if lines > allowed {
            breaches.push(Breach::new(place, format!("{kind} of {lines} lines, at most {allowed}: look for the seam")));
        }
        let longest = still.entry(name).or_default();
        *longest = lines.max(*longest);
    }
    for (name, allowed) in known {
        let now = still.get(name).copied().unwrap_or_default();
        if now < *allowed {
            breaches.push(Breach::new(
                "ci/lengths.toml",
                format!("{kind} {name} has shrunk: write {now}, or delete the line"),
            ));
        }
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Lengths = Lengths { file_lines: 10, function_lines: 5 };

    fn source(body_lines: usize) -> Source {
        Source::read("crates/x/src/y.rs", &format!("fn long() {{\n{}}}\n", "a();\n".repeat(body_lines))).unwrap()
    }

    fn known(text: &str) -> TooLong {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn what_is_too_long_is_a_breach() {
        assert_eq!(check(&LIMITS, &TooLong::default(), &[source(3)]).len(), 0);
        assert_eq!(check(&LIMITS, &TooLong::default(), &[source(4)]).len(), 1, "a function of 6 lines");
        assert_eq!(check(&LIMITS, &TooLong::default(), &[source(9)]).len(), 2, "and a file of 11");
    }

    #[test]
    fn what_is_listed_may_shrink_and_not_grow() {
        let listed = known("[functions]\n\"crates/x/src/y.rs::long\" = 7");
        assert_eq!(check(&LIMITS, &listed, &[source(5)]).len(), 0);
        assert_eq!(check(&LIMITS, &listed, &[source(6)]).len(), 1, "it grew");
        assert_eq!(check(&LIMITS, &listed, &[source(4)]).len(), 1, "it shrank: the list must follow");
        assert_eq!(check(&LIMITS, &listed, &[source(1)]).len(), 1, "it is short now: off the list");
    }
}
