use super::line::{Socket, Target};
use super::meter::{Figures, Series};
use super::pairs::connect_bare;
use super::person::Crowd;
use super::report::{Entry, Report};
use super::stage::Stage;
use super::{device, machine, say};
use anyhow::Result;
use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;

/// Memory per connection that is logged in and does nothing.
///
/// The server is started anew before the connections come, so that what joining left behind is not counted.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Connections.
    #[arg(long, default_value_t = 5_000)]
    connections: usize,
    /// The server's program [default: `mifengd` beside this one].
    #[arg(long, env = "MIFENGD", value_name = "PATH")]
    mifengd: Option<PathBuf>,
}

/// How long connections are idle before they are weighed.
const SETTLE: Duration = Duration::from_secs(3);

impl Args {
    pub(super) async fn run(self, report: &mut Report) -> Result<()> {
        let mut stage = Stage::open(self.mifengd, "post-quantum", None)?;
        say(&format!("{} devices join", self.connections));
        let upload = Crowd::new(&stage).await?.upload().to_vec();
        let devices = device::join(&stage, &upload, self.connections).await?;
        stage.daemon.stop()?;
        stage.start()?;

        say("they connect");
        let target = stage.target()?;
        let server = weigh(stage.daemon.pid()?, self.connections, async {
            let mut held = Vec::with_capacity(devices.len());
            for device in &devices {
                held.push(device.login(&target).await?);
            }
            Ok(held)
        });
        let server = server.await?;
        let (relay, target) = stage.relay()?;
        let baseline = weigh(relay.pid(), self.connections, connect_all(&target, self.connections)).await?;

        let mut entry = Entry::new("idle");
        entry.compare("pss_kib_per_connection", &server, &baseline);
        entry.compare("rss_kib_per_connection", &server, &baseline);
        entry.put("connections", json!(self.connections));
        entry.series(&server, &baseline);
        report.line(entry)
    }
}

/// What a process has grown by, for each connection.
async fn weigh(pid: u32, count: usize, connect: impl Future<Output = Result<Vec<Socket>>>) -> Result<Series> {
    let before = machine::memory(pid)?;
    let held = connect.await?;
    tokio::time::sleep(SETTLE).await;
    let after = machine::memory(pid)?;
    let mut figures = Figures::default();
    figures.put("pss_kib_per_connection", (after.pss_kib - before.pss_kib) / count as f64);
    figures.put("rss_kib_per_connection", (after.rss_kib - before.rss_kib) / count as f64);
    figures.put("rss_mib", after.rss_kib / 1024.0);
    figures.put("rss_before_mib", before.rss_kib / 1024.0);
    drop(held);
    let mut series = Series::default();
    series.push(figures);
    Ok(series)
}

async fn connect_all(target: &Target, count: usize) -> Result<Vec<Socket>> {
    let mut held = Vec::with_capacity(count);
    for number in 0..u32::try_from(count)? {
        held.push(connect_bare(target, number).await?);
    }
    Ok(held)
}
