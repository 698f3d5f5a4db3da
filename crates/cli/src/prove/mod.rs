//! `mifeng prove`: does a server hold anything that people said?
//!
//! It starts a mifengd of its own, puts a tap between it and two people, has them say things that nobody could guess, and
//! then searches everything that the server has, wrote, received and holds in memory for them, in many encodings. A string
//! that the server keeps in the clear by design must be found in every place: it shows that the search would have found
//! the others.

pub(crate) mod canary;
mod freelist;
mod memory;
mod places;
mod report;
mod search;
mod story;
mod tap;
mod websocket;

use crate::context::Context;
use crate::daemon::{self, Daemon, Folder};
use crate::failure::{Failure, Kind};
use anyhow::Result;
use canary::{encodings, random_text};
use places::{Evidence, merge, metrics_page};
use report::Report;
use search::Searcher;
use std::path::{Path, PathBuf};
use story::Story;
use tap::Tap;

/// Prove that a server holds nothing that people said.
///
/// Runs a mifengd of its own behind a tap, lets two people talk through it, and searches its database, write-ahead log, free
/// pages, logs, metrics, all traffic after TLS and its memory for what they said. Needs root, for the memory. The status is
/// 0 only if nothing was found anywhere, while a control value was found everywhere.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The server's program [default: `mifengd` beside this one].
    #[arg(long, env = "MIFENGD", value_name = "PATH")]
    mifengd: Option<PathBuf>,
}

/// How many tenants are made and deleted, so that whole pages of the database become free. About forty of the longest names
/// fill a page.
const DELETED_TENANTS: usize = 64;
/// What a tenant gets when nobody says otherwise.
const SUITE: &str = "post-quantum";

impl Args {
    /// Runs the proof and prints the report.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        // The tap works while the proof waits for processes: it needs threads that nobody blocks.
        let proof = tokio::task::spawn_blocking(move || self.report()).await;
        let report = match proof.map_err(anyhow::Error::from).and_then(|report| report) {
            Ok(report) => report,
            Err(error) => {
                let message = format!("the proof could not be finished: {error:#}");
                context.output.line("", &serde_json::json!({ "ok": false, "places": [], "error": message }))?;
                return Err(Failure::new(Kind::Internal, message));
            }
        };
        context.output.line(report.text(), &report.json())?;
        if report.is_proof() {
            Ok(())
        } else {
            Err(Failure::new(Kind::Internal, "this run proves nothing; see the report"))
        }
    }

    fn report(self) -> Result<Report> {
        let program = daemon::find(self.mifengd)?;
        let folder = Folder::new("prove")?;
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?
            .block_on(prove(&program, folder.path()))
    }
}

async fn prove(program: &Path, folder: &Path) -> Result<Report> {
    let control = random_text()?;
    let mut daemon = Daemon::init(program, folder, &[])?;
    // The most talkative it can be: what it must not say, it must not say even then.
    daemon.set("MIFENG_LOG_LEVEL", "debug");
    say("a server of our own, and a tap before it");
    daemon.start()?;
    daemon.create_tenant(&control, SUITE)?;
    // Nothing in the folder of files is in the clear by design: what shows that the search goes there is laid there here.
    let blobs = daemon.data.join("blobs");
    std::fs::write(blobs.join("control"), &control)?;
    // A stop carries everything from the write-ahead log into the database file; what comes next is in a new log.
    daemon.stop()?;
    let addresses = daemon.start()?;
    daemon.create_tenant(&format!("{control}-again"), SUITE)?;
    let tap = Tap::start(&daemon.data, addresses.clients, "localhost", &folder.join("tap")).await?;

    say("two people join and talk through the tap");
    let mut story = Story::new(folder)?;
    let searcher = Searcher::new(&story.canaries(), &control)?;
    for person in story.people() {
        let invite = daemon.invite(&control)?;
        person.join(wire::InviteLink { port: tap.port, ..invite }).await?;
    }
    story.talk().await?;
    say("searching");
    let first = evidence(&daemon, &tap).await;
    let earlier = daemon.frozen(|pid| Ok(first.search(pid, &searcher)))?;

    say("pages are freed, and the server starts anew");
    story.leave().await;
    free_pages(&daemon, &control)?;
    daemon.stop()?;
    daemon.start()?;
    daemon.create_tenant(&format!("{control}-anew"), SUITE)?;
    story.talk_again().await?;
    say("searching again");
    let second = evidence(&daemon, &tap).await;
    let later = daemon.frozen(|pid| Ok(second.search(pid, &searcher)))?;
    story.leave().await;
    daemon.stop()?;

    let canaries = story.canaries();
    let encodings = canaries.first().map_or(0, |canary| encodings(&canary.text).len());
    Ok(Report { results: merge(earlier, later), canaries: canaries.len(), encodings })
}

async fn evidence(daemon: &Daemon, tap: &Tap) -> Evidence {
    Evidence {
        database: daemon.database(),
        blobs: daemon.data.join("blobs"),
        log: daemon.log.clone(),
        metrics: match daemon.addresses() {
            Ok(addresses) => metrics_page(&daemon.data, addresses.internal).await,
            Err(error) => Err(error),
        },
        traffic: tap.record(),
    }
}

/// Makes many tenants with the control in their long names, and deletes them: their rows fill whole pages, which become free.
fn free_pages(daemon: &Daemon, control: &str) -> Result<()> {
    let names: Vec<String> = (0..DELETED_TENANTS).map(|number| format!("{control}-deleted-{number:x>28}")).collect();
    names.iter().try_for_each(|name| daemon.create_tenant(name, SUITE))?;
    names.iter().try_for_each(|name| daemon.delete_tenant(name))
}

fn say(what: &str) {
    eprintln!("prove: {what}");
}
