//! What works: conversations between devices that forget everything but their disks.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's help fails the test")]

extern crate mifeng_e2ee as e2ee;
mod harness;

use e2ee::{Error, Group, KeyPackageUse, Opened, Proposed, StorageFailure, Vouched};
use harness::*;
use trust::{Change, Committer, WhoMayAdd};
use wire::EntryKind;

#[test]
fn a_direct_conversation_goes_both_ways() {
    on_both(|suite| {
        let world = World::new(suite);
        let (alice, bob) = world.direct();
        for round in 0..5 {
            world.hears(&alice, &[&bob], &format!("hello {round}"));
            world.hears(&bob, &[&alice], &format!("well, hello {round}"));
        }
        assert_eq!(alice.group().members().unwrap(), bob.group().members().unwrap());
        assert_eq!(alice.group().policy(), &direct());
        assert_eq!(alice.group().suite(), suite);
        let (a, b) = (alice.group().ephemeral_key(&alice.device()), bob.group().ephemeral_key(&bob.device()));
        assert_eq!(a.unwrap(), b.unwrap(), "both derive the key for typing");
    });
}

#[test]
fn own_messages_come_back_as_such() {
    on_both(|suite| {
        let world = World::new(suite);
        let (alice, _) = world.direct();
        let entry = world.send(&alice, "hello").unwrap();
        let Opened::Own { aad } = alice.open(&world, &entry).unwrap() else { panic!("not its own") };
        assert_eq!(aad.message_id, entry.message_id);
    });
}

#[test]
fn members_come_and_go_and_the_removed_read_nothing_new() {
    on_both(|suite| {
        let world = World::new(suite);
        let [alice, bob, carol] = world.group();
        world.hears(&bob, &[&alice, &carol], "three of us");
        let removal = world.remove(&alice, &[&carol]).unwrap();
        let Opened::Commit { commit, .. } = bob.open(&world, &removal.entry).unwrap() else { panic!("no commit") };
        assert_eq!(commit.committer, Committer::Member(alice.identity));
        assert!(commit.changes.contains(&Change::Remove(carol.identity)) && !commit.self_removed);
        let later = world.send(&bob, "two of us").unwrap();
        assert!(matches!(carol.open(&world, &later), Err(Error::FutureEpoch { epoch: 2, current: 1 })));
        let Opened::Commit { commit, .. } = carol.open(&world, &removal.entry).unwrap() else { panic!("no commit") };
        assert!(commit.self_removed);
        assert!(matches!(carol.open(&world, &later), Err(Error::NotMember)));
        world.hears(&alice, &[&bob], "still two");
    });
}

#[test]
fn a_group_that_ended_leaves_nothing_on_disk() {
    on_both(|suite| {
        let world = World::new(suite);
        let [alice, bob, carol] = world.group();
        let before = carol.disk.values().len();
        assert!(before > 5, "there was something");
        let removal = world.remove(&alice, &[&carol]).unwrap();
        carol.open(&world, &removal.entry).unwrap();
        assert_eq!(carol.disk.keys(), Vec::<String>::new());
        let gone = bob.group().forget(&bob.device()).unwrap();
        bob.disk.apply(&gone);
        assert_eq!(bob.disk.keys(), Vec::<String>::new());
    });
}

#[test]
fn a_device_that_was_removed_can_be_added_again() {
    on_both(|suite| {
        let world = World::new(suite);
        let [alice, bob, carol] = world.group();
        // Carol does not see that she was removed.
        let removal = world.remove(&alice, &[&carol]).unwrap();
        bob.open(&world, &removal.entry).unwrap();
        let addition = world.add(&alice, &[&carol]).unwrap();
        bob.open(&world, &addition.entry).unwrap();
        assert_eq!(carol.join(&world, &addition).unwrap().inviter.identity, alice.identity);
        world.hears(&carol, &[&alice, &bob], "back");
    });
}

#[test]
fn every_member_can_renew_its_keys() {
    on_both(|suite| {
        let world = World::new(suite);
        let [alice, bob, carol] = world.group();
        for (committer, others) in [(&alice, [&bob, &carol]), (&bob, [&alice, &carol]), (&carol, [&alice, &bob])] {
            let recorded = world.commit(committer, &Proposed::default()).unwrap();
            assert!(recorded.pending.welcome.is_none());
            for other in others {
                other.open(&world, &recorded.entry).unwrap();
            }
            world.hears(committer, &others, "new keys");
        }
    });
}

#[test]
fn an_admin_changes_the_policy() {
    on_both(|suite| {
        let world = World::new(suite);
        let [alice, bob, carol] = world.group();
        let policy = trust::GroupPolicy { who_may_add: WhoMayAdd::Members, ..group() };
        let recorded = world.commit(&alice, &Proposed { policy: Some(policy.clone()), ..Proposed::default() }).unwrap();
        bob.open(&world, &recorded.entry).unwrap();
        carol.open(&world, &recorded.entry).unwrap();
        assert_eq!(bob.group().policy(), &policy);
        let dave = world.phone(b'd', 1);
        let addition = world.add(&bob, &[&dave]).unwrap();
        alice.open(&world, &addition.entry).unwrap();
        dave.join(&world, &addition).unwrap();
        world.hears(&dave, &[&alice, &bob], "thanks");
    });
}

#[test]
fn the_loser_of_an_epoch_discards_its_commit_and_follows() {
    on_both(|suite| {
        let world = World::new(suite);
        let [alice, bob, carol] = world.group();
        let lost = world.propose(&bob, &Proposed::default()).unwrap();
        assert!(bob.group().has_pending_commit());
        assert!(matches!(world.propose(&bob, &Proposed::default()), Err(Error::CommitPending)));
        let won = world.commit(&alice, &Proposed::default()).unwrap();
        bob.act(|device, group| group.discard_pending(device)).unwrap();
        bob.open(&world, &won.entry).unwrap();
        carol.open(&world, &won.entry).unwrap();
        assert!(matches!(carol.open(&world, &lost.entry), Err(Error::PastEpoch { epoch: 1, current: 2 })));
        world.hears(&bob, &[&alice, &carol], "after the race");
    });
}

/// Without discarding first, as after a crash between the answer and the discarding.
#[test]
fn following_another_commit_discards_the_own_one() {
    on_both(|suite| {
        let world = World::new(suite);
        let [alice, bob, carol] = world.group();
        world.propose(&bob, &Proposed::default()).unwrap();
        let won = world.commit(&alice, &Proposed::default()).unwrap();
        bob.open(&world, &won.entry).unwrap();
        carol.open(&world, &won.entry).unwrap();
        assert!(!bob.group().has_pending_commit());
        world.hears(&bob, &[&alice, &carol], "after the race");
    });
}

#[test]
fn a_recorded_commit_is_merged_by_its_answer_or_by_its_entry() {
    on_both(|suite| {
        let world = World::new(suite);
        let (alice, bob) = world.direct();
        let recorded = world.propose(&alice, &Proposed::default()).unwrap();
        let committed = alice.act(|device, group| group.merge_pending(device)).unwrap();
        assert!(committed.own && committed.epoch == 2);
        assert!(
            matches!(alice.open(&world, &recorded.entry), Err(Error::PastEpoch { .. })),
            "the entry comes too late"
        );
        assert!(matches!(alice.act(|device, group| group.merge_pending(device)), Err(Error::NoCommitPending)));
        bob.open(&world, &recorded.entry).unwrap();
        world.hears(&alice, &[&bob], "merged");
    });
}

#[test]
fn a_device_that_lost_its_way_joins_again() {
    on_both(|suite| {
        let world = World::new(suite);
        let [alice, bob, carol] = world.group();
        let missed = world.commit(&alice, &Proposed::default()).unwrap();
        bob.open(&world, &missed.entry).unwrap();
        // Carol never sees that commit.
        let rejoined = carol.rejoin(&world, &missed).unwrap();
        for other in [&alice, &bob] {
            let Opened::Commit { commit, .. } = other.open(&world, &rejoined.entry).unwrap() else {
                panic!("no commit")
            };
            assert!(matches!(commit.committer, Committer::External { joiner, replaces: Some(old) }
                if joiner == carol.identity && old == carol.identity));
        }
        assert_eq!(alice.group().members().unwrap().len(), 3, "the old leaf is gone");
        world.hears(&carol, &[&alice, &bob], "here again");
        world.hears(&alice, &[&bob, &carol], "welcome");
        let renewed = world.commit(&carol, &Proposed::default()).unwrap();
        alice.open(&world, &renewed.entry).unwrap();
        bob.open(&world, &renewed.entry).unwrap();
        world.hears(&bob, &[&alice, &carol], "all well");
    });
}

#[test]
fn a_further_device_of_a_member_joins_by_itself() {
    on_both(|suite| {
        let world = World::new(suite);
        let (alice, bob) = world.direct();
        let last = world.commit(&bob, &Proposed::default()).unwrap();
        alice.open(&world, &last.entry).unwrap();
        let laptop = world.phone(b'a', 2);
        let joined = laptop.rejoin(&world, &last).unwrap();
        alice.open(&world, &joined.entry).unwrap();
        bob.open(&world, &joined.entry).unwrap();
        world.hears(&laptop, &[&alice, &bob], "from the laptop");
    });
}

#[test]
fn a_write_set_that_was_rolled_back_changes_nothing() {
    on_both(|suite| {
        let world = World::new(suite);
        let (alice, bob) = world.direct();
        let before = alice.disk.values();
        let vouch = world.vouch();
        let id = world.message_id();
        drop(alice.group().seal(&alice.device(), &aad(id), b"never sent").unwrap());
        drop(alice.group().commit(&alice.device(), &Proposed::default(), &aad(id), now(), &vouch).unwrap());
        assert_eq!(alice.disk.values(), before);
        let entry = world.send(&bob, "hello").unwrap();
        drop(alice.group().open(&alice.device(), &entry, &vouch).unwrap());
        assert_eq!(alice.disk.values(), before);
        alice.open(&world, &entry).unwrap();
        world.hears(&alice, &[&bob], "after the rollback");
        world.hears(&bob, &[&alice], "and back");
    });
}

#[test]
fn a_leaver_is_removed_by_the_next_commit() {
    on_both(|suite| {
        let world = World::new(suite);
        let [alice, bob, carol] = world.group();
        let (id, epoch) = (world.message_id(), carol.group().epoch());
        let proposal = carol.act(|device, group| group.leave(device, &aad(id))).unwrap();
        let entry = world.entry(EntryKind::Proposal, epoch, carol.identity.device, id, &proposal);
        // Its own proposal comes back, and the server repeats it.
        carol.open(&world, &entry).unwrap();
        bob.open(&world, &entry).unwrap();
        for other in [&alice, &bob] {
            let Opened::Leaving { leaver, .. } = other.open(&world, &entry).unwrap() else { panic!("not leaving") };
            assert_eq!(leaver.identity, carol.identity);
        }
        assert!(matches!(world.send(&bob, "too early"), Err(Error::ProposalsPending)));
        let recorded = world.commit(&bob, &Proposed::default()).unwrap();
        let Opened::Commit { commit, .. } = alice.open(&world, &recorded.entry).unwrap() else { panic!("no commit") };
        assert!(commit.changes.contains(&Change::SelfRemove(carol.identity)));
        let Opened::Commit { commit, .. } = carol.open(&world, &recorded.entry).unwrap() else { panic!("no commit") };
        assert!(commit.self_removed && carol.disk.keys().is_empty());
        world.hears(&bob, &[&alice], "two of us");
    });
}

#[test]
fn missing_chains_are_asked_for_and_nothing_changes_meanwhile() {
    on_both(|suite| {
        let world = World::new(suite);
        let (alice, bob, dave) = (world.phone(b'a', 1), world.phone(b'b', 1), world.phone(b'd', 1));
        world.create(&alice, &group());
        let unknown = |phone: &Phone| world.certify(&phone.identity, phone.key.public(), Vouched::Unknown);
        let known = |phone: &Phone| world.certify(&phone.identity, phone.key.public(), Vouched::Yes);

        unknown(&bob);
        let missing = world.add(&alice, &[&bob]).unwrap_err();
        assert!(matches!(missing, Error::NeedsIdentities(users) if users == [user(b'b')]));
        assert!(!alice.group().has_pending_commit());
        known(&bob);
        let recorded = world.add(&alice, &[&bob]).unwrap();

        unknown(&alice);
        let disk = bob.disk.values();
        assert!(matches!(bob.join(&world, &recorded), Err(Error::NeedsIdentities(users)) if users == [user(b'a')]));
        assert_eq!(bob.disk.values(), disk, "the key package is still there");
        known(&alice);
        bob.join(&world, &recorded).unwrap();

        let recorded = world.add(&alice, &[&dave]).unwrap();
        unknown(&dave);
        assert!(
            matches!(bob.open(&world, &recorded.entry), Err(Error::NeedsIdentities(users)) if users == [user(b'd')])
        );
        known(&dave);
        bob.open(&world, &recorded.entry).unwrap();
        world.hears(&bob, &[&alice], "all known");
    });
}

/// The follower may see a revocation before the commit that it came after.
#[test]
fn a_device_revoked_since_it_was_added_is_followed_and_reported() {
    on_both(|suite| {
        let world = World::new(suite);
        let [alice, bob, carol] = world.group();
        let dave = world.phone(b'd', 1);
        let recorded = world.add(&alice, &[&dave]).unwrap();
        world.certify(&dave.identity, dave.key.public(), Vouched::Gone);
        let Opened::Commit { commit, .. } = bob.open(&world, &recorded.entry).unwrap() else { panic!("no commit") };
        assert_eq!(commit.gone, [dave.identity]);
        carol.open(&world, &recorded.entry).unwrap();
        // Bob is no admin; that the device is gone is enough.
        let removal = world.remove(&bob, &[&dave]).unwrap();
        // Alice's copy of the chain is older than the removal: she asks before she judges.
        world.certify(&dave.identity, dave.key.public(), Vouched::Stale);
        assert!(
            matches!(alice.open(&world, &removal.entry), Err(Error::NeedsIdentities(users)) if users == [user(b'd')])
        );
        world.certify(&dave.identity, dave.key.public(), Vouched::Gone);
        alice.open(&world, &removal.entry).unwrap();
        carol.open(&world, &removal.entry).unwrap();
        let package = dave.key_package(suite, KeyPackageUse::Once);
        let refused = world.commit(&alice, &Proposed { add: vec![package], ..Proposed::default() });
        assert!(refused.is_err(), "who commits knows that it is gone");
    });
}

#[test]
fn a_last_resort_package_serves_twice_until_it_is_forgotten() {
    on_both(|suite| {
        let world = World::new(suite);
        let [alice, bob, carol] = world.group();
        let dave = world.phone(b'd', 1);
        let package = dave.device().key_package(suite, KeyPackageUse::LastResort, now()).unwrap();
        dave.disk.apply(&package.writes);
        for _ in 0..2 {
            let recorded =
                world.commit(&alice, &Proposed { add: vec![package.bytes.clone()], ..Proposed::default() }).unwrap();
            dave.join(&world, &recorded).unwrap();
            let removal = world.remove(&alice, &[&dave]).unwrap();
            dave.open(&world, &removal.entry).unwrap();
        }
        let forgotten = dave.device().forget_key_package(&package.reference).unwrap();
        dave.disk.apply(&forgotten);
        assert!(dave.disk.keys().is_empty());
        let recorded = world.commit(&alice, &Proposed { add: vec![package.bytes], ..Proposed::default() }).unwrap();
        assert!(matches!(dave.join(&world, &recorded), Err(Error::NoKeyPackage)));
        drop((bob, carol));
    });
}

#[test]
fn used_key_packages_and_old_epochs_are_deleted() {
    on_both(|suite| {
        let world = World::new(suite);
        let (alice, bob) = world.direct();
        assert!(!bob.disk.keys().contains(&"key package".to_owned()), "handed out once");
        for _ in 0..3 {
            let recorded = world.commit(&alice, &Proposed::default()).unwrap();
            bob.open(&world, &recorded.entry).unwrap();
        }
        for phone in [&alice, &bob] {
            let keys = phone.disk.keys();
            let path_keys = keys.iter().filter(|key| *key == "path keys").count();
            assert_eq!(path_keys, 1, "only this epoch's: {keys:?}");
        }
        assert!(matches!(Group::load(&bob.device(), wire::GroupId::from_bytes([1; 16])), Ok(None)));
    });
}

#[test]
fn short_messages_have_one_size() {
    on_both(|suite| {
        let world = World::new(suite);
        let (alice, _) = world.direct();
        let size = |text: &str| world.send(&alice, text).unwrap().payload.len();
        assert_eq!(size("yes"), size("no, I will not come, and I should like you to know why"));
        assert_ne!(size("yes"), size(&"long".repeat(100)));
    });
}

/// A database that fails in the middle of an operation is named as the cause, whatever OpenMLS makes of it: else a client
/// would take an honest commit for a forged one.
#[test]
fn a_disk_that_fails_is_the_cause_of_what_fails() {
    let world = World::new(e2ee::Suite::Classical);
    let [alice, bob, carol] = world.group();
    let dave = world.phone(b'd', 1);
    let added = world.add(&alice, &[&dave]).unwrap();
    let text = world.send(&carol, "in epoch 1").unwrap();
    type Operation<'a> = &'a dyn Fn(&Phone) -> Result<(), Error>;
    let operations: [(&str, &Phone, Operation<'_>); 5] = [
        ("open", &bob, &|bob| bob.open(&world, &text).map(drop)),
        ("follow", &bob, &|bob| bob.open(&world, &added.entry).map(drop)),
        ("commit", &carol, &|carol| world.propose(carol, &Proposed::default()).map(drop)),
        ("join", &dave, &|dave| dave.join(&world, &added).map(drop)),
        ("rejoin", &bob, &|bob| bob.rejoin(&world, &added).map(drop)),
    ];
    for (what, phone, operation) in operations {
        let reads = (0..200).find(|reads| {
            let copy = phone.copy();
            let before = copy.disk.values();
            copy.disk.fail_after(Some(*reads));
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| operation(&copy)));
            let failed = copy.disk.has_failed();
            copy.disk.fail_after(None);
            match outcome {
                Ok(Err(Error::Storage(StorageFailure::Read(_)))) => assert!(copy.disk.values() == before, "{what}"),
                Ok(Ok(())) => return !failed,
                Ok(Err(other)) => panic!("{what}, read {reads}: {other:?}"),
                // The harness itself loads the group, and does not expect that to fail.
                Err(_) => assert!(failed),
            }
            false
        });
        assert!(reads.is_some_and(|reads| reads > 5), "{what}: {reads:?}");
    }
}

/// The client moves groups between threads, and shares what it reads.
#[test]
fn groups_can_be_sent() {
    fn sent<T: Send>() {}
    sent::<Group>();
    sent::<e2ee::Changed<Opened>>();
    sent::<Error>();
}

/// Secrets do not show in `Debug`.
#[test]
fn debug_shows_no_secret() {
    let world = World::new(e2ee::Suite::Classical);
    let (alice, bob) = world.direct();
    let (device, vouch) = (alice.device(), world.vouch());
    let entry = world.send(&bob, "sealed").unwrap();
    let opened = alice.group().open(&device, &entry, &vouch).unwrap();
    let sealed = alice.group().seal(&device, &aad(world.message_id()), b"sealed").unwrap();
    let package = device.key_package(world.suite, KeyPackageUse::Once, now()).unwrap();
    insta::assert_snapshot!(format!(
        "{device:?}\n{:?}\n{:?}\n{:?}\n{:?}",
        opened.output,
        sealed.group.unwrap(),
        sealed.writes,
        package.writes
    ));
}
