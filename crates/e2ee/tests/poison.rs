//! A member makes a commit that is valid in everything that can be seen from outside, and that its victims cannot follow
//! (attack A12): they know who it was, join again, and all hear each other.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's help fails the test")]

extern crate mifeng_e2ee as e2ee;
mod harness;

use ::rogue::{Poisoned, Rogue};
use e2ee::{Error, KeyPackageUse, Opened, Proposed, Suite};
use harness::*;
use roster::PublicTree;
use vault::DeviceKey;
use wire::{Entry, EntryKind};

/// Alice, Bob and Carol are honest, Mallory is not; the server follows with the public tree.
struct Scene {
    world: World,
    honest: [Phone; 3],
    identity: trust::LeafIdentity,
    mallory: Rogue,
    server: PublicTree,
}

impl Scene {
    fn new(suite: Suite) -> Self {
        let world = World::new(suite);
        let (alice, bob, carol) = (world.phone(b'a', 1), world.phone(b'b', 1), world.phone(b'c', 1));
        let phone = world.phone(b'm', 1);
        let mut mallory = Rogue::new(phone.identity, DeviceKey::from_sealed_storage(&phone.key.to_sealed_storage()));
        let created = world.create(&alice, &group());
        let vouch = world.vouch();
        let mut server = PublicTree::create(&created.group_info, &created.tree, &vouch).unwrap();
        let mut add: Vec<Vec<u8>> = [&bob, &carol].map(|phone| phone.key_package(suite, KeyPackageUse::Once)).into();
        add.push(mallory.key_package(suite, now()));
        let added = world.commit(&alice, &Proposed { add, ..Proposed::default() }).unwrap();
        let (pending, welcome) = (&added.pending, added.pending.welcome.as_deref());
        let checked = server.check(&pending.commit, &pending.group_info, welcome, &vouch).unwrap();
        server.apply(checked).unwrap();
        bob.join(&world, &added).unwrap();
        carol.join(&world, &added).unwrap();
        mallory.join(welcome.unwrap(), &added.tree);
        drop(vouch);
        Self { world, honest: [alice, bob, carol], identity: phone.identity, mallory, server }
    }

    /// What Mallory has recorded: the server finds nothing wrong with it.
    fn poison(&mut self, victim: Option<usize>) -> Recorded {
        let (victim, message_id) = (victim.map(|victim| self.honest[victim].identity), self.world.message_id());
        let Poisoned { commit, group_info, tree, epoch } = self.mallory.poison(victim, &aad(message_id));
        self.record(&commit, &group_info);
        let entry = self.world.entry(EntryKind::Commit, epoch, self.identity.device, message_id, &commit);
        Recorded { entry, pending: e2ee::Pending { commit, group_info, welcome: None }, tree }
    }

    fn record(&mut self, commit: &[u8], group_info: &[u8]) {
        let checked = self.server.check(commit, group_info, None, &self.world.vouch()).unwrap();
        self.server.apply(checked).unwrap();
    }

    /// A victim joins again; everybody else follows.
    fn rejoins(&mut self, victim: usize, last: &Recorded, stay_behind: &[usize]) -> Recorded {
        let rejoined = self.honest[victim].rejoin(&self.world, last).unwrap();
        self.record(&rejoined.pending.commit, &rejoined.pending.group_info);
        self.mallory.hear(&rejoined.pending.commit);
        for (number, phone) in self.honest.iter().enumerate() {
            if number != victim && !stay_behind.contains(&number) {
                phone.open(&self.world, &rejoined.entry).unwrap();
            }
        }
        rejoined
    }

    /// Everybody hears everybody, Mallory too.
    fn all_hear(&mut self) {
        for (number, phone) in self.honest.iter().enumerate() {
            let entry = self.world.send(phone, "still here").unwrap();
            assert_eq!(self.mallory.hear(&entry.payload).unwrap(), b"still here");
            for (_, other) in self.honest.iter().enumerate().filter(|(other, _)| *other != number) {
                assert!(matches!(other.open(&self.world, &entry), Ok(Opened::Message { .. })));
            }
        }
        let (id, epoch) = (self.world.message_id(), self.mallory.epoch());
        let payload = self.mallory.say(&aad(id), b"so am I");
        let entry = self.world.entry(EntryKind::Application, epoch, self.identity.device, id, &payload);
        for phone in &self.honest {
            assert!(matches!(phone.open(&self.world, &entry), Ok(Opened::Message { .. })));
        }
    }
}

#[test]
fn a12_a_poisoned_path_names_its_author_and_costs_its_victim_one_rejoin() {
    on_both(|suite| {
        let mut scene = Scene::new(suite);
        let poisoned = scene.poison(Some(2));
        let before = scene.honest[2].disk.values();
        let refused = scene.honest[2].open(&scene.world, &poisoned.entry).unwrap_err();
        assert!(matches!(refused, Error::Poisoned(by) if by == scene.identity), "{refused:?}");
        assert!(scene.honest[2].disk.values() == before, "refused, and yet stored");
        for unharmed in [0, 1] {
            assert!(matches!(scene.honest[unharmed].open(&scene.world, &poisoned.entry), Ok(Opened::Commit { .. })));
        }
        scene.rejoins(2, &poisoned, &[]);
        scene.all_hear();
    });
}

#[test]
fn a12_a_path_that_is_poisoned_for_everybody_is_survived_by_everybody() {
    on_both(|suite| {
        let mut scene = Scene::new(suite);
        let mut last = scene.poison(None);
        for phone in &scene.honest {
            assert!(matches!(phone.open(&scene.world, &last.entry), Err(Error::Poisoned(by)) if by == scene.identity));
        }
        for (victim, behind) in [(2, &[0, 1][..]), (0, &[1]), (1, &[])] {
            last = scene.rejoins(victim, &last, behind);
        }
        scene.all_hear();
    });
}

/// The server can make a commit useless too. It cannot make it look as if its author had.
#[test]
fn a12_nobody_is_named_for_what_the_server_has_changed() {
    let scene = Scene::new(Suite::Classical);
    let [alice, bob, carol] = &scene.honest;
    let honest = scene.world.propose(alice, &Proposed::default()).unwrap();
    never_named(&scene.world, bob, &honest.entry);
    assert!(bob.open(&scene.world, &honest.entry).is_ok(), "the control");
    // Nor for a commit from outside, over whose confirmation tag there is no other tag.
    let recorded = Recorded { tree: bob.group().tree().unwrap(), ..honest };
    let rejoined = carol.rejoin(&scene.world, &recorded).unwrap();
    never_named(&scene.world, bob, &rejoined.entry);
    assert!(bob.open(&scene.world, &rejoined.entry).is_ok(), "the control");
}

fn never_named(world: &World, phone: &Phone, honest: &Entry) {
    for at in 0..honest.payload.len() {
        let mut payload = honest.payload.clone();
        payload[at] ^= 1;
        let error = phone.open(world, &Entry { payload, ..honest.clone() }).unwrap_err();
        assert!(!matches!(error, Error::Poisoned(_)), "byte {at}: {error:?}");
    }
}
