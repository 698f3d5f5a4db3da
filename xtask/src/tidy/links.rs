//! Links in our pages lead somewhere: to a file that exists, and to a heading in it.

use super::Breach;
use crate::workspace;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// Checks every page, and every mention of a page under `docs/` in source and configuration.
pub(super) fn check(root: &Path) -> Result<Vec<Breach>> {
    let mut breaches = Vec::new();
    for file in workspace::files(root, &[".md", ".rs", ".toml"]) {
        let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let name = file.strip_prefix(root).unwrap_or(&file).to_string_lossy().into_owned();
        if name.ends_with(".md") {
            breaches
                .extend(page(&file, &text).into_iter().map(|(line, what)| Breach::new(format!("{name}:{line}"), what)));
        }
        for (number, line) in (1..).zip(text.lines()) {
            for mention in mentions(line).filter(|mention| !root.join(mention).exists()) {
                breaches.push(Breach::new(format!("{name}:{number}"), format!("there is no {mention}")));
            }
        }
    }
    Ok(breaches)
}

/// The links of one page that lead nowhere, with their lines.
fn page(file: &Path, text: &str) -> Vec<(usize, String)> {
    let mut dead = Vec::new();
    for (number, line) in prose(text) {
        for target in targets(line).filter(|target| !is_elsewhere(target)) {
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let to = if path.is_empty() { file.to_path_buf() } else { beside(file, path) };
            if !to.exists() {
                dead.push((number, format!("the link to {target} leads nowhere")));
            } else if !anchor.is_empty() && !has_heading(&to, anchor) {
                dead.push((number, format!("the link to {target}: no such heading")));
            }
        }
    }
    dead
}

/// Lines that are not inside a code block, with their numbers.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut in_code = false;
    (1..).zip(text.lines()).filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !in_code && !fence
    })
}

/// The targets of `[text](target)`.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next()).filter(|target| !target.is_empty())
}

fn is_elsewhere(target: &str) -> bool {
    ["http://", "https://", "mailto:"].iter().any(|scheme| target.starts_with(scheme))
}

fn beside(file: &Path, path: &str) -> PathBuf {
    file.parent().unwrap_or(file).join(path)
}

/// Whether the page has a heading whose anchor this is (as code hosts make them).
fn has_heading(page: &Path, anchor: &str) -> bool {
    let Ok(text) = std::fs::read_to_string(page) else { return false };
    prose(&text).any(|(_, line)| line.starts_with('#') && slug(line.trim_start_matches('#').trim()) == anchor)
}

fn slug(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Mentions of pages by their path from the root: `docs/<...>.md`.
fn mentions(line: &str) -> impl Iterator<Item = &str> {
    let is_path = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_');
    line.split(move |c| !is_path(c)).filter(|word| word.starts_with("docs/") && word.ends_with(".md") && word.len() > 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_links_are_found_and_live_ones_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("README.md");
        std::fs::create_dir(folder.path().join("notes")).unwrap();
        std::fs::write(folder.path().join("notes/there.md"), "# One heading: here\n```\n# not one\n```\n").unwrap();
        let text = "[a](notes/there.md) [b](notes/there.md#one-heading-here) [c](https://x) [d](#title)\n# Title\n\
                    ```\n[code](nowhere)\n```\n[e](notes/gone.md) [f](notes/there.md#not-one)\n";
        std::fs::write(&file, text).unwrap();
        let dead = page(&file, text);
        assert_eq!(dead.len(), 2, "{dead:?}");
        assert!(dead.iter().all(|(line, _)| *line == 6));

        std::fs::write(folder.path().join("x.rs"), format!("// see `docs/{0}.md` and notes/gone.md\n", "gone"))
            .unwrap();
        let breaches = check(folder.path()).unwrap();
        assert_eq!(breaches.iter().filter(|breach| breach.place == "x.rs:1").count(), 1, "{breaches:?}");
    }
}
