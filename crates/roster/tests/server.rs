//! The server's view against the clients': what is honest passes and both agree; what is forged is refused.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's help fails the test")]

extern crate mifeng_roster as roster;
#[path = "../../e2ee/tests/harness/mod.rs"]
mod harness;

use e2ee::{KeyPackageUse, Proposed, Suite, Vouched};
use harness::matrix::{self, Case};
use harness::rogue::{self, Rogue};
use harness::*;
use openmls::prelude::{Ciphersuite, Extension, Extensions, Lifetime};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use roster::{CheckedCommit, KeyPackageFault, PublicTree, Refused, key_package, payload};
use trust::registry::KEY_PACKAGE_WIDTH_MAX_S;
use trust::{Change, Committer, PolicyViolation};
use wire::ErrorCode;

/// A server that follows one conversation, and restarts after every commit: half of the time from a fresh snapshot, else
/// from the first one and all commits since.
struct Server {
    tree: PublicTree,
    snapshot: Vec<u8>,
    commits: Vec<Vec<u8>>,
}

impl Server {
    fn new(world: &World, created: &e2ee::Created) -> Self {
        let tree = PublicTree::create(&created.group_info, &created.tree, &world.vouch()).unwrap();
        let snapshot = tree.snapshot().unwrap();
        Self { tree, snapshot, commits: Vec::new() }
    }

    fn check(&self, world: &World, recorded: &Recorded) -> Result<CheckedCommit, Refused> {
        check(&self.tree, world, recorded)
    }

    fn record(&mut self, world: &World, recorded: &Recorded) -> (Committer, Vec<Change>) {
        let checked = self.check(world, recorded).unwrap();
        assert_eq!(checked.aad.message_id, recorded.entry.message_id);
        assert_eq!(checked.epoch, recorded.entry.epoch + 1);
        let (members, outcome) = (checked.members.clone(), (checked.committer, checked.changes.clone()));
        self.tree.apply(checked).unwrap();
        self.commits.push(recorded.pending.commit.clone());
        self.restart();
        let mut after: Vec<_> = self.tree.members().unwrap().iter().map(|leaf| leaf.identity).collect();
        let mut said = members;
        after.sort_unstable();
        said.sort_unstable();
        assert_eq!(after, said);
        outcome
    }

    fn restart(&mut self) {
        let fresh = self.tree.snapshot().unwrap();
        let replayed = PublicTree::restore(&self.snapshot, self.commits.iter().map(Vec::as_slice)).unwrap();
        assert!(replayed.snapshot().unwrap() == fresh, "a replay leads elsewhere");
        self.tree = PublicTree::restore(&fresh, []).unwrap();
        if self.tree.epoch().is_multiple_of(2) {
            (self.snapshot, self.commits) = (fresh, Vec::new());
        }
    }

    fn agrees(&self, phone: &Phone) {
        let group = phone.group();
        assert_eq!((self.tree.group_id(), self.tree.epoch()), (group.id(), group.epoch()));
        assert_eq!((self.tree.policy(), self.tree.suite()), (group.policy(), group.suite()));
        assert_eq!(self.tree.members().unwrap(), group.members().unwrap());
        assert_eq!(self.tree.tree_bytes().unwrap(), group.tree().unwrap());
    }
}

fn check(tree: &PublicTree, world: &World, recorded: &Recorded) -> Result<CheckedCommit, Refused> {
    let pending = &recorded.pending;
    tree.check(&pending.commit, &pending.group_info, pending.welcome.as_deref(), &world.vouch())
}

fn violation(refused: &Refused) -> Option<PolicyViolation> {
    match refused {
        Refused::Policy(violation) => Some(*violation),
        _ => None,
    }
}

#[test]
fn an_honest_conversation_passes_and_both_sides_agree() {
    on_both(|suite| {
        let world = World::new(suite);
        let [alice, bob, carol, dave] = [b'a', b'b', b'c', b'd'].map(|name| world.phone(name, 1));
        let mut server = Server::new(&world, &world.create(&alice, &group()));
        server.agrees(&alice);

        let added = world.add(&alice, &[&bob, &carol]).unwrap();
        let checked = server.check(&world, &added).unwrap();
        assert_eq!((checked.added.as_slice(), checked.removed.len()), ([bob.identity, carol.identity].as_slice(), 0));
        server.record(&world, &added);
        bob.join(&world, &added).unwrap();
        carol.join(&world, &added).unwrap();
        server.agrees(&bob);

        let renewed = world.commit(&bob, &Proposed::default()).unwrap();
        server.record(&world, &renewed);
        alice.open(&world, &renewed.entry).unwrap();

        let policy = matrix::open_group();
        let changed = world.commit(&alice, &Proposed { policy: Some(policy), ..Proposed::default() }).unwrap();
        server.record(&world, &changed);
        bob.open(&world, &changed.entry).unwrap();

        // Carol missed both and joins again.
        let rejoined = carol.rejoin(&world, &changed).unwrap();
        let checked = server.check(&world, &rejoined).unwrap();
        assert!(checked.added.is_empty() && checked.removed.is_empty(), "the device was there and is");
        let (committer, _) = server.record(&world, &rejoined);
        assert_eq!(committer, Committer::External { joiner: carol.identity, replaces: Some(carol.identity) });
        alice.open(&world, &rejoined.entry).unwrap();
        bob.open(&world, &rejoined.entry).unwrap();

        let added = world.add(&bob, &[&dave]).unwrap();
        server.record(&world, &added);
        dave.join(&world, &added).unwrap();
        alice.open(&world, &added.entry).unwrap();
        let removed = world.remove(&alice, &[&bob]).unwrap();
        assert_eq!(server.check(&world, &removed).unwrap().removed, [bob.identity]);
        server.record(&world, &removed);
        server.agrees(&alice);
    });
}

#[test]
fn a_new_group_is_new_and_its_creators() {
    on_both(|suite| {
        let world = World::new(suite);
        let (alice, bob, mallory) = (world.phone(b'a', 1), world.phone(b'b', 1), world.phone(b'm', 1));
        let created = world.create(&alice, &direct());
        let create = |info: &[u8], tree: &[u8]| PublicTree::create(info, tree, &world.vouch());
        create(&created.group_info, &created.tree).unwrap();
        // Epoch 1, two leaves.
        let added = world.add(&alice, &[&bob]).unwrap();
        assert!(matches!(create(&added.pending.group_info, &added.tree), Err(Refused::Context)));
        assert!(create(&added.pending.group_info, &created.tree).is_err(), "the tree is not that of the context");
        assert!(create(&created.group_info, &added.tree).is_err());
        assert!(matches!(create(&created.tree, &created.group_info), Err(Refused::Malformed)));
        // Someone who is not in the policy.
        let foreign = world.create(&mallory, &direct());
        assert!(matches!(create(&foreign.group_info, &foreign.tree), Err(Refused::Context)));
        // Someone whom no chain certifies, or no longer.
        world.certify(&alice.identity, rogue::other_key().public(), Vouched::Yes);
        assert!(matches!(create(&created.group_info, &created.tree), Err(Refused::NotVouched(_))));
        world.certify(&alice.identity, alice.key.public(), Vouched::Gone);
        assert!(matches!(create(&created.group_info, &created.tree), Err(Refused::NotVouched(_))));
        world.certify(&alice.identity, alice.key.public(), Vouched::Unknown);
        assert!(matches!(create(&created.group_info, &created.tree), Err(Refused::NeedsIdentities(_))));
    });
}

#[test]
fn a19_a_new_group_of_another_suite_or_context_is_refused() {
    let world = World::new(Suite::Classical);
    let alice = world.phone(b'a', 1);
    let suite = Suite::Classical.ciphersuite();
    let other = Ciphersuite::MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519;
    let create = |suite, policy| {
        let (info, tree) = Rogue::new(&alice).create(suite, rogue::extensions_unchecked(&policy));
        PublicTree::create(&info, &tree, &world.vouch())
    };
    assert!(create(suite, group()).is_ok(), "the control");
    assert!(matches!(create(other, group()), Err(Refused::Suite)));
    assert!(matches!(
        create(suite, trust::GroupPolicy { version: 2, ..group() }),
        Err(Refused::Policy(PolicyViolation::InvalidPolicy))
    ));
    let ours = rogue::extensions_unchecked(&group());
    let senders = ours.iter().cloned().chain([Extension::ExternalSenders(Vec::new())]).collect();
    for context in [Extensions::empty(), Extensions::from_vec(senders).unwrap()] {
        let (info, tree) = Rogue::new(&alice).create(suite, context);
        assert!(matches!(PublicTree::create(&info, &tree, &world.vouch()), Err(Refused::Context)));
    }
}

#[test]
fn a2_commits_by_role() {
    on_both(|suite| {
        let judged = matrix::run(suite, &|world, case, what, allowed, recorded| {
            let tree = follow(world, case);
            let outcome = check(&tree, world, recorded);
            let context = (what, case.admin, case.policy.kind, case.policy.who_may_add);
            assert_eq!(outcome.is_ok(), allowed, "{context:?}: {outcome:?}");
        });
        assert!(judged >= 80, "{judged}");
    });
}

fn follow(world: &World, case: &Case) -> PublicTree {
    let mut tree = PublicTree::create(&case.created.group_info, &case.created.tree, &world.vouch()).unwrap();
    for recorded in &case.history {
        tree.apply(check(&tree, world, recorded).unwrap()).unwrap();
    }
    tree
}

#[test]
fn a2_commits_by_reference_are_refused() {
    on_both(|suite| {
        let world = World::new(suite);
        let mut case = Case::new(&world, true, group());
        let tree = follow(&world, &case);
        let witness = case.rogue.index_of(&case.witness.identity);
        case.rogue.propose(&world, |group, provider, signer| {
            group.propose_remove_member(provider, signer, witness).unwrap().0
        });
        let recorded = case.rogue.commit(&world, |commit| commit).unwrap();
        assert!(matches!(check(&tree, &world, &recorded), Err(Refused::Invalid(_))));
    });
}

#[test]
fn a1_outsiders_are_refused() {
    on_both(|suite| {
        let world = World::new(suite);
        let (alice, bob) = (world.phone(b'a', 1), world.phone(b'b', 1));
        let mut server = Server::new(&world, &world.create(&alice, &group()));
        let added = world.add(&alice, &[&bob]).unwrap();
        server.record(&world, &added);
        let mallory = world.phone(b'm', 1);
        let forged = mallory.rejoin(&world, &added).unwrap();
        assert_eq!(violation(&server.check(&world, &forged).unwrap_err()), Some(PolicyViolation::External));
        let ghost = Phone::new(b'b', 9);
        let forged = ghost.rejoin(&world, &added).unwrap();
        assert!(matches!(server.check(&world, &forged), Err(Refused::NotVouched(leaf)) if leaf == ghost.identity));
        // A revoked device may not come back, whatever it still holds.
        let revoked = world.phone(b'b', 2);
        let joined = revoked.rejoin(&world, &added).unwrap();
        assert!(server.check(&world, &joined).is_ok(), "the control");
        world.certify(&revoked.identity, revoked.key.public(), Vouched::Gone);
        assert!(matches!(server.check(&world, &joined), Err(Refused::NotVouched(_))));
        // A commit of a shadow group with the same ids.
        let shadow = world.phone(b'a', 7);
        world.create(&shadow, &group());
        world.commit(&shadow, &Proposed::default()).unwrap();
        let forged = world.commit(&shadow, &Proposed::default()).unwrap();
        assert!(server.check(&world, &forged).is_err());
        server.agrees(&alice);
    });
}

/// Of two commits to one epoch the second finds the epoch taken, whether it was checked before or after.
#[test]
fn a11_one_commit_per_epoch() {
    on_both(|suite| {
        let world = World::new(suite);
        let (alice, bob) = (world.phone(b'a', 1), world.phone(b'b', 1));
        let mut server = Server::new(&world, &world.create(&alice, &direct()));
        let added = world.add(&alice, &[&bob]).unwrap();
        server.record(&world, &added);
        bob.join(&world, &added).unwrap();
        let one = world.propose(&alice, &Proposed::default()).unwrap();
        let other = world.propose(&bob, &Proposed::default()).unwrap();
        let (checked, late) = (server.check(&world, &one).unwrap(), server.check(&world, &other).unwrap());
        server.tree.apply(checked).unwrap();
        assert!(matches!(server.tree.apply(late), Err(Refused::Epoch { epoch: 1, current: 2 })));
        let refused = server.check(&world, &other).unwrap_err();
        assert!(matches!(refused, Refused::Epoch { epoch: 1, current: 2 }));
        assert_eq!(refused.code(), ErrorCode::EpochTaken);
        alice.open(&world, &one.entry).unwrap();
        server.agrees(&alice);
    });
}

/// GroupInfo and Welcome belong to their commit and to no other.
#[test]
fn a10_group_info_and_welcome_belong_to_the_commit() {
    on_both(|suite| {
        let world = World::new(suite);
        let (alice, bob, carol) = (world.phone(b'a', 1), world.phone(b'b', 1), world.phone(b'c', 1));
        let created = world.create(&alice, &group());
        let server = Server::new(&world, &created);
        let twin = alice.copy();
        let added = world.add(&alice, &[&bob]).unwrap();
        let other = world.add(&twin, &[&carol]).unwrap();
        assert!(server.check(&world, &added).is_ok() && server.check(&world, &other).is_ok(), "the controls");
        let with = |change: &dyn Fn(&mut e2ee::Pending)| {
            let mut recorded = added.clone();
            change(&mut recorded.pending);
            server.check(&world, &recorded).unwrap_err()
        };
        let infos = [created.group_info.clone(), other.pending.group_info.clone(), added.pending.commit.clone()];
        for info in infos {
            assert!(matches!(with(&|pending| pending.group_info = info.clone()), Refused::GroupInfo));
        }
        assert!(matches!(with(&|pending| pending.welcome = None), Refused::Welcome));
        assert!(matches!(with(&|pending| pending.welcome = other.pending.welcome.clone()), Refused::Welcome));
        assert!(matches!(with(&|pending| pending.welcome = Some(added.pending.group_info.clone())), Refused::Welcome));
        // A Welcome that nobody needs.
        let renewed = world.propose(&alice, &Proposed::default()).unwrap();
        let mut extra = renewed.clone();
        extra.pending.welcome = added.pending.welcome.clone();
        let mut later = Server::new(&world, &created);
        later.record(&world, &added);
        assert!(later.check(&world, &renewed).is_ok());
        assert!(matches!(later.check(&world, &extra), Err(Refused::Welcome)));
        // One with the tree inside, which would be kept and sent once more for everyone.
        let mut case = Case::new(&world, false, group());
        let (tree, with_tree) = (follow(&world, &case), case.rogue.commit_with_tree(&world));
        assert!(matches!(check(&tree, &world, &with_tree), Err(Refused::GroupInfo)));
        let without = case.rogue.commit(&world, |commit| commit).unwrap();
        assert!(check(&tree, &world, &without).is_ok(), "the control");
    });
}

#[test]
fn a9_uploaded_key_packages() {
    on_both(|suite| {
        let dave = Phone::new(b'd', 1);
        let rogue = Rogue::new(&dave);
        let now = now();
        let now_s = now / 1_000;
        for (usage, last_resort) in [(KeyPackageUse::Once, false), (KeyPackageUse::LastResort, true)] {
            let package = dave.device().key_package(suite, usage, now).unwrap();
            let facts = key_package::check(&package.bytes, now, suite).unwrap();
            assert_eq!((facts.identity, facts.key), (dave.identity, dave.key.public()));
            assert_eq!((&facts.reference, facts.last_resort), (&package.reference, last_resort));
            let other = if suite == Suite::XWing { Suite::Classical } else { Suite::XWing };
            assert!(matches!(key_package::check(&package.bytes, now, other), Err(Refused::Suite)));
            for off_ms in [-12 * 3_600_000, 12 * 3_600_000] {
                let later = now.checked_add_signed(off_ms).unwrap();
                assert!(key_package::check(&package.bytes, later, suite).is_ok(), "{off_ms}");
            }
            let expired = now + 121 * 24 * 3_600_000;
            assert_eq!(fault(&package.bytes, expired, suite), KeyPackageFault::NotNow);
        }
        let lasting = |from, until| {
            rogue.key_package(suite.ciphersuite(), |builder| builder.key_package_lifetime(Lifetime::init(from, until)))
        };
        assert!(key_package::check(&lasting(now_s - 60, now_s - 60 + KEY_PACKAGE_WIDTH_MAX_S), now, suite).is_ok());
        let ten_years = 10 * 365 * 24 * 3_600;
        for until in [now_s - 60 + KEY_PACKAGE_WIDTH_MAX_S + 1, now_s + ten_years, u64::MAX] {
            assert_eq!(fault(&lasting(now_s - 60, until), now, suite), KeyPackageFault::TooWide);
        }
        let bare = rogue.key_package(suite.ciphersuite(), |builder| {
            builder.leaf_node_capabilities(openmls::prelude::Capabilities::default())
        });
        assert_eq!(fault(&bare, now, suite), KeyPackageFault::Extensions);
    });
}

fn fault(bytes: &[u8], now: u64, suite: Suite) -> KeyPackageFault {
    match key_package::check(bytes, now, suite) {
        Err(Refused::KeyPackage(fault)) => fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_outside_of_a_message_is_read() {
    on_both(|suite| {
        let world = World::new(suite);
        let (alice, _) = world.direct();
        let entry = world.send(&alice, "hello").unwrap();
        let facts = payload::check_application(&entry.payload).unwrap();
        assert_eq!((facts.group_id, facts.epoch), (GROUP, 1));
        assert_eq!(facts.aad, aad(entry.message_id));
        let recorded = world.commit(&alice, &Proposed::default()).unwrap();
        assert!(matches!(payload::check_application(&recorded.pending.commit), Err(Refused::Malformed)));
        let mut case = Case::new(&World::new(suite), false, group());
        let entry = case.rogue.send(&world, b"not ours".to_vec(), b"hello");
        assert!(matches!(payload::check_application(&entry.payload), Err(Refused::AuthenticatedData)));
        for len in 0..entry.payload.len() {
            assert!(payload::check_application(&entry.payload[..len]).is_err());
        }
    });
}

/// Every byte but those of the membership tag is covered by what the server can check. The tag is under a key of the
/// members, and comes last.
#[test]
fn a1_mutated_commits_are_refused() {
    on_both(|suite| {
        let world = World::new(suite);
        let (alice, bob, carol) = (world.phone(b'a', 1), world.phone(b'b', 1), world.phone(b'c', 1));
        let mut server = Server::new(&world, &world.create(&alice, &group()));
        let added = world.add(&alice, &[&bob, &carol]).unwrap();
        server.record(&world, &added);
        let package = world.phone(b'd', 1).key_package(suite, KeyPackageUse::Once);
        let proposals = [
            Proposed::default(),
            Proposed { add: vec![package], ..Proposed::default() },
            Proposed { remove: vec![carol.identity], ..Proposed::default() },
            Proposed { policy: Some(matrix::open_group()), ..Proposed::default() },
        ];
        let rounds = if suite == Suite::Classical { 1_000 } else { 250 };
        let tag = if suite == Suite::Classical { 32 } else { 48 };
        for proposed in proposals {
            let honest = world.propose(&alice.copy(), &proposed).unwrap();
            assert!(server.check(&world, &honest).is_ok(), "the control");
            let mutants = |bytes: &[u8], check: &dyn Fn(Vec<u8>)| mutate(bytes, rounds, check);
            mutants(&honest.pending.commit, &|commit| {
                let whole = &honest.pending.commit;
                let only_the_tag =
                    commit.len() == whole.len() && commit[..whole.len() - tag] == whole[..whole.len() - tag];
                let mut recorded = honest.clone();
                recorded.pending.commit = commit;
                assert!(server.check(&world, &recorded).is_err() || only_the_tag);
            });
            mutants(&honest.pending.group_info, &|group_info| {
                let mut recorded = honest.clone();
                recorded.pending.group_info = group_info;
                assert!(server.check(&world, &recorded).is_err());
            });
            if let Some(welcome) = &honest.pending.welcome {
                // The secrets inside are for the joiner alone to check; the server only must not fall over.
                mutants(welcome, &|welcome| {
                    let mut recorded = honest.clone();
                    recorded.pending.welcome = Some(welcome);
                    let _ = server.check(&world, &recorded);
                });
            }
        }
    });
}

#[test]
fn a4_mutated_key_packages_are_refused() {
    on_both(|suite| {
        let package = Phone::new(b'd', 1).key_package(suite, KeyPackageUse::Once);
        let now = now();
        mutate(&package, 1_000, &|bytes| assert!(key_package::check(&bytes, now, suite).is_err()));
    });
}

fn mutate(honest: &[u8], rounds: u32, check: &dyn Fn(Vec<u8>)) {
    let config = ProptestConfig { cases: rounds, ..ProptestConfig::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let mutation = (0..4_u8, 0..honest.len(), 1..=255_u8, 0..honest.len());
    let run = runner.run(&mutation, |(kind, at, change, other)| {
        let mut bytes = honest.to_vec();
        match kind {
            0 | 1 => bytes[at] ^= change,
            2 => bytes.swap(at, other),
            _ => drop(bytes.splice(at..at.max(other).min(at + 8), [change])),
        }
        if bytes != honest {
            check(bytes);
        }
        Ok(())
    });
    run.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a18_any_bytes_are_refused(bytes: Vec<u8>, other: Vec<u8>) {
        let vouch = |_: &trust::LeafIdentity, _: &trust::DevicePublicKey| roster::Vouched::Yes;
        prop_assert!(PublicTree::create(&bytes, &other, &vouch).is_err());
        prop_assert!(PublicTree::restore(&bytes, [other.as_slice()]).is_err());
        prop_assert!(key_package::check(&bytes, 0, Suite::Classical).is_err());
        prop_assert!(payload::check_application(&bytes).is_err());
    }
}

#[test]
fn a18_damaged_snapshots_are_refused_or_harmless() {
    let world = World::new(Suite::Classical);
    let alice = world.phone(b'a', 1);
    let server = Server::new(&world, &world.create(&alice, &group()));
    let commit = world.propose(&alice, &Proposed::default()).unwrap();
    for len in 0..server.snapshot.len() {
        assert!(PublicTree::restore(&server.snapshot[..len], []).is_err(), "{len}");
    }
    mutate(&server.snapshot, 2_000, &|bytes| {
        let _ = PublicTree::restore(&bytes, [commit.pending.commit.as_slice()]);
    });
}

/// Every vector says how long it is; a library's debug builds once insisted that it was told the truth.
#[test]
fn a18_what_ends_early_is_refused() {
    let world = World::new(Suite::Classical);
    let alice = world.phone(b'a', 1);
    let created = world.create(&alice, &group());
    let package = alice.key_package(Suite::Classical, KeyPackageUse::Once);
    assert!(PublicTree::create(&created.group_info, &created.tree, &world.vouch()).is_ok());
    for len in 0..created.group_info.len() {
        assert!(PublicTree::create(&created.group_info[..len], &created.tree, &world.vouch()).is_err(), "{len}");
    }
    for len in 0..created.tree.len() {
        assert!(PublicTree::create(&created.group_info, &created.tree[..len], &world.vouch()).is_err(), "{len}");
    }
    for len in 0..package.len() {
        assert!(key_package::check(&package[..len], now(), Suite::Classical).is_err(), "{len}");
    }
}

/// The server shares trees between its threads.
#[test]
fn trees_can_be_shared() {
    fn shared<T: Send + Sync>() {}
    shared::<PublicTree>();
    shared::<CheckedCommit>();
    shared::<Refused>();
}

#[test]
fn debug_is_short() {
    let world = World::new(Suite::Classical);
    let alice = world.phone(b'a', 1);
    let server = Server::new(&world, &world.create(&alice, &group()));
    assert_eq!(format!("{:?}", server.tree), format!("PublicTree {{ group_id: {GROUP}, epoch: 0, .. }}"));
}
