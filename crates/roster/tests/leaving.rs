//! Leaving, as the server follows it: the proposal is kept, brought back, and carried out by another's commit.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's help fails the test")]
#![allow(dead_code, unused_imports, reason = "the harness is shared with other tests")]

extern crate mifeng_roster as roster;
#[path = "../../e2ee/tests/harness/mod.rs"]
mod harness;

use e2ee::{Opened, Proposed};
use harness::*;
use roster::{PublicTree, Refused};
use trust::Change;
use wire::EntryKind;

#[test]
fn a_proposal_to_leave_survives_a_restart_and_is_carried_out() {
    on_both(|suite| {
        let world = World::new(suite);
        let [alice, bob, carol] = [world.phone(b'a', 1), world.phone(b'b', 1), world.phone(b'c', 1)];
        let created = world.create(&alice, &group());
        let mut tree = PublicTree::create(&created.group_info, &created.tree, &world.vouch()).unwrap();
        let first = tree.snapshot().unwrap();
        let added = world.add(&alice, &[&bob, &carol]).unwrap();
        for phone in [&bob, &carol] {
            phone.join(&world, &added).unwrap();
        }
        let check = |tree: &PublicTree, recorded: &Recorded| {
            let Recorded { pending, .. } = recorded;
            tree.check(&pending.commit, &pending.group_info, pending.welcome.as_deref(), &world.vouch())
        };
        tree.apply(check(&tree, &added).unwrap()).unwrap();

        let (id, epoch) = (world.message_id(), carol.group().epoch());
        let proposal = carol.act(|device, group| group.leave(device, &aad(id))).unwrap();
        let checked = tree.check_proposal(&proposal).unwrap();
        assert_eq!((checked.leaver, checked.aad.message_id), (carol.identity, id));
        tree.keep_proposal(checked).unwrap();

        let entry = world.entry(EntryKind::Proposal, epoch, carol.identity.device, id, &proposal);
        for other in [&alice, &bob] {
            assert!(matches!(other.open(&world, &entry), Ok(Opened::Leaving { .. })));
        }
        let recorded = world.propose(&bob, &Proposed::default()).unwrap();
        let commits = [added.pending.commit.as_slice(), &proposal];
        for tree in [tree, PublicTree::restore(&first, commits).unwrap()] {
            let checked = check(&tree, &recorded).unwrap();
            assert!(checked.changes.contains(&Change::SelfRemove(carol.identity)));
            assert_eq!(checked.removed, [carol.identity]);
        }
        // The control: a tree that was not told of the proposal cannot follow the commit.
        let deaf = PublicTree::restore(&first, [commits[0]]).unwrap();
        assert!(matches!(check(&deaf, &recorded), Err(Refused::Invalid(_))));
    });
}

#[test]
fn a2_only_a_members_own_leaving_is_a_proposal() {
    on_both(|suite| {
        let world = World::new(suite);
        let [alice, bob] = [world.phone(b'a', 1), world.phone(b'b', 1)];
        let created = world.create(&alice, &group());
        let tree = PublicTree::create(&created.group_info, &created.tree, &world.vouch()).unwrap();
        let added = world.add(&alice, &[&bob]).unwrap();
        bob.join(&world, &added).unwrap();
        let proposal = bob.act(|device, group| group.leave(device, &aad(world.message_id()))).unwrap();
        // Made in the next epoch, by somebody who is not a member in this one.
        assert!(matches!(tree.check_proposal(&proposal), Err(Refused::Epoch { .. })));
        assert!(matches!(tree.check_proposal(&added.pending.commit), Err(Refused::Malformed)));
        assert!(matches!(tree.check_proposal(b"rubbish"), Err(Refused::Malformed)));
        let next = PublicTree::restore(&tree.snapshot().unwrap(), [added.pending.commit.as_slice()]).unwrap();
        next.check_proposal(&proposal).unwrap();
        for place in [proposal.len() / 2, proposal.len() - 80] {
            let mut forged = proposal.clone();
            forged[place] ^= 1;
            assert!(next.check_proposal(&forged).is_err(), "byte {place}");
        }
    });
}
