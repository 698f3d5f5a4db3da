//! `cargo xtask sabotage`: every defence is left out once, and the tests of the attack that it stops must fail.

use crate::prepare::{self, TestRunner};
use crate::stage::{Board, Outcome, Tests, stream, written};
use crate::test::{Binaries, cargo, cargo_command, contains, counted, packages};
use crate::workspace::{self, Layers};
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The variable that names the defence to leave out (`wire::sabotage::VARIABLE`).
const VARIABLE: &str = "MIFENG_SABOTAGE";

/// `ci/sabotage.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Plan {
    pub(crate) defence: Vec<Defence>,
}

/// One defence, and what fails without it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Defence {
    /// Its name in `wire::sabotage`.
    pub(crate) name: String,
    /// The rows of ATTACKS that it stops.
    pub(crate) attacks: Vec<String>,
    /// Tests of the server's package set.
    #[serde(default)]
    pub(crate) server: Vec<String>,
    /// Tests of the client's package set.
    #[serde(default)]
    pub(crate) client: Vec<String>,
}

impl Plan {
    /// Reads the plan.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        workspace::read_toml(&root.join("ci/sabotage.toml"))
    }

    /// The rows of ATTACKS that a defence is left out for.
    pub(crate) fn attacks(&self) -> BTreeSet<String> {
        self.defence.iter().flat_map(|defence| defence.attacks.iter().cloned()).collect()
    }

    fn tests(&self, set: Set) -> Vec<&str> {
        let tests: BTreeSet<&str> = self.defence.iter().flat_map(|defence| defence.tests(set)).collect();
        tests.into_iter().collect()
    }
}

impl Defence {
    fn tests(&self, set: Set) -> impl Iterator<Item = &str> {
        let tests = match set {
            Set::Server => &self.server,
            Set::Client => &self.client,
        };
        tests.iter().map(String::as_str)
    }
}

/// A package set, which is built on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Set {
    Server,
    Client,
}

/// Runs it alone; `false` if a defence could be left out unseen.
pub(crate) fn run() -> Result<bool> {
    let runner = prepare::to_check()?;
    let mut board = Board::default();
    stages(&mut board, runner)?;
    Ok(board.finish())
}

/// Its stages, for `cargo xtask test` too.
pub(crate) fn stages(board: &mut Board, runner: TestRunner) -> Result<()> {
    let root = workspace::root();
    let (layers, plan) = (Layers::read(&root)?, Plan::read(&root)?);
    let binaries = Binaries::below(&root)?;
    board.stage("no switch in our programs", || without_switches(&binaries, false));
    board.stage("build with switches", || {
        stream(with_switches(&mut cargo_command(&["build", "--locked", "--package", "mifeng-server"]))?, |_| {})?;
        without_switches(&binaries, true)
    });
    for (set, title, names) in [
        (Set::Server, "defences left out, server", &layers.sets.server),
        (Set::Client, "defences left out, client", &layers.sets.client),
    ] {
        board.stage(title, || Bench::build(runner, set, packages(names), &binaries)?.try_all(&plan, set));
    }
    board.stage("our programs again", || {
        cargo(&["build", "--locked", "--package", "mifeng-server"])?;
        cargo(&["build", "--locked", "--package", "mifeng-cli"])
    });
    Ok(())
}

/// Whether the two programs hold the variable's name: those of the ordinary build must not, the server of the other must.
fn without_switches(binaries: &Binaries, expected: bool) -> Result<Outcome> {
    let programs = if expected { vec![&binaries.mifengd] } else { vec![&binaries.mifengd, &binaries.mifeng] };
    for program in programs {
        let bytes = fs::read(program).with_context(|| program.display().to_string())?;
        match (contains(&bytes, VARIABLE.as_bytes()), expected) {
            (true, false) => bail!("{} holds {VARIABLE}: its defences can be switched off", program.display()),
            (false, true) => bail!("{} has no switches: this check would find nothing", program.display()),
            _ => {}
        }
    }
    Ok(Outcome::default())
}

/// How the tests of one set are run.
struct Bench<'a> {
    runner: TestRunner,
    binaries: &'a Binaries,
    /// What is said to cargo each time: the packages, or where their tests lie that were built once.
    arguments: Vec<String>,
}

impl<'a> Bench<'a> {
    /// Builds the tests, once for all defences.
    fn build(runner: TestRunner, set: Set, packages: Vec<String>, binaries: &'a Binaries) -> Result<Self> {
        if runner == TestRunner::Cargo {
            return Ok(Self { runner, binaries, arguments: packages });
        }
        let folder = workspace::root().join("target/sabotage");
        fs::create_dir_all(&folder)?;
        let name = if set == Set::Server { "server" } else { "client" };
        let (built, known) = (folder.join(format!("{name}.json")), folder.join("metadata.json"));
        stream(with_switches(cargo_command(&["test", "--locked", "--no-run"]).args(&packages))?, |_| {})?;
        let list = ["nextest", "list", "--locked", "--list-type", "binaries-only", "--message-format", "json"];
        fs::write(&built, output(with_switches(cargo_command(&list).args(&packages))?)?)?;
        fs::write(&known, output(&mut cargo_command(&["metadata", "--locked", "--format-version", "1"]))?)?;
        let shown = |path: &Path| path.display().to_string();
        let arguments = ["--binaries-metadata".into(), shown(&built), "--cargo-metadata".into(), shown(&known)];
        Ok(Self { runner, binaries, arguments: arguments.into() })
    }

    /// All tests pass while every defence stands; then each is left out.
    fn try_all(&self, plan: &Plan, set: Set) -> Result<Outcome> {
        let whole = self.run(None, &plan.tests(set))?;
        if whole.failed > 0 || whole.passed == 0 {
            bail!("with every defence in place {} tests passed and {} failed", whole.passed, whole.failed);
        }
        let (mut tried, mut unseen) = (0, Vec::new());
        for defence in &plan.defence {
            let tests: Vec<&str> = defence.tests(set).collect();
            if tests.is_empty() {
                continue;
            }
            tried += 1;
            let without = self.run(Some(&defence.name), &tests)?;
            println!("{:<24} {} of {} tests fail", defence.name, without.failed, without.failed + without.passed);
            if without.passed > 0 || without.failed < tests.len() as u64 {
                unseen.push(defence.name.as_str());
            }
        }
        let failure = (!unseen.is_empty()).then(|| format!("left out unseen: {}", unseen.join(", ")));
        let tests = Tests { passed: tried - unseen.len() as u64, failed: unseen.len() as u64 };
        Ok(Outcome { tests: Some(tests), remark: format!("{tried} defences"), failure })
    }

    /// Runs these tests, with one defence left out. Their own output would only disturb: most are to fail.
    fn run(&self, left_out: Option<&str>, tests: &[&str]) -> Result<Tests> {
        let mut command = match self.runner {
            TestRunner::Nextest => {
                let mut command = cargo_command(&["nextest", "run", "--no-fail-fast", "--failure-output", "never"]);
                let named: Vec<String> = tests.iter().map(|test| format!("test(/(^|::){test}(::|$)/)")).collect();
                command.args(&self.arguments).args(["--filterset", &named.join(" | ")]);
                command
            }
            TestRunner::Cargo => {
                let mut command = cargo_command(&["test", "--locked", "--no-fail-fast"]);
                command.args(&self.arguments).arg("--").args(tests);
                command
            }
        };
        with_switches(&mut command)?.env("MIFENGD", &self.binaries.mifengd);
        if let Some(defence) = left_out {
            // What a property test finds then is no failure to be remembered.
            command.env(VARIABLE, defence).env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "true");
        }
        let mut total = Tests::default();
        let ended = quietly(&mut command, |line| add(&mut total, counted(self.runner, line)));
        match ended {
            // A failed test is what is looked for; anything else that failed is not.
            Err(error) if total.failed == 0 => Err(error),
            _ => Ok(total),
        }
    }
}

/// What a command prints.
fn output(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.stderr(std::process::Stdio::inherit()).output().with_context(|| written(command))?;
    if output.status.success() { Ok(output.stdout) } else { bail!("{} failed", written(command)) }
}

/// Runs a command and hands its output on line by line; it is shown only as part of an error.
fn quietly(command: &mut Command, mut each: impl FnMut(&str)) -> Result<()> {
    let output = command.output().with_context(|| written(command))?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    said.lines().for_each(&mut each);
    if output.status.success() { Ok(()) } else { bail!("{} failed:\n{said}", written(command)) }
}

fn add(total: &mut Tests, counted: Option<Tests>) {
    if let Some(counted) = counted {
        total.passed += counted.passed;
        total.failed += counted.failed;
    }
}

/// Only our own crates are compiled by the wrapper, and cargo keeps what comes of it apart.
fn with_switches(command: &mut Command) -> Result<&mut Command> {
    let wrapper = workspace::root().join("ci/sabotage-rustc").canonicalize()?;
    Ok(command.env("RUSTC_WORKSPACE_WRAPPER", wrapper))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_defence_has_a_test_that_must_fail_without_it() {
        let root = workspace::root();
        let source = fs::read_to_string(root.join("crates/wire/src/sabotage.rs")).unwrap();
        let names =
            source.lines().filter_map(|line| line.trim().strip_suffix("\";")?.split_once(" = \"").map(|pair| pair.1));
        let known: BTreeSet<String> = names.filter(|name| *name != VARIABLE).map(str::to_owned).collect();
        let plan = Plan::read(&root).unwrap();
        let planned: BTreeSet<String> = plan.defence.iter().map(|defence| defence.name.clone()).collect();
        assert!(known.len() > 10, "{known:?}");
        assert_eq!(known, planned);
        for defence in &plan.defence {
            assert!(!defence.server.is_empty() || !defence.client.is_empty(), "{}", defence.name);
            assert!(!defence.attacks.is_empty(), "{}", defence.name);
        }
    }
}
