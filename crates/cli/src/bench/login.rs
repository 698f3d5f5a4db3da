use super::device::{self, Device};
use super::line::Target;
use super::meter::{Figures, Latencies, Measured, Series, Stopwatch};
use super::pairs::connect_bare;
use super::person::Crowd;
use super::report::{Entry, Report};
use super::stage::Stage;
use super::{Options, say};
use anyhow::Result;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde_json::json;
use std::time::Instant;

/// Logins of devices: TCP, TLS 1.3 without resumption, the WebSocket, a signature over the server's challenge.
///
/// The relay's part is everything but the signature.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Logins in a window, each by another device.
    #[arg(long, default_value_t = 1_000)]
    count: usize,
    /// Logins at once.
    #[arg(long, default_value_t = 16)]
    parallel: usize,
    #[command(flatten)]
    options: Options,
}

impl Args {
    pub(super) async fn run(self, report: &mut Report) -> Result<()> {
        let stage = Stage::open(self.options.mifengd.clone(), "post-quantum", None)?;
        let (relay, relay_target) = stage.relay()?;
        say(&format!("{} devices join", self.count));
        let upload = Crowd::new(&stage).await?.upload().to_vec();
        let devices = device::join(&stage, &upload, self.count).await?;
        let target = stage.target()?;
        let (mut server, mut baseline) = (Series::default(), Series::default());
        for run in 0..=self.options.runs {
            let logins = self.server(stage.daemon.pid()?, &target, &devices).await?;
            let connections = self.relay(relay.pid(), &relay_target).await?;
            // The first round warms up.
            if run > 0 {
                server.push(logins);
                baseline.push(connections);
            }
        }
        let mut entry = Entry::new("login");
        for figure in ["cpu_ms_per_login", "logins_per_second", "p50_ms", "p99_ms"] {
            entry.compare(figure, &server, &baseline);
        }
        entry.put("count", json!(self.count));
        entry.put("parallel", json!(self.parallel));
        entry.put("runs", json!(self.options.runs));
        entry.series(&server, &baseline);
        report.line(entry)
    }

    async fn server(&self, pid: u32, target: &Target, devices: &[Device]) -> Result<Figures> {
        self.round(pid, devices.iter().map(|device| device.login(target))).await
    }

    async fn relay(&self, pid: u32, target: &Target) -> Result<Figures> {
        let count = u32::try_from(self.count)?;
        self.round(pid, (0..count).map(|number| connect_bare(target, number))).await
    }

    /// Makes all of these connections, closes them, and says what they cost.
    async fn round<C>(&self, pid: u32, connections: impl Iterator<Item = C>) -> Result<Figures>
    where
        C: Future<Output = Result<super::line::Socket>>,
    {
        let (mut figures, watch) = (Figures::default(), Stopwatch::start(Measured::alone(pid))?);
        let timed = connections.map(|connection| async {
            let started = Instant::now();
            connection.await.map(|socket| (socket, started.elapsed()))
        });
        let mut latencies = Latencies::new()?;
        let mut done = stream::iter(timed).buffer_unordered(self.parallel);
        while let Some((socket, latency)) = done.try_next().await? {
            latencies.record(latency);
            drop(socket);
        }
        let (seconds, cpu) = watch.stop(&mut figures)?;
        figures.put("logins_per_second", self.count as f64 / seconds);
        figures.put("cpu_ms_per_login", cpu * 1e3 / self.count as f64);
        figures.put_latencies(&latencies);
        Ok(figures)
    }
}
