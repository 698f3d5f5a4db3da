//! What was answered is on the disk: after SIGKILL, on a full disk, on a damaged one.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::*;
use mifeng_store as store;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use store::{Append, Database, Error, Health, OpenError, Settings};

on_both! {
    sigkill_loses_nothing_that_was_acknowledged;
    the_check_notices_an_acknowledgement_before_the_commit;
    a8_a_killed_server_hands_no_package_out_twice;
    a_job_that_fails_or_panics_is_undone_alone;
    a_key_made_by_a_job_that_was_undone_is_not_remembered;
    a_full_queue_refuses_at_once;
}

fn open(directory: &Path) -> Result<Database, OpenError> {
    Database::open(directory, root(directory), Settings::default())
}

/// Starts `child` as another process and kills it after it has written `acks` acknowledgements; returns their numbers.
fn acknowledged_before_kill(place: &Place, child: &str, acks: usize) -> Vec<u64> {
    let arguments = ["--exact", child, "--ignored", "--nocapture", "--test-threads=1"];
    let mut process = Command::new("/proc/self/exe");
    let mut process = process.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    writeln!(process.stdin.take().unwrap(), "{}", place.to_line()).unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
    let read_ack = |line: String| line.strip_prefix("ack ").and_then(|number| number.parse().ok());
    let mut acknowledged: Vec<u64> = lines.by_ref().filter_map(read_ack).take(acks).collect();
    process.kill().unwrap();
    // What it wrote before it died counts too.
    acknowledged.extend(lines.filter_map(read_ack));
    assert!(!process.wait().unwrap().success());
    acknowledged
}

fn lost(acknowledged: &[u64], there: &[u64]) -> Vec<u64> {
    acknowledged.iter().copied().filter(|seq| !there.contains(seq)).collect()
}

async fn prepared(on: On) -> Place {
    let world = on.lasting_world().await;
    world.store.write(add_talk).await.unwrap();
    world.database.close();
    world.place
}

async fn seqs(place: &Place) -> Vec<u64> {
    let database = place.open().unwrap();
    seqs_in(&database.tenant(TENANT)).await
}

async fn seqs_in(store: &store::Store) -> Vec<u64> {
    let mut seqs: Vec<u64> = Vec::new();
    loop {
        let after = seqs.last().copied().unwrap_or(0);
        let part = store.read(move |tx| tx.fetch_entries(TALK, MEI_PHONE, after, 500)).await.unwrap().unwrap();
        if part.entries.is_empty() {
            return seqs;
        }
        seqs.extend(part.entries.iter().map(|entry| entry.seq));
    }
}

fn acknowledge(seq: u64) {
    let mut out = std::io::stdout().lock();
    // The harness may have begun the line.
    writeln!(out, "\nack {seq}").unwrap();
    out.flush().unwrap();
}

/// Sends for ever, from eight senders, and acknowledges what was committed.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a part of sigkill_loses_nothing_that_was_acknowledged, started by it"]
async fn child_that_acknowledges_after_the_commit() {
    let database = Place::from_stdin().open().unwrap();
    let mut senders = tokio::task::JoinSet::new();
    for sender in 0..8u64 {
        let store = database.tenant(TENANT);
        senders.spawn(async move {
            for id in 1.. {
                let entry = message(0, sender << 32 | id, b"sealed");
                match store.write(move |tx| tx.append_entry(entry)).await.unwrap() {
                    Append::Recorded { entry, .. } => acknowledge(entry.seq),
                    other => panic!("{other:?}"),
                }
            }
        });
    }
    senders.join_all().await;
}

/// The mistake that the test must find: acknowledges inside the transaction, and never gets to commit the last.
#[tokio::test]
#[ignore = "a part of the_check_notices_an_acknowledgement_before_the_commit, started by it"]
async fn child_that_acknowledges_too_early() {
    let database = Place::from_stdin().open().unwrap();
    let store = database.tenant(TENANT);
    for id in 1..=20 {
        let entry = message(0, id, b"sealed");
        let write = store.write(move |tx| {
            let appended = tx.append_entry(entry)?;
            acknowledge(id);
            if id == 20 {
                std::thread::park();
            }
            Ok::<_, Error>(appended)
        });
        write.await.unwrap();
    }
}

async fn sigkill_loses_nothing_that_was_acknowledged(on: On) {
    let place = prepared(on).await;
    let mut all = Vec::new();
    for round in 1..=3 {
        let acknowledged = acknowledged_before_kill(&place, "child_that_acknowledges_after_the_commit", 300);
        assert!(acknowledged.len() >= 300);
        // Ids begin anew in each process: later rounds repeat, so give each its own conversation of acknowledgements.
        all.extend(acknowledged);
        let there = seqs(&place).await;
        assert_eq!(lost(&all, &there), [], "round {round}");
        assert!(there.iter().zip(1..).all(|(seq, dense)| *seq == dense), "the log has a gap");
        forget_messages(&place);
    }
}

/// Gives the ids of the messages away, so that the next process can use them again.
fn forget_messages(place: &Place) {
    place.change("delete from recent_sends");
}

async fn the_check_notices_an_acknowledgement_before_the_commit(on: On) {
    let place = prepared(on).await;
    let acknowledged = acknowledged_before_kill(&place, "child_that_acknowledges_too_early", 20);
    assert_eq!(acknowledged.len(), 20);
    assert_eq!(lost(&acknowledged, &seqs(&place).await), [20]);
}

/// What a process wrote while the kernel failed some of its calls.
#[derive(Debug)]
struct Report {
    acknowledged: Vec<u64>,
    /// Health of the store at each refusal.
    refused: Vec<String>,
    /// How many system calls met the fault.
    injected: usize,
}

/// Runs a child under strace, which injects the fault.
fn run_with_fault(directory: &Path, child: &str, fault: &str) -> Report {
    let me = std::fs::read_link("/proc/self/exe").unwrap();
    let (inject, calls) = (format!("inject={fault}"), directory.join("calls"));
    let mut process = Command::new("strace");
    process.args(["-f", "-e", "trace=fsync,fdatasync,pwrite64", "-e", &inject, "-o"]).arg(&calls).arg(me);
    process.args(["--exact", child, "--ignored", "--nocapture", "--test-threads=1"]);
    let process = process.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut process = process.unwrap_or_else(|error| panic!("strace cannot be started: {error}"));
    writeln!(process.stdin.take().unwrap(), "{}", directory.display()).unwrap();
    let mut report = Report { acknowledged: Vec::new(), refused: Vec::new(), injected: 0 };
    for line in BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap) {
        report.acknowledged.extend(line.strip_prefix("ack ").map(|seq| seq.parse::<u64>().unwrap()));
        report.refused.extend(line.strip_prefix("refused ").map(str::to_owned));
    }
    assert!(process.wait().unwrap().success(), "{report:?}");
    let calls = std::fs::read_to_string(calls).unwrap();
    report.injected = calls.lines().filter(|call| call.contains("(INJECTED)") || call.contains("(DELAYED)")).count();
    report
}

/// Sends one by one until it has met ten refusals, or thirty successes after the first.
#[tokio::test]
#[ignore = "a part of the tests that inject faults, started by them"]
async fn child_on_failing_storage() {
    let database = Place::from_stdin().open().unwrap();
    let store = database.tenant(TENANT);
    let (mut refusals, mut successes_after) = (0, 0);
    for id in 1..2_000 {
        let (told, answer) = tokio::sync::oneshot::channel();
        store.submit_entry(message(0, id, &[7; 500]), |appended| told.send(appended).unwrap());
        match answer.await.unwrap() {
            Ok(Append::Recorded { entry, .. }) => {
                acknowledge(entry.seq);
                successes_after += usize::from(refusals > 0);
            }
            Err(Error::Unavailable(_)) => {
                println!("\nrefused {:?}", database.health());
                refusals += 1;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            other => panic!("{other:?}"),
        }
        if refusals == 10 || successes_after == 30 {
            break;
        }
    }
}

#[tokio::test]
async fn after_a_failed_fsync_nothing_more_is_written_and_nothing_is_lost() {
    let place = prepared(On::Sqlite).await;
    let report =
        run_with_fault(place.directory.as_path(), "child_on_failing_storage", "fsync,fdatasync:error=EIO:when=40");
    assert!(report.acknowledged.len() > 5 && report.refused.len() == 10, "{report:?}");
    assert_eq!(report.injected, 1, "{report:?}");
    assert!(report.refused.iter().all(|health| health == "Failed"), "one failure is enough: {report:?}");
    assert_eq!(lost(&report.acknowledged, &seqs(&place).await), []);
}

#[tokio::test]
async fn a_full_disk_refuses_and_goes_on_when_there_is_room_again() {
    let place = prepared(On::Sqlite).await;
    let report =
        run_with_fault(place.directory.as_path(), "child_on_failing_storage", "pwrite64:error=ENOSPC:when=300..306");
    assert!(report.acknowledged.len() > 30 && !report.refused.is_empty(), "{report:?}");
    assert!(report.injected > 0, "{report:?}");
    assert!(report.refused.iter().all(|health| health == "Full"), "{report:?}");
    assert_eq!(lost(&report.acknowledged, &seqs(&place).await), []);
}

const SLOW: Duration = Duration::from_millis(200);
const AT_ONCE: u8 = 60;

/// Sends many at once; none may be answered before the slow disk has it.
#[tokio::test]
#[ignore = "a part of the tests that inject faults, started by them"]
async fn child_on_slow_storage() {
    let database = Place::from_stdin().open().unwrap();
    let store = database.tenant(TENANT);
    let started = Instant::now();
    let answers: Vec<_> = (0..AT_ONCE)
        .map(|device| {
            let (told, answer) = tokio::sync::oneshot::channel();
            let id = u64::from(device) + 1;
            store.submit_entry(message(0, id, &[7; 500]), |appended| told.send(appended).unwrap());
            answer
        })
        .collect();
    for answer in answers {
        match answer.await.unwrap() {
            Ok(Append::Recorded { entry, .. }) => acknowledge(entry.seq),
            other => panic!("{other:?}"),
        }
        assert!(started.elapsed() >= SLOW, "answered before it was on the disk");
    }
}

#[tokio::test]
async fn a_slow_disk_costs_time_and_no_message_and_many_share_one_wait() {
    let place = prepared(On::Sqlite).await;
    let fault = format!("fsync,fdatasync:delay_exit={}", SLOW.as_micros());
    let report = run_with_fault(place.directory.as_path(), "child_on_slow_storage", &fault);
    assert_eq!(report.acknowledged.len(), usize::from(AT_ONCE), "{report:?}");
    assert!((1..usize::from(AT_ONCE) / 2).contains(&report.injected), "{report:?}");
    assert_eq!(lost(&report.acknowledged, &seqs(&place).await), []);
}

#[tokio::test]
async fn a_directory_belongs_to_one_process() {
    let world = On::Sqlite.lasting_world().await;
    let error = open(&world.place.directory).unwrap_err();
    assert!(matches!(&error, OpenError::InUse { .. }), "{error:?}");
    assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
    world.database.close();
    let World { place, database, store, other } = world;
    drop((database, store, other));
    assert!(place.open().is_ok());
}

#[tokio::test]
async fn a_full_database_says_so_loses_nothing_and_recovers() {
    let place = prepared(On::Sqlite).await;
    let settings = Settings { max_bytes: Some(700 << 10), ..Settings::default() };
    let database = Database::open(place.directory.as_path(), root(place.directory.as_path()), settings).unwrap();
    let store = database.tenant(TENANT);
    let mut acknowledged = Vec::new();
    let refused = loop {
        let entry = message(0, acknowledged.len() as u64 + 1, &[7; 20_000]);
        match store.write(move |tx| tx.append_entry(entry)).await {
            Ok(Append::Recorded { entry, .. }) => acknowledged.push(entry.seq),
            Ok(other) => panic!("{other:?}"),
            Err(error) => break error,
        }
        assert!(acknowledged.len() < 100, "the limit did not work");
    };
    assert!(matches!(refused, Error::Unavailable(_)), "{refused:?}");
    assert_eq!(refused.code(), wire::ErrorCode::StorageUnavailable);
    assert_eq!(database.health(), Health::Full);
    let there = store.read(|tx| tx.fetch_entries(TALK, MEI_PHONE, 0, 500)).await.unwrap().unwrap();
    assert_eq!(there.entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), acknowledged);

    // Room comes back: the writer finds out by itself.
    let deadline = Instant::now() + Duration::from_secs(20);
    while database.health() != Health::Ready {
        assert!(Instant::now() < deadline, "the storage did not recover: {:?}", database.health());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(database.counters().failed_batches >= 1);
    database.close();
    drop((database, store));
    assert_eq!(seqs(&place).await, acknowledged);
}

#[tokio::test]
async fn a_damaged_page_refuses_to_open_and_says_what_to_do() {
    let place = prepared(On::Sqlite).await;
    let file = place.directory.as_path().join("mifeng.db");
    let whole = std::fs::read(&file).unwrap();
    for (what, at) in
        [("header", 20), ("schema", 102), ("a page of a table", 4096 * 3 + 2), ("another page", 4096 * 12 + 3)]
    {
        let mut damaged = whole.clone();
        damaged[at..at + 60].fill(0xa5);
        std::fs::write(&file, &damaged).unwrap();
        let Err(error) = open(place.directory.as_path()) else { panic!("{what} is damaged, and nobody noticed") };
        assert!(matches!(&error, OpenError::Corrupt { .. } | OpenError::Foreign { .. }), "{what}: {error:?}");
        if let OpenError::Corrupt { .. } = &error {
            assert!(error.to_string().contains("restore it from a backup"), "{error}");
        }
    }
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    assert!(matches!(open(place.directory.as_path()), Err(OpenError::Corrupt { .. })));
    std::fs::write(&file, b"something else altogether, long enough to be no header of a database at all, is it not?")
        .unwrap();
    assert!(open(place.directory.as_path()).is_err());
    std::fs::write(&file, &whole).unwrap();
    assert!(open(place.directory.as_path()).is_ok());
}

#[tokio::test]
async fn a_damaged_page_of_a_large_file_stops_the_writer_soon_after_the_start() {
    let place = prepared(On::Sqlite).await;
    let database = open(place.directory.as_path()).unwrap();
    let store = database.tenant(TENANT);
    for id in 1..=40 {
        store.write(move |tx| tx.append_entry(message(0, id, &vec![7; 1 << 20]))).await.unwrap();
    }
    database.close();
    drop((database, store));
    Database::check(place.directory.as_path()).unwrap();
    let database = open(place.directory.as_path()).unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(database.health(), Health::Ready);
    database.close();
    drop(database);

    let file = place.directory.as_path().join("mifeng.db");
    let mut bytes = std::fs::read(&file).unwrap();
    let at = 4096 * 7_000;
    bytes[at..at + 60].fill(0xa5);
    std::fs::write(&file, bytes).unwrap();
    assert!(matches!(Database::check(place.directory.as_path()), Err(OpenError::Corrupt { .. })));
    let database = open(place.directory.as_path()).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while database.health() != Health::Failed {
        assert!(Instant::now() < deadline, "nobody noticed");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let write = database.tenant(TENANT).write(|tx| tx.append_entry(message(0, 99, b"sealed"))).await;
    assert!(matches!(write, Err(Error::Unavailable(_))), "{write:?}");
}

/// Claims for ever, and acknowledges each package after the commit.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a part of a8_a_killed_server_hands_no_package_out_twice, started by it"]
async fn child_that_claims_key_packages() {
    let database = Place::from_stdin().open().unwrap();
    let mut claims = tokio::task::JoinSet::new();
    for number in 0..64 {
        let claim = claim_one(database.tenant(TENANT), number);
        claims.spawn(async move { claim.await.into_iter().for_each(acknowledge) });
    }
    claims.join_all().await;
    // Stays until it is killed.
    std::thread::park();
}

async fn claim_one(store: store::Store, number: u8) -> Option<u64> {
    let claimer = wire::UserId::from_bytes([100 + number; 16]);
    let claim = store::Claim { claimer, device: TOM_PHONE, target: MEI, devices: &[MEI_PHONE], key: [number; 16] };
    match store.write(move |tx| tx.claim_key_packages(claim, NOW)).await.unwrap() {
        store::Claimed::Packages(packages) => packages.first().map(|package| package.bytes[0].into()),
        other => panic!("{other:?}"),
    }
}

async fn a8_a_killed_server_hands_no_package_out_twice(on: On) {
    let place = prepared(on).await;
    let database = place.open().unwrap();
    let packages: Vec<_> = (0..150)
        .map(|number| store::NewKeyPackage {
            reference: vec![number; 32],
            package: vec![number; 9],
            not_after: NOW + 1_000,
        })
        .collect();
    let store = database.tenant(TENANT);
    store.write(move |tx| tx.publish_key_packages(MEI_PHONE, &packages, NOW)).await.unwrap();
    database.close();
    drop((database, store));
    let mut handed_out = acknowledged_before_kill(&place, "child_that_claims_key_packages", 10);
    let database = place.open().unwrap();
    for number in 64..150 {
        handed_out.extend(claim_one(database.tenant(TENANT), number).await);
    }
    let all = handed_out.len();
    assert!(all >= 96, "{all}");
    handed_out.sort_unstable();
    handed_out.dedup();
    assert_eq!(handed_out.len(), all, "a package was handed out twice");
}

#[tokio::test]
async fn foreign_files_newer_schemas_and_wrong_roots_are_refused() {
    let place = prepared(On::Sqlite).await;
    let file = place.directory.as_path().join("mifeng.db");
    let stranger =
        Database::open(place.directory.as_path(), keyring::RootKey::ephemeral().unwrap(), Settings::default());
    assert!(matches!(stranger, Err(OpenError::WrongRootKey)));
    let change = |text: &str| rusqlite::Connection::open(&file).unwrap().execute_batch(text).unwrap();
    change("insert into schema_migrations values (99, x'00')");
    assert!(matches!(open(place.directory.as_path()), Err(OpenError::NewerSchema { found: 99, known: 7 })));
    change("delete from schema_migrations where version = 99");
    assert!(open(place.directory.as_path()).is_ok());
    change("pragma application_id = 1");
    assert!(matches!(open(place.directory.as_path()), Err(OpenError::Foreign { .. })));
}

async fn a_job_that_fails_or_panics_is_undone_alone(on: On) {
    let world = on.world().await;
    world.store.write(add_talk).await.unwrap();
    let held = held_writer(&world.store);
    let (told, answers) = mpsc::sync_channel(4);
    let before = world.database.counters();
    for (id, ending) in [(1, "fine"), (2, "fails"), (3, "panics"), (4, "fine")] {
        let told = told.clone();
        let job = move |tx: &mut store::Tx<'_>| {
            tx.append_entry(message(0, id, b"sealed"))?;
            match ending {
                "fails" => Err(Error::LogFull),
                "panics" => panic!("a job of this test panics"),
                _ => Ok(id),
            }
        };
        world.store.submit(job, move |result| told.send((id, result)).unwrap());
    }
    held.send(()).unwrap();
    drop(told);
    let answers: Vec<_> = answers.iter().take(4).collect();
    assert!(
        matches!(answers.as_slice(), [(1, Ok(1)), (2, Err(Error::LogFull)), (3, Err(Error::Panicked)), (4, Ok(4))]),
        "{answers:?}"
    );
    let after = world.database.counters();
    assert_eq!((after.undone - before.undone, after.batches - before.batches), (2, 2), "not one batch: {after:?}");
    let there = world.store.read(|tx| tx.fetch_entries(TALK, MEI_PHONE, 0, 9)).await.unwrap().unwrap();
    let ids: Vec<_> = there.entries.iter().map(|entry| (entry.seq, entry.message_id)).collect();
    assert_eq!(ids, [(1, message_id(1)), (2, message_id(4))]);
}

async fn a_key_made_by_a_job_that_was_undone_is_not_remembered(on: On) {
    let world = on.world().await;
    let failed = world.store.write(|tx| {
        add_talk(tx)?;
        Err::<(), _>(Error::LogFull)
    });
    assert!(failed.await.is_err());
    world.store.write(add_talk).await.unwrap();
    world.store.write(|tx| tx.append_entry(message(0, 1, b"sealed"))).await.unwrap();
    let there = world.store.read(|tx| tx.fetch_entries(TALK, MEI_PHONE, 0, 9)).await.unwrap().unwrap();
    assert_eq!(there.entries[0].payload, b"sealed");
}

async fn a_full_queue_refuses_at_once(on: On) {
    let place = on.place();
    let settings = Settings { writes_waiting_max: 2, ..Settings::default() };
    let database = Database::open(place.location(), keyring::RootKey::ephemeral().unwrap(), settings).unwrap();
    let store = database.tenant(TENANT);
    let release = held_writer(&store);
    let (told, answers) = mpsc::sync_channel(3);
    for number in 0..3 {
        let told = told.clone();
        store.submit(move |_| Ok::<_, Error>(number), move |result| told.send(result).unwrap());
    }
    assert!(matches!(answers.recv().unwrap(), Err(Error::Overloaded)));
    release.send(()).unwrap();
    assert!(matches!((answers.recv().unwrap(), answers.recv().unwrap()), (Ok(0), Ok(1))));
    database.close();
    assert!(matches!(store.write(|_| Ok::<_, Error>(())).await, Err(Error::Unavailable(_))));
    assert!(matches!(store.read(|_| Ok::<_, Error>(())).await, Err(Error::Unavailable(_))));
}
