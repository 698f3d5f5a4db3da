use super::dialect::{Bare, Mifeng};
use super::line::{Socket, Target, receive};
use super::meter::{Figures, Latencies, Measured, Series, Stopwatch};
use super::pairs::{connect_bare, measure};
use super::person::{Crowd, Person};
use super::relay::EVERYONE;
use super::report::{Entry, Report};
use super::stage::Stage;
use super::traffic::{Flow, Traffic};
use super::{Options, Suite, say};
use anyhow::{Result, bail, ensure};
use futures_util::future::try_join_all;
use runtime::now;
use serde_json::json;
use std::time::Instant;
use wire::event::Recorded;
use wire::frame::{self, ServerFrame};
use wire::{ConversationId, EntryKind, Event, UserId};

/// Messages from one to many: durable once, then delivered to everybody.
///
/// All members are online. A message counts when all of them have it; latency is until then. With `--commits` the cost of
/// changes to the group is measured first.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Members, the sender among them.
    #[arg(long, default_value_t = 500)]
    members: usize,
    /// Messages under way.
    #[arg(long, default_value_t = 4)]
    window: usize,
    /// Bytes of text in a message.
    #[arg(long, default_value_t = 512)]
    body: usize,
    /// Changes to the group, each one commit by its creator.
    #[arg(long, default_value_t = 0)]
    commits: usize,
    /// The group's cipher suite.
    #[arg(long, value_enum, default_value = "post-quantum")]
    suite: Suite,
    #[command(flatten)]
    options: Options,
}

/// A group that stands: its creator with a client, the others as connections.
struct Group {
    creator: Person,
    conversation: ConversationId,
    others: Vec<(UserId, Socket)>,
}

impl Args {
    pub(super) async fn run(self, report: &mut Report) -> Result<()> {
        ensure!(self.members >= 2, "a group has two members or more");
        let stage = Stage::open(self.options.mifengd.clone(), self.suite.as_str(), None)?;
        let (relay, relay_target) = stage.relay()?;
        say(&format!("{} people join, and one of them begins a group", self.members));
        let mut group = self.form(&stage).await?;
        let commits = if self.commits > 0 { Some(self.commit(&stage, &mut group).await?) } else { None };

        let dialect = Mifeng::replaying(&group.creator.seal(group.conversation, self.body)?)?;
        let frame_bytes = dialect.frame_bytes();
        let receivers = group.others.into_iter().map(|(_, socket)| socket).collect();
        let flow = Flow { dialect, sender: group.creator.into_socket()?, receivers };
        let server = Traffic::new(vec![flow], self.window);
        let baseline = Traffic::new(vec![self.form_bare(&relay_target, frame_bytes).await?], self.window);

        say("measuring");
        let (mut of_server, mut of_baseline) = (Series::default(), Series::default());
        for _ in 0..self.options.runs {
            of_server.push(measure(&server, Measured::alone(stage.daemon.pid()?), &self.options).await?);
            of_baseline.push(measure(&baseline, Measured::alone(relay.pid()), &self.options).await?);
        }
        let mut entry = Entry::new("group");
        for figure in ["cpu_us_per_delivery", "deliveries_per_second", "p50_ms", "p99_ms"] {
            entry.compare(figure, &of_server, &of_baseline);
        }
        if let (Some(commits), Some(per_delivery)) = (commits, of_server.median("cpu_us_per_delivery")) {
            let per_member = commits.median("cpu_us_per_commit_and_member").unwrap_or_default();
            entry.put("commit_to_delivery_ratio", json!(super::meter::rounded(per_member / per_delivery)));
            entry.put("commits", commits.json());
        }
        let totals = server.rest().await?;
        entry.put("members", json!(self.members));
        entry.put("suite", json!(self.suite.as_str()));
        entry.put("window", json!(self.window));
        entry.put("runs", json!(self.options.runs));
        entry.put("seconds", json!(self.options.seconds));
        entry.put("body_bytes", json!(self.body));
        entry.put("frame_bytes", json!(frame_bytes));
        entry.put("lost", json!(totals.expected - totals.delivered));
        entry.put("replayed", json!("one sealed message, each time under a new message id"));
        entry.series(&of_server, &of_baseline);
        report.line(entry)
    }

    async fn form(&self, stage: &Stage) -> Result<Group> {
        let mut crowd = Crowd::new(stage).await?;
        let mut creator = crowd.join(stage).await?;
        let mut others = Vec::new();
        for _ in 1..self.members {
            let person = crowd.join(stage).await?;
            others.push((creator.find(&person.handle).await?, person.into_socket()?));
        }
        let users: Vec<UserId> = others.iter().map(|(user, _)| *user).collect();
        let conversation = creator.client.start_group("bench", &users, now())?;
        creator.until_standing(conversation).await?;
        Ok(Group { creator, conversation, others })
    }

    async fn form_bare(&self, target: &Target, frame_bytes: usize) -> Result<Flow<Bare>> {
        let mut sockets = Vec::new();
        for number in 0..u32::try_from(self.members)? {
            sockets.push(connect_bare(target, number).await?);
        }
        let sender = sockets.remove(0);
        Ok(Flow { dialect: Bare::sending(EVERYONE, frame_bytes), sender, receivers: sockets })
    }

    /// Makes members admins, one after the other. Each is a commit that the server checks against the whole tree, records
    /// once and gives to everybody. The first is larger than the others, because all have just joined, and does not count.
    async fn commit(&self, stage: &Stage, group: &mut Group) -> Result<Series> {
        say(&format!("{} commits", self.commits));
        let users: Vec<UserId> = group.others.iter().map(|(user, _)| *user).collect();
        let mut users = users.into_iter().cycle();
        let mut next = async || match users.next() {
            Some(user) => group.commit(user).await,
            None => bail!("nobody to make an admin"),
        };
        next().await?;
        let (mut figures, mut latencies) = (Figures::default(), Latencies::new()?);
        let watch = Stopwatch::start(Measured::alone(stage.daemon.pid()?))?;
        for _ in 0..self.commits {
            let started = Instant::now();
            let bytes = next().await?;
            latencies.record(started.elapsed());
            figures.put("event_bytes", bytes as f64);
        }
        let (_, cpu) = watch.stop(&mut figures)?;
        let per_commit = cpu * 1e6 / self.commits as f64;
        figures.put("cpu_us_per_commit", per_commit);
        figures.put("cpu_us_per_commit_and_member", per_commit / self.members as f64);
        figures.put_latencies(&latencies);
        let mut series = Series::default();
        series.push(figures);
        Ok(series)
    }
}

impl Group {
    /// Makes a member an admin, or no longer, and waits until everybody has the commit. How long its event is.
    async fn commit(&mut self, user: UserId) -> Result<usize> {
        let Self { creator, conversation, others } = self;
        let members = creator.client.members(*conversation, now())?;
        let is_admin = members.iter().any(|member| member.user == user && member.admin);
        creator.client.set_admin(*conversation, user, !is_admin, now())?;
        let received = try_join_all(others.iter_mut().map(|(_, socket)| until_commit(socket)));
        let (committed, received) = tokio::join!(creator.until_settled(), received);
        committed?;
        Ok(received?.first().copied().unwrap_or_default())
    }
}

/// Waits for a commit, and says how long its event is.
async fn until_commit(socket: &mut Socket) -> Result<usize> {
    loop {
        let bytes = receive(socket).await?;
        if let ServerFrame::Event { kind, body } = frame::read_server(&bytes)?
            && let Some(Event::Recorded(Recorded { entry, .. })) = Event::decode(kind, body)?
            && entry.kind == EntryKind::Commit
        {
            return Ok(bytes.len());
        }
    }
}
