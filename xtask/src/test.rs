//! `cargo xtask test`: everything that a push is checked by.

use crate::prepare::{self, TestRunner};
use crate::sabotage;
use crate::simulation;
use crate::stage::{Board, Outcome, Tests, stream};
use crate::tidy;
use crate::web;
use crate::workspace::{self, Layers, package};
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Options of `cargo xtask test`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Raise the least counts in ci/counts.toml to today's. They are lowered only by hand.
    #[arg(long)]
    raise: bool,
}

/// `ci/counts.toml`: the least that each stage must count, so that nothing drops unseen.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Counts {
    tests: BTreeMap<String, u64>,
    simulation: BTreeMap<String, u64>,
}

/// New schedules of the simulation in every run.
const SCHEDULES: u64 = 2_000;

/// Runs every stage; `false` if one failed.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let root = workspace::root();
    let runner = prepare::to_check()?;
    let plan = Layers::read(&root)?;
    let counts_file = root.join("ci/counts.toml");
    let mut counts: Counts = workspace::read_toml(&counts_file)?;
    let server = packages(&plan.sets.server);
    let client = packages(&plan.sets.client);
    let simulated = packages(&plan.sets.simulation);
    let binaries = Binaries::below(&root)?;

    let mut board = Board::default();
    board.stage("format", || cargo(&["fmt", "--all", "--check"]));
    board.stage("tidy", || tidy_stage(&root));
    // First, so that mifengd is built once, with it.
    board.stage("web bundle", web::bundle);
    board.stage("clippy, server set", || clippy(&server));
    board.stage("clippy, client set", || clippy(&client));
    board.stage("tests, server set", || test(runner, "server", &server, &binaries, &mut counts));
    board.stage("build mifengd", || cargo(&["build", "--locked", "--package", "mifeng-server"]));
    board.stage("build mifeng", || cargo(&["build", "--locked", "--package", "mifeng-cli"]));
    board.stage("mifengd without OpenSSL", || without_openssl(&binaries));
    board.stage("tests, client set", || test(runner, "client", &client, &binaries, &mut counts));
    board.stage("clippy, browser", web::clippy);
    board.stage("tests, browser", || web::test(&binaries, counts.tests.entry("browser".into()).or_default()));
    sabotage::stages(&mut board, runner)?;
    board.stage("clippy, simulation", || clippy(&simulated));
    board.stage("tests, simulation", || test(runner, "simulation", &simulated, &binaries, &mut counts));
    board.stage("simulation", || simulation::stage(SCHEDULES, &mut counts.simulation));
    if options.raise {
        let head = "# The least number of tests per stage; fewer fails `cargo xtask test`. `--raise` raises, only a hand lowers.\n\n";
        std::fs::write(&counts_file, format!("{head}{}", toml::to_string(&counts)?))
            .context("writing ci/counts.toml")?;
    }
    Ok(board.finish())
}

/// Where cargo leaves our two programs.
pub(crate) struct Binaries {
    pub(crate) mifengd: PathBuf,
    pub(crate) mifeng: PathBuf,
}

impl Binaries {
    /// Those of this checkout.
    pub(crate) fn below(root: &Path) -> Result<Self> {
        let folder = workspace::metadata(root)?.target_directory.into_std_path_buf().join("debug");
        Ok(Self { mifengd: folder.join("mifengd"), mifeng: folder.join("mifeng") })
    }
}

pub(crate) fn packages(set: &[String]) -> Vec<String> {
    set.iter().flat_map(|name| ["--package".to_owned(), package(name)]).collect()
}

/// A cargo call in the repository's root. It keeps no incremental state: two package sets, clippy and the build with
/// switches would hold more of it than of everything else, and a small disk is full before the tests are through.
pub(crate) fn cargo_command(arguments: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(arguments).env("CARGO_INCREMENTAL", "0").current_dir(workspace::root());
    command
}

pub(crate) fn cargo(arguments: &[&str]) -> Result<Outcome> {
    stream(&mut cargo_command(arguments), |_| {})?;
    Ok(Outcome::default())
}

fn clippy(packages: &[String]) -> Result<Outcome> {
    let mut command = cargo_command(&["clippy", "--locked", "--all-targets"]);
    stream(command.args(packages).args(["--", "--deny", "warnings"]), |_| {})?;
    Ok(Outcome::default())
}

fn tidy_stage(root: &Path) -> Result<Outcome> {
    let checked = tidy::check(root)?;
    for breach in &checked.breaches {
        println!("{breach}");
    }
    let remark = format!("{} files", checked.files);
    let failure = (!checked.breaches.is_empty()).then(|| format!("{} breaches", checked.breaches.len()));
    Ok(Outcome { remark, failure, tests: None })
}

/// Runs the tests of a package set and compares their number with the least that is expected.
fn test(
    runner: TestRunner,
    set: &str,
    packages: &[String],
    binaries: &Binaries,
    counts: &mut Counts,
) -> Result<Outcome> {
    let mut command = match runner {
        TestRunner::Nextest => cargo_command(&["nextest", "run", "--locked", "--no-fail-fast"]),
        TestRunner::Cargo => cargo_command(&["test", "--locked", "--no-fail-fast"]),
    };
    let mut tests = Tests::default();
    let ended = stream(command.args(packages).env("MIFENGD", &binaries.mifengd), |line| {
        if let Some(counted) = counted(runner, line) {
            tests.passed += counted.passed;
            tests.failed += counted.failed;
        }
    });
    let least = counts.tests.entry(set.to_owned()).or_default();
    let failure = match ended {
        Err(_) if tests.failed > 0 => Some(format!("{} tests failed", tests.failed)),
        Err(error) => Some(format!("{error:#}")),
        Ok(()) if tests.passed < *least => {
            Some(format!("only {} tests ran; ci/counts.toml expects at least {least}", tests.passed))
        }
        Ok(()) => None,
    };
    let remark = format!("(at least {least})");
    *least = tests.passed.max(*least);
    Ok(Outcome { tests: Some(tests), remark, failure })
}

/// Reads the summary of cargo-nextest, or a line of `cargo test` that ends a test binary. The output of a failed test under
/// cargo-nextest holds such a line too; it is not counted again.
pub(crate) fn counted(runner: TestRunner, line: &str) -> Option<Tests> {
    let line = line.trim();
    let list = match runner {
        TestRunner::Nextest => line.strip_prefix("Summary [")?.split_once(" run: ")?.1,
        TestRunner::Cargo => line.strip_prefix("test result: ")?.split_once(". ")?.1,
    };
    let mut tests = Tests::default();
    for part in list.split([',', ';']) {
        let mut words = part.split_whitespace();
        let Some(number) = words.next().and_then(|number| number.parse::<u64>().ok()) else { continue };
        match words.next() {
            Some("passed") => tests.passed += number,
            Some("failed" | "timed" | "exec") => tests.failed += number,
            _ => {}
        }
    }
    Some(tests)
}

/// mifengd must not hold SQLCipher or its OpenSSL. The client program holds both: it shows that the search finds them.
fn without_openssl(binaries: &Binaries) -> Result<Outcome> {
    // The browser's program, which mifengd serves, has SQLCipher in it too, but over another library.
    const MARKS: [&str; 2] = ["sqlcipher_openssl_", "OpenSSL 3."];
    let server = std::fs::read(&binaries.mifengd).with_context(|| binaries.mifengd.display().to_string())?;
    let client = std::fs::read(&binaries.mifeng).with_context(|| binaries.mifeng.display().to_string())?;
    for mark in MARKS {
        if contains(&server, mark.as_bytes()) {
            bail!("mifengd holds `{mark}`: server and client crates were unified in one build");
        }
        if !contains(&client, mark.as_bytes()) {
            bail!("`{mark}` is not in mifeng, where it belongs: this check would find nothing");
        }
    }
    Ok(Outcome { remark: format!("{} KiB", server.len() / 1024), ..Outcome::default() })
}

pub(crate) fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_are_read() {
        let nextest = |line: &str| counted(TestRunner::Nextest, line);
        let line = "     Summary [   1.234s] 7/9 tests run: 4 passed (1 slow), 2 failed, 1 timed out, 3 skipped";
        assert_eq!(nextest(line), Some(Tests { passed: 4, failed: 3 }));
        assert_eq!(nextest("Summary [ 0.1s] 1 test run: 1 passed, 0 skipped"), Some(Tests { passed: 1, failed: 0 }));
        let plain = "test result: FAILED. 5 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s";
        assert_eq!(counted(TestRunner::Cargo, plain), Some(Tests { passed: 5, failed: 1 }));
        assert_eq!(nextest(plain), None, "a failed test's own words");
        assert_eq!(counted(TestRunner::Cargo, "test tests::summary ... ok"), None);
    }

    #[test]
    fn a_mark_is_found_anywhere() {
        assert!(contains(b"xxOpenSSL 3.", b"OpenSSL 3."));
        assert!(!contains(b"OpenSSL 2.", b"OpenSSL 3."));
    }
}
