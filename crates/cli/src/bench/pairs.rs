use super::dialect::{Bare, Mifeng};
use super::line::{Target, receive};
use super::meter::{Figures, Measured, Series, Stopwatch};
use super::person::Crowd;
use super::report::{Entry, Report};
use super::stage::{Postgres, Stage};
use super::traffic::{Flow, Traffic};
use super::{Options, machine, say};
use anyhow::Result;
use bytes::Bytes;
use futures_util::SinkExt;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

/// Messages from person to person: durable, then delivered.
///
/// Each pair has a direct conversation of its own. A message counts when its receiver has it; latency is from sending to
/// receiving. The relay carries frames of the same length.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Pairs of people.
    #[arg(long, default_value_t = 64)]
    pairs: usize,
    /// Messages that each pair has under way; several, separated by commas, are measured one after the other.
    #[arg(long, default_value = "16", value_delimiter = ',')]
    window: Vec<usize>,
    /// Bytes of text in a message.
    #[arg(long, default_value_t = 512)]
    body: usize,
    /// Measure when so many messages are stored; several, separated by commas, from few to many.
    #[arg(long, default_value = "0", value_delimiter = ',')]
    stored: Vec<u64>,
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    postgres: Option<Postgres>,
}

impl Args {
    pub(super) async fn run(self, report: &mut Report) -> Result<()> {
        let stage = Stage::open(self.options.mifengd.clone(), "post-quantum", self.postgres.as_ref())?;
        let (relay, relay_target) = stage.relay()?;
        say(&format!("{} people join and begin {} conversations", 2 * self.pairs, self.pairs));
        let flows = prepare(&stage, self.pairs, self.body).await?;
        let frame_bytes = flows.first().map_or(0, |flow| flow.dialect.frame_bytes());
        let bare = prepare_bare(&relay_target, self.pairs, frame_bytes).await?;
        let most = self.window.iter().copied().max().unwrap_or(1);
        let (server, baseline) = (Traffic::new(flows, most), Traffic::new(bare, most));
        for stored in &self.stored {
            say(&format!("filling up to {stored} stored messages"));
            server.fill(*stored).await?;
            for window in &self.window {
                say(&format!("measuring with {window} under way per pair"));
                let processes = Measured { server: stage.daemon.pid()?, database: self.database() };
                let measured =
                    Both { server: &server, baseline: &baseline, relay: relay.pid(), stage: &stage, processes };
                let mut entry = measured.run(*window, &self.options).await?;
                entry.put("pairs", json!(self.pairs));
                entry.put("body_bytes", json!(self.body));
                entry.put("frame_bytes", json!(frame_bytes));
                report.line(entry)?;
            }
        }
        Ok(())
    }

    fn database(&self) -> Option<u32> {
        self.postgres.as_ref().map(|postgres| postgres.postgres_process)
    }
}

/// The two that are compared, both with everything connected.
struct Both<'a> {
    server: &'a Traffic,
    baseline: &'a Traffic,
    relay: u32,
    stage: &'a Stage,
    processes: Measured,
}

impl Both<'_> {
    async fn run(&self, window: usize, options: &Options) -> Result<Entry> {
        self.server.set_window(window);
        self.baseline.set_window(window);
        let (mut server, mut baseline) = (Series::default(), Series::default());
        for _ in 0..options.runs {
            server.push(self.of_server(options).await?);
            baseline.push(measure(self.baseline, Measured::alone(self.relay), options).await?);
        }
        let mut entry = Entry::new("pairs");
        for figure in ["cpu_us_per_message", "messages_per_second", "p50_ms", "p99_ms", "messages_per_fsync"] {
            entry.compare(figure, &server, &baseline);
        }
        let totals = self.server.rest().await?;
        entry.put("window", json!(window));
        entry.put("runs", json!(options.runs));
        entry.put("seconds", json!(options.seconds));
        entry.put("stored", json!(totals.sent));
        entry.put("lost", json!(totals.expected - totals.delivered));
        entry.put("unanswered", json!(totals.sent - totals.stored));
        entry.put("replayed", json!("one sealed message per sender, each time under a new message id"));
        entry.put("one_core", json!(machine::online()? == 1));
        entry.series(&server, &baseline);
        Ok(entry)
    }

    /// The server's own counters are asked for before and after the load, so that asking costs the window nothing.
    async fn of_server(&self, options: &Options) -> Result<Figures> {
        let (before, sent_before) = (self.stage.counters().await?, self.server.rest().await?.sent);
        let mut figures = measure(self.server, self.processes, options).await?;
        let (after, sent_after) = (self.stage.counters().await?, self.server.rest().await?.sent);
        let syncs = after.batches - before.batches + 2 * (after.checkpoints - before.checkpoints);
        figures.put("messages_per_fsync", (sent_after - sent_before) as f64 / syncs.max(1) as f64);
        Ok(figures)
    }
}

/// One window of one server.
pub(super) async fn measure(traffic: &Traffic, measured: Measured, options: &Options) -> Result<Figures> {
    let mut figures = Figures::default();
    let begin = || Stopwatch::start(measured);
    let end = |watch: Stopwatch| watch.stop(&mut figures);
    let (counted, (seconds, cpu)) = traffic.window(options.warm_up(), options.window(), begin, end).await?;
    let (messages, deliveries) = (counted.complete.count() as f64, counted.deliveries as f64);
    figures.put("messages_per_second", messages / seconds);
    figures.put("deliveries_per_second", deliveries / seconds);
    figures.put("cpu_us_per_message", cpu * 1e6 / messages);
    figures.put("cpu_us_per_delivery", cpu * 1e6 / deliveries);
    figures.put_latencies(&counted.complete);
    Ok(figures)
}

/// So many pairs of people, each with a conversation and one sealed message.
pub(super) async fn prepare(stage: &Stage, pairs: usize, text_bytes: usize) -> Result<Vec<Flow<Mifeng>>> {
    let mut crowd = Crowd::new(stage).await?;
    let mut flows = Vec::with_capacity(pairs);
    for _ in 0..pairs {
        let receiver = crowd.join(stage).await?;
        let mut sender = crowd.join(stage).await?;
        let conversation = sender.conversation_with(&receiver.handle).await?;
        let dialect = Mifeng::replaying(&sender.seal(conversation, text_bytes)?)?;
        flows.push(Flow { dialect, sender: sender.into_socket()?, receivers: vec![receiver.into_socket()?] });
    }
    Ok(flows)
}

/// As many pairs on the relay.
pub(super) async fn prepare_bare(target: &Target, pairs: usize, frame_bytes: usize) -> Result<Vec<Flow<Bare>>> {
    let mut flows = Vec::with_capacity(pairs);
    for pair in 0..u32::try_from(pairs)? {
        let receiver = connect_bare(target, 2 * pair).await?;
        let sender = connect_bare(target, 2 * pair + 1).await?;
        flows.push(Flow { dialect: Bare::sending(2 * pair, frame_bytes), sender, receivers: vec![receiver] });
    }
    Ok(flows)
}

/// A connection to the relay, under a number.
pub(super) async fn connect_bare(target: &Target, number: u32) -> Result<super::line::Socket> {
    let mut socket = target.connect().await?;
    socket.send(Message::Binary(Bytes::copy_from_slice(&number.to_be_bytes()))).await?;
    receive(&mut socket).await?;
    Ok(socket)
}
