//! A direct chat from invite to message, over real sockets.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's help fails the test")]

mod harness;

use e2ee::{Opened, Proposed};
use harness::{
    Server,
    line::Line,
    phone::{Pair, Phone, random},
};
use mifeng_server::admin::Suite;
use wire::{ErrorCode, Event, request::*};

fn text(opened: Opened) -> Vec<u8> {
    match opened {
        Opened::Message { plaintext, .. } => plaintext.to_vec(),
        other => panic!("not a message: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_talk_through_a_server_that_cannot_read_them() {
    let server = Server::start().await;
    server.tenant("acme", Suite::PostQuantum).await;
    let mut pair = Pair::meet(&server, "acme").await;
    let sent = pair.alice.seal(pair.conversation, pair.group, b"hello bob");
    let at = pair.to_alice.call(&sent).await.unwrap();
    assert_eq!(at.seq, 2);
    let Event::Recorded(recorded) = pair.to_bob.event().await else { panic!("no entry") };
    assert_eq!((recorded.conversation, recorded.entry.seq), (pair.conversation, 2));
    assert_eq!(text(pair.bob.open(pair.group, &recorded.entry)), b"hello bob");
    let reply = pair.bob.seal(pair.conversation, pair.group, b"hello alice");
    pair.to_bob.call(&reply).await.unwrap();
    let Event::Recorded(recorded) = pair.to_alice.event().await else { panic!("no entry") };
    assert_eq!(text(pair.alice.open(pair.group, &recorded.entry)), b"hello alice");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_is_there_after_a_restart() {
    let mut server = Server::start().await;
    server.tenant("acme", Suite::Classical).await;
    let mut pair = Pair::meet(&server, "acme").await;
    let sent = pair.alice.seal(pair.conversation, pair.group, b"before");
    let first = pair.to_alice.call(&sent).await.unwrap();
    let dir = server.dir.clone();
    server.drain().await;
    let server = Server::on(dir, |_| {}).await;
    let mut to_alice = pair.alice.connect(&server).await;
    let mut to_bob = pair.bob.connect(&server).await;
    assert_eq!(to_alice.call(&sent).await.unwrap(), first, "a repeat gets the old answer");
    let synced = to_bob.call(&Sync {}).await.unwrap();
    assert_eq!(synced.heads.iter().map(|head| head.seq).collect::<Vec<_>>(), [2]);
    assert_eq!((synced.welcomes, synced.key_packages.one_time), (0, 1));
    let fetched = to_bob.call(&Fetch { conversation: pair.conversation, after: 1, limit: 10 }).await.unwrap();
    assert_eq!(text(pair.bob.open(pair.group, &fetched.entries[0])), b"before");
    // The public tree comes back from its snapshot and the commits since.
    let commit = pair.bob.commit(pair.conversation, pair.group, &Proposed::default(), 2);
    assert_eq!(to_bob.call(&commit).await.unwrap().seq, 3);
    assert_eq!(to_bob.call(&commit).await.unwrap().seq, 3, "a repeat gets the old answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_an_old_epoch_is_stale_and_a_lost_race_is_told() {
    let server = Server::start().await;
    server.tenant("acme", Suite::Classical).await;
    let mut pair = Pair::meet(&server, "acme").await;
    let early = pair.alice.seal(pair.conversation, pair.group, b"early");
    let lost = pair.alice.commit(pair.conversation, pair.group, &Proposed::default(), 1);
    let won = pair.bob.commit(pair.conversation, pair.group, &Proposed::default(), 1);
    pair.to_bob.call(&won).await.unwrap();
    pair.bob.merge(pair.group);
    let refused = |refusal: wire::Refusal| refusal.code();
    assert_eq!(pair.to_alice.call(&early).await.map_err(refused), Err(Some(ErrorCode::StaleEpoch)));
    assert_eq!(pair.to_alice.call(&lost).await.map_err(refused), Err(Some(ErrorCode::EpochTaken)));
    let Event::Recorded(recorded) = pair.to_alice.event().await else { panic!("no entry") };
    pair.alice.discard(pair.group);
    pair.alice.open(pair.group, &recorded.entry);
    let again = pair.alice.seal(pair.conversation, pair.group, b"again");
    assert_eq!(pair.to_alice.call(&again).await.unwrap().seq, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a11_of_racing_commits_exactly_one_wins() {
    let server = Server::start().await;
    server.tenant("acme", Suite::Classical).await;
    let mut pair = Pair::meet(&server, "acme").await;
    for round in 0..8 {
        let seen = round + 1;
        let one = pair.alice.commit(pair.conversation, pair.group, &Proposed::default(), seen);
        let other = pair.bob.commit(pair.conversation, pair.group, &Proposed::default(), seen);
        let (first, second) = tokio::join!(pair.to_alice.call(&one), pair.to_bob.call(&other));
        let (winner, loser) = if first.is_ok() { (&pair.alice, &pair.bob) } else { (&pair.bob, &pair.alice) };
        assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
        let refusal = first.err().or(second.err()).unwrap();
        assert_eq!(refusal.code(), Some(ErrorCode::EpochTaken));
        winner.merge(pair.group);
        loser.discard(pair.group);
        let to_loser = if std::ptr::eq(loser, &pair.alice) { &mut pair.to_alice } else { &mut pair.to_bob };
        let Event::Recorded(recorded) = to_loser.event().await else { panic!("no entry") };
        loser.open(pair.group, &recorded.entry);
        assert_eq!((pair.alice.epoch(pair.group), pair.bob.epoch(pair.group)), (round + 2, round + 2));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_users_have_one_direct_conversation() {
    let server = Server::start().await;
    server.tenant("acme", Suite::Classical).await;
    let mut pair = Pair::meet(&server, "acme").await;
    let (conversation, group) = (wire::ConversationId::from_bytes(random()), wire::GroupId::from_bytes(random()));
    let policy = trust::GroupPolicy::direct(pair.alice.tenant, conversation, pair.bob.user, pair.alice.user);
    let refusal = pair.to_bob.call(&pair.bob.create(&policy, group)).await.unwrap_err();
    assert_eq!(refusal.code(), Some(ErrorCode::AlreadyExists));
    assert_eq!(refusal.detail, Some(pair.conversation.to_string()), "which one to use instead");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_messages_are_pipelined_answered_in_order_and_delivered_once() {
    let server = Server::start().await;
    server.tenant("acme", Suite::Classical).await;
    let mut pair = Pair::meet(&server, "acme").await;
    let mut ids = Vec::new();
    for number in 0..200_u32 {
        let sent = pair.alice.seal(pair.conversation, pair.group, &number.to_be_bytes());
        ids.push(pair.to_alice.begin(&sent).await);
    }
    for (number, id) in ids.into_iter().enumerate() {
        let at = pair.to_alice.answer::<Send>(id).await.unwrap().unwrap();
        assert_eq!(at.seq, number as u64 + 2);
    }
    for number in 0..200_u32 {
        let Event::Recorded(recorded) = pair.to_bob.event().await else { panic!("no entry") };
        assert_eq!(text(pair.bob.open(pair.group, &recorded.entry)), number.to_be_bytes());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_places_are_written_when_the_connection_ends() {
    let server = Server::start().await;
    server.tenant("acme", Suite::Classical).await;
    let mut pair = Pair::meet(&server, "acme").await;
    let sent = pair.alice.seal(pair.conversation, pair.group, b"x");
    pair.to_alice.call(&sent).await.unwrap();
    for seq in [1, 2] {
        let cursor = Cursor { conversation: pair.conversation, generation: 0, seq };
        pair.to_bob.call(&Acknowledge { cursors: vec![cursor] }).await.unwrap();
    }
    pair.to_bob.close().await;
    let store = server.node().database.tenant(pair.bob.tenant);
    let (conversation, device) = (pair.conversation, pair.bob.device);
    for _ in 0..100 {
        let cursor = store.read(move |tx| tx.cursor(conversation, device)).await.unwrap();
        if cursor.is_some_and(|cursor| cursor.seq == 2) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("the cursor was not written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_connection_of_a_device_takes_the_place_of_the_older() {
    let server = Server::start().await;
    server.tenant("acme", Suite::Classical).await;
    let alice = Phone::join(&server, "acme", "alice").await;
    let mut older = alice.connect(&server).await;
    let mut newer: Line = alice.connect(&server).await;
    assert_eq!(older.gone().await, harness::line::Gone(Some(4001)));
    assert!(newer.call(&Sync {}).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whisper_reaches_who_is_online_and_nobody_else() {
    let server = Server::start().await;
    server.tenant("acme", Suite::Classical).await;
    let mut pair = Pair::meet(&server, "acme").await;
    let whisper = Whisper { conversation: pair.conversation, epoch: 1, payload: vec![7; 32] };
    pair.to_alice.call(&whisper).await.unwrap();
    let Event::Whispered(whispered) = pair.to_bob.event().await else { panic!("no whisper") };
    assert_eq!((whispered.sender, whispered.payload), (pair.alice.device, vec![7; 32]));
    let head = pair.to_bob.call(&Sync {}).await.unwrap().heads[0].seq;
    assert_eq!(head, 1, "nothing was recorded");
}
