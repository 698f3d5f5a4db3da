//! The table, and the page around it.

use super::Results;
use super::target::Row;
use anyhow::{Context, Result};
use std::fmt::Write as _;
use std::process::Command;

/// The rows as a Markdown table.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut table = String::from("| | quantity | mifengd | bare relay | target | |\n|---|---|---|---|---|---|\n");
    for row in rows {
        let met = match row.is_met {
            Some(true) => "met",
            Some(false) => "**missed**",
            None => "not measured",
        };
        let Row { id, quantity, server, baseline, target, .. } = row;
        // Writing into a String cannot fail.
        let _ = writeln!(table, "| {id} | {quantity} | {server} | {baseline} | {target} | {met} |");
    }
    table
}

/// `docs/bench.md`.
pub(crate) fn page(rows: &[Row], results: &Results, failures: &[(&str, String)]) -> Result<String> {
    let mut page = String::from(include_str!("head.md"));
    let _ = writeln!(page, "## Figures\n\n{} on {}.\n", date()?, machine());
    page.push_str(&table(rows));
    for (name, failure) in failures {
        let _ = writeln!(page, "\n`{name}` could not be measured: {failure}.");
    }
    page.push_str("\n### Everything that was measured\n\n");
    page.push_str("Medians of the windows, and the least and the greatest.\n\n| test | figure | mifengd | bare relay |\n|---|---|---|---|\n");
    for (name, result) in results {
        let Some(server) = result.get("server").and_then(|server| server.as_object()) else { continue };
        for (figure, spread) in server {
            let baseline = result.get("baseline").and_then(|baseline| baseline.get(figure));
            let _ = writeln!(page, "| {name} | {figure} | {} | {} |", spread_text(Some(spread)), spread_text(baseline));
        }
    }
    Ok(page)
}

fn spread_text(spread: Option<&serde_json::Value>) -> String {
    let number = |name: &str| spread.and_then(|spread| spread.get(name)?.as_f64());
    match (number("median"), number("least"), number("greatest")) {
        (Some(median), Some(least), Some(greatest)) if least < greatest => format!("{median} ({least} to {greatest})"),
        (Some(median), ..) => format!("{median}"),
        _ => spread.and_then(serde_json::Value::as_f64).map_or_else(|| "–".into(), |number| format!("{number}")),
    }
}

fn date() -> Result<String> {
    let output = Command::new("date").args(["-u", "+%Y-%m-%d"]).output().context("asking for the date")?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown processor");
    let cores = info.lines().filter(|line| line.starts_with("processor")).count();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().unwrap_or("unknown").to_owned();
    format!("{} with {cores} cores, load average at the end {load}", model.trim_start_matches([' ', '\t', ':']))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_page_has_every_row_and_every_figure() {
        let spread = json!({"median": 2.0, "least": 1.0, "greatest": 3.0});
        let results: Results =
            [("pairs".to_owned(), json!({"server": {"p50_ms": spread}, "baseline": {}}))].into_iter().collect();
        let rows = crate::bench::target::rows(&results);
        let page = page(&rows, &results, &[("idle", "no server".into())]).unwrap();
        assert!(page.contains("| pairs | p50_ms | 2 (1 to 3) | – |"), "{page}");
        assert!(rows.iter().all(|row| page.contains(row.quantity)));
        assert!(page.contains("`idle` could not be measured: no server."));
    }
}
