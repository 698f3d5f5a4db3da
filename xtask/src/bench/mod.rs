//! `cargo xtask bench`: measures what docs/bench.md promises, prints it as a table and writes it there.

mod database;
mod page;
mod target;

use crate::prepare;
use crate::stage::{stream, written};
use crate::test::cargo_command;
use crate::workspace;
use anyhow::{Context, Result, bail};
use database::Database;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Options of `cargo xtask bench`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Fewer people, shorter windows: to see that everything runs, not to compare. Writes no page.
    #[arg(long)]
    quick: bool,
    /// Measure the programs in this folder, instead of building them.
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,
}

/// What one call of `mifeng bench` printed, by the name under which the targets know it.
pub(crate) type Results = Map<String, Value>;

/// A call of `mifeng bench`.
struct Call {
    name: &'static str,
    /// Names of its lines, when there are several.
    lines: &'static [&'static str],
    arguments: &'static str,
    quick: &'static str,
    /// Whether everything is kept in PostgreSQL, instead of a file.
    postgres: bool,
}

impl Call {
    const fn new(name: &'static str, arguments: &'static str, quick: &'static str) -> Self {
        Self { name, lines: &[], arguments, quick, postgres: false }
    }
}

const CALLS: [Call; 9] = [
    Call {
        lines: &["pairs", "ping_pong"],
        ..Call::new(
            "pairs",
            "pairs --pairs 64 --window 16,1 --stored 10000 --seconds 3",
            "pairs --pairs 4 --window 16,1 --stored 100",
        )
    },
    Call::new(
        "pairs_full",
        "pairs --pairs 64 --window 16 --stored 1000000 --seconds 3",
        "pairs --pairs 4 --window 16 --stored 5000",
    ),
    Call {
        postgres: true,
        ..Call::new(
            "pairs_postgres",
            "pairs --pairs 64 --window 16 --stored 10000 --seconds 3",
            "pairs --pairs 4 --window 16 --stored 100",
        )
    },
    Call::new("group", "group --members 500 --seconds 3", "group --members 10"),
    Call::new("idle", "idle --connections 5000", "idle --connections 100"),
    Call::new("login", "login --count 1000", "login --count 50"),
    Call::new("start", "start --stored 1000000", "start --stored 1000"),
    Call::new("durable", "durable", "durable --messages 20"),
    Call::new(
        "commits",
        "group --members 1000 --commits 12 --suite classical --seconds 3",
        "group --members 10 --commits 4 --suite classical",
    ),
];

/// Measures everything. `Ok(false)`: a target is missed, or a measurement could not be made.
pub(crate) fn run(options: &Options) -> Result<bool> {
    prepare::to_measure()?;
    let programs = options.programs.clone().map_or_else(build, Ok)?;
    let started = Instant::now();
    let mut results = Results::new();
    let mut failures = Vec::new();
    for call in &CALLS {
        if let Err(error) = measure(&programs, call, options.quick, &mut results) {
            eprintln!("xtask: {}: {error:#}", call.name);
            failures.push((call.name, format!("{error:#}")));
        }
    }
    let rows = target::rows(&results);
    let minutes = started.elapsed().as_secs() / 60;
    println!("\n{}\nmeasured in {minutes} minutes", page::table(&rows));
    if !options.quick {
        let path = workspace::root().join("docs/bench.md");
        std::fs::write(&path, page::page(&rows, &results, &failures)?).with_context(|| path.display().to_string())?;
        println!("written to docs/bench.md");
    }
    Ok(failures.is_empty() && rows.iter().all(|row| row.is_met != Some(false)))
}

/// Both programs as they are released, each built by its own call.
fn build() -> Result<PathBuf> {
    let root = workspace::root();
    println!("Building with all optimisation; the first time that takes many minutes.");
    for package in ["mifeng-server", "mifeng-cli"] {
        stream(&mut cargo_command(&["build", "--release", "--locked", "--package", package]), |_| {})?;
    }
    Ok(workspace::metadata(&root)?.target_directory.into_std_path_buf().join("release"))
}

fn measure(programs: &Path, call: &Call, quick: bool, results: &mut Results) -> Result<()> {
    let arguments = if quick { call.quick } else { call.arguments };
    let mut command = Command::new(programs.join("mifeng"));
    command.args(["--json", "bench"]).args(arguments.split_whitespace());
    if quick && !["idle", "durable", "start"].contains(&call.name) {
        command.args(["--seconds", "0.5", "--warm-up", "0.2", "--runs", "1"]);
    }
    let database = call.postgres.then(Database::start).transpose()?;
    if let Some(database) = &database {
        command.args(database.arguments());
    }
    // Theirs, and not one that happens to be named.
    command.env("MIFENGD", programs.join("mifengd"));
    println!("$ {}", written(&command));
    let output = command.stderr(Stdio::inherit()).output().context("starting mifeng")?;
    let text = String::from_utf8(output.stdout)?;
    let lines = text.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
    let names = if call.lines.is_empty() { std::slice::from_ref(&call.name) } else { call.lines };
    for (name, line) in names.iter().zip(lines) {
        results.insert((*name).to_owned(), line);
    }
    if output.status.success() { Ok(()) } else { bail!("it ended with {}", output.status) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> = CALLS.iter().map(|call| call.name).collect();
        assert_eq!(names.len(), CALLS.len());
    }
}
