use super::line::Target;
use super::meter::{Figures, Series};
use super::pairs::prepare;
use super::report::{Entry, Report};
use super::stage::Stage;
use super::traffic::Traffic;
use super::{machine, say};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Time from starting the process to its first TLS handshake, and what it holds of the memory then.
///
/// With `--stored` the database is filled first, by sending.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Messages that are stored.
    #[arg(long, default_value_t = 0)]
    stored: u64,
    /// Starts; the median counts.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// The server's program [default: `mifengd` beside this one].
    #[arg(long, env = "MIFENGD", value_name = "PATH")]
    mifengd: Option<PathBuf>,
}

/// Pairs that fill the database.
const PAIRS: usize = 8;
const WINDOW: usize = 32;
/// How long a server has been up when it is weighed.
const SETTLE: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(30);

impl Args {
    pub(super) async fn run(self, report: &mut Report) -> Result<()> {
        let mut stage = Stage::open(self.mifengd.clone(), "post-quantum", None)?;
        if self.stored > 0 {
            say(&format!("storing {} messages", self.stored));
            Traffic::new(prepare(&stage, PAIRS, 512).await?, WINDOW).fill(self.stored).await?;
        }
        let (mut server, mut baseline) = (Series::default(), Series::default());
        for _ in 0..self.runs {
            stage.daemon.stop()?;
            let started = Instant::now();
            machine::on_core(machine::SERVER_CORE, || stage.daemon.launch())?;
            let ready = until_ready(&stage.target()?, started).await?;
            tokio::time::sleep(SETTLE).await;
            server.push(figures(ready, stage.daemon.pid()?)?);

            let started = Instant::now();
            let (relay, target) = stage.relay()?;
            let ready = until_ready(&target, started).await?;
            tokio::time::sleep(SETTLE).await;
            baseline.push(figures(ready, relay.pid())?);
        }
        let mut entry = Entry::new("start");
        for figure in ["ready_ms", "rss_mib", "pss_mib"] {
            entry.compare(figure, &server, &baseline);
        }
        let bytes = std::fs::metadata(stage.daemon.database()).context("the database")?.len();
        entry.put("stored", json!(self.stored));
        entry.put("database_mib", json!(bytes >> 20));
        entry.put("runs", json!(self.runs));
        entry.series(&server, &baseline);
        report.line(entry)
    }
}

/// Tries until a handshake succeeds; the time since `started`.
async fn until_ready(target: &Target, started: Instant) -> Result<Duration> {
    loop {
        if target.handshake().await.is_ok() {
            return Ok(started.elapsed());
        }
        ensure!(started.elapsed() < PATIENCE, "the server was not ready in time");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn figures(ready: Duration, pid: u32) -> Result<Figures> {
    let memory = machine::memory(pid)?;
    let mut figures = Figures::default();
    figures.put("ready_ms", ready.as_secs_f64() * 1e3);
    figures.put("rss_mib", memory.rss_kib / 1024.0);
    figures.put("pss_mib", memory.pss_kib / 1024.0);
    Ok(figures)
}
