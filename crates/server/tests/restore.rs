//! A server that was put back from a backup, over real sockets: what was lost comes back by those who have it, through the
//! checks that it went through when it was new, and nothing else is recorded meanwhile.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's help fails the test")]

mod harness;

use e2ee::{Opened, Proposed};
use harness::{
    PASSPHRASE, Server,
    line::Line,
    phone::{Pair, Phone, random},
};
use keyring::{Passphrase, RootKey};
use mifeng_server::{DATABASE_FOLDER, ROOT_KEY_FILE, admin::Suite, clock, restored};
use std::{path::Path, sync::Arc};
use store::{Database, Settings};
use wire::{Entry, ErrorCode, Event, GroupId, MessageId, Operation, request::*};

/// A pair whose server has lost what came after the first message, and what that was.
struct Lost {
    server: Server,
    pair: Pair,
    entries: Vec<Entry>,
}

/// Alice's message is in the backup; another message, Bob's commit and a message after it are not.
async fn lost(resupply_seconds: u64) -> Lost {
    let mut server = Server::start().await;
    server.tenant("acme", Suite::Classical).await;
    let mut pair = Pair::meet(&server, "acme").await;
    pair.to_alice.call(&pair.alice.seal(pair.conversation, pair.group, b"in the backup")).await.unwrap();
    let dir = Arc::clone(&server.dir);
    let (data, backup) = (dir.path().join(DATABASE_FOLDER), dir.path().join("backup"));
    server.drain().await;
    copy(&data, &backup);
    server = Server::on(Arc::clone(&dir), |_| {}).await;
    (pair.to_alice, pair.to_bob) = (pair.alice.connect(&server).await, pair.bob.connect(&server).await);
    pair.to_alice.call(&pair.alice.seal(pair.conversation, pair.group, b"lost")).await.unwrap();
    let commit = pair.bob.commit(pair.conversation, pair.group, &Proposed::default(), 2);
    pair.to_bob.call(&commit).await.unwrap();
    let fetch = Fetch { conversation: pair.conversation, after: 1, limit: 9 };
    let entries = pair.to_alice.call(&fetch).await.unwrap().entries;
    pair.bob.merge(pair.group);
    pair.alice.open(pair.group, &entries[2]);
    pair.to_bob.call(&pair.bob.seal(pair.conversation, pair.group, b"lost too")).await.unwrap();
    let entries = pair.to_bob.call(&fetch).await.unwrap().entries;
    server.drain().await;
    std::fs::remove_dir_all(&data).unwrap();
    copy(&backup, &data);
    let root = RootKey::open(&dir.path().join(ROOT_KEY_FILE), &Passphrase::new(PASSPHRASE).unwrap()).unwrap();
    let database = Database::open(&data, root, Settings::default()).unwrap();
    let marked = restored::mark(&database, clock::now()).await.unwrap();
    assert_eq!((marked.len(), marked[0].1.conversations), (1, 1));
    database.close();
    drop(database);
    server = Server::on(dir, |config| config.restore.resupply_seconds = resupply_seconds).await;
    (pair.to_alice, pair.to_bob) = (pair.alice.connect(&server).await, pair.bob.connect(&server).await);
    Lost { server, pair, entries }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

async fn refused<O: Operation>(line: &mut Line, operation: &O) -> Option<ErrorCode> {
    line.call(operation).await.err().and_then(|refusal| refusal.code())
}

impl Lost {
    fn resupply(&self, place: usize) -> Resupply {
        Resupply { conversation: self.pair.conversation, entry: self.entries[place].clone(), tree: None }
    }

    async fn head(&mut self) -> u64 {
        self.pair.to_bob.call(&Sync {}).await.unwrap().heads[0].seq
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_lost_comes_back_by_whoever_has_it_and_is_told_to_the_others() {
    let mut lost = lost(600).await;
    let (conversation, group) = (lost.pair.conversation, lost.pair.group);
    let fetch = FetchRestored { conversation, generation: 0 };
    let told = lost.pair.to_alice.call(&fetch).await.unwrap();
    assert_eq!((told.generation, told.seq, told.head, told.wants_group_info), (1, 2, 2, false));
    assert!(told.held_ms.is_some_and(|left| left > 500_000));
    let new = lost.pair.alice.seal(conversation, group, b"new");
    assert_eq!(refused(&mut lost.pair.to_alice, &new).await, Some(ErrorCode::Restoring));
    let commit = lost.pair.bob.commit(conversation, group, &Proposed::default(), 4);
    assert_eq!(refused(&mut lost.pair.to_bob, &commit).await, Some(ErrorCode::Restoring));
    lost.pair.bob.discard(group);

    // Bob gives back Alice's message, Alice Bob's commit; both try, and both get the same answer.
    for place in 1..=3 {
        let resupply = lost.resupply(place);
        let (one, other) = (&mut lost.pair.to_bob, &mut lost.pair.to_alice);
        let at = one.call(&resupply).await.unwrap();
        let entry = &resupply.entry;
        assert_eq!((at.seq, at.at, at.generation), (entry.seq, entry.at, 0));
        let Event::Recorded(recorded) = other.event().await else { panic!("no entry") };
        assert_eq!((recorded.generation, &recorded.entry), (1, entry), "verbatim");
        assert_eq!(other.call(&resupply).await.unwrap(), at);
    }
    let told = lost.pair.to_alice.call(&fetch).await.unwrap();
    assert_eq!((told.head, told.wants_group_info), (5, true));
    let outside = FetchGroupInfo { conversation };
    assert_eq!(refused(&mut lost.pair.to_alice, &outside).await, Some(ErrorCode::Restoring));
    let group_info = lost.pair.alice.group_info(group);
    lost.pair.to_alice.call(&RenewGroupInfo { conversation, group_info: group_info.clone() }).await.unwrap();
    assert_eq!(lost.pair.to_bob.call(&outside).await.unwrap().group_info, group_info);
    let Opened::Message { plaintext, .. } = lost.pair.alice.open(group, &lost.entries[3]) else { panic!() };
    assert_eq!(plaintext.as_slice(), b"lost too");
}

#[tokio::test(flavor = "multi_thread")]
async fn a1_a13_what_was_not_there_is_not_taken_back() {
    let mut lost = lost(600).await;
    let conversation = lost.pair.conversation;
    let honest = lost.resupply(1);
    let with = |change: &dyn Fn(&mut Entry)| {
        let mut forged = honest.clone();
        change(&mut forged.entry);
        forged
    };
    let cases = [
        ("of this generation", with(&|entry| entry.generation = 1), ErrorCode::GenerationChanged),
        ("another place", with(&|entry| entry.seq = 9), ErrorCode::AlreadyExists),
        ("a place that is taken", with(&|entry| entry.seq = 2), ErrorCode::AlreadyExists),
        ("another id", with(&|entry| entry.message_id = MessageId::from_bytes(random())), ErrorCode::Malformed),
        ("another epoch", with(&|entry| entry.epoch = 0), ErrorCode::Malformed),
        ("by nobody", with(&|entry| entry.sender = wire::DeviceId::from_bytes(random())), ErrorCode::Forbidden),
        ("rubbish", with(&|entry| entry.payload = b"rubbish".to_vec()), ErrorCode::Malformed),
    ];
    for (what, forged, code) in cases {
        assert_eq!(refused(&mut lost.pair.to_alice, &forged).await, Some(code), "{what}");
    }
    let early = lost.resupply(2);
    assert_eq!(refused(&mut lost.pair.to_alice, &early).await, Some(ErrorCode::AlreadyExists), "before its time");
    lost.pair.to_alice.call(&honest).await.unwrap();
    let mut in_anothers_name = lost.resupply(2);
    in_anothers_name.entry.sender = lost.pair.alice.device;
    assert_eq!(refused(&mut lost.pair.to_alice, &in_anothers_name).await, Some(ErrorCode::InvalidCommit));
    let mut broken = lost.resupply(2);
    let last = broken.entry.payload.len() - 1;
    broken.entry.payload[last / 2] ^= 1;
    assert!(refused(&mut lost.pair.to_alice, &broken).await.is_some());
    assert_eq!(lost.head().await, 3, "nothing else was recorded");
    lost.pair.to_alice.call(&lost.resupply(2)).await.unwrap();
    let foreign = RenewGroupInfo { conversation, group_info: lost.pair.bob.group_info(lost.pair.group) };
    assert_eq!(
        refused(&mut lost.pair.to_alice, &foreign).await,
        Some(ErrorCode::InvalidCommit),
        "not the caller's own"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn b15_an_outsider_neither_learns_nor_gives_anything() {
    let mut lost = lost(600).await;
    // Invites of before are gone; new ones are made.
    let eve = Phone::join(&lost.server, "acme", "eve").await;
    let mut to_eve = eve.connect(&lost.server).await;
    let (conversation, resupply) = (lost.pair.conversation, lost.resupply(1));
    let fetch = FetchRestored { conversation, generation: 0 };
    // The same as for a conversation that does not exist.
    let nowhere = FetchRestored { conversation: wire::ConversationId::from_bytes(random()), ..fetch };
    assert_eq!(refused(&mut to_eve, &fetch).await, Some(ErrorCode::Restoring));
    assert_eq!(refused(&mut to_eve, &nowhere).await, Some(ErrorCode::Restoring));
    assert_eq!(refused(&mut to_eve, &resupply).await, Some(ErrorCode::Restoring));
    assert_eq!(refused(&mut to_eve, &Fetch { conversation, after: 0, limit: 9 }).await, Some(ErrorCode::Restoring));
    assert_eq!(lost.head().await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a13_when_the_time_is_over_nothing_is_taken_back_and_new_things_are_of_the_new_generation() {
    let mut lost = lost(0).await;
    let (conversation, group): (_, GroupId) = (lost.pair.conversation, lost.pair.group);
    let late = lost.resupply(1);
    assert_eq!(refused(&mut lost.pair.to_alice, &late).await, Some(ErrorCode::GenerationChanged));
    let current = lost.pair.to_alice.call(&FetchGroupInfo { conversation }).await.unwrap();
    let fetch = FetchTree { conversation, epoch: current.epoch, group: Some(group) };
    let tree = lost.pair.to_alice.call(&fetch).await.unwrap().tree;
    let rejoin = lost.pair.alice.rejoin(conversation, &current, &tree);
    let at = lost.pair.to_alice.call(&rejoin).await.unwrap();
    assert_eq!((at.seq, at.generation), (3, 1));
    assert_eq!(refused(&mut lost.pair.to_bob, &late).await, Some(ErrorCode::GenerationChanged));
}
