//! A conversation's log: order, exactly once, and who may read which part.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::*;
use mifeng_store as store;
use rules::retention::{GRACE_MS, Kept, Retention, may_delete};
use store::{Append, CommitOutcome, CreateConversation, Joiner, NewCommit, NewConversation, NewEntry};
use trust::{EntryHash, Kind};
use wire::request::{Cursor, Fetched, RecordedAt};
use wire::{ConversationId, DeviceId, Entry, EntryKind, GroupId};

on_both! {
    entries_are_numbered_hashed_and_returned;
    a_repeat_gets_the_old_answer_however_it_is_sealed;
    a_message_of_another_epoch_is_stale_and_leaves_no_trace;
    a_commit_begins_an_epoch_with_all_that_belongs_to_it;
    a_welcome_waits_with_its_tree_until_it_is_accepted;
    a_device_reads_from_its_joining_to_its_removal_and_again_after_it_returns;
    answers_are_bounded_in_entries_and_bytes;
    a_direct_conversation_is_unique_for_its_pair;
    cursors_only_move_forward_and_never_past_the_log;
    what_every_device_has_is_deleted_after_its_grace_and_numbers_go_on;
    deletion_follows_the_rule;
    a11_of_racing_commits_exactly_one_wins_each_epoch;
    racing_repeats_of_a_message_are_one_entry;
    refused_entries_of_a_batch_leave_their_neighbours_alone;
    entries_and_other_jobs_of_one_batch_see_each_other;
    many_senders_get_dense_numbers_and_one_hash_chain;
}

fn commit(epoch: u64, id: u64) -> NewCommit {
    NewCommit {
        conversation: TALK,
        group: GROUP,
        epoch,
        sender: MEI_PHONE,
        message_id: message_id(id),
        commit: format!("commit {id}").into_bytes(),
        at: NOW + id,
        group_info: format!("group info {}", epoch + 1).into_bytes(),
        policy: None,
        joiners: Vec::new(),
        removed: Vec::new(),
        welcome: None,
        tree: Some(format!("tree {}", epoch + 1).into_bytes()),
        public_group: None,
        supplied: None,
    }
}

/// Tom's phone is welcomed.
fn add_tom(epoch: u64, id: u64) -> NewCommit {
    let joiners = vec![Joiner { device: TOM_PHONE, user: TOM, welcomed: true }];
    NewCommit { joiners, welcome: Some(b"welcome".to_vec()), ..commit(epoch, id) }
}

impl World {
    async fn send(&self, entry: NewEntry) -> Append {
        self.store.write(move |tx| tx.append_entry(entry)).await.unwrap()
    }

    async fn commit(&self, commit: NewCommit) -> CommitOutcome {
        self.store.write(move |tx| tx.record_commit(commit)).await.unwrap()
    }

    async fn fetch(&self, device: DeviceId, after: u64) -> Option<Fetched> {
        self.store.read(move |tx| tx.fetch_entries(TALK, device, after, 500)).await.unwrap()
    }

    async fn seqs(&self, device: DeviceId, after: u64) -> Vec<u64> {
        self.fetch(device, after).await.unwrap().entries.iter().map(|entry| entry.seq).collect()
    }

    async fn acknowledge(&self, device: DeviceId, generation: u32, seq: u64) {
        let cursor = Cursor { conversation: TALK, generation, seq };
        self.store.write(move |tx| tx.acknowledge(device, &[cursor])).await.unwrap();
    }
}

fn seq_of(append: &Append) -> u64 {
    match append {
        Append::Recorded { entry, .. } => entry.seq,
        other => panic!("{other:?}"),
    }
}

async fn entries_are_numbered_hashed_and_returned(on: On) {
    let world = on.world().await;
    world.store.write(add_talk).await.unwrap();
    let mut hash = EntryHash::GENESIS;
    let mut sent = Vec::new();
    for id in 1..=5 {
        let append = world.send(message(0, id, format!("sealed {id}").as_bytes())).await;
        let Append::Recorded { entry, generation: 0 } = append else { panic!("{append:?}") };
        assert_eq!((entry.seq, entry.at, entry.payload.as_slice()), (id, NOW + id, format!("sealed {id}").as_bytes()));
        hash = hash.then(TENANT, TALK, &entry);
        sent.push(entry);
    }
    let there = world.store.read(|tx| tx.conversation(TALK)).await.unwrap().unwrap();
    assert_eq!((there.head_seq, there.head_hash, there.epoch, there.commit_seq), (5, hash, 0, 0));
    let fetched = world.fetch(MEI_PHONE, 0).await.unwrap();
    assert_eq!((fetched.entries, fetched.head, fetched.generation), (sent, 5, 0));
    assert_eq!(world.seqs(MEI_PHONE, 3).await, [4, 5]);
    assert!(world.seqs(MEI_PHONE, u64::MAX).await.is_empty());
    assert!(world.fetch(TOM_PHONE, 0).await.is_none());
}

async fn a_repeat_gets_the_old_answer_however_it_is_sealed(on: On) {
    let world = on.world().await;
    world.store.write(add_talk).await.unwrap();
    assert_eq!(seq_of(&world.send(message(0, 7, b"sealed")).await), 1);
    let old = Append::Repeated(RecordedAt { seq: 1, at: NOW + 7, generation: 0 });
    assert_eq!(world.send(message(0, 7, b"sealed")).await, old);
    assert_eq!(world.send(NewEntry { at: NOW + 99, ..message(0, 7, b"sealed anew") }).await, old);
    assert_eq!(world.send(message(3, 7, b"sealed in an epoch to come")).await, old);
    let another_device = NewEntry { sender: MEI_LAPTOP, ..message(0, 7, b"sealed") };
    assert_eq!(seq_of(&world.send(another_device).await), 2, "another device has ids of its own");
    let another_kind = NewEntry { kind: EntryKind::Proposal, ..message(0, 7, b"sealed") };
    assert_eq!(world.send(another_kind).await, Append::KeyReused);
    assert_eq!(world.commit(commit(0, 7)).await, CommitOutcome::KeyReused);
    let nowhere = NewEntry { conversation: ConversationId::from_bytes([9; 16]), ..message(0, 8, b"sealed") };
    assert_eq!(world.send(nowhere).await, Append::NoConversation);
    assert_eq!(world.seqs(MEI_PHONE, 0).await, [1, 2]);
}

async fn a_message_of_another_epoch_is_stale_and_leaves_no_trace(on: On) {
    let world = on.world().await;
    world.store.write(add_talk).await.unwrap();
    world.commit(commit(0, 1)).await;
    assert_eq!(world.send(message(0, 2, b"sealed")).await, Append::StaleEpoch { current: 1 });
    assert_eq!(world.send(message(2, 2, b"sealed")).await, Append::StaleEpoch { current: 1 });
    assert_eq!(world.send(message(u64::MAX, 2, b"sealed")).await, Append::StaleEpoch { current: 1 });
    assert_eq!(seq_of(&world.send(message(1, 2, b"sealed anew, same id")).await), 2);
}

async fn a_commit_begins_an_epoch_with_all_that_belongs_to_it(on: On) {
    let world = on.world().await;
    world.store.write(add_talk).await.unwrap();
    world.send(message(0, 1, b"before")).await;
    let new = NewCommit { policy: Some(b"policy 1".to_vec()), public_group: Some(b"state".to_vec()), ..add_tom(0, 2) };
    let outcome = world.commit(new.clone()).await;
    let CommitOutcome::Recorded { entry, generation: 0 } = outcome else { panic!("{outcome:?}") };
    assert_eq!(
        (entry.seq, entry.kind, entry.epoch, entry.payload.as_slice()),
        (2, EntryKind::Commit, 0, b"commit 2".as_slice())
    );
    assert_eq!(world.commit(new).await, CommitOutcome::Repeated(RecordedAt { seq: 2, at: NOW + 2, generation: 0 }));
    assert_eq!(world.commit(NewCommit { commit: b"other".to_vec(), ..commit(0, 2) }).await, CommitOutcome::KeyReused);
    assert_eq!(world.commit(commit(0, 3)).await, CommitOutcome::EpochTaken { current: 1 });

    let store = &world.store;
    let there = store.read(|tx| tx.conversation(TALK)).await.unwrap().unwrap();
    assert_eq!((there.epoch, there.head_seq, there.commit_seq, there.commit_hash), (1, 2, 2, there.head_hash));
    let group = store.read(|tx| tx.current_group(TALK)).await.unwrap().unwrap();
    assert_eq!((group.group_info.as_slice(), group.epoch, group.seq), (b"group info 1".as_slice(), 1, 2));
    assert_eq!(group.entry_hash, there.head_hash.0);
    assert_eq!(store.read(|tx| tx.group_policy(TALK)).await.unwrap().unwrap(), b"policy 1");
    assert_eq!(store.read(|tx| tx.public_group(TALK)).await.unwrap().unwrap().seq, 2);
    assert_eq!(store.read(|tx| tx.commits_after(TALK, 0)).await.unwrap(), [b"commit 2"]);
    assert!(store.read(|tx| tx.commits_after(TALK, 2)).await.unwrap().is_empty());
    let members: Vec<_> = store.read(|tx| tx.members(TALK)).await.unwrap().iter().map(|member| member.device).collect();
    assert_eq!(members, [MEI_PHONE, TOM_PHONE]);
    assert!(store.read(|tx| tx.is_user_in(TALK, TOM)).await.unwrap());
    assert!(!store.read(|tx| tx.is_member(TALK, MEI_LAPTOP)).await.unwrap());
    assert_eq!(store.read(|tx| tx.devices_sharing_with(TOM)).await.unwrap(), [MEI_PHONE, TOM_PHONE]);
}

async fn a_welcome_waits_with_its_tree_until_it_is_accepted(on: On) {
    let world = on.world().await;
    let store = &world.store;
    store.write(add_talk).await.unwrap();
    world.commit(add_tom(0, 1)).await;
    world.commit(commit(1, 2)).await;
    assert_eq!(store.read(|tx| tx.welcomes_waiting(TOM_PHONE)).await.unwrap(), 1);
    let waiting = store.read(|tx| tx.welcomes(TOM_PHONE, 50)).await.unwrap();
    let there = store.read(|tx| tx.conversation(TALK)).await.unwrap().unwrap();
    assert_eq!(waiting.len(), 1);
    assert_eq!((waiting[0].conversation, waiting[0].sender, waiting[0].seq, waiting[0].epoch), (TALK, MEI_PHONE, 1, 1));
    assert_eq!(waiting[0].welcome, b"welcome");
    assert_ne!(waiting[0].entry_hash, there.head_hash.0);
    assert!(store.read(|tx| tx.awaits_tree(TALK, TOM_PHONE, GROUP, 1)).await.unwrap());
    assert!(!store.read(|tx| tx.awaits_tree(TALK, TOM_PHONE, GROUP, 2)).await.unwrap());
    assert!(!store.read(|tx| tx.awaits_tree(TALK, MEI_PHONE, GROUP, 1)).await.unwrap());
    let tree = async |epoch| store.read(move |tx| tx.tree(TALK, GROUP, epoch)).await.unwrap();
    assert_eq!(
        (tree(0).await, tree(1).await, tree(2).await),
        (None, Some(b"tree 1".to_vec()), Some(b"tree 2".to_vec()))
    );

    assert!(!store.write(|tx| tx.accept_welcome(MEI_PHONE, TALK, 1)).await.unwrap());
    assert!(store.write(|tx| tx.accept_welcome(TOM_PHONE, TALK, 1)).await.unwrap());
    assert!(!store.write(|tx| tx.accept_welcome(TOM_PHONE, TALK, 1)).await.unwrap());
    assert_eq!(store.read(|tx| tx.welcomes_waiting(TOM_PHONE)).await.unwrap(), 0);
    assert_eq!((tree(1).await, tree(2).await), (None, Some(b"tree 2".to_vec())));
}

async fn a_device_reads_from_its_joining_to_its_removal_and_again_after_it_returns(on: On) {
    let world = on.world().await;
    let store = &world.store;
    store.write(add_talk).await.unwrap();
    world.send(message(0, 1, b"before tom")).await;
    world.commit(add_tom(0, 2)).await;
    world.send(message(1, 3, b"for tom")).await;
    world.commit(NewCommit { removed: vec![TOM_PHONE], ..commit(1, 4) }).await;
    world.send(message(2, 5, b"without tom")).await;
    assert_eq!(world.seqs(TOM_PHONE, 0).await, [3, 4]);
    assert_eq!(world.fetch(TOM_PHONE, 0).await.unwrap().head, 4, "how far the log goes on is not its concern");
    assert_eq!(store.read(|tx| tx.welcomes_waiting(TOM_PHONE)).await.unwrap(), 0, "the welcome was withdrawn");
    assert!(store.read(|tx| tx.heads(TOM_PHONE)).await.unwrap().is_empty());

    let joiners = vec![Joiner { device: TOM_PHONE, user: TOM, welcomed: false }];
    world.commit(NewCommit { joiners, ..commit(2, 6) }).await;
    world.send(message(3, 7, b"tom is back")).await;
    assert_eq!(world.seqs(TOM_PHONE, 0).await, [3, 4, 7]);
    assert_eq!(world.seqs(TOM_PHONE, 4).await, [7]);
    assert_eq!(world.seqs(MEI_PHONE, 0).await, [1, 2, 3, 4, 5, 6, 7]);

    let rejoin = vec![Joiner { device: TOM_PHONE, user: TOM, welcomed: false }];
    world.commit(NewCommit { joiners: rejoin, removed: vec![TOM_PHONE], ..commit(3, 8) }).await;
    world.send(message(4, 9, b"rejoined")).await;
    assert_eq!(world.seqs(TOM_PHONE, 4).await, [7, 8, 9], "the old leaf sees its removal, the new one goes on");
    assert_eq!(
        store.read(|tx| tx.heads(TOM_PHONE)).await.unwrap(),
        [Cursor { conversation: TALK, generation: 0, seq: 9 }]
    );
    assert_eq!(store.read(|tx| tx.members(TALK)).await.unwrap().len(), 2);
}

async fn answers_are_bounded_in_entries_and_bytes(on: On) {
    let world = on.world().await;
    world.store.write(add_talk).await.unwrap();
    for id in 1..=20 {
        world.send(message(0, id, &vec![0; 64 << 10])).await;
    }
    let fetched = world.fetch(MEI_PHONE, 0).await.unwrap();
    assert_eq!((fetched.entries.len(), fetched.head), (15, 20), "1 MiB of entries, counted as they are stored");
    let few = world.store.read(|tx| tx.fetch_entries(TALK, MEI_PHONE, 0, 3)).await.unwrap().unwrap();
    assert_eq!(few.entries.len(), 3);
    let none = world.store.read(|tx| tx.fetch_entries(TALK, MEI_PHONE, 0, 0)).await.unwrap().unwrap();
    assert!(none.entries.is_empty());
    world.send(message(0, 21, &vec![0; 2 << 20])).await;
    assert_eq!(world.seqs(MEI_PHONE, 20).await, [21], "at least one is always returned");
}

async fn a_direct_conversation_is_unique_for_its_pair(on: On) {
    let world = on.world().await;
    let store = &world.store;
    store.write(add_talk).await.unwrap();
    let create =
        async |new: NewConversation<'static>| store.write(move |tx| tx.create_conversation(new, NOW)).await.unwrap();
    assert_eq!(create(new_talk()).await, CreateConversation::Repeated);
    assert_eq!(create(NewConversation { creator: TOM_PHONE, ..new_talk() }).await, CreateConversation::IdTaken);
    assert_eq!(
        create(NewConversation { group: GroupId::from_bytes([9; 16]), ..new_talk() }).await,
        CreateConversation::IdTaken
    );
    let second =
        NewConversation { conversation: ConversationId::from_bytes([32; 16]), pair: Some([TOM, MEI]), ..new_talk() };
    assert_eq!(create(second).await, CreateConversation::PairTaken(TALK));
    let group = NewConversation { kind: Kind::Group, pair: None, ..second };
    assert_eq!(create(group).await, CreateConversation::Created);
    let group = NewConversation { conversation: ConversationId::from_bytes([33; 16]), ..group };
    assert_eq!(create(group).await, CreateConversation::Created);
    assert_eq!(store.read(|tx| tx.direct_conversation([TOM, MEI])).await.unwrap(), Some(TALK));
    let ids = async |after, limit| {
        let list = store.read(move |tx| tx.conversations_after(after, limit)).await.unwrap();
        list.iter().map(|there| there.conversation.as_bytes()[0]).collect::<Vec<_>>()
    };
    assert_eq!(ids(None, 2).await, [31, 32]);
    assert_eq!(ids(Some(TALK), 9).await, [32, 33]);
    assert_eq!(store.read(|tx| tx.tree(TALK, GROUP, 0)).await.unwrap().unwrap(), b"tree 0");
    assert_eq!(store.read(|tx| tx.current_group(TALK)).await.unwrap().unwrap().group_info, b"group info 0");
}

async fn cursors_only_move_forward_and_never_past_the_log(on: On) {
    let world = on.world().await;
    world.store.write(add_talk).await.unwrap();
    for id in 1..=3 {
        world.send(message(0, id, b"sealed")).await;
    }
    let seq = async || world.store.read(|tx| tx.cursor(TALK, MEI_PHONE)).await.unwrap().map(|cursor| cursor.seq);
    world.acknowledge(MEI_PHONE, 7, 2).await;
    assert_eq!(seq().await, None, "another generation");
    world.acknowledge(MEI_PHONE, 0, 2).await;
    world.acknowledge(MEI_PHONE, 0, 1).await;
    assert_eq!(seq().await, Some(2));
    world.acknowledge(MEI_PHONE, 0, u64::MAX).await;
    assert_eq!(seq().await, Some(3));
    world.acknowledge(TOM_PHONE, 0, 3).await;
    assert_eq!(world.store.read(|tx| tx.cursor(TALK, TOM_PHONE)).await.unwrap(), None, "no member");
}

async fn what_every_device_has_is_deleted_after_its_grace_and_numbers_go_on(on: On) {
    let world = on.world().await;
    let store = &world.store;
    store.write(add_talk).await.unwrap();
    world.commit(NewCommit { public_group: Some(b"state".to_vec()), ..add_tom(0, 1) }).await;
    for id in 2..=6 {
        world.send(message(1, id, b"sealed")).await;
    }
    let prune = async |now| store.write(move |tx| tx.prune(TALK, Retention::DEFAULT, now)).await.unwrap();
    let later = NOW + 6 + GRACE_MS;
    assert_eq!(prune(later).await, 0, "nobody has read anything");
    world.acknowledge(MEI_PHONE, 0, 6).await;
    assert_eq!(prune(later).await, 1, "a joiner has what came before it; tom has read nothing else");
    world.acknowledge(TOM_PHONE, 0, 4).await;
    assert_eq!(prune(NOW + 2 + GRACE_MS).await, 1, "the others are in their grace");
    assert_eq!(prune(later).await, 2);
    assert_eq!(world.seqs(MEI_PHONE, 0).await, [5, 6]);
    world.commit(NewCommit { removed: vec![TOM_PHONE], ..commit(1, 7) }).await;
    assert_eq!(prune(later).await, 2, "who is gone keeps nothing");
    world.acknowledge(MEI_PHONE, 0, 7).await;
    assert_eq!(prune(later + 9).await, 0, "the commit is newer than the snapshot of the group");
    assert_eq!(seq_of(&world.send(message(2, 8, b"sealed")).await), 8);
    assert_eq!(prune(NOW + Retention::DEFAULT.keep_ms + 8).await, 0, "nothing goes before a commit that must stay");
    store.write(|tx| tx.put_public_group(TALK, 7, b"state")).await.unwrap();
    assert_eq!(prune(NOW + Retention::DEFAULT.keep_ms + 8).await, 2, "past its retention, read or not");
    assert_eq!(seq_of(&world.send(message(2, 9, b"sealed")).await), 9);
}

async fn deletion_follows_the_rule(on: On) {
    let world = on.world().await;
    let store = &world.store;
    store.write(add_talk).await.unwrap();
    let short = Retention { keep_ms: 3 * GRACE_MS };
    for id in 1..=4 {
        let at = NOW + id * GRACE_MS;
        world.send(NewEntry { at, ..message(0, id, b"sealed") }).await;
    }
    world.acknowledge(MEI_PHONE, 0, 2).await;
    let mut left: Vec<u64> = (1..=4).collect();
    for now in (0..9).map(|step| NOW + step * GRACE_MS) {
        store.write(move |tx| tx.prune(TALK, short, now)).await.unwrap();
        let goes = |seq: u64| may_delete(Kept { seq, at: NOW + seq * GRACE_MS, acknowledged: 2 }, short, now);
        left.retain(|seq| !goes(*seq));
        assert_eq!(world.seqs(MEI_PHONE, 0).await, left, "{now}");
    }
    assert!(left.is_empty());
}

async fn a11_of_racing_commits_exactly_one_wins_each_epoch(on: On) {
    let world = on.world().await;
    world.store.write(add_talk).await.unwrap();
    for epoch in 0..4 {
        let racers: Vec<_> = (0..64)
            .map(|id| {
                let (store, commit) = (world.store.clone(), commit(epoch, epoch * 100 + id));
                tokio::spawn(async move { store.write(move |tx| tx.record_commit(commit)).await.unwrap() })
            })
            .collect();
        let mut won = 0;
        for racer in racers {
            match racer.await.unwrap() {
                CommitOutcome::Recorded { entry, .. } => {
                    assert_eq!(entry.seq, epoch + 1);
                    won += 1;
                }
                CommitOutcome::EpochTaken { current } => assert_eq!(current, epoch + 1),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(won, 1, "epoch {epoch}");
    }
    assert_eq!(world.seqs(MEI_PHONE, 0).await, [1, 2, 3, 4]);
}

async fn racing_repeats_of_a_message_are_one_entry(on: On) {
    let world = on.world().await;
    world.store.write(add_talk).await.unwrap();
    let racers: Vec<_> = (0..64)
        .map(|copy: u64| {
            let (store, entry) = (world.store.clone(), message(0, 1 + copy % 4, b"sealed"));
            tokio::spawn(async move { store.write(move |tx| tx.append_entry(entry)).await.unwrap() })
        })
        .collect();
    let mut recorded = 0;
    for racer in racers {
        recorded += usize::from(matches!(racer.await.unwrap(), Append::Recorded { .. }));
    }
    assert_eq!(recorded, 4);
    assert_eq!(world.seqs(MEI_PHONE, 0).await, [1, 2, 3, 4]);
}

async fn refused_entries_of_a_batch_leave_their_neighbours_alone(on: On) {
    let world = on.world().await;
    world.store.write(add_talk).await.unwrap();
    let (told, answers) = std::sync::mpsc::sync_channel(100);
    for id in 0..100 {
        // Every second is stale, every tenth is a repeat, one names no conversation.
        let new = message(id % 2, if id % 10 == 4 { 2 } else { id }, b"sealed");
        let new = if id == 50 { NewEntry { conversation: ConversationId::from_bytes([9; 16]), ..new } } else { new };
        let told = told.clone();
        world.store.submit_entry(new, move |result| told.send((id, result.unwrap())).unwrap());
    }
    drop(told);
    let answers: Vec<_> = answers.iter().take(100).collect();
    let mut recorded = 0;
    for (id, answer) in answers {
        match answer {
            Append::NoConversation => assert_eq!(id, 50),
            Append::StaleEpoch { current: 0 } => assert_eq!(id % 2, 1),
            Append::Repeated(_) => assert_eq!(id % 10, 4),
            Append::Recorded { .. } => recorded += 1,
            other => panic!("{id}: {other:?}"),
        }
    }
    assert_eq!(world.seqs(MEI_PHONE, 0).await, (1..=recorded).collect::<Vec<_>>());
    assert_eq!(recorded, 39);
}

async fn entries_and_other_jobs_of_one_batch_see_each_other(on: On) {
    let world = on.world().await;
    let store = &world.store;
    store.write(add_talk).await.unwrap();
    let release = held_writer(store);
    let before = world.database.counters();
    let (told, answers) = std::sync::mpsc::sync_channel(100);
    let mut epoch = 0;
    for id in 1..=40 {
        let (told, seen) = (told.clone(), told.clone());
        match id % 4 {
            // A job that appends, and is undone.
            0 => store.submit(
                move |tx| tx.append_entry(message(epoch, id, b"undone")).and(Err::<(), _>(store::Error::LogFull)),
                move |undone| assert!(undone.is_err()),
            ),
            1 => {
                store.submit(
                    move |tx| tx.record_commit(commit(epoch, id)),
                    move |outcome| {
                        let Ok(CommitOutcome::Recorded { entry, .. }) = outcome else { panic!("{outcome:?}") };
                        told.send(entry).unwrap();
                    },
                );
                epoch += 1;
            }
            _ => store.submit_entry(message(epoch, id, b"sealed"), move |appended| {
                let Ok(Append::Recorded { entry, .. }) = appended else { panic!("{appended:?}") };
                seen.send(entry).unwrap();
            }),
        }
    }
    // Of each id there is a repeat in the same batch.
    store.submit_entry(message(epoch, 2, b"again"), |repeated| {
        assert!(matches!(repeated, Ok(Append::Repeated(at)) if at.seq == 2))
    });
    release.send(()).unwrap();
    drop(told);
    let entries: Vec<_> = answers.iter().take(30).collect();
    assert_eq!(entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), (1..=30).collect::<Vec<_>>());
    let hash = entries.iter().fold(EntryHash::GENESIS, |hash, entry| hash.then(TENANT, TALK, entry));
    let there = store.read(|tx| tx.conversation(TALK)).await.unwrap().unwrap();
    assert_eq!((there.head_seq, there.head_hash, there.epoch), (30, hash, 10));
    assert_eq!(world.fetch(MEI_PHONE, 0).await.unwrap().entries, entries);
    assert_eq!(world.database.counters().batches - before.batches, 2, "not one batch");
    assert_eq!(
        world.send(message(10, 39, b"again")).await,
        Append::Repeated(RecordedAt { seq: 30, at: NOW + 39, generation: 0 })
    );
    assert_eq!(seq_of(&world.send(message(10, 40, b"what was undone can be sent")).await), 31);
}

async fn many_senders_get_dense_numbers_and_one_hash_chain(on: On) {
    let world = on.world().await;
    world.store.write(add_talk).await.unwrap();
    let senders: Vec<_> = (1..=500)
        .map(|id| {
            let (store, entry) = (world.store.clone(), message(0, id, &id.to_be_bytes()));
            tokio::spawn(async move { store.write(move |tx| tx.append_entry(entry)).await.unwrap() })
        })
        .collect();
    let mut entries: Vec<Entry> = Vec::new();
    for sender in senders {
        let append = sender.await.unwrap();
        let Append::Recorded { entry, .. } = append else { panic!("{append:?}") };
        entries.push(entry);
    }
    entries.sort_unstable_by_key(|entry| entry.seq);
    assert!(entries.iter().zip(1..).all(|(entry, seq)| entry.seq == seq));
    let hash = entries.iter().fold(EntryHash::GENESIS, |hash, entry| hash.then(TENANT, TALK, entry));
    assert_eq!(world.store.read(|tx| tx.conversation(TALK)).await.unwrap().unwrap().head_hash, hash);
    assert_eq!(world.fetch(MEI_PHONE, 0).await.unwrap().entries, entries);
    let counters = world.database.counters();
    assert!(counters.largest_batch > 1 && counters.batches < counters.jobs, "no group commit: {counters:?}");
}
