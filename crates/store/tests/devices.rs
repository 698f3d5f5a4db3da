//! Linking, revoking, and what others learn of it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::*;
use mifeng_store as store;
use rules::link::{ANSWER_LIFE_MS, OFFER_LIFE_MS, OFFERS_PER_USER};
use store::{CommitOutcome, Joiner, NewCommit, NewKeyPackage, Offered, Store};
use trust::{DevicePublicKey, DeviceState};
use wire::DeviceId;
use wire::request::SignedEntry;

on_both! {
    an_offer_waits_is_answered_once_and_goes_when_the_device_has_come;
    a22_offers_expire_and_are_few;
    who_shares_a_conversation_learns_whose_chain_has_grown;
    a_device_that_joins_from_outside_finds_the_door_and_where_its_log_begins;
    what_waits_for_a_revoked_device_is_withdrawn;
    a_linked_device_has_not_been_seen_before_its_first_login;
}

const LOOKUP: [u8; 32] = [7; 32];

async fn offer(store: &Store, lookup: u8, now: u64) -> Offered {
    store.write(move |tx| tx.offer_link(MEI, &[lookup; 32], b"sealed offer", now)).await.unwrap()
}

async fn an_offer_waits_is_answered_once_and_goes_when_the_device_has_come(on: On) {
    let world = on.world().await;
    world.store.write(add_people).await.unwrap();
    assert_eq!(offer(&world.store, 7, NOW).await, Offered::Kept);
    let found = world.store.read(|tx| tx.link_offer(MEI, &LOOKUP, NOW)).await.unwrap().unwrap();
    assert_eq!((found.offer.as_slice(), found.answer), (b"sealed offer".as_slice(), None));
    assert!(world.store.read(|tx| tx.link_offer(TOM, &LOOKUP, NOW)).await.unwrap().is_none(), "another user's");
    assert!(world.other.read(|tx| tx.link_offer(MEI, &LOOKUP, NOW)).await.unwrap().is_none(), "another tenant's");

    assert!(!world.store.write(|tx| tx.answer_link(TOM, &LOOKUP, MEI_LAPTOP, b"answer", NOW)).await.unwrap());
    assert!(world.store.write(|tx| tx.answer_link(MEI, &LOOKUP, MEI_LAPTOP, b"answer", NOW)).await.unwrap());
    assert_eq!(offer(&world.store, 7, NOW).await, Offered::Answered);
    let late = NOW + OFFER_LIFE_MS + 1;
    let found = world.store.read(move |tx| tx.link_offer(MEI, &LOOKUP, late)).await.unwrap().unwrap();
    assert_eq!(found.answer.as_deref(), Some(b"answer".as_slice()), "an answer waits longer than an offer");
    world.store.write(|tx| tx.finish_link(MEI_LAPTOP)).await.unwrap();
    assert!(world.store.read(|tx| tx.link_offer(MEI, &LOOKUP, NOW)).await.unwrap().is_none());
}

async fn a22_offers_expire_and_are_few(on: On) {
    let world = on.world().await;
    world.store.write(add_people).await.unwrap();
    for lookup in 0..OFFERS_PER_USER as u8 {
        assert_eq!(offer(&world.store, lookup, NOW).await, Offered::Kept);
        assert_eq!(offer(&world.store, lookup, NOW).await, Offered::Kept, "the same one again");
    }
    assert_eq!(offer(&world.store, 99, NOW).await, Offered::TooMany);
    let late = NOW + OFFER_LIFE_MS;
    assert!(world.store.read(move |tx| tx.link_offer(MEI, &[0; 32], late)).await.unwrap().is_none());
    assert_eq!(offer(&world.store, 99, late).await, Offered::Kept, "those that have ended do not count");
    assert_eq!(world.store.write(move |tx| tx.expire_links(late)).await.unwrap(), OFFERS_PER_USER as usize);
    assert_eq!(world.store.write(move |tx| tx.expire_links(late + ANSWER_LIFE_MS)).await.unwrap(), 1);
}

#[tokio::test]
async fn c11_offer_and_answer_are_sealed_in_their_own_rows() {
    let world = On::Sqlite.lasting_world().await;
    world.store.write(add_people).await.unwrap();
    offer(&world.store, 7, NOW).await;
    world.store.write(|tx| tx.answer_link(MEI, &LOOKUP, MEI_LAPTOP, b"plain answer", NOW)).await.unwrap();
    world.database.close();
    let mut read = 0;
    for file in std::fs::read_dir(&world.place.directory).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        read += bytes.len();
        for plain in [b"sealed offer".as_slice(), b"plain answer"] {
            assert!(!bytes.windows(plain.len()).any(|window| window == plain));
        }
    }
    assert!(read > 10_000, "{read}");
}

async fn who_shares_a_conversation_learns_whose_chain_has_grown(on: On) {
    let world = on.world().await;
    world.store.write(add_talk).await.unwrap();
    let entry = |byte| SignedEntry { payload: vec![byte], signature: [1; 64], possession: None };
    for place in 0..3 {
        assert!(world.store.write(move |tx| tx.extend_chain(MEI, place, &entry(1))).await.unwrap());
    }
    assert!(!world.store.write(move |tx| tx.extend_chain(MEI, 2, &entry(2))).await.unwrap(), "not the next place");
    let changes = |device, after, limit| world.store.read(move |tx| tx.chain_changes(device, after, limit));
    let stranger = changes(TOM_PHONE, 0, 10).await.unwrap();
    assert_eq!((stranger.users.len(), stranger.mark, stranger.more), (0, 3, false), "Tom shares nothing with Mei yet");
    world.store.write(|tx| tx.record_commit(commit(false))).await.unwrap();
    let changed = changes(TOM_PHONE, 0, 10).await.unwrap();
    assert_eq!((changed.users, changed.mark, changed.more), (vec![MEI], 3, false));
    let paged = changes(TOM_PHONE, 0, 2).await.unwrap();
    assert_eq!((paged.users, paged.mark, paged.more), (vec![MEI], 2, true));
    assert_eq!(changes(TOM_PHONE, 3, 10).await.unwrap().users, []);
}

/// Tom's phone comes in, by a Welcome or from outside.
fn commit(welcomed: bool) -> NewCommit {
    NewCommit {
        conversation: TALK,
        group: GROUP,
        epoch: 0,
        sender: MEI_PHONE,
        message_id: message_id(1),
        commit: b"commit".to_vec(),
        at: NOW,
        group_info: b"group info 1".to_vec(),
        policy: None,
        joiners: vec![Joiner { device: TOM_PHONE, user: TOM, welcomed }],
        removed: Vec::new(),
        welcome: welcomed.then(|| b"welcome".to_vec()),
        tree: welcomed.then(|| b"tree 1".to_vec()),
        public_group: None,
        supplied: None,
    }
}

async fn a_device_that_joins_from_outside_finds_the_door_and_where_its_log_begins(on: On) {
    let world = on.world().await;
    world.store.write(add_talk).await.unwrap();
    let joinable = |user, device| world.store.read(move |tx| tx.joinable(user, device, 10));
    assert_eq!(joinable(MEI, MEI_LAPTOP).await.unwrap(), [TALK]);
    assert_eq!(joinable(MEI, MEI_PHONE).await.unwrap(), [], "it is in already");
    assert_eq!(joinable(TOM, TOM_PHONE).await.unwrap(), [], "no device of Tom's is in");

    let outcome = world.store.write(|tx| tx.record_commit(commit(false))).await.unwrap();
    assert!(matches!(outcome, CommitOutcome::Recorded { .. }));
    let stay = world.store.read(|tx| tx.stay(TALK, TOM_PHONE)).await.unwrap().unwrap();
    let head = world.store.read(|tx| tx.conversation(TALK)).await.unwrap().unwrap();
    assert_eq!((stay.seq, stay.generation, stay.entry_hash), (1, 0, head.head_hash.0));
    assert!(world.store.read(|tx| tx.stay(TALK, MEI_PHONE)).await.unwrap().is_none());
    assert!(world.other.read(|tx| tx.stay(TALK, TOM_PHONE)).await.unwrap().is_none());
}

async fn what_waits_for_a_revoked_device_is_withdrawn(on: On) {
    let world = on.world().await;
    world.store.write(add_talk).await.unwrap();
    let package =
        |byte: u8| NewKeyPackage { reference: vec![byte], package: vec![byte], not_after: NOW + 1_000_000_000 };
    for (byte, device) in [(1, TOM_PHONE), (2, MEI_PHONE)] {
        world.store.write(move |tx| tx.publish_key_packages(device, &[package(byte)], NOW)).await.unwrap();
    }
    world.store.write(|tx| tx.record_commit(commit(true))).await.unwrap();
    assert_eq!(world.store.read(|tx| tx.welcomes_waiting(TOM_PHONE)).await.unwrap(), 1, "the control");

    world.store.write(|tx| tx.set_device_state(TOM_PHONE, DeviceState::Revoked)).await.unwrap();
    assert_eq!(world.store.write(|tx| tx.withdraw_key_packages(TOM_PHONE)).await.unwrap(), 1);
    world.store.write(|tx| tx.withdraw_all_welcomes(TOM_PHONE)).await.unwrap();
    assert_eq!(world.store.read(|tx| tx.welcomes_waiting(TOM_PHONE)).await.unwrap(), 0);
    assert_eq!(world.store.read(|tx| tx.key_packages_held(TOM_PHONE, NOW)).await.unwrap().one_time, 0);
    assert_eq!(world.store.read(|tx| tx.key_packages_held(MEI_PHONE, NOW)).await.unwrap().one_time, 1);
}

async fn a_linked_device_has_not_been_seen_before_its_first_login(on: On) {
    let world = on.world().await;
    world.store.write(add_people).await.unwrap();
    let device = DeviceId::from_bytes([29; 16]);
    let key = DevicePublicKey::from_bytes([4; 32]);
    assert!(world.store.write(move |tx| tx.add_linked_device(device, MEI, key)).await.unwrap());
    assert!(!world.store.write(move |tx| tx.add_linked_device(device, TOM, key)).await.unwrap(), "the id is taken");
    assert_eq!(world.store.read(move |tx| tx.device(device)).await.unwrap().unwrap().last_seen_day, 0);
    world.store.write(move |tx| tx.touch_device(device, NOW)).await.unwrap();
    assert_ne!(world.store.read(move |tx| tx.device(device)).await.unwrap().unwrap().last_seen_day, 0);
}
