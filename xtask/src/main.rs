//! The project's own chores: `cargo xtask test`, `tidy`, `sabotage`, `web`, `demo`, `bench` and `soak`. Needs nothing but Rust; installs the rest itself.
mod attacks;
mod bench;
mod demo;
mod fuzz;
mod prepare;
mod sabotage;
mod simulation;
mod stage;
mod test;
mod tidy;
mod web;
mod workspace;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// The project's own chores.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Everything that a push is checked by: format, tidy, clippy, all tests. Installs what is missing.
    Test(test::Options),
    /// Checks the rules of the house: layers, source, lengths, docs, dependencies.
    Tidy,
    /// Leaves every defence out once, and checks that the tests of the attack that it stops fail.
    Sabotage,
    /// Builds the browser's program into apps/web/dist, where the build of mifengd takes it.
    Web,
    /// Builds, and plays the story of one conversation with the real programs; then leaves the server up.
    Demo(demo::Options),
    /// Builds with all optimisation, measures what the server costs, and writes docs/bench.md.
    Bench(bench::Options),
    /// What takes too long for every push.
    #[command(subcommand)]
    Soak(Soak),
}

/// Long runs.
#[derive(Subcommand)]
enum Soak {
    /// Explores schedules of the simulation.
    Sim(simulation::Options),
    /// Plays the attacks whose rows name a number that is too large for every push.
    Attacks,
    /// Feeds the fuzzer's bytes to everything that sees bytes from outside, and keeps what reaches something new.
    Fuzz(fuzz::Options),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().chore {
        Chore::Test(options) => test::run(&options),
        Chore::Tidy => tidy::run(),
        Chore::Sabotage => sabotage::run(),
        Chore::Web => web::run(),
        Chore::Demo(options) => demo::run(&options),
        Chore::Bench(options) => bench::run(&options),
        Chore::Soak(Soak::Sim(options)) => simulation::soak(&options),
        Chore::Soak(Soak::Attacks) => attacks::soak(),
        Chore::Soak(Soak::Fuzz(options)) => fuzz::soak(&options),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::from(2)
        }
    }
}
