//! A conversation between devices that keep nothing in memory: every operation loads its group, applies its write set and
//! is checked against what a fresh load finds. It cannot be switched off, so it cannot lapse.

#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "shared by several test binaries, each of which uses its part"
)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's help fails the test")]

pub mod matrix;
pub mod rogue;
pub mod successor;

use e2ee::{
    Changed, Created, Device, Entries, Error, Group, Invitation, Joined, KeyPackageUse, Opened, Pending, Proposed,
    Rejoined, StorageFailure, Suite, Vouched, WriteSet,
};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};
use trust::{Aad, DevicePublicKey, GroupPolicy, LeafIdentity};
use vault::DeviceKey;
use wire::{ConversationId, DeviceId, Entry, EntryKind, GroupId, MessageId, TenantId, UnixMillis, UserId};
use zeroize::Zeroizing;

pub const TENANT: TenantId = TenantId::from_bytes([0xaa; 16]);
pub const CONVERSATION: ConversationId = ConversationId::from_bytes([0xcc; 16]);
pub const GROUP: GroupId = GroupId::from_bytes([0x99; 16]);

/// Runs a test over every suite.
pub fn on_both(test: impl Fn(Suite)) {
    for suite in Suite::ALL {
        test(suite);
    }
}

/// OpenMLS compares lifetimes with this clock.
pub fn now() -> UnixMillis {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

pub fn user(name: u8) -> UserId {
    UserId::from_bytes([name; 16])
}

pub fn direct() -> GroupPolicy {
    GroupPolicy::direct(TENANT, CONVERSATION, user(b'a'), user(b'b'))
}

pub fn group() -> GroupPolicy {
    GroupPolicy::group(TENANT, CONVERSATION, user(b'a'))
}

/// What is outside of the devices: the device chains, the log, ids that are not used twice.
pub struct World {
    pub suite: Suite,
    chains: RefCell<BTreeMap<DeviceId, (LeafIdentity, DevicePublicKey, Vouched)>>,
    seq: Cell<u64>,
}

impl World {
    pub fn new(suite: Suite) -> Self {
        Self { suite, chains: RefCell::default(), seq: Cell::new(0) }
    }

    /// A new device, certified by its user's chain.
    pub fn phone(&self, name: u8, device: u8) -> Phone {
        let phone = Phone::new(name, device);
        self.certify(&phone.identity, phone.key.public(), Vouched::Yes);
        phone
    }

    pub fn certify(&self, identity: &LeafIdentity, key: DevicePublicKey, opinion: Vouched) {
        self.chains.borrow_mut().insert(identity.device, (*identity, key, opinion));
    }

    pub fn vouch(&self) -> impl Fn(&LeafIdentity, &DevicePublicKey) -> Vouched + '_ {
        |identity, key| match self.chains.borrow().get(&identity.device) {
            Some((known, certified, opinion)) if known == identity && certified == key => *opinion,
            _ => Vouched::No,
        }
    }

    pub fn message_id(&self) -> MessageId {
        self.seq.set(self.seq.get() + 1);
        let mut bytes = [0xee; 16];
        bytes[..8].copy_from_slice(&self.seq.get().to_be_bytes());
        MessageId::from_bytes(bytes)
    }

    pub fn entry(&self, kind: EntryKind, epoch: u64, sender: DeviceId, message_id: MessageId, payload: &[u8]) -> Entry {
        Entry { seq: self.seq.get(), kind, epoch, sender, message_id, at: 0, payload: payload.to_vec(), generation: 0 }
    }

    /// `phone` makes the group.
    pub fn create(&self, phone: &Phone, policy: &GroupPolicy) -> Created {
        phone.keep(phone.device().create(self.suite, GROUP, policy, now()).unwrap())
    }

    /// `phone` makes a commit, which is recorded; it learns so from the log.
    pub fn commit(&self, phone: &Phone, proposed: &Proposed) -> Result<Recorded, Error> {
        let recorded = self.propose(phone, proposed)?;
        let Opened::Commit { commit, .. } = phone.open(self, &recorded.entry)? else { panic!("not a commit") };
        assert!(commit.own && !commit.self_removed && commit.epoch == recorded.entry.epoch + 1);
        Ok(Recorded { tree: phone.group().tree().unwrap(), ..recorded })
    }

    /// `phone` makes a commit and does not know what becomes of it.
    pub fn propose(&self, phone: &Phone, proposed: &Proposed) -> Result<Recorded, Error> {
        let (message_id, epoch) = (self.message_id(), phone.group().epoch());
        let vouch = self.vouch();
        let pending = phone.act(|device, group| group.commit(device, proposed, &aad(message_id), now(), &vouch))?;
        let entry = self.entry(EntryKind::Commit, epoch, phone.identity.device, message_id, &pending.commit);
        Ok(Recorded { entry, pending, tree: Vec::new() })
    }

    pub fn add(&self, phone: &Phone, added: &[&Phone]) -> Result<Recorded, Error> {
        let add = added.iter().map(|phone| phone.key_package(self.suite, KeyPackageUse::Once)).collect();
        self.commit(phone, &Proposed { add, ..Proposed::default() })
    }

    pub fn remove(&self, phone: &Phone, removed: &[&Phone]) -> Result<Recorded, Error> {
        let remove = removed.iter().map(|phone| phone.identity).collect();
        self.commit(phone, &Proposed { remove, ..Proposed::default() })
    }

    pub fn send(&self, phone: &Phone, text: &str) -> Result<Entry, Error> {
        let (message_id, epoch) = (self.message_id(), phone.group().epoch());
        let payload = phone.act(|device, group| group.seal(device, &aad(message_id), text.as_bytes()))?;
        Ok(self.entry(EntryKind::Application, epoch, phone.identity.device, message_id, &payload))
    }

    /// A direct conversation of Alice and Bob.
    pub fn direct(&self) -> (Phone, Phone) {
        let (alice, bob) = (self.phone(b'a', 1), self.phone(b'b', 1));
        self.create(&alice, &direct());
        bob.join(self, &self.add(&alice, &[&bob]).unwrap()).unwrap();
        (alice, bob)
    }

    /// A group of Alice, who is its admin, Bob and Carol.
    pub fn group(&self) -> [Phone; 3] {
        let (alice, bob, carol) = (self.phone(b'a', 1), self.phone(b'b', 1), self.phone(b'c', 1));
        self.create(&alice, &group());
        let recorded = self.add(&alice, &[&bob, &carol]).unwrap();
        bob.join(self, &recorded).unwrap();
        carol.join(self, &recorded).unwrap();
        [alice, bob, carol]
    }

    /// Whether what `from` sends arrives at every one of `to`.
    pub fn hears(&self, from: &Phone, to: &[&Phone], text: &str) {
        let entry = self.send(from, text).unwrap();
        for phone in to {
            let Opened::Message { sender, plaintext, aad } = phone.open(self, &entry).unwrap() else {
                panic!("no message")
            };
            assert_eq!((sender.identity, plaintext.as_slice()), (from.identity, text.as_bytes()));
            assert_eq!(aad.message_id, entry.message_id);
        }
    }
}

/// A commit as the server records it.
#[derive(Debug, Clone)]
pub struct Recorded {
    pub entry: Entry,
    pub pending: Pending,
    /// The tree after it.
    pub tree: Vec<u8>,
}

pub fn aad(message_id: MessageId) -> Aad {
    Aad { version: 1, message_id, commitment: [0; 32], seen_seq: 0, seen_hash: [0; 32] }
}

/// One device and its disk.
pub struct Phone {
    pub identity: LeafIdentity,
    pub key: DeviceKey,
    pub disk: Disk,
}

impl Phone {
    /// A device that no chain certifies.
    pub fn new(name: u8, device: u8) -> Self {
        let mut bytes = [name; 16];
        bytes[15] = device;
        let identity = LeafIdentity { tenant: TENANT, user: user(name), device: DeviceId::from_bytes(bytes) };
        let mut seed = Zeroizing::new([name; 32]);
        seed[31] = device;
        Self { identity, key: DeviceKey::from_sealed_storage(&seed), disk: Disk::default() }
    }

    /// The same device again, over a copy of its disk.
    pub fn copy(&self) -> Self {
        Self {
            identity: self.identity,
            key: DeviceKey::from_sealed_storage(&self.key.to_sealed_storage()),
            disk: self.disk.clone(),
        }
    }

    pub fn device(&self) -> Device<'_> {
        Device::new(self.identity, &self.key, &self.disk)
    }

    pub fn loaded(&self) -> Option<Group> {
        Group::load(&self.device(), GROUP).unwrap()
    }

    pub fn group(&self) -> Group {
        self.loaded().unwrap()
    }

    /// Loads the group, acts, stores, and compares what is in memory with what a fresh load finds.
    pub fn act<T>(&self, act: impl FnOnce(&Device<'_>, Group) -> Result<Changed<T>, Error>) -> Result<T, Error> {
        let group = self.loaded().ok_or(Error::NotMember)?;
        let changed = act(&self.device(), group)?;
        Ok(self.keep(changed))
    }

    pub fn keep<T>(&self, changed: Changed<T>) -> T {
        self.disk.apply(&changed.writes);
        let reloaded = self.loaded();
        assert_eq!(changed.group.as_ref().map(shape), reloaded.as_ref().map(shape), "memory and disk differ");
        changed.output
    }

    pub fn key_package(&self, suite: Suite, usage: KeyPackageUse) -> Vec<u8> {
        let package = self.device().key_package(suite, usage, now()).unwrap();
        self.disk.apply(&package.writes);
        package.bytes
    }

    pub fn open(&self, world: &World, entry: &Entry) -> Result<Opened, Error> {
        let vouch = world.vouch();
        self.act(|device, group| group.open(device, entry, &vouch))
    }

    pub fn join(&self, world: &World, recorded: &Recorded) -> Result<Joined, Error> {
        let vouch = world.vouch();
        let welcome = recorded.pending.welcome.as_deref().unwrap();
        let invitation = invitation(recorded.entry.epoch + 1, welcome, &recorded.tree);
        Ok(self.keep(self.device().join(&invitation, &vouch)?))
    }

    /// Joins again from what the server has after `recorded`.
    pub fn rejoin(&self, world: &World, recorded: &Recorded) -> Result<Recorded, Error> {
        let (vouch, message_id) = (world.vouch(), world.message_id());
        let epoch = recorded.entry.epoch + 1;
        let invitation = invitation(epoch, &recorded.pending.group_info, &recorded.tree);
        let Rejoined { commit, group_info, .. } =
            self.keep(self.device().rejoin(&invitation, None, &aad(message_id), &vouch)?);
        let entry = world.entry(EntryKind::Commit, epoch, self.identity.device, message_id, &commit);
        let pending = Pending { commit, group_info, welcome: None };
        Ok(Recorded { entry, pending, tree: self.group().tree().unwrap() })
    }
}

pub fn invitation<'a>(epoch: u64, message: &'a [u8], tree: &'a [u8]) -> Invitation<'a> {
    Invitation { tenant: TENANT, conversation: CONVERSATION, epoch, message, tree }
}

/// All that a group shows of itself.
fn shape(group: &Group) -> impl PartialEq + std::fmt::Debug + use<> {
    (
        group.id(),
        group.epoch(),
        group.policy().clone(),
        group.members().unwrap(),
        group.tree().unwrap(),
        group.has_pending_commit(),
        group.has_pending_proposals(),
    )
}

/// A device's database, as far as groups go.
#[derive(Default, Clone)]
pub struct Disk(RefCell<BTreeMap<Vec<u8>, Vec<u8>>>, Cell<Option<usize>>);

impl Disk {
    pub fn apply(&self, writes: &WriteSet) {
        for (key, value) in writes.iter() {
            match value {
                Some(value) => self.0.borrow_mut().insert(key.to_vec(), value.to_vec()),
                None => self.0.borrow_mut().remove(key),
            };
        }
    }

    /// Fails the read after so many; `None` never.
    pub fn fail_after(&self, reads: Option<usize>) {
        self.1.set(reads);
    }

    pub fn has_failed(&self) -> bool {
        self.1.get() == Some(0)
    }

    pub fn keys(&self) -> Vec<String> {
        self.0
            .borrow()
            .keys()
            .map(|key| String::from_utf8_lossy(key.split(|byte| *byte == 0).next().unwrap()).into())
            .collect()
    }

    pub fn values(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        self.0.borrow().clone()
    }
}

impl Entries for Disk {
    fn entry(&self, key: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, StorageFailure> {
        match self.1.get() {
            Some(0) => return Err(StorageFailure::Read("the disk is on fire".into())),
            left => self.1.set(left.map(|left| left - 1)),
        }
        Ok(self.0.borrow().get(key).cloned().map(Zeroizing::new))
    }
}
