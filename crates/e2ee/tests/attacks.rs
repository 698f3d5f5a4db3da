//! What a hostile server or member tries, and what the client says. Rows of the table of attacks are in the names.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's help fails the test")]

extern crate mifeng_e2ee as e2ee;
mod harness;

use e2ee::{Error, KeyPackageFault, KeyPackageUse, Opened, Proposed, Refused, Suite, Vouched};
use harness::matrix::{self, Case, open_group};
use harness::rogue::{self, Rogue};
use harness::*;
use openmls::prelude::{Ciphersuite, Extension, Extensions, JoinProposal, Lifetime};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tls_codec::Serialize;
use trust::PolicyViolation;
use trust::registry::{KEY_PACKAGE_WIDTH_MAX_S, SUITE_CLASSICAL};
use wire::{DeviceId, Entry, EntryKind, MessageId};

fn violation(error: &Error) -> Option<PolicyViolation> {
    match error {
        Error::Refused(Refused::Policy(violation)) => Some(*violation),
        _ => None,
    }
}

/// The server knows GroupInfo and tree, and lets its own device in.
#[test]
fn a1_an_outsider_cannot_join_by_external_commit() {
    on_both(|suite| {
        let world = World::new(suite);
        let [alice, bob, carol] = world.group();
        let last = world.commit(&alice, &Proposed::default()).unwrap();
        bob.open(&world, &last.entry).unwrap();
        carol.open(&world, &last.entry).unwrap();
        // Its account is real, and its device certified; it is no member.
        let mallory = world.phone(b'm', 1);
        let forged = mallory.rejoin(&world, &last).unwrap();
        for phone in [&alice, &bob, &carol] {
            let refused = phone.open(&world, &forged.entry).unwrap_err();
            assert_eq!(violation(&refused), Some(PolicyViolation::External));
            assert_eq!(phone.group().members().unwrap().len(), 3);
        }
        // In the name of a member's user, whose chain does not have it.
        let ghost = Phone::new(b'b', 9);
        let forged = ghost.rejoin(&world, &last).unwrap();
        let refused = alice.open(&world, &forged.entry).unwrap_err();
        assert!(matches!(refused, Error::Refused(Refused::NotVouched(leaf)) if leaf == ghost.identity));
        // In the name of a member's device, with another key.
        let mut impostor = Phone::new(b'm', 2);
        impostor.identity = bob.identity;
        let forged = impostor.rejoin(&world, &last);
        assert!(forged.is_err() || alice.open(&world, &forged.unwrap().entry).is_err());
        world.hears(&alice, &[&bob, &carol], "only us");
    });
}

/// Someone who is no member signs an Add, as well as one can without the group's secrets: from a group with the same ids.
#[test]
fn a1_a_commit_from_a_shadow_group_is_refused() {
    on_both(|suite| {
        let world = World::new(suite);
        let (alice, bob) = world.direct();
        let (mallory, puppet) = (world.phone(b'a', 7), world.phone(b'b', 7));
        world.create(&mallory, &direct());
        let mut forged = world.add(&mallory, &[&puppet]).unwrap();
        let next = world.commit(&mallory, &Proposed::default()).unwrap();
        forged.entry.epoch = 1;
        for entry in [&forged.entry, &next.entry] {
            for phone in [&alice, &bob] {
                assert!(phone.open(&world, entry).is_err());
                assert_eq!(phone.group().epoch(), 1);
            }
        }
        world.hears(&alice, &[&bob], "only us");
    });
}

/// A member adds a device that its user never certified, or with another key.
#[test]
fn a4_a_leaf_that_its_chain_does_not_certify_is_refused() {
    on_both(|suite| {
        let world = World::new(suite);
        let [alice, bob, carol] = world.group();
        let dave = Phone::new(b'd', 1);
        assert!(matches!(world.add(&alice, &[&dave]), Err(Error::Refused(Refused::NotVouched(_)))));
        // Alice is deceived (or hostile); the others are not.
        world.certify(&dave.identity, dave.key.public(), Vouched::Yes);
        let recorded = world.add(&alice, &[&dave]).unwrap();
        world.certify(&dave.identity, rogue::other_key().public(), Vouched::Yes);
        for phone in [&bob, &carol] {
            let refused = phone.open(&world, &recorded.entry).unwrap_err();
            assert!(matches!(refused, Error::Refused(Refused::NotVouched(leaf)) if leaf == dave.identity));
        }
        // And who joins checks those who are there.
        world.certify(&dave.identity, dave.key.public(), Vouched::Yes);
        world.certify(&bob.identity, rogue::other_key().public(), Vouched::Yes);
        assert!(
            matches!(dave.join(&world, &recorded), Err(Error::Refused(Refused::NotVouched(leaf))) if leaf == bob.identity)
        );
    });
}

/// Every kind of commit by every role.
#[test]
fn a2_commits_by_role() {
    on_both(|suite| {
        let judged = matrix::run(suite, &|world, case, what, allowed, recorded| {
            witnesses(world, case, what, allowed, &recorded.entry);
        });
        assert!(judged >= 80, "OpenMLS refused too much of the matrix itself: {judged} left");
    });
}

/// On a copy of the witness, so that every case starts from the same epoch.
fn witnesses(world: &World, case: &Case, what: &str, allowed: bool, entry: &Entry) {
    let copy = case.witness.copy();
    let outcome = copy.open(world, entry);
    let context = (what, case.admin, case.policy.kind, case.policy.who_may_add);
    assert_eq!(outcome.is_ok(), allowed, "{context:?}: {outcome:?}");
    if !allowed {
        assert!(copy.disk.values() == case.witness.disk.values(), "{context:?}: refused, and yet stored");
    }
}

/// Proposals on their own: only SelfRemove is taken, so that no commit can refer to another.
#[test]
fn a2_proposals_by_reference_are_refused() {
    on_both(|suite| {
        let world = World::new(suite);
        let mut case = Case::new(&world, true, group());
        let (stranger, witness) = (world.phone(b's', 1), case.rogue.index_of(&case.witness.identity));
        let package = rogue::package(&stranger.key_package(suite, KeyPackageUse::Once));
        let context = rogue::extensions_unchecked(&open_group());
        let proposals = [
            case.rogue.propose(&world, |group, provider, signer| {
                group.propose_add_member(provider, signer, &package).unwrap().0
            }),
            case.rogue.propose(&world, |group, provider, signer| {
                group.propose_remove_member(provider, signer, witness).unwrap().0
            }),
            case.rogue.propose(&world, |group, provider, signer| {
                group.propose_group_context_extensions(provider, context, signer).unwrap().0
            }),
            case.rogue.propose(&world, |group, provider, signer| {
                group.propose_self_update(provider, signer, openmls::prelude::LeafNodeParameters::default()).unwrap().0
            }),
        ];
        // Someone outside asks to be let in (RFC 9420 §12.1.8).
        let join = JoinProposal::new::<openmls_rust_crypto::MemoryStorage>(
            package.clone(),
            case.rogue.mls().group_id().clone(),
            case.rogue.mls().epoch(),
            &rogue::RawSigner(&stranger.key),
        );
        let join = join.unwrap().tls_serialize_detached().unwrap();
        let join = world.entry(EntryKind::Proposal, 1, stranger.identity.device, world.message_id(), &join);
        assert!(case.witness.open(&world, &join).is_err());
        for entry in &proposals {
            let refused = case.witness.open(&world, entry).unwrap_err();
            assert_eq!(violation(&refused), Some(PolicyViolation::Other));
        }
        assert!(!case.witness.group().has_pending_proposals());
        // The rogue's own store has them, so its commit refers to them; the witness has none of them.
        let recorded = case.rogue.commit(&world, |commit| commit).unwrap();
        witnesses(&world, &case, "a commit by reference", false, &recorded.entry);
    });
}

/// Who wrote a message is who owns the leaf, and the envelope must agree.
#[test]
fn a3_the_author_is_the_leaf_and_the_envelope_agrees() {
    on_both(|suite| {
        let world = World::new(suite);
        let [alice, bob, carol] = world.group();
        let entry = world.send(&bob, "I am Bob").unwrap();
        let lies = [
            Entry { sender: carol.identity.device, ..entry.clone() },
            Entry { sender: alice.identity.device, ..entry.clone() },
            Entry { message_id: MessageId::from_bytes([7; 16]), ..entry.clone() },
            Entry { epoch: 0, ..entry.clone() },
            Entry { epoch: 2, ..entry.clone() },
            Entry { kind: EntryKind::Commit, ..entry.clone() },
            Entry { kind: EntryKind::Proposal, ..entry.clone() },
        ];
        for lie in &lies {
            assert!(matches!(alice.open(&world, lie), Err(Error::Envelope)), "{lie:?}");
        }
        let recorded = world.commit(&carol, &Proposed::default()).unwrap();
        for sender in [alice.identity.device, bob.identity.device] {
            let lie = Entry { sender, ..recorded.entry.clone() };
            assert!(matches!(alice.open(&world, &lie), Err(Error::Envelope)));
        }
        let Opened::Message { sender, .. } = alice.open(&world, &entry).unwrap() else { panic!("no message") };
        assert_eq!(sender.identity, bob.identity);
    });
}

/// A member sends authenticated data that says nothing.
#[test]
fn a3_a_message_without_its_authenticated_data_is_refused() {
    on_both(|suite| {
        let world = World::new(suite);
        let mut case = Case::new(&world, false, group());
        for bad in [vec![], vec![0xff; 40], wire::encode(&trust::Aad { version: 2, ..aad(world.message_id()) })] {
            let entry = case.rogue.send(&world, bad, b"hello");
            let refused = case.witness.open(&world, &entry).unwrap_err();
            assert!(matches!(refused, Error::Refused(Refused::AuthenticatedData)), "{refused:?}");
        }
        let id = world.message_id();
        let entry = Entry { message_id: id, ..case.rogue.send(&world, wire::encode(&aad(id)), b"hello") };
        assert!(matches!(case.witness.open(&world, &entry), Ok(Opened::Message { .. })), "the next one is not hurt");
    });
}

#[test]
fn a9_a_key_package_with_too_wide_a_life_is_refused() {
    on_both(|suite| {
        let world = World::new(suite);
        let [alice, bob, carol] = world.group();
        let dave = world.phone(b'd', 1);
        let rogue = Rogue::new(&dave);
        let now_s = now() / 1_000;
        let package = |from: u64, until: u64| {
            rogue.key_package(suite.ciphersuite(), |builder| builder.key_package_lifetime(Lifetime::init(from, until)))
        };
        let propose =
            |package: Vec<u8>| world.propose(&alice.copy(), &Proposed { add: vec![package], ..Proposed::default() });
        let fault = |package: Vec<u8>| match propose(package) {
            Err(Error::Refused(Refused::KeyPackage(fault))) => Some(fault),
            Err(other) => panic!("{other:?}"),
            Ok(_) => None,
        };
        let widest = now_s - 3_600 + KEY_PACKAGE_WIDTH_MAX_S;
        assert_eq!(fault(package(now_s - 3_600, widest)), None);
        assert_eq!(fault(package(now_s - 3_600, widest + 1)), Some(KeyPackageFault::TooWide));
        assert_eq!(fault(package(0, u64::MAX)), Some(KeyPackageFault::TooWide));
        assert_eq!(fault(package(now_s - 7_200, now_s - 3_600)), Some(KeyPackageFault::Invalid), "expired");
        assert_eq!(fault(package(now_s + 3_600, now_s + 7_200)), Some(KeyPackageFault::Invalid), "not yet");
        // A member who adds it all the same is not followed.
        let mut case = Case::new(&World::new(suite), true, group());
        let other = World::new(suite);
        for phone in [&dave, &case.witness] {
            other.certify(&phone.identity, phone.key.public(), Vouched::Yes);
        }
        other.certify(&case.rogue.identity, Phone::new(b'a', 2).key.public(), Vouched::Yes);
        let wide = rogue::package(&package(now_s - 3_600, widest + 1));
        let recorded = case.rogue.commit(&other, |commit| commit.propose_adds([wide])).unwrap();
        let refused = case.witness.open(&other, &recorded.entry).unwrap_err();
        assert!(matches!(refused, Error::Refused(Refused::KeyPackage(KeyPackageFault::TooWide))), "{refused:?}");
        drop((bob, carol));
    });
}

/// The clock of this device is off by half a day, either way.
#[test]
fn key_packages_survive_clocks_that_differ_by_half_a_day() {
    on_both(|suite| {
        let world = World::new(suite);
        let (alice, bob) = (world.phone(b'a', 1), world.phone(b'b', 1));
        world.create(&alice, &direct());
        for offset_ms in [-12 * 3_600_000_i64, 12 * 3_600_000] {
            let package =
                bob.device().key_package(suite, KeyPackageUse::Once, now().checked_add_signed(offset_ms).unwrap());
            let package = package.unwrap();
            bob.disk.apply(&package.writes);
            let proposed = Proposed { add: vec![package.bytes], ..Proposed::default() };
            let recorded = world.propose(&alice.copy(), &proposed);
            assert!(recorded.is_ok(), "{offset_ms}: {recorded:?}");
        }
    });
}

/// A forked or replayed Welcome, a Welcome into another conversation, a Welcome with another tree.
#[test]
fn a10_a_welcome_that_does_not_lead_where_the_server_says_is_refused() {
    on_both(|suite| {
        let world = World::new(suite);
        let (alice, bob) = (world.phone(b'a', 1), world.phone(b'b', 1));
        let created = world.create(&alice, &direct());
        let recorded = world.add(&alice, &[&bob]).unwrap();
        let (vouch, device) = (world.vouch(), bob.device());
        let welcome = recorded.pending.welcome.clone().unwrap();
        let right = invitation(1, &welcome, &recorded.tree);
        let wrong = [
            e2ee::Invitation { tenant: wire::TenantId::from_bytes([1; 16]), ..right },
            e2ee::Invitation { conversation: wire::ConversationId::from_bytes([1; 16]), ..right },
            e2ee::Invitation { epoch: 2, ..right },
            e2ee::Invitation { tree: &created.tree, ..right },
            e2ee::Invitation { tree: &[], ..right },
            e2ee::Invitation { message: &recorded.pending.group_info, ..right },
        ];
        for invitation in wrong {
            assert!(device.join(&invitation, &vouch).is_err(), "{:?}", invitation.epoch);
        }
        bob.join(&world, &recorded).unwrap();
        assert!(bob.join(&world, &recorded).is_err(), "a replay");
        // The same device is added to a fork of the group: the epoch is not ahead of what it has.
        let fork = world.phone(b'a', 2);
        world.create(&fork, &direct());
        let forked = world.add(&fork, &[&bob]).unwrap();
        assert!(matches!(bob.join(&world, &forked), Err(Error::AlreadyMember)));
        world.hears(&alice, &[&bob], "the real one");
    });
}

#[test]
fn a13_replays_duplicates_and_reorders() {
    on_both(|suite| {
        let world = World::new(suite);
        let (alice, bob) = world.direct();
        let entries: Vec<Entry> = (0..70).map(|n| world.send(&bob, &format!("{n}")).unwrap()).collect();
        alice.open(&world, &entries[0]).unwrap();
        assert!(matches!(alice.open(&world, &entries[0]), Err(Error::AlreadySeen)));
        // The last comes first: the 64 before it can still be opened, once, in any order; those before are too old.
        alice.open(&world, &entries[69]).unwrap();
        let window = 69 - 64;
        for entry in entries[window + 1..69].iter().rev() {
            let Opened::Message { .. } = alice.open(&world, entry).unwrap() else { panic!("no message") };
            assert!(matches!(alice.open(&world, entry), Err(Error::AlreadySeen)));
        }
        assert!(matches!(alice.open(&world, &entries[1]), Err(Error::TooOld)));
        let recorded = world.commit(&bob, &Proposed::default()).unwrap();
        alice.open(&world, &recorded.entry).unwrap();
        assert!(matches!(alice.open(&world, &recorded.entry), Err(Error::PastEpoch { epoch: 1, current: 2 })));
        assert!(matches!(alice.open(&world, &entries[2]), Err(Error::PastEpoch { .. })), "not kept past the epoch");
    });
}

/// All 720 orders of six entries of two senders: each is opened, and once.
#[test]
fn a13_every_order_of_six_messages() {
    let world = World::new(Suite::Classical);
    let [alice, bob, carol] = world.group();
    let entries: Vec<Entry> = (0..6).map(|n| world.send([&bob, &carol][n % 2], "x").unwrap()).collect();
    assert_eq!(orders(&world, &alice, &entries, &mut Vec::new()), 720);
}

/// Every order that begins with `opened`, from the state that it leads to.
fn orders(world: &World, phone: &Phone, entries: &[Entry], opened: &mut Vec<usize>) -> usize {
    let Some(last) = opened.last().copied().filter(|_| opened.len() == entries.len()) else {
        let next: Vec<usize> = (0..entries.len()).filter(|n| !opened.contains(n)).collect();
        return next
            .into_iter()
            .map(|n| {
                let copy = phone.copy();
                assert!(matches!(copy.open(world, &entries[n]), Ok(Opened::Message { .. })), "{opened:?} {n}");
                opened.push(n);
                let found = orders(world, &copy, entries, opened);
                opened.pop();
                found
            })
            .sum();
    };
    for n in [opened[0], last] {
        assert!(matches!(phone.open(world, &entries[n]), Err(Error::AlreadySeen)), "{opened:?}");
    }
    1
}

#[test]
fn a14_a_ciphertext_of_any_other_length_is_refused() {
    on_both(|suite| {
        let world = World::new(suite);
        let (alice, bob) = world.direct();
        let entry = world.send(&bob, "hello").unwrap();
        for len in 0..entry.payload.len() {
            let cut = Entry { payload: entry.payload[..len].to_vec(), ..entry.clone() };
            assert!(alice.open(&world, &cut).is_err(), "{len}");
        }
        let longer = Entry { payload: [entry.payload.as_slice(), &[0]].concat(), ..entry.clone() };
        assert!(alice.open(&world, &longer).is_err());
        // With the length before the ciphertext made to fit: the tag itself is shorter.
        for short in 1..=17 {
            let cut = Entry { payload: shorten(&entry.payload, short), ..entry.clone() };
            assert!(alice.open(&world, &cut).is_err(), "{short} bytes less");
        }
        assert!(alice.open(&world, &entry).is_ok(), "the whole one");
    });
}

/// A `PrivateMessage` ends with `opaque ciphertext<V>`: takes bytes off its end and says so in its length, two bytes here.
fn shorten(payload: &[u8], by: usize) -> Vec<u8> {
    let at = (0..payload.len() - 2)
        .find(|at| {
            let length = usize::from(u16::from_be_bytes([payload[*at], payload[at + 1]]) & 0x3fff);
            payload[*at] >> 6 == 1 && at + 2 + length == payload.len()
        })
        .expect("a two-byte length of what follows");
    let mut cut = payload[..payload.len() - by].to_vec();
    let length = u16::try_from(payload.len() - at - 2 - by).unwrap() | 0x4000;
    cut[at..at + 2].copy_from_slice(&length.to_be_bytes());
    cut
}

/// Two copies of one device send. MLS's reuse guard keeps the nonces apart; the receiver opens one message, and the other
/// is recognised as the use of a key that is gone.
#[test]
fn a16_of_two_copies_of_a_device_one_is_heard() {
    on_both(|suite| {
        let world = World::new(suite);
        let (alice, bob) = world.direct();
        let twin = bob.copy();
        let (first, second) = (world.send(&bob, "I am Bob").unwrap(), world.send(&twin, "So am I").unwrap());
        assert!(matches!(alice.open(&world, &first), Ok(Opened::Message { .. })));
        assert!(matches!(alice.open(&world, &second), Err(Error::AlreadySeen)));
        // Each twin sees a message of its own that it never sent: that is how it knows.
        assert!(matches!(bob.open(&world, &second), Ok(Opened::Own { .. })));
        // A commit of the one is a commit that the other does not know.
        let recorded = world.commit(&twin, &Proposed::default()).unwrap();
        assert!(matches!(bob.open(&world, &recorded.entry), Err(Error::UnknownOwnCommit)));
        alice.open(&world, &recorded.entry).unwrap();
        // It joins again, which replaces the leaf that both share.
        let rejoined = bob.rejoin(&world, &recorded).unwrap();
        alice.open(&world, &rejoined.entry).unwrap();
        let Opened::Commit { commit, .. } = twin.open(&world, &rejoined.entry).unwrap() else { panic!("no commit") };
        assert!(commit.self_removed, "the twin is out");
        world.hears(&bob, &[&alice], "one Bob");
    });
}

#[test]
fn a19_no_other_suite_and_no_other_context_is_joined() {
    let other = Ciphersuite::MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519;
    let ours = || rogue::extensions_unchecked(&group());
    let required: Vec<Extension> = ours().iter().take(1).cloned().collect();
    let suite = Suite::Classical.ciphersuite();
    // Who is named there may propose from outside.
    let senders = ours().iter().cloned().chain([Extension::ExternalSenders(Vec::new())]).collect();
    let cases = [
        ("another suite", other, ours()),
        ("external senders", suite, Extensions::from_vec(senders).unwrap()),
        ("no policy", suite, Extensions::from_vec(required).unwrap()),
        ("an invalid policy", suite, rogue::policy_of_another(|policy| policy.version = 2)),
        ("contradicts itself", suite, rogue::policy_of_another(|policy| policy.admins = vec![])),
    ];
    for (what, suite, extensions) in cases {
        let world = World::new(Suite::Classical);
        let (alice, bob) = (world.phone(b'a', 1), world.phone(b'b', 1));
        let mut rogue = Rogue::new(&alice);
        let (info, tree) = rogue.create(suite, extensions);
        let vouch = world.vouch();
        let refused = bob.device().rejoin(&invitation(0, &info, &tree), None, &aad(world.message_id()), &vouch);
        assert!(refused.is_err(), "{what}: by external commit");
        if suite == other {
            continue;
        }
        let package = rogue::package(&bob.key_package(Suite::Classical, KeyPackageUse::Once));
        let recorded = rogue.commit_and_take(&world, |commit| commit.propose_adds([package])).unwrap();
        assert!(bob.join(&world, &recorded).is_err(), "{what}: by Welcome");
    }
}

/// A key package of the weaker suite does not get into a group of the stronger one, nor of a third.
#[test]
fn a19_key_packages_of_another_suite_are_refused() {
    let world = World::new(Suite::XWing);
    let [alice, bob, _] = world.group();
    let dave = world.phone(b'd', 1);
    let weaker = dave.key_package(Suite::Classical, KeyPackageUse::Once);
    let third = Rogue::new(&dave)
        .key_package(Ciphersuite::MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519, |builder| {
            builder.leaf_node_capabilities(rogue::wide_capabilities())
        });
    for package in [weaker, third] {
        let refused = world.propose(&alice, &Proposed { add: vec![package], ..Proposed::default() });
        assert!(matches!(refused, Err(Error::Refused(Refused::Suite))));
    }
    assert_eq!(Suite::from_code(SUITE_CLASSICAL), Some(Suite::Classical));
    assert_eq!((0..=u16::MAX).filter_map(Suite::from_code).count(), 2);
    drop(bob);
}

/// A thousand mutations of each kind of commit: none merges, none panics.
#[test]
fn a1_mutated_commits_never_merge() {
    mutated_commits_never_merge(1_000, 250);
}

#[test]
#[ignore = "takes minutes: cargo xtask soak attacks"]
fn a1_a_hundred_thousand_mutated_commits_never_merge() {
    mutated_commits_never_merge(20_000, 5_000);
}

/// So many of each of four kinds, per suite.
fn mutated_commits_never_merge(classical: u32, post_quantum: u32) {
    on_both(|suite| {
        let world = World::new(suite);
        let [alice, bob, carol] = world.group();
        let dave = world.phone(b'd', 1);
        let package = dave.key_package(suite, KeyPackageUse::Once);
        let proposals = [
            Proposed::default(),
            Proposed { add: vec![package], ..Proposed::default() },
            Proposed { remove: vec![carol.identity], ..Proposed::default() },
            Proposed { policy: Some(open_group()), ..Proposed::default() },
        ];
        let rounds = if suite == Suite::Classical { classical } else { post_quantum };
        for proposed in proposals {
            let honest = world.propose(&alice.copy(), &proposed).unwrap().entry;
            assert!(bob.copy().open(&world, &honest).is_ok(), "the control: unchanged, it merges");
            mutate(&honest, rounds, |entry| {
                let before = bob.disk.values();
                assert!(bob.open(&world, entry).is_err());
                assert!(bob.disk.values() == before, "a refused commit left a trace");
            });
        }
    });
}

fn mutate(honest: &Entry, rounds: u32, check: impl Fn(&Entry)) {
    let mut runner = TestRunner::new_with_rng(
        ProptestConfig { cases: rounds, ..ProptestConfig::default() },
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    let payload = honest.payload.clone();
    let mutation = (0..4_u8, 0..payload.len(), 1..=255_u8, 0..payload.len());
    runner
        .run(&mutation, |(kind, at, change, other)| {
            let mut bytes = payload.clone();
            match kind {
                0 | 1 => bytes[at] ^= change,
                2 => bytes.swap(at, other),
                _ => drop(bytes.splice(at..at.max(other).min(at + 8), [change])),
            }
            if bytes != payload {
                check(&Entry { payload: bytes, ..honest.clone() });
            }
            Ok(())
        })
        .unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a18_any_bytes_are_refused(payload: Vec<u8>, kind in 0..3_u8, tree: Vec<u8>) {
        let world = World::new(Suite::Classical);
        let alice = world.phone(b'a', 1);
        world.create(&alice, &direct());
        let kind = [EntryKind::Application, EntryKind::Commit, EntryKind::Proposal][usize::from(kind)];
        let entry = world.entry(kind, 0, DeviceId::from_bytes([1; 16]), world.message_id(), &payload);
        prop_assert!(alice.open(&world, &entry).is_err());
        let vouch = world.vouch();
        let (stranger, aad) = (world.phone(b'b', 1), aad(world.message_id()));
        prop_assert!(stranger.device().join(&invitation(0, &payload, &tree), &vouch).is_err());
        prop_assert!(stranger.device().rejoin(&invitation(0, &payload, &tree), None, &aad, &vouch).is_err());
        let added = world.propose(&alice, &Proposed { add: vec![payload], ..Proposed::default() });
        prop_assert!(added.is_err());
    }
}

#[test]
fn the_harness_would_notice_a_group_that_merges_anything() {
    let world = World::new(Suite::Classical);
    let [alice, bob, _] = world.group();
    let honest = world.propose(&alice, &Proposed::default()).unwrap().entry;
    let merged = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        mutate(&honest, 3, |_| assert!(bob.copy().open(&world, &honest).is_err()));
    }));
    assert!(merged.is_err());
}
