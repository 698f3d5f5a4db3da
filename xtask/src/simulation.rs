//! Calls the simulation (crates/testkit), reads its last line, and compares its counts with the least that is expected.

use crate::stage::{Outcome, stream};
use crate::workspace;
use anyhow::Result;
use std::collections::BTreeMap;
use std::process::Command;

/// What the simulation counted.
pub(crate) type Counted = BTreeMap<String, u64>;

/// Options of `cargo xtask soak sim`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How many schedules.
    #[arg(long, default_value_t = 200_000)]
    schedules: u64,
    /// Stop after so many minutes.
    #[arg(long)]
    minutes: Option<u64>,
    /// The first seed.
    #[arg(long, default_value_t = 1_000_000)]
    seed: u64,
}

/// Explores for long; `false` if a schedule failed.
pub(crate) fn soak(options: &Options) -> Result<bool> {
    let (schedules, seed) = (options.schedules.to_string(), options.seed.to_string());
    let minutes = options.minutes.map(|minutes| minutes.to_string());
    let mut arguments = vec!["--schedules", &schedules, "--seed", &seed, "--tolerate", "25"];
    if let Some(minutes) = &minutes {
        arguments.extend(["--minutes", minutes]);
    }
    let (ended, counted) = call(&["--profile", "soak"], &arguments);
    ended?;
    Ok(counted.get("failed") == Some(&0))
}

/// Replays what is known and tries `schedules` new ones.
pub(crate) fn stage(schedules: u64, least: &mut Counted) -> Result<Outcome> {
    let (ended, counted) = call(&[], &["--schedules", &schedules.to_string()]);
    let few = least.iter().find(|(name, least)| counted.get(*name).copied().unwrap_or_default() < **least);
    let failure = match (ended, few) {
        (Err(error), _) => Some(format!("{error:#}")),
        (Ok(()), Some((name, least))) => Some(format!("{name} is below {least} (ci/counts.toml)")),
        (Ok(()), None) => None,
    };
    let count = |name: &str| counted.get(name).copied().unwrap_or_default();
    let remark = format!("{} schedules, {} messages", count("schedules"), count("messages"));
    Ok(Outcome { remark, failure, tests: None })
}

fn call(build: &[&str], arguments: &[&str]) -> (Result<()>, Counted) {
    let mut counted = Counted::new();
    let mut command = Command::new("cargo");
    command.args(["run", "--locked", "--package", "mifeng-testkit"]).args(build).arg("--").args(arguments);
    let ended = stream(command.current_dir(workspace::root()), |line| {
        if let Some(counts) = line.strip_prefix("simulation: ") {
            counted = read(counts);
        }
    });
    (ended, counted)
}

fn read(counts: &str) -> Counted {
    let pairs = counts.split_whitespace().filter_map(|pair| pair.split_once('='));
    pairs.filter_map(|(name, count)| Some((name.to_owned(), count.parse().ok()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_read() {
        let counted = read("schedules=2000 failed=0 seconds=17");
        assert_eq!(counted.get("schedules"), Some(&2_000));
        assert_eq!(counted.len(), 3);
    }
}
