//! `succeed` over real sockets: one group takes another's place, once, with the same people, and nobody is left in between.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's help fails the test")]

mod harness;

use e2ee::{Opened, Proposed};
use harness::{
    Server,
    line::Line,
    phone::{Pair, random},
};
use mifeng_server::admin::{SetSuite, Suite};
use trust::GroupPolicy;
use wire::{Entry, EntryKind, ErrorCode, Event, GroupId, MessageId, request::*};

async fn acme() -> (Server, Pair) {
    let server = Server::start().await;
    server.tenant("acme", Suite::Classical).await;
    let pair = Pair::meet(&server, "acme").await;
    (server, pair)
}

impl Pair {
    fn next_policy(&self) -> GroupPolicy {
        self.alice.policy(self.group).successor(self.group)
    }

    /// Alice makes an honest one.
    fn succeed(&self) -> (GroupId, Succeed) {
        let next = GroupId::from_bytes(random());
        (next, self.alice.succeed(self.group, next, &self.next_policy(), &[&self.bob]))
    }
}

async fn refused<O: wire::Operation>(line: &mut Line, operation: &O) -> Option<ErrorCode> {
    line.call(operation).await.err().and_then(|refusal| refusal.code())
}

async fn next_entry(line: &mut Line) -> Entry {
    loop {
        if let Event::Recorded(recorded) = line.event().await {
            return recorded.entry;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_successor_is_recorded_once_and_both_go_on_in_it() {
    let (_server, mut pair) = acme().await;
    let stale_send = pair.alice.seal(pair.conversation, pair.group, b"sealed before");
    let stale_leave = pair.bob.leave(pair.conversation, pair.group);
    let stale_commit = pair.alice.commit(pair.conversation, pair.group, &Proposed::default(), 1);
    let (next, succeed) = pair.succeed();
    let recorded = pair.to_alice.call(&succeed).await.unwrap();
    assert_eq!(recorded.seq, 2);
    assert_eq!(pair.to_alice.call(&succeed).await.unwrap(), recorded, "a repeat gets the first answer");
    let reused = Succeed { group_info: vec![1], ..succeed.clone() };
    assert_eq!(refused(&mut pair.to_alice, &reused).await, Some(ErrorCode::KeyReused));

    let entry = next_entry(&mut pair.to_bob).await;
    assert_eq!((entry.seq, entry.kind, &entry.payload), (2, EntryKind::Succession, &succeed.group_info));
    let welcomes = pair.to_bob.call(&FetchWelcomes {}).await.unwrap().welcomes;
    let [pending] = welcomes.as_slice() else { panic!("{} welcomes", welcomes.len()) };
    assert_eq!((pending.seq, pending.group, pending.epoch), (2, next, 1));
    let fetch = FetchTree { conversation: pair.conversation, epoch: 1, group: Some(next) };
    let tree = pair.to_bob.call(&fetch).await.unwrap().tree;
    pair.bob.follow(pair.group, &entry, pending, &tree);
    let old_tree = FetchTree { group: Some(pair.group), ..fetch };
    assert_eq!(refused(&mut pair.to_bob, &old_tree).await, Some(ErrorCode::StaleEpoch), "nobody needs it");

    // Both groups are in epoch 1: what is for the old one does not get into the new one.
    assert_eq!(refused(&mut pair.to_alice, &stale_send).await, Some(ErrorCode::StaleEpoch));
    assert_eq!(refused(&mut pair.to_bob, &stale_leave).await, Some(ErrorCode::StaleEpoch));
    assert_eq!(refused(&mut pair.to_alice, &stale_commit).await, Some(ErrorCode::EpochTaken));
    let sent = pair.to_alice.call(&pair.alice.seal(pair.conversation, next, b"here")).await.unwrap();
    assert_eq!(sent.seq, 3);
    let Opened::Message { plaintext, .. } = pair.bob.open(next, &next_entry(&mut pair.to_bob).await) else { panic!() };
    assert_eq!(plaintext.as_slice(), b"here");
    let renewal = pair.bob.commit(pair.conversation, next, &Proposed::default(), 3);
    assert_eq!(pair.to_bob.call(&renewal).await.unwrap().seq, 4, "the chain goes on from there");
    assert_eq!(pair.to_alice.call(&succeed).await.unwrap(), recorded, "and the repeat still gets the first answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_successor_outlives_the_process() {
    let (mut server, mut pair) = acme().await;
    let (next, succeed) = pair.succeed();
    pair.to_alice.call(&succeed).await.unwrap();
    server.drain().await;
    let again = Server::on(std::sync::Arc::clone(&server.dir), |_| {}).await;
    let mut to_alice = pair.alice.connect(&again).await;
    let renewal = pair.alice.commit(pair.conversation, next, &Proposed::default(), 2);
    assert_eq!(to_alice.call(&renewal).await.unwrap().seq, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a11_a_succession_a_commit_and_messages_race_and_one_of_the_two_wins() {
    for _ in 0..6 {
        let (_server, mut pair) = acme().await;
        let send = pair.bob.seal(pair.conversation, pair.group, b"in the old group");
        let (next, succeed) = pair.succeed();
        let commit = pair.bob.commit(pair.conversation, pair.group, &Proposed::default(), 1);
        let Pair { to_alice, to_bob, .. } = &mut pair;
        let by_bob = async {
            let committed = to_bob.call(&commit).await;
            (committed, to_bob.call(&send).await)
        };
        let (succeeded, (committed, sent)) = tokio::join!(to_alice.call(&succeed), by_bob);
        assert!(succeeded.is_ok() != committed.is_ok(), "{succeeded:?} {committed:?}");
        let lost = succeeded.as_ref().err().or(committed.as_ref().err()).unwrap();
        assert_eq!(lost.code(), Some(ErrorCode::EpochTaken));
        assert_eq!(sent.err().and_then(|refusal| refusal.code()), Some(ErrorCode::StaleEpoch), "either way it is over");
        let head = pair.to_bob.call(&Sync {}).await.unwrap().heads[0].seq;
        let entries = pair.to_bob.call(&Fetch { conversation: pair.conversation, after: 1, limit: 9 }).await.unwrap();
        assert_eq!(entries.entries.len() as u64, head - 1);
        let group = if succeeded.is_ok() { next } else { pair.group };
        let current = pair.to_bob.call(&FetchGroupInfo { conversation: pair.conversation }).await.unwrap();
        assert_eq!(e2ee::group_of(&current.group_info).unwrap(), group);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a2_a10_a19_a_successor_that_members_would_not_follow_is_not_recorded() {
    let (_server, mut pair) = acme().await;
    let next = || GroupId::from_bytes(random());
    let invalid = Some(ErrorCode::InvalidCommit);
    let without_bob = pair.alice.succeed(pair.group, next(), &pair.next_policy(), &[]);
    assert_eq!(refused(&mut pair.to_alice, &without_bob).await, invalid, "somebody is left out");
    let far = GroupPolicy { ordinal: 7, ..pair.next_policy() };
    let far = pair.alice.succeed(pair.group, next(), &far, &[&pair.bob]);
    assert_eq!(refused(&mut pair.to_alice, &far).await, invalid, "another policy");
    let (_, honest) = pair.succeed();
    assert_eq!(refused(&mut pair.to_bob, &honest).await, invalid, "in another's name");
    let elsewhere = Succeed { predecessor: next(), ..honest.clone() };
    assert_eq!(refused(&mut pair.to_alice, &elsewhere).await, Some(ErrorCode::EpochTaken), "of another group");
    let early = Succeed { epoch: 0, ..honest.clone() };
    assert_eq!(refused(&mut pair.to_alice, &early).await, Some(ErrorCode::EpochTaken), "of another epoch");
    let unwelcome = Succeed { welcome: None, ..honest.clone() };
    assert_eq!(refused(&mut pair.to_alice, &unwelcome).await, invalid, "nobody is welcomed");
    pair.alice.suite = e2ee::Suite::XWing;
    pair.bob.suite = e2ee::Suite::XWing;
    let of_another_suite = pair.alice.succeed(pair.group, next(), &pair.next_policy(), &[&pair.bob]);
    assert_eq!(refused(&mut pair.to_alice, &of_another_suite).await, Some(ErrorCode::UnsupportedSuite));
    assert_eq!(pair.to_bob.call(&Sync {}).await.unwrap().heads[0].seq, 1, "nothing was recorded");
    let fresh = Succeed { message_id: MessageId::from_bytes(random()), ..honest };
    assert_eq!(pair.to_alice.call(&fresh).await.unwrap().seq, 2, "the control");
}

#[tokio::test(flavor = "multi_thread")]
async fn a19_a_tenants_suite_only_becomes_stronger() {
    let (server, pair) = acme().await;
    let set = async |suite| server.admin().call_async(&SetSuite { name: "acme".into(), suite }).await;
    assert!(!set(Suite::Classical).await.unwrap().changed);
    let (mut greeted, greeting) = Line::hello(&server, "acme").await;
    let changed = set(Suite::PostQuantum).await.unwrap();
    assert_eq!((changed.suite.as_str(), changed.changed), ("post-quantum", true));
    let Pair { mut to_alice, alice, bob, .. } = pair;
    to_alice.gone().await;
    greeted.begin(&bob.prove(&greeting)).await;
    greeted.gone().await;
    let (_, greeting) = Line::hello(&server, "acme").await;
    assert_eq!(greeting.suite, 0x004e);
    let mut to_alice = alice.connect(&server).await;
    assert_eq!(to_alice.call(&Sync {}).await.unwrap().key_packages.one_time, 0, "those of the old suite are gone");
    let weaker = set(Suite::Classical).await;
    assert!(weaker.is_err(), "{weaker:?}");
    assert_eq!(Line::hello(&server, "acme").await.1.suite, 0x004e);
    let rows = server.node().database.operator().read(|tx| tx.audit_entries(0, 100)).await.unwrap();
    let audited = rows.iter().filter(|row| row.operation == "set_suite").count();
    assert_eq!(audited, 2, "what was done, not what was refused");
}
