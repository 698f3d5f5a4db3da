//! Files, as far as the server has to do with them: parts of bytes that it cannot read.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's help fails the test")]

mod harness;

use e2ee::Proposed;
use harness::{
    Server,
    bucket::Bucket,
    phone::{Pair, Phone, random},
};
use mifeng_server::{BLOBS_FOLDER, admin, admin::Suite, jobs};
use std::path::{Path, PathBuf};
use wire::{BlobId, ErrorCode, Event, Refusal, limits::BLOB_PART_BYTES, request::*};

async fn acme() -> (Server, Pair) {
    let server = Server::with(|config| config.blobs.user_bytes = 3_000_000).await;
    server.tenant("acme", Suite::Classical).await;
    let pair = Pair::meet(&server, "acme").await;
    (server, pair)
}

fn bytes(len: usize) -> Vec<u8> {
    b"what the sender has sealed. ".iter().copied().cycle().take(len).collect()
}

impl Sent {
    async fn begin(pair: &mut Pair, size: usize) -> Result<Self, Refusal> {
        let blob = BlobId::from_bytes(random());
        let begin = BeginBlob { blob, conversation: pair.conversation, bytes: size as u64, days: None };
        let sent = Self { begin, parts: bytes(size).chunks(BLOB_PART_BYTES).map(<[u8]>::to_vec).collect() };
        pair.to_alice.call(&begin).await.map(|progress| {
            assert_eq!(progress.parts, 0);
            sent
        })
    }

    async fn put(&self, pair: &mut Pair, part: usize) -> Result<Done, Refusal> {
        let (blob, bytes) = (self.begin.blob, self.parts[part].clone());
        pair.to_alice.call(&PutPart { blob, part: part as u32, bytes }).await
    }

    async fn whole(pair: &mut Pair, size: usize) -> Self {
        let sent = Self::begin(pair, size).await.unwrap();
        for part in 0..sent.parts.len() {
            sent.put(pair, part).await.unwrap();
        }
        pair.to_alice.call(&FinishBlob { blob: sent.begin.blob }).await.unwrap();
        sent
    }
}

/// A blob of Alice's.
struct Sent {
    begin: BeginBlob,
    parts: Vec<Vec<u8>>,
}

fn code<T: std::fmt::Debug>(result: Result<T, Refusal>) -> ErrorCode {
    result.unwrap_err().code().unwrap()
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn members_fetch_what_a_member_has_sent_and_the_disk_has_it_sealed() {
    let (server, mut pair) = acme().await;
    let sent = Sent::whole(&mut pair, 2 * BLOB_PART_BYTES + 9).await;
    let blob = sent.begin.blob;
    for (part, bytes) in (0..).zip(&sent.parts) {
        assert_eq!(&pair.to_bob.call(&FetchPart { blob, part }).await.unwrap().bytes, bytes);
    }
    assert_eq!(code(pair.to_bob.call(&FetchPart { blob, part: 3 }).await), ErrorCode::Malformed);
    let files = files(&server.data().join(BLOBS_FOLDER));
    assert_eq!(files.len(), 3);
    for file in files {
        let stored = std::fs::read(file).unwrap();
        assert!(!stored.windows(16).any(|window| window == &bytes(16)[..]), "it is sealed once more");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_is_there_after_a_restart_and_the_rest_goes_on() {
    let (mut server, mut pair) = acme().await;
    let sent = Sent::begin(&mut pair, 4 * BLOB_PART_BYTES).await.unwrap();
    let blob = sent.begin.blob;
    for part in [0, 1, 3] {
        sent.put(&mut pair, part).await.unwrap();
    }
    let dir = server.dir.clone();
    server.drain().await;
    let server = Server::on(dir, |_| {}).await;
    (pair.to_alice, pair.to_bob) = (pair.alice.connect(&server).await, pair.bob.connect(&server).await);
    assert_eq!(pair.to_alice.call(&sent.begin).await.unwrap().parts, 2, "the third is missing");
    assert_eq!(code(pair.to_alice.call(&FinishBlob { blob }).await), ErrorCode::Malformed);
    assert_eq!(code(pair.to_bob.call(&FetchPart { blob, part: 0 }).await), ErrorCode::NotFound, "it is not whole");
    sent.put(&mut pair, 2).await.unwrap();
    for _ in 0..2 {
        pair.to_alice.call(&FinishBlob { blob }).await.unwrap();
        assert_eq!(pair.to_alice.call(&sent.begin).await.unwrap().parts, 4);
    }
    assert_eq!(pair.to_bob.call(&FetchPart { blob, part: 3 }).await.unwrap().bytes, sent.parts[3]);
    let late = PutPart { blob, part: 0, bytes: vec![0; BLOB_PART_BYTES] };
    pair.to_alice.call(&late).await.unwrap();
    assert_eq!(pair.to_bob.call(&FetchPart { blob, part: 0 }).await.unwrap().bytes, sent.parts[0], "it stays as it is");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_keeps_more_than_their_share() {
    let (_server, mut pair) = acme().await;
    assert_eq!(code(Sent::begin(&mut pair, 0).await.map(drop)), ErrorCode::Malformed);
    let huge =
        BeginBlob { blob: BlobId::from_bytes(random()), conversation: pair.conversation, bytes: u64::MAX, days: None };
    assert_eq!(code(pair.to_alice.call(&huge).await), ErrorCode::TooLarge);
    let first = Sent::whole(&mut pair, 2_000_000).await;
    assert_eq!(code(Sent::begin(&mut pair, 1_000_001).await.map(drop)), ErrorCode::QuotaExceeded);
    pair.to_alice.call(&first.begin).await.unwrap();
    pair.to_alice.call(&DeleteBlob { blob: first.begin.blob }).await.unwrap();
    let second = Sent::begin(&mut pair, 3_000_000).await.unwrap();
    for wrong in [0, 1, BLOB_PART_BYTES - 1, BLOB_PART_BYTES + 1] {
        let put = PutPart { blob: second.begin.blob, part: 0, bytes: vec![1; wrong] };
        assert_eq!(code(pair.to_alice.call(&put).await), ErrorCode::Malformed, "{wrong}");
    }
    let beyond = PutPart { blob: second.begin.blob, part: 12, bytes: vec![1; BLOB_PART_BYTES] };
    assert_eq!(code(pair.to_alice.call(&beyond).await), ErrorCode::Malformed);
    let other = BeginBlob { bytes: 7, ..second.begin };
    assert_eq!(code(pair.to_alice.call(&other).await), ErrorCode::KeyReused);
}

#[tokio::test(flavor = "multi_thread")]
async fn b15_only_its_sender_adds_to_a_blob_ends_it_or_takes_it_back() {
    let (_server, mut pair) = acme().await;
    let sent = Sent::begin(&mut pair, 9).await.unwrap();
    let blob = sent.begin.blob;
    assert_eq!(code(pair.to_bob.call(&PutPart { blob, part: 0, bytes: vec![1; 9] }).await), ErrorCode::NotFound);
    assert_eq!(code(pair.to_bob.call(&FinishBlob { blob }).await), ErrorCode::NotFound);
    assert_eq!(code(pair.to_bob.call(&sent.begin).await), ErrorCode::KeyReused);
    assert_eq!(code(pair.to_bob.call(&DeleteBlob { blob }).await), ErrorCode::NotFound);
    sent.put(&mut pair, 0).await.unwrap();
    pair.to_alice.call(&FinishBlob { blob }).await.unwrap();
    assert_eq!(code(pair.to_bob.call(&DeleteBlob { blob }).await), ErrorCode::NotFound);
    assert_eq!(pair.to_bob.call(&FetchPart { blob, part: 0 }).await.unwrap().bytes, bytes(9));
}

#[tokio::test(flavor = "multi_thread")]
async fn b15_who_has_left_fetches_nothing_any_more() {
    let (server, mut pair) = acme().await;
    let blob = Sent::whole(&mut pair, 9).await.begin.blob;
    let fetch = FetchPart { blob, part: 0 };
    let eve = Phone::join(&server, "acme", "eve").await;
    assert_eq!(code(eve.connect(&server).await.call(&fetch).await), ErrorCode::NotFound);
    pair.to_bob.call(&fetch).await.unwrap();
    let leave = pair.bob.leave(pair.conversation, pair.group);
    pair.to_bob.call(&leave).await.unwrap();
    let Event::Recorded(told) = pair.to_alice.event().await else { panic!("not told") };
    pair.alice.open(pair.group, &told.entry);
    let commit = pair.alice.commit(pair.conversation, pair.group, &Proposed::default(), 2);
    pair.to_alice.call(&commit).await.unwrap();
    assert_eq!(code(pair.to_bob.call(&fetch).await), ErrorCode::NotFound);
    let begin = BeginBlob { blob: BlobId::from_bytes(random()), conversation: pair.conversation, bytes: 9, days: None };
    assert_eq!(code(pair.to_bob.call(&begin).await), ErrorCode::Forbidden);
    pair.to_alice.call(&fetch).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_back_or_over_is_destroyed_and_its_parts_go() {
    let (server, mut pair) = acme().await;
    let (node, folder) = (server.node(), server.data().join(BLOBS_FOLDER));
    let [kept, taken] = [Sent::whole(&mut pair, 9).await, Sent::whole(&mut pair, 9).await].map(|sent| sent.begin.blob);
    let unfinished = Sent::begin(&mut pair, 9).await.unwrap();
    unfinished.put(&mut pair, 0).await.unwrap();
    for _ in 0..2 {
        pair.to_alice.call(&DeleteBlob { blob: taken }).await.unwrap();
    }
    assert_eq!(code(pair.to_bob.call(&FetchPart { blob: taken, part: 0 }).await), ErrorCode::NotFound);
    let store = node.database.tenant(pair.alice.tenant);
    let sealed = std::fs::read(files(&folder.join(pair.alice.tenant.to_string()).join(taken.to_string()))[0].clone());
    let opened = store.read(move |tx| tx.open_part(taken, 0, &sealed.unwrap())).await;
    assert!(matches!(opened, Err(store::Error::KeyGone)), "its key is gone: {opened:?}");
    assert_eq!(files(&folder).len(), 3);
    jobs::prune(node).await.unwrap();
    assert_eq!(files(&folder).len(), 2);
    assert_eq!(code(pair.to_alice.call(&DeleteBlob { blob: taken }).await), ErrorCode::NotFound);
    let day_ms = 24 * 3_600_000;
    jobs::prune_at(node, node.clock.now() + 8 * day_ms).await.unwrap();
    assert_eq!(files(&folder).len(), 1, "what was not finished in a week is given up");
    assert_eq!(pair.to_bob.call(&FetchPart { blob: kept, part: 0 }).await.unwrap().bytes, bytes(9));
    jobs::prune_at(node, node.clock.now() + 366 * day_ms).await.unwrap();
    assert_eq!(files(&folder).len(), 0);
    assert_eq!(code(pair.to_bob.call(&FetchPart { blob: kept, part: 0 }).await), ErrorCode::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_somebody_has_changed_is_not_handed_out() {
    let (server, mut pair) = acme().await;
    let blob = Sent::whole(&mut pair, 2 * BLOB_PART_BYTES).await.begin.blob;
    let mut files = files(&server.data().join(BLOBS_FOLDER));
    files.sort();
    let [first, second] = [std::fs::read(&files[0]).unwrap(), std::fs::read(&files[1]).unwrap()];
    std::fs::write(&files[0], &second).unwrap();
    assert_eq!(code(pair.to_bob.call(&FetchPart { blob, part: 0 }).await), ErrorCode::Internal, "another part");
    std::fs::write(&files[0], &first[..first.len() - 1]).unwrap();
    assert_eq!(code(pair.to_bob.call(&FetchPart { blob, part: 0 }).await), ErrorCode::Internal, "cut short");
    std::fs::remove_file(&files[0]).unwrap();
    assert_eq!(code(pair.to_bob.call(&FetchPart { blob, part: 0 }).await), ErrorCode::NotFound, "gone");
    std::fs::write(&files[0], &first).unwrap();
    assert!(pair.to_bob.call(&FetchPart { blob, part: 0 }).await.is_ok(), "the control");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_tenant_has_sent_goes_with_the_tenant() {
    let (server, mut pair) = acme().await;
    Sent::whole(&mut pair, 9).await;
    let folder = server.data().join(BLOBS_FOLDER);
    assert_eq!(files(&folder).len(), 1);
    server.admin().call_async(&admin::DeleteTenant { name: "acme".into() }).await.unwrap();
    assert_eq!(files(&folder).len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_does_what_a_folder_does() {
    let (bucket, secrets) = (Bucket::default(), tempfile::tempdir().unwrap());
    let blobs = bucket.serve(secrets.path()).await;
    let mut server = Server::with(|config| config.blobs = blobs.clone()).await;
    server.tenant("acme", Suite::Classical).await;
    let mut pair = Pair::meet(&server, "acme").await;
    let sent = Sent::begin(&mut pair, 2 * BLOB_PART_BYTES + 9).await.unwrap();
    let blob = sent.begin.blob;
    sent.put(&mut pair, 0).await.unwrap();
    let dir = server.dir.clone();
    server.drain().await;
    let server = Server::on(dir, |config| config.blobs = blobs).await;
    (pair.to_alice, pair.to_bob) = (pair.alice.connect(&server).await, pair.bob.connect(&server).await);
    assert_eq!(pair.to_alice.call(&sent.begin).await.unwrap().parts, 1, "the listing says how far it is");
    for part in [1, 2] {
        sent.put(&mut pair, part).await.unwrap();
    }
    pair.to_alice.call(&FinishBlob { blob }).await.unwrap();
    for (part, bytes) in (0..).zip(&sent.parts) {
        assert_eq!(&pair.to_bob.call(&FetchPart { blob, part }).await.unwrap().bytes, bytes);
    }
    let objects = bucket.objects();
    assert_eq!(objects.len(), 3);
    for (name, stored) in objects {
        assert!(name.contains(&blob.to_string()), "{name}");
        assert!(!stored.windows(16).any(|window| window == &bytes(16)[..]), "it is sealed once more");
    }
    assert!(files(&server.data().join(BLOBS_FOLDER)).is_empty(), "nothing is kept here");
    pair.to_alice.call(&DeleteBlob { blob }).await.unwrap();
    jobs::prune(server.node()).await.unwrap();
    assert!(bucket.objects().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_bucket_is_down_files_wait_and_nothing_else_does() {
    let (bucket, secrets) = (Bucket::default(), tempfile::tempdir().unwrap());
    let blobs = bucket.serve(secrets.path()).await;
    let server = Server::with(|config| config.blobs = blobs).await;
    server.tenant("acme", Suite::Classical).await;
    let mut pair = Pair::meet(&server, "acme").await;
    let sent = Sent::begin(&mut pair, BLOB_PART_BYTES + 9).await.unwrap();
    let blob = sent.begin.blob;
    sent.put(&mut pair, 0).await.unwrap();
    bucket.set_down(true);
    assert_eq!(code(sent.put(&mut pair, 1).await), ErrorCode::StorageUnavailable);
    assert!(bucket.refused() > 0, "the fault has struck");
    pair.to_bob.call(&FindUser { handle: "alice".into() }).await.unwrap();
    bucket.set_down(false);
    sent.put(&mut pair, 1).await.unwrap();
    pair.to_alice.call(&FinishBlob { blob }).await.unwrap();
    assert_eq!(pair.to_bob.call(&FetchPart { blob, part: 1 }).await.unwrap().bytes, sent.parts[1]);
}
