//! `mifeng-testkit`: explores schedules, replays known ones first, and prints what it counted. Called by `cargo xtask`.

#![allow(clippy::print_stdout, reason = "a program speaks by printing")]

use anyhow::{Context, Result};
use clap::Parser;
use mifeng_testkit::explore::{Outcome, Templates, explore, replay, shrink};
use mifeng_testkit::tally::Tally;
use mifeng_testkit::trace::{self, Trace};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Runs the simulation.
#[derive(Parser)]
struct Options {
    /// How many schedules.
    #[arg(long, default_value_t = 2_000)]
    schedules: u64,
    /// Stop after so many minutes, however many schedules that was.
    #[arg(long)]
    minutes: Option<u64>,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// From one seed to the next: worlds of one kind return at a distance (`explore::shape`).
    #[arg(long, default_value_t = 1)]
    step: u64,
    /// Threads.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Replay one trace instead, and say what it finds.
    #[arg(long)]
    replay: Option<PathBuf>,
    /// Where traces of failures go.
    #[arg(long, default_value = "target/simulation")]
    failures: PathBuf,
    /// Go on after this many failures.
    #[arg(long, default_value_t = 3)]
    tolerate: u64,
}

fn main() -> Result<ExitCode> {
    let options = Options::parse();
    let templates = Templates::default();
    if let Some(path) = &options.replay {
        return replay_one(&templates, path);
    }
    let mut failed = 0;
    for (path, trace) in trace::known()? {
        let outcome = replay(&templates, &trace)?;
        failed += u64::from(tell(&format!("known {}", path.display()), &outcome));
    }
    let run = Run { templates, options, next: AtomicU64::new(0), stop: AtomicBool::new(false), sum: Mutex::default() };
    let failed = failed + run.all()?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn replay_one(templates: &Templates, path: &std::path::Path) -> Result<ExitCode> {
    let outcome = replay(templates, &Trace::read(path)?)?;
    let failed = tell(&path.display().to_string(), &outcome);
    println!("{}\n{:?}", outcome.end, outcome.tally);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Prints what an outcome found; whether it found anything.
fn tell(name: &str, outcome: &Outcome) -> bool {
    for violation in outcome.violations.iter().take(12) {
        println!("{name}: {violation}");
    }
    !outcome.violations.is_empty()
}

struct Run {
    templates: Templates,
    options: Options,
    next: AtomicU64,
    stop: AtomicBool,
    sum: Mutex<(Tally, u64)>,
}

impl Run {
    fn all(&self) -> Result<u64> {
        let started = Instant::now();
        let ended: Vec<Result<()>> = std::thread::scope(|scope| {
            let workers: Vec<_> =
                (0..self.options.threads.max(1)).map(|_| scope.spawn(|| self.work(started))).collect();
            workers.into_iter().map(|worker| worker.join().unwrap_or_else(|_| anyhow::bail!("a worker died"))).collect()
        });
        ended.into_iter().collect::<Result<()>>()?;
        let (tally, failed) = &*self.sum.lock().unwrap_or_else(PoisonError::into_inner);
        print(tally, *failed, started.elapsed());
        Ok(*failed)
    }

    fn work(&self, started: Instant) -> Result<()> {
        let limit = self.options.minutes.map(|minutes| Duration::from_secs(60 * minutes));
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let is_over = number >= self.options.schedules || limit.is_some_and(|limit| started.elapsed() >= limit);
            if is_over || self.stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            let outcome = explore(&self.templates, self.options.seed + number * self.options.step)?;
            if tell(&format!("seed {}", outcome.trace.seed), &outcome) {
                self.keep(&outcome)?;
            }
            self.count(outcome, started);
        }
    }

    fn count(&self, outcome: Outcome, started: Instant) {
        let mut sum = self.sum.lock().unwrap_or_else(PoisonError::into_inner);
        sum.1 += u64::from(!outcome.violations.is_empty());
        sum.0.add(outcome.tally);
        if sum.1 >= self.options.tolerate {
            self.stop.store(true, Ordering::Relaxed);
        }
        if sum.0.schedules.is_multiple_of(250) {
            println!("{} schedules, {} failed, {} s", sum.0.schedules, sum.1, started.elapsed().as_secs());
        }
    }

    /// Writes the trace of a failure down, shortened if it fails again.
    fn keep(&self, outcome: &Outcome) -> Result<()> {
        std::fs::create_dir_all(&self.options.failures)?;
        let about = outcome.violations.first().cloned().unwrap_or_default();
        let whole = Trace { about, ..outcome.trace.clone() };
        let path = self.options.failures.join(format!("seed-{}.json", whole.seed));
        whole.write(&path).context("keeping a failure")?;
        let again = replay(&self.templates, &whole)?;
        if again.violations.is_empty() {
            println!("seed {}: did not fail again; its trace is {}", whole.seed, path.display());
            return Ok(());
        }
        let short = shrink(&self.templates, &whole, Duration::from_secs(15))?;
        println!("seed {}: {} decisions are enough: {}", whole.seed, short.decisions.len(), path.display());
        short.write(&path)
    }
}

/// The counts, for people, and on the last line for `cargo xtask`.
fn print(tally: &Tally, failed: u64, took: Duration) {
    let [least, median, most] = Tally::spread(&tally.events);
    let [faults_least, faults_median, _] = Tally::spread(&tally.faults_each);
    println!("events in a schedule: {least} at least, {median} in the middle, {most} at most");
    println!("faults in a schedule: {faults_least} at least, {faults_median} in the middle");
    for (kind, count) in &tally.faults {
        println!("  {kind:<28} {count:>8}");
    }
    let acts: Vec<String> = tally.acts.iter().map(|(verb, count)| format!("{verb} {count}")).collect();
    println!("people: {}", acts.join(", "));
    println!(
        "{} commits, {} successions, {} devices linked, {} revoked, {} repairs, {} entries excused",
        tally.commits, tally.successions, tally.linked, tally.revoked, tally.repairs, tally.excused
    );
    println!(
        "simulation: schedules={} post_quantum={} hostile={} strengthened={} successions={} median_events={median} least_faults={faults_least} fault_kinds={} \
         messages={} readings={} recalled={} failed={failed} seconds={}",
        tally.schedules,
        tally.post_quantum,
        tally.hostile,
        tally.strengthened,
        tally.successions,
        tally.faults.len(),
        tally.messages,
        tally.readings,
        tally.recalled,
        took.as_secs()
    );
}
