//! `cargo xtask soak fuzz`: builds the fuzzer's program (`fuzz/`), lets it run over every target, and keeps the inputs that
//! reach something new (`docs/security/fuzzing.md`).
//!
//! libFuzzer needs coverage counters in everything that is compiled. The stable compiler makes them when LLVM is told to;
//! what only the nightly one has, AddressSanitizer, would look for errors that safe Rust does not make.

use crate::stage::written;
use crate::workspace;
use crate::{prepare, test};
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Options of `cargo xtask soak fuzz`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How long each target is tried.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,
    /// Only this target; may be repeated.
    #[arg(long)]
    target: Vec<String>,
}

/// What makes the compiler count coverage in the way that libFuzzer reads. All of LLVM's names, none of the compiler's.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-simplifycfg-branch-fold-threshold=0";
/// Longer inputs are not tried: everything but whole groups of many members fits, and bombs have tests of their own.
const INPUT_MAX_BYTES: usize = 8_192;
const CORPUS_MAX_FILES: usize = 200;
const CORPUS_MAX_BYTES: u64 = 1 << 20;
/// How the names of inputs begin that once broke something.
const FOUND: &str = "found-";

/// Tries every target, or those that are named; `false` if one crashed.
pub(crate) fn soak(options: &Options) -> Result<bool> {
    prepare::to_fuzz()?;
    let places = Places::below(&workspace::root())?;
    build(&places)?;
    write_seeds(&places)?;
    let mut known = names(&places.seeds)?;
    if let Some(unknown) = options.target.iter().find(|name| !known.contains(name)) {
        bail!("there is no target {unknown}; there are {}", known.join(", "));
    }
    known.retain(|name| options.target.is_empty() || options.target.contains(name));
    let mut runs = Vec::new();
    for name in &known {
        println!("{name}: {} minutes", options.minutes);
        let run = try_target(&places, name, options.minutes)?;
        if run.crashes == 0 {
            keep_corpus(&places, name)?;
        }
        runs.push((name, run));
    }
    println!("\n{:<12} {:>13} {:>8} {:>7} {:>9} {:>8}", "target", "executions", "edges", "inputs", "bytes", "crashes");
    for (name, run) in &runs {
        let (inputs, bytes) = size(&places.corpus.join(name))?;
        let Run { executions, edges, crashes } = run;
        println!("{name:<12} {executions:>13} {edges:>8} {inputs:>7} {bytes:>9} {crashes:>8}");
    }
    let crashes: usize = runs.iter().map(|(_, run)| run.crashes).sum();
    if crashes > 0 {
        println!("inputs that crash: {crashes}, in {}", places.artifacts.display());
    }
    Ok(crashes == 0)
}

/// Where things are.
struct Places {
    root: PathBuf,
    /// What is built and grown here; nobody commits it.
    work: PathBuf,
    seeds: PathBuf,
    /// The committed inputs.
    corpus: PathBuf,
    artifacts: PathBuf,
    host: String,
}

impl Places {
    fn below(root: &Path) -> Result<Self> {
        let (work, own) = (root.join("target/fuzz"), root.join("fuzz"));
        let (seeds, corpus, artifacts) = (work.join("seeds"), own.join("corpus"), own.join("artifacts"));
        Ok(Self { root: root.to_path_buf(), work, seeds, corpus, artifacts, host: host()? })
    }

    /// The fuzzer for one target. What it leaves behind when it is killed is below `target/fuzz` and goes with the next run.
    fn program(&self, target: &str) -> Result<Command> {
        let mut command = Command::new(self.work.join(&self.host).join("release/any"));
        command.env("MIFENG_FUZZ_TARGET", target).current_dir(&self.root);
        command.env("TMPDIR", emptied(self.work.join("tmp").join(target))?);
        command.args([format!("-max_len={INPUT_MAX_BYTES}"), "-timeout=10".into(), "-rss_limit_mb=4096".into()]);
        command.arg(format!("-artifact_prefix={}/", self.artifacts.join(target).display()));
        Ok(command)
    }
}

/// Naming this machine as the one to build for keeps the flags away from build scripts and procedural macros. The lock file
/// is not held to: what the crates need more of comes into it.
fn build(places: &Places) -> Result<()> {
    let mut command = test::cargo_command(&["build", "--release", "--manifest-path", "fuzz/Cargo.toml"]);
    command.args(["--target", &places.host]).env("CARGO_TARGET_DIR", &places.work).env("RUSTFLAGS", COVERAGE);
    succeed(&mut command)
}

/// This machine, as the compiler calls it.
fn host() -> Result<String> {
    let output = Command::new("rustc").args(["--print", "host-tuple"]).output().context("rustc")?;
    let name = String::from_utf8(output.stdout)?.trim().to_owned();
    if output.status.success() { Ok(name) } else { bail!("rustc does not say what it builds for") }
}

fn write_seeds(places: &Places) -> Result<()> {
    let mut command = test::cargo_command(&["run", "--locked", "--quiet", "--package", "mifeng-testkit"]);
    succeed(command.args(["--example", "seeds", "--"]).arg(emptied(places.seeds.clone())?))
}

/// What one run counted.
#[derive(Debug, Default, PartialEq, Eq)]
struct Run {
    executions: u64,
    edges: u64,
    crashes: usize,
}

/// Runs the fuzzer for so long, or until something crashes. It begins with everything that is known.
fn try_target(places: &Places, name: &str, minutes: u64) -> Result<Run> {
    let grown = places.work.join("grown").join(name);
    let (corpus, artifacts) = (places.corpus.join(name), places.artifacts.join(name));
    for folder in [&grown, &corpus, &artifacts] {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    let before = names(&artifacts)?.len();
    let log = places.work.join(format!("{name}.log"));
    let mut command = places.program(name)?;
    command.arg(format!("-max_total_time={}", minutes * 60)).arg("-print_final_stats=1");
    command.args([&grown, &corpus, &places.seeds.join(name)]);
    let status = run_quietly(&mut command, &log)?;
    let crashes = names(&artifacts)?.len().saturating_sub(before);
    if !status && crashes == 0 {
        bail!("the fuzzer failed: see {}", log.display());
    }
    let counted = counted(&String::from_utf8_lossy(&fs::read(&log)?));
    Ok(Run { crashes, ..counted })
}

/// Puts the inputs that add most to what is reached in the place of the committed ones. What once broke something stays.
fn keep_corpus(places: &Places, name: &str) -> Result<()> {
    let (corpus, least) = (places.corpus.join(name), emptied(places.work.join("least").join(name))?);
    let mut command = places.program(name)?;
    // How often an edge is passed would ask for many times as many inputs.
    command.args(["-set_cover_merge=1", "-use_counters=0"]).arg(&least);
    command.args([&corpus, &places.work.join("grown").join(name), &places.seeds.join(name)]);
    let log = places.work.join(format!("{name}.merge.log"));
    if !run_quietly(&mut command, &log)? {
        bail!("the corpus of {name} could not be merged: see {}", log.display());
    }
    for (input, _) in files(&corpus)?.iter().filter(|(input, _)| !input.starts_with(FOUND)) {
        fs::remove_file(corpus.join(input))?;
    }
    let (mut count, mut size) = size(&corpus)?;
    for (input, bytes) in in_order_of_writing(&least)? {
        (count, size) = (count + 1, size + bytes);
        if count > CORPUS_MAX_FILES || size > CORPUS_MAX_BYTES {
            break;
        }
        fs::copy(least.join(&input), corpus.join(&input))?;
    }
    Ok(())
}

/// A merge writes first what adds most.
fn in_order_of_writing(folder: &Path) -> Result<Vec<(String, u64)>> {
    let mut files = files(folder)?;
    let written = |name: &str| fs::metadata(folder.join(name)).and_then(|file| file.modified()).ok();
    files.sort_by_cached_key(|(name, _)| written(name));
    Ok(files)
}

/// The folder, with nothing in it.
fn emptied(folder: PathBuf) -> Result<PathBuf> {
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    Ok(folder)
}

/// Runs a command with its output in a file; whether it succeeded.
fn run_quietly(command: &mut Command, log: &Path) -> Result<bool> {
    let output = File::create(log).with_context(|| log.display().to_string())?;
    let status = command.stdout(output.try_clone()?).stderr(output).status().with_context(|| written(command))?;
    Ok(status.success())
}

fn succeed(command: &mut Command) -> Result<()> {
    println!("$ {}", written(command));
    let status = command.status().with_context(|| written(command))?;
    if status.success() { Ok(()) } else { bail!("{} failed: {status}", written(command)) }
}

/// Reads libFuzzer's output: the last line with `cov: 1234`, and the count of executions at the end, or in its last line
/// when it ended early.
fn counted(log: &str) -> Run {
    let number = |text: &str| text.split_whitespace().next().and_then(|word| word.parse().ok());
    let last = |mark: &str| log.lines().rev().find_map(|line| number(line.split_once(mark)?.1));
    let at_the_end = last("stat::number_of_executed_units:");
    let in_passing = || log.lines().rev().find_map(|line| number(line.strip_prefix('#')?));
    Run { executions: at_the_end.or_else(in_passing).unwrap_or(0), edges: last(" cov: ").unwrap_or(0), crashes: 0 }
}

/// Number and bytes of the files in a folder.
fn size(folder: &Path) -> Result<(usize, u64)> {
    let files = files(folder)?;
    Ok((files.len(), files.iter().map(|(_, bytes)| bytes).sum()))
}

fn files(folder: &Path) -> Result<Vec<(String, u64)>> {
    names(folder)?.into_iter().map(|name| Ok((name.clone(), fs::metadata(folder.join(name))?.len()))).collect()
}

/// What is in a folder, sorted.
fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut names =
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect::<Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_fuzzer_counted_is_read() {
        let log = "INFO: Seed: 1\n#2\tINITED cov: 10 ft: 10 corp: 1/1b\n#900\tNEW    cov: 1234 ft: 2000 corp: 3/9b\n\
                   #1000\tDONE   cov: 1235 ft: 2001\nstat::number_of_executed_units: 1000\nstat::peak_rss_mb: 50\n";
        assert_eq!(counted(log), Run { executions: 1_000, edges: 1_235, crashes: 0 });
        let crashed = "#900\tNEW    cov: 1234 ft: 2000\nthread panicked\n==1== ERROR: libFuzzer: deadly signal\n";
        assert_eq!(counted(crashed), Run { executions: 900, edges: 1_234, crashes: 0 });
        assert_eq!(counted(""), Run::default());
    }
}
