//! `mifeng bench`: how much of a machine the server needs for its work, beside a bare relay that does the same work with
//! nothing around it, measured by turns in the same run.
//!
//! The server is a mifengd of the run's own on core 0, as it is installed: sealing, checks, limits and logging are on. The
//! load comes from one thread on core 1. People, groups and messages are made by the real client. In the windows that are
//! measured one really sealed message of each sender is sent again and again under new message ids ([`dialect`]): the server
//! does all that it does for a new one, and the generator has time to keep it busy.

mod device;
mod dialect;
mod durable;
mod group;
mod idle;
mod line;
mod login;
mod machine;
mod meter;
mod pairs;
mod person;
mod relay;
mod report;
mod stage;
mod start;
mod trace;
mod traffic;

use crate::context::Context;
use crate::failure::{Failure, Kind};
use anyhow::Result;
use clap::{Subcommand, ValueEnum};
use report::Report;
use std::path::PathBuf;
use std::time::Duration;

/// Measure what the server costs, beside a bare relay that does the same work.
///
/// Runs a mifengd of its own on core 0 and makes the load on core 1. Every result is one line; a machine that does other work
/// meanwhile disturbs rates and latencies, processor time per message least.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Pairs(pairs::Args),
    Group(group::Args),
    Idle(idle::Args),
    Login(login::Args),
    Start(start::Args),
    Durable(durable::Args),
    #[command(hide = true)]
    Relay(relay::Args),
}

/// What every measurement takes.
#[derive(Debug, Clone, clap::Args)]
struct Options {
    /// The server's program [default: `mifengd` beside this one].
    #[arg(long, env = "MIFENGD", value_name = "PATH")]
    mifengd: Option<PathBuf>,
    /// Length of a window.
    #[arg(long, default_value_t = 5.0, value_name = "SECONDS")]
    seconds: f64,
    /// Load before each window that is not counted.
    #[arg(long, default_value_t = 1.0, value_name = "SECONDS")]
    warm_up: f64,
    /// Windows; the median counts.
    #[arg(long, default_value_t = 3)]
    runs: usize,
}

/// The MLS cipher suite of the groups.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Suite {
    /// 0x004E, hybrid.
    PostQuantum,
    /// 0x0001.
    Classical,
}

impl Args {
    /// Measures and prints.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        // The load has a thread and a runtime of its own, so that nothing else runs on its core.
        let output = context.output;
        let measured = tokio::task::spawn_blocking(move || self.measure(&mut Report { output })).await;
        measured
            .map_err(anyhow::Error::from)
            .and_then(|measured| measured)
            .map_err(|error| Failure::new(Kind::Internal, format!("nothing was measured: {error:#}")))
    }

    fn measure(self, report: &mut Report) -> Result<()> {
        if let What::Relay(args) = self.what {
            return args.serve();
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let tasks = tokio::task::LocalSet::new();
        tasks.block_on(&runtime, async {
            match self.what {
                What::Pairs(args) => args.run(report).await,
                What::Group(args) => args.run(report).await,
                What::Idle(args) => args.run(report).await,
                What::Login(args) => args.run(report).await,
                What::Start(args) => args.run(report).await,
                What::Durable(args) => args.run(report).await,
                What::Relay(_) => Ok(()),
            }
        })
    }
}

impl Options {
    fn window(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    fn warm_up(&self) -> Duration {
        Duration::from_secs_f64(self.warm_up)
    }
}

impl Suite {
    const fn as_str(self) -> &'static str {
        match self {
            Self::PostQuantum => "post-quantum",
            Self::Classical => "classical",
        }
    }
}

/// What is happening, on standard error.
fn say(what: &str) {
    eprintln!("bench: {what}");
}
