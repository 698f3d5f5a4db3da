//! Another group takes the place of a conversation's group: one wins, and the log goes on.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::*;
use mifeng_store as store;
use store::{Append, CommitOutcome, Joiner, NewCommit, NewEntry, NewKeyPackage, NewSuccession, Tx};
use trust::EntryHash;
use wire::request::RecordedAt;
use wire::{DeviceId, EntryKind, GroupId};

on_both! {
    a_succession_begins_another_group_and_the_log_goes_on;
    what_waits_for_the_group_before_stays_with_its_tree;
    a11_of_racing_successions_and_commits_exactly_one_wins;
    a11_a_message_for_the_group_before_is_stale_even_in_an_epoch_of_the_same_number;
    a_repeat_gets_the_old_answer;
    another_suite_takes_the_key_packages_of_its_tenant_with_it;
    what_was_there_before_belongs_to_the_group_that_was_there;
}

const NEXT: GroupId = GroupId::from_bytes([42; 16]);

fn commit(id: u64) -> NewCommit {
    NewCommit {
        conversation: TALK,
        group: GROUP,
        epoch: 0,
        sender: MEI_PHONE,
        message_id: message_id(id),
        commit: b"commit".to_vec(),
        at: NOW + id,
        group_info: b"group info 1".to_vec(),
        policy: None,
        joiners: vec![
            Joiner { device: TOM_PHONE, user: TOM, welcomed: true },
            Joiner { device: MEI_LAPTOP, user: MEI, welcomed: true },
        ],
        removed: Vec::new(),
        welcome: Some(b"welcome".to_vec()),
        tree: Some(b"tree 1".to_vec()),
        public_group: None,
        supplied: None,
    }
}

fn succession(epoch: u64, id: u64) -> NewSuccession {
    NewSuccession {
        conversation: TALK,
        predecessor: GROUP,
        epoch,
        sender: MEI_PHONE,
        message_id: message_id(id),
        at: NOW + id,
        group: NEXT,
        group_info: b"next group info".to_vec(),
        policy: b"next policy".to_vec(),
        tree: b"next tree".to_vec(),
        public_group: b"next public group".to_vec(),
        welcome: Some(b"next welcome".to_vec()),
        welcomed: vec![TOM_PHONE],
        left_out: vec![MEI_LAPTOP],
        supplied: None,
    }
}

impl World {
    async fn succeed(&self, new: NewSuccession) -> CommitOutcome {
        self.store.write(move |tx| tx.record_succession(&new)).await.unwrap()
    }

    async fn commit(&self, new: NewCommit) -> CommitOutcome {
        self.store.write(move |tx| tx.record_commit(new)).await.unwrap()
    }

    async fn send(&self, entry: NewEntry) -> Append {
        self.store.write(move |tx| tx.append_entry(entry)).await.unwrap()
    }

    async fn tree(&self, group: GroupId, epoch: u64) -> Option<Vec<u8>> {
        self.store.read(move |tx| tx.tree(TALK, group, epoch)).await.unwrap()
    }
}

/// Mei's phone has brought in Tom and her laptop.
async fn talking(on: On) -> World {
    let world = on.world().await;
    world.store.write(add_talk).await.unwrap();
    assert!(matches!(world.commit(commit(1)).await, CommitOutcome::Recorded { .. }));
    world
}

async fn a_succession_begins_another_group_and_the_log_goes_on(on: On) {
    let world = talking(on).await;
    let before = world.store.read(|tx| tx.conversation(TALK)).await.unwrap().unwrap();
    let CommitOutcome::Recorded { entry, .. } = world.succeed(succession(1, 2)).await else { panic!() };
    assert_eq!((entry.seq, entry.kind, entry.epoch), (2, EntryKind::Succession, 1));
    assert_eq!(entry.payload, b"next group info");
    let there = world.store.read(|tx| tx.conversation(TALK)).await.unwrap().unwrap();
    assert_eq!((there.group, there.epoch, there.head_seq, there.commit_seq), (NEXT, 1, 2, 2));
    let hash: EntryHash = before.head_hash.then(TENANT, TALK, &entry);
    assert_eq!((there.head_hash, there.commit_hash), (hash, hash), "the chain of hashes goes on");
    let current = world.store.read(|tx| tx.current_group(TALK)).await.unwrap().unwrap();
    assert_eq!((current.group_info.as_slice(), current.epoch, current.seq), (b"next group info".as_slice(), 1, 2));
    assert_eq!(world.store.read(|tx| tx.group_policy(TALK)).await.unwrap().unwrap(), b"next policy");
    let state = world.store.read(|tx| tx.public_group(TALK)).await.unwrap().unwrap();
    assert_eq!((state.seq, state.state.as_slice()), (2, b"next public group".as_slice()));
    assert!(world.store.read(|tx| tx.commits_after(TALK, 2)).await.unwrap().is_empty(), "nothing is replayed on it");
    let members: Vec<DeviceId> =
        world.store.read(|tx| tx.members(TALK)).await.unwrap().iter().map(|member| member.device).collect();
    assert_eq!(members.len(), 2);
    assert!(!members.contains(&MEI_LAPTOP), "who was left out has no leaf");
    let left = world.store.read(|tx| tx.fetch_entries(TALK, MEI_LAPTOP, 1, 9)).await.unwrap().unwrap();
    assert_eq!((left.head, left.entries), (2, vec![entry.clone()]), "and learns so from the log");
    let stays = world.store.read(|tx| tx.fetch_entries(TALK, TOM_PHONE, 1, 9)).await.unwrap().unwrap();
    assert_eq!(stays.entries, [entry]);
    assert!(matches!(world.send(NewEntry { group: NEXT, ..message(1, 3, b"on") }).await, Append::Recorded { .. }));
}

async fn what_waits_for_the_group_before_stays_with_its_tree(on: On) {
    let world = talking(on).await;
    world.succeed(succession(1, 2)).await;
    let waiting = world.store.read(|tx| tx.welcomes(TOM_PHONE, 9)).await.unwrap();
    let leads: Vec<_> = waiting.iter().map(|welcome| (welcome.group, welcome.epoch, welcome.seq)).collect();
    assert_eq!(leads, [(GROUP, 1, 1), (NEXT, 1, 2)], "the one that comes first is first");
    assert_eq!(world.tree(GROUP, 1).await.unwrap(), b"tree 1");
    assert_eq!(world.tree(NEXT, 1).await.unwrap(), b"next tree");
    let awaits = async |group| world.store.read(move |tx| tx.awaits_tree(TALK, TOM_PHONE, group, 1)).await.unwrap();
    assert!(awaits(GROUP).await && awaits(NEXT).await && !awaits(GroupId::from_bytes([9; 16])).await);
    assert!(world.store.read(|tx| tx.welcomes(MEI_LAPTOP, 9)).await.unwrap().is_empty(), "withdrawn");
    world.store.write(|tx| tx.accept_welcome(TOM_PHONE, TALK, 1)).await.unwrap();
    assert_eq!((world.tree(GROUP, 1).await, world.tree(NEXT, 1).await), (None, Some(b"next tree".to_vec())));
}

async fn a11_of_racing_successions_and_commits_exactly_one_wins(on: On) {
    let world = talking(on).await;
    let racers: Vec<_> = (10..22)
        .map(|id| {
            let store = world.store.clone();
            tokio::spawn(async move {
                let outcome = store.write(move |tx: &mut Tx<'_>| {
                    if id % 2 == 0 {
                        let group = GroupId::from_bytes([id as u8; 16]);
                        tx.record_succession(&NewSuccession { group, left_out: Vec::new(), ..succession(1, id) })
                    } else {
                        let renewal = NewCommit { epoch: 1, joiners: Vec::new(), welcome: None, ..commit(id) };
                        tx.record_commit(NewCommit { tree: None, ..renewal })
                    }
                });
                outcome.await.unwrap()
            })
        })
        .collect();
    let mut outcomes = Vec::new();
    for racer in racers {
        outcomes.push(racer.await.unwrap());
    }
    let won = outcomes.iter().filter(|outcome| matches!(outcome, CommitOutcome::Recorded { .. })).count();
    let lost = outcomes.iter().filter(|outcome| matches!(outcome, CommitOutcome::EpochTaken { .. })).count();
    assert_eq!((won, lost), (1, 11));
    assert_eq!(world.store.read(|tx| tx.conversation(TALK)).await.unwrap().unwrap().head_seq, 2);
}

async fn a11_a_message_for_the_group_before_is_stale_even_in_an_epoch_of_the_same_number(on: On) {
    let world = talking(on).await;
    world.succeed(succession(1, 2)).await;
    assert_eq!(world.send(message(1, 3, b"sealed before")).await, Append::StaleEpoch { current: 1 });
    let old = NewCommit { epoch: 1, joiners: Vec::new(), welcome: None, tree: None, ..commit(4) };
    assert_eq!(world.commit(old).await, CommitOutcome::EpochTaken { current: 1 });
    let again = NewSuccession { group: GroupId::from_bytes([43; 16]), ..succession(1, 5) };
    assert_eq!(world.succeed(again).await, CommitOutcome::EpochTaken { current: 1 });
    let anew = NewEntry { group: NEXT, ..message(1, 3, b"sealed anew") };
    assert!(matches!(world.send(anew).await, Append::Recorded { .. }), "the control, under the same id");
}

async fn a_repeat_gets_the_old_answer(on: On) {
    let world = talking(on).await;
    world.succeed(succession(1, 2)).await;
    let repeated = CommitOutcome::Repeated(RecordedAt { seq: 2, at: NOW + 2, generation: 0 });
    assert_eq!(world.succeed(NewSuccession { at: NOW + 9, ..succession(1, 2) }).await, repeated);
    let another = NewSuccession { group_info: b"another".to_vec(), ..succession(1, 2) };
    assert_eq!(world.succeed(another).await, CommitOutcome::KeyReused);
    assert_eq!(world.commit(NewCommit { epoch: 1, ..commit(2) }).await, CommitOutcome::KeyReused);
    assert_eq!(world.store.read(|tx| tx.conversation(TALK)).await.unwrap().unwrap().head_seq, 2);
}

async fn another_suite_takes_the_key_packages_of_its_tenant_with_it(on: On) {
    let world = talking(on).await;
    let package = NewKeyPackage { reference: vec![1; 32], package: vec![2; 9], not_after: NOW + 1_000_000 };
    world.other.write(add_people).await.unwrap();
    for store in [&world.store, &world.other] {
        let package = package.clone();
        store.write(move |tx| tx.publish_key_packages(MEI_PHONE, &[package], NOW)).await.unwrap();
    }
    world.database.operator().write(move |tx| tx.set_suite(TENANT, 0x0001)).await.unwrap();
    let held = async |store: &store::Store| {
        store
            .read(|tx| Ok::<_, store::Error>((tx.tenant()?.unwrap().suite, tx.key_packages_held(MEI_PHONE, NOW)?)))
            .await
    };
    let (suite, packages) = held(&world.store).await.unwrap();
    assert_eq!((suite, packages.one_time), (0x0001, 0));
    let (suite, packages) = held(&world.other).await.unwrap();
    assert_eq!((suite, packages.one_time), (0x004e, 1), "another tenant's");
}

/// The schema goes back to what it was, and is brought up to date again over what is there.
async fn what_was_there_before_belongs_to_the_group_that_was_there(on: On) {
    let world = on.lasting_world().await;
    world.store.write(add_talk).await.unwrap();
    world.commit(commit(1)).await;
    let place = world.place.clone();
    world.database.close();
    drop(world);
    for text in before_successors(on) {
        place.run(text);
    }
    let database = place.open().unwrap();
    let store = database.tenant(TENANT);
    assert_eq!(store.read(|tx| tx.tree(TALK, GROUP, 1)).await.unwrap().unwrap(), b"tree 1");
    let waiting = store.read(|tx| tx.welcomes(TOM_PHONE, 9)).await.unwrap();
    assert_eq!((waiting.len(), waiting[0].group), (1, GROUP));
    database.close();
}

fn before_successors(on: On) -> &'static [&'static str] {
    match on {
        On::Sqlite => &[
            "create table old (tenant blob not null, conversation blob not null, epoch integer not null, \
             tree blob not null, primary key (tenant, conversation, epoch), foreign key (tenant, conversation) \
             references conversations (tenant, conversation) on delete cascade) strict",
            "insert into old select tenant, conversation, epoch, tree from trees",
            "drop table trees",
            "alter table old rename to trees",
            "alter table welcomes drop column group_id",
            "drop table lookup_quotas",
            "drop table restored_logs",
            "drop table restores",
            "drop table blobs",
            "drop table archive_kept_out",
            "drop table archive_segments",
            "drop table archive_days",
            "drop table archives",
            "delete from schema_migrations where version >= 3",
        ],
        On::Postgres => &[
            "alter table mifeng.trees drop constraint trees_pkey",
            "alter table mifeng.trees drop column group_id",
            "alter table mifeng.trees add primary key (tenant, conversation, epoch)",
            "alter table mifeng.welcomes drop column group_id",
            "drop policy operator_changes on mifeng.tenants",
            "drop table mifeng.lookup_quotas",
            "drop table mifeng.restored_logs",
            "drop table mifeng.restores",
            "drop table mifeng.blobs",
            "drop table mifeng.archive_kept_out, mifeng.archive_segments, mifeng.archive_days, mifeng.archives",
            "delete from mifeng.schema_migrations where version >= 3",
        ],
    }
}
