//! The table of attacks: a row that says "played" names tests that exist and carry the row's id; one that says "done" is
//! also among the defences that are left out once (`ci/sabotage.toml`).

use super::Breach;
use std::collections::BTreeSet;
use std::path::Path;

const PAGE: &str = "docs/security/attacks.md";
/// States that claim a test.
const CLAIMS: &[&str] = &["done", "played"];

/// Checks every row of the table. `defended` are the rows whose defence is left out once.
pub(super) fn check(page: &Path, tests: &BTreeSet<String>, defended: &BTreeSet<String>) -> Vec<Breach> {
    match std::fs::read_to_string(page) {
        Ok(text) => rows(&text, tests, defended),
        Err(error) => vec![Breach::new(PAGE, format!("cannot be read: {error}"))],
    }
}

fn rows(text: &str, tests: &BTreeSet<String>, defended: &BTreeSet<String>) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut done = 0;
    for (number, line) in (1..).zip(text.lines()) {
        let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
        let Some((id, state)) = cells.first().zip(cells.last()).filter(|(id, _)| is_id(id)) else { continue };
        if !CLAIMS.iter().any(|claim| state.to_lowercase().starts_with(claim)) {
            continue;
        }
        done += 1;
        let named: Vec<&str> = line.split('`').skip(1).step_by(2).collect();
        let mut breach = |what: String| breaches.push(Breach::new(format!("{PAGE}:{number}"), what));
        if state.to_lowercase().starts_with("done") && !defended.contains(*id) {
            breach(format!("row {id} is done, and no defence of it is ever left out (ci/sabotage.toml)"));
        }
        if named.is_empty() {
            breach(format!("row {id} is done and names no test"));
        }
        for test in named {
            let function = test.rsplit("::").next().unwrap_or(test);
            if !tests.contains(function) {
                breach(format!("row {id}: there is no test `{test}`"));
            } else if !function.split('_').any(|word| word == id.to_lowercase()) {
                breach(format!("row {id}: the test `{test}` does not carry the row's id"));
            }
        }
    }
    if done == 0 && text.contains("done") {
        breaches.push(Breach::new(PAGE, "says \"done\", but no row could be read"));
    }
    breaches
}

/// `A1`, `C13`.
fn is_id(cell: &str) -> bool {
    let mut chars = cell.chars();
    chars.next().is_some_and(|c| c.is_ascii_uppercase())
        && !chars.as_str().is_empty()
        && chars.all(|c| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaches(text: &str) -> usize {
        let tests = BTreeSet::from(["a8_claims_are_unique".to_owned(), "other".to_owned()]);
        rows(text, &tests, &BTreeSet::from(["A8".to_owned()])).len()
    }

    #[test]
    fn a_done_row_names_a_test_that_exists_and_carries_its_id() {
        assert_eq!(breaches("| A8 | Exhaustion | `store::a8_claims_are_unique` | done |"), 0);
        assert_eq!(breaches("| A9 | Ten-year life | | waits |"), 0);
        assert_eq!(breaches("| A8 | Exhaustion | `a8_gone` | done |"), 1);
        assert_eq!(breaches("| A8 | Exhaustion | | done |"), 1);
        assert_eq!(breaches("| A8 | Exhaustion | `other` | done |"), 1);
        assert_eq!(breaches("| A9 | Ten-year life | `a9_x` | played |"), 1);
        assert_eq!(breaches("| A9 | Ten-year life | `a9_x` | done |"), 2, "nothing shows that its test can fail");
        assert_eq!(breaches("| row eight | `other` | done |"), 1, "a table that cannot be read is no proof");
    }
}
