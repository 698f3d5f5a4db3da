//! A store that was put back from a backup: what is marked, what is deleted, and what is taken back.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::*;
use mifeng_store as store;
use rules::invite;
use store::{Append, CommitOutcome, Joiner, Marked, NewCommit, NewEntry, NewInvite, NewKeyPackage, Supplied};
use trust::EntryHash;
use wire::request::{Cursor, RecordedAt};
use wire::{Entry, EntryKind, InviteId};

on_both! {
    a8_marking_raises_every_generation_and_deletes_what_may_have_been_handed_out;
    what_was_lost_comes_back_verbatim_and_new_entries_are_of_the_new_generation;
    a13_only_the_next_entry_of_an_earlier_generation_is_taken_back;
    a_commit_comes_back_with_its_epoch_and_its_group_info_is_missed;
    the_surviving_place_is_the_earliest_since_a_generation;
    a_repeat_of_what_came_back_gets_its_old_answer;
    the_hold_ends_when_it_was_first_asked_for;
}

impl World {
    async fn send(&self, entry: NewEntry) -> Append {
        self.store.write(move |tx| tx.append_entry(entry)).await.unwrap()
    }

    async fn commit(&self, commit: NewCommit) -> CommitOutcome {
        self.store.write(move |tx| tx.record_commit(commit)).await.unwrap()
    }

    async fn restore(&self) -> Marked {
        self.database.operator().write(|tx| tx.mark_restored(TENANT, NOW)).await.unwrap()
    }

    async fn entries(&self) -> Vec<Entry> {
        self.store.read(|tx| tx.fetch_entries(TALK, MEI_PHONE, 0, 500)).await.unwrap().unwrap().entries
    }
}

/// Mei's phone has said three things before the backup.
async fn backed_up(on: On) -> World {
    let world = on.world().await;
    world.store.write(add_talk).await.unwrap();
    for id in 1..=3 {
        world.send(message(0, id, b"sealed")).await;
    }
    world
}

fn at(seq: u64, generation: u32, entry: NewEntry) -> NewEntry {
    NewEntry { supplied: Some(Supplied { seq, generation }), ..entry }
}

fn commit(epoch: u64, id: u64, supplied: Option<Supplied>) -> NewCommit {
    NewCommit {
        conversation: TALK,
        group: GROUP,
        epoch,
        sender: MEI_PHONE,
        message_id: message_id(id),
        commit: b"commit".to_vec(),
        at: NOW + id,
        group_info: Vec::new(),
        policy: None,
        joiners: vec![Joiner { device: TOM_PHONE, user: TOM, welcomed: true }],
        removed: Vec::new(),
        welcome: None,
        tree: None,
        public_group: None,
        supplied,
    }
}

async fn a8_marking_raises_every_generation_and_deletes_what_may_have_been_handed_out(on: On) {
    let world = backed_up(on).await;
    let package = |byte: u8| NewKeyPackage {
        reference: vec![byte; 32],
        package: vec![byte; 64],
        not_after: NOW + 100_000_000_000,
    };
    let terms = invite::terms(NOW, 60_000, 1).unwrap();
    let new = NewInvite { invite: InviteId::from_bytes([1; 16]), code: "code", terms, created_by: None };
    world
        .store
        .write(move |tx| {
            tx.publish_key_packages(MEI_PHONE, &[package(1), package(2)], NOW)?;
            tx.publish_last_resort(MEI_PHONE, &package(3), NOW)?;
            tx.create_invite(new, NOW)?;
            tx.offer_link(MEI, &[7; 32], b"offer", NOW)
        })
        .await
        .unwrap();
    assert_eq!(world.restore().await, Marked { conversations: 1, key_packages: 2, invites: 1, links: 1 });
    let left = world.store.read(|tx| {
        let held = tx.key_packages_held(MEI_PHONE, NOW)?;
        let there = tx.conversation(TALK)?.unwrap();
        Ok::<_, store::Error>((held.one_time, there.generation, tx.invites()?.len(), tx.audit_entries(0, 9)?))
    });
    let (one_time, generation, invites, audit) = left.await.unwrap();
    assert_eq!((one_time, generation, invites), (0, 1, 0));
    assert!(audit.iter().any(|row| row.operation == "restored"));
    assert_eq!(world.restore().await, Marked { conversations: 1, ..Marked::default() }, "once more does no harm");
    let other = world.other.read(|tx| tx.was_restored()).await.unwrap();
    assert!(!other, "each tenant for itself");
}

async fn what_was_lost_comes_back_verbatim_and_new_entries_are_of_the_new_generation(on: On) {
    let world = backed_up(on).await;
    world.restore().await;
    for id in 4..=5 {
        let back = world.send(at(id, 0, message(0, id, b"sealed"))).await;
        let Append::Recorded { entry, generation: 1 } = back else { panic!("{back:?}") };
        assert_eq!((entry.seq, entry.generation), (id, 0));
    }
    let Append::Recorded { entry, .. } = world.send(message(0, 6, b"new")).await else { panic!() };
    assert_eq!((entry.seq, entry.generation), (6, 1));
    let entries = world.entries().await;
    let generations: Vec<u32> = entries.iter().map(|entry| entry.generation).collect();
    assert_eq!(generations, [0, 0, 0, 0, 0, 1], "never lower than before");
    let hash = entries.iter().fold(EntryHash::GENESIS, |hash, entry| hash.then(TENANT, TALK, entry));
    assert_eq!(world.store.read(|tx| tx.conversation(TALK)).await.unwrap().unwrap().head_hash, hash);
}

async fn a13_only_the_next_entry_of_an_earlier_generation_is_taken_back(on: On) {
    let world = backed_up(on).await;
    assert_eq!(world.send(at(4, 0, message(0, 4, b"x"))).await, Append::OutOfPlace, "nothing was lost");
    world.restore().await;
    assert_eq!(world.send(at(5, 0, message(0, 5, b"x"))).await, Append::OutOfPlace, "a gap");
    assert_eq!(world.send(at(3, 0, message(0, 9, b"x"))).await, Append::OutOfPlace, "a place that is taken");
    assert_eq!(world.send(at(4, 1, message(0, 4, b"x"))).await, Append::OutOfPlace, "not an earlier generation");
    assert_eq!(world.commit(commit(0, 4, Some(Supplied { seq: 5, generation: 0 }))).await, CommitOutcome::OutOfPlace);
    assert_eq!(world.send(at(4, 0, message(1, 4, b"x"))).await, Append::StaleEpoch { current: 0 });
    assert!(matches!(world.send(message(0, 4, b"new")).await, Append::Recorded { .. }));
    assert_eq!(world.send(at(5, 0, message(0, 5, b"x"))).await, Append::OutOfPlace, "after what is new");
    world.restore().await;
    assert_eq!(world.send(at(5, 0, message(0, 5, b"x"))).await, Append::OutOfPlace, "older than the last");
    assert!(matches!(world.send(at(5, 1, message(0, 5, b"x"))).await, Append::Recorded { .. }), "the control");
}

async fn a_commit_comes_back_with_its_epoch_and_its_group_info_is_missed(on: On) {
    let world = backed_up(on).await;
    world.restore().await;
    let back = world.commit(commit(0, 4, Some(Supplied { seq: 4, generation: 0 }))).await;
    assert!(matches!(&back, CommitOutcome::Recorded { entry, .. } if entry.generation == 0), "{back:?}");
    let missing = world.store.read(|tx| tx.current_group(TALK)).await.unwrap().unwrap();
    assert_eq!((missing.epoch, missing.group_info.len(), missing.generation), (1, 0, 1));
    assert!(world.store.read(|tx| tx.is_member(TALK, TOM_PHONE)).await.unwrap());
    let renew = |epoch, info: &'static [u8]| world.store.write(move |tx| tx.renew_group_info(TALK, epoch, info));
    assert!(!renew(0, b"old").await.unwrap(), "of another epoch");
    assert!(renew(1, b"info").await.unwrap());
    assert!(!renew(1, b"again").await.unwrap(), "it is not missed any more");
    let there = world.store.read(|tx| tx.current_group(TALK)).await.unwrap().unwrap();
    assert_eq!(there.group_info, b"info");
}

async fn the_surviving_place_is_the_earliest_since_a_generation(on: On) {
    let world = backed_up(on).await;
    let survived = |generation| world.store.read(move |tx| tx.survived(TALK, generation));
    assert_eq!(survived(0).await.unwrap().unwrap().seq, 3, "nothing was restored");
    world.restore().await;
    world.send(message(0, 4, b"new")).await;
    world.restore().await;
    world.send(message(0, 5, b"newer")).await;
    let places = [survived(0).await, survived(1).await, survived(2).await];
    let places: Vec<_> = places.into_iter().map(|place| place.unwrap().unwrap()).collect();
    assert_eq!(
        places.iter().map(|place| (place.generation, place.seq, place.head)).collect::<Vec<_>>(),
        [(2, 3, 5), (2, 4, 5), (2, 5, 5)]
    );
    let hash = world.entries().await[..3].iter().fold(EntryHash::GENESIS, |hash, entry| hash.then(TENANT, TALK, entry));
    assert_eq!(places[0].hash, hash);
}

async fn a_repeat_of_what_came_back_gets_its_old_answer(on: On) {
    let world = backed_up(on).await;
    world.restore().await;
    let old = Append::Repeated(RecordedAt { seq: 4, at: NOW + 4, generation: 0 });
    world.send(at(4, 0, message(0, 4, b"sealed"))).await;
    assert_eq!(world.send(at(4, 0, message(0, 4, b"sealed"))).await, old, "two devices give it back");
    assert_eq!(world.send(message(0, 4, b"sealed anew")).await, old, "its author tries again");
    assert_eq!(world.entries().await.len(), 4);
    // Cursors of the generation before move nothing; those of this one do.
    for generation in [0, 1] {
        let cursor = Cursor { conversation: TALK, generation, seq: 4 };
        world.store.write(move |tx| tx.acknowledge(MEI_PHONE, &[cursor])).await.unwrap();
        let kept = world.store.read(|tx| tx.cursor(TALK, MEI_PHONE)).await.unwrap();
        assert_eq!(kept.is_some(), generation == 1);
    }
    assert_eq!(world.entries().await.last().unwrap().kind, EntryKind::Application);
}

async fn the_hold_ends_when_it_was_first_asked_for(on: On) {
    let world = backed_up(on).await;
    let hold = |end| world.store.write(move |tx| tx.hold(end));
    assert_eq!(hold(NOW + 5).await.unwrap(), None, "nothing was restored");
    world.restore().await;
    assert_eq!(hold(NOW + 10).await.unwrap(), Some(NOW + 10));
    assert_eq!(hold(NOW + 99).await.unwrap(), Some(NOW + 10), "a restart does not make it longer");
    world.restore().await;
    assert_eq!(hold(NOW + 99).await.unwrap(), Some(NOW + 99), "another restore has its own");
}
