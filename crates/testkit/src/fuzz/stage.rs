//! A group of real devices at a moment when everything that can come next has been made, and nothing of it taken yet.

use e2ee::{
    Changed, Created, Device, Entries, Group, Invitation, KeyPackageUse, Pending, Proposed, StorageFailure, Succession,
    Suite, Vouched, WriteSet,
};
use roster::PublicTree;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};
use trust::{Aad, DevicePublicKey, GroupPolicy, LeafIdentity};
use vault::{DeviceKey, Entropy};
use wire::{ConversationId, DeviceId, Entry, EntryKind, GroupId, MessageId, TenantId, UnixMillis, UserId};
use zeroize::Zeroizing;

const TENANT: TenantId = TenantId::from_bytes([1; 16]);
const CONVERSATION: ConversationId = ConversationId::from_bytes([2; 16]);
const GROUP: GroupId = GroupId::from_bytes([3; 16]);
/// The group that could take its place.
pub(super) const NEXT: GroupId = GroupId::from_bytes([4; 16]);
/// The epoch in which all of it was made.
pub(super) const EPOCH: u64 = 1;
/// What is sealed wherever something is.
pub(super) const WORDS: &[u8] = b"what is sealed";
const SUITE: Suite = Suite::Classical;

thread_local! {
    /// Made once in each process: MLS seeds itself, and key packages do not live for ever.
    pub(super) static STAGE: Stage = Stage::set();
}

/// Alice, Bob and Dan are in a group. Alice has sealed a message, made a commit that adds Carol, and a group to take the
/// place of this one; Dan wants to leave. Bob has seen nothing of it, and the server has checked nothing.
pub(super) struct Stage {
    pub(super) alice: Party,
    pub(super) bob: Party,
    pub(super) carol: Party,
    pub(super) server: PublicTree,
    /// The group in epoch 0, of Alice alone.
    pub(super) created: Created,
    pub(super) message: Entry,
    pub(super) commit: Entry,
    pub(super) proposal: Entry,
    /// What travels with the commit, and the tree after it.
    pub(super) commit_group_info: Vec<u8>,
    pub(super) commit_welcome: Vec<u8>,
    pub(super) commit_tree: Vec<u8>,
    pub(super) succession: Succession,
    /// Carol's.
    pub(super) key_package: Vec<u8>,
}

impl Stage {
    fn set() -> Self {
        let [alice, bob, carol, dan] = [b'a', b'b', b'c', b'd'].map(Party::new);
        let created = alice.keep(alice.create(SUITE));
        let mut server = PublicTree::create(&created.group_info, &created.tree, &vouch).unwrap();
        let [bobs, carols, dans] = [&bob, &carol, &dan].map(Party::key_package);
        let first = alice.keep(alice.commit(vec![bobs.clone(), dans.clone()], 1));
        alice.keep(alice.group().merge_pending(&alice.device()).unwrap());
        take(&mut server, &first);
        let (welcome, tree) = (first.welcome.unwrap(), server.tree_bytes().unwrap());
        for party in [&bob, &dan] {
            party.keep(party.device().join(&invitation(EPOCH, &welcome, &tree), &vouch).unwrap());
        }
        let sealed = alice.group().seal(&alice.device(), &aad(2), WORDS).unwrap().output;
        let second = alice.commit(vec![carols.clone()], 3).output;
        let leave = dan.group().leave(&dan.device(), &aad(4)).unwrap().output;
        let succession = alice.succeed(&[bobs, dans]);
        let mut after = PublicTree::restore(&server.snapshot().unwrap(), []).unwrap();
        take(&mut after, &second);
        Self {
            message: alice.entry(EntryKind::Application, 2, sealed),
            commit: alice.entry(EntryKind::Commit, 3, second.commit),
            proposal: dan.entry(EntryKind::Proposal, 4, leave),
            commit_group_info: second.group_info,
            commit_welcome: second.welcome.unwrap(),
            commit_tree: after.tree_bytes().unwrap(),
            key_package: carols,
            alice,
            bob,
            carol,
            server,
            created,
            succession,
        }
    }
}

/// A device whose state is in memory, and stays as it is unless something is kept.
pub(super) struct Party {
    pub(super) identity: LeafIdentity,
    key: DeviceKey,
    state: RefCell<BTreeMap<Vec<u8>, Vec<u8>>>,
}

impl Party {
    pub(super) fn new(name: u8) -> Self {
        let (user, device) = (UserId::from_bytes([name; 16]), DeviceId::from_bytes([name; 16]));
        Self::of(LeafIdentity { tenant: TENANT, user, device }, DeviceKey::generate(&mut Counted(name)))
    }

    pub(super) fn of(identity: LeafIdentity, key: DeviceKey) -> Self {
        Self { identity, key, state: RefCell::default() }
    }

    pub(super) fn device(&self) -> Device<'_> {
        Device::new(self.identity, &self.key, self)
    }

    pub(super) fn group(&self) -> Group {
        Group::load(&self.device(), GROUP).unwrap().unwrap()
    }

    /// Makes the group, alone.
    pub(super) fn create(&self, suite: Suite) -> Changed<Created> {
        let policy = GroupPolicy::group(self.identity.tenant, CONVERSATION, self.identity.user);
        self.device().create(suite, GROUP, &policy, now()).unwrap()
    }

    fn key_package(&self) -> Vec<u8> {
        let package = self.device().key_package(SUITE, KeyPackageUse::LastResort, now()).unwrap();
        self.store(&package.writes);
        package.bytes
    }

    fn commit(&self, add: Vec<Vec<u8>>, id: u8) -> Changed<Pending> {
        let proposed = Proposed { add, ..Proposed::default() };
        self.group().commit(&self.device(), &proposed, &aad(id), now(), &vouch).unwrap()
    }

    fn succeed(&self, add: &[Vec<u8>]) -> Succession {
        self.group().succeed(&self.device(), SUITE, NEXT, add, &aad(5), now(), &vouch).unwrap().output
    }

    fn entry(&self, kind: EntryKind, id: u8, payload: Vec<u8>) -> Entry {
        let (message_id, sender) = (MessageId::from_bytes([id; 16]), self.identity.device);
        Entry { seq: 2, kind, epoch: EPOCH, sender, message_id, at: 0, payload, generation: 0 }
    }

    pub(super) fn keep<T>(&self, changed: Changed<T>) -> T {
        self.store(&changed.writes);
        changed.output
    }

    fn store(&self, writes: &WriteSet) {
        let mut state = self.state.borrow_mut();
        for (key, value) in writes.iter() {
            match value {
                Some(value) => drop(state.insert(key.to_vec(), value.to_vec())),
                None => drop(state.remove(key)),
            }
        }
    }
}

impl Entries for Party {
    fn entry(&self, key: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, StorageFailure> {
        Ok(self.state.borrow().get(key).cloned().map(Zeroizing::new))
    }
}

/// Keys that are the same in every process; what MLS does with them is not.
pub(super) struct Counted(pub(super) u8);

impl Entropy for Counted {
    fn fill(&mut self, bytes: &mut [u8]) {
        bytes.fill_with(|| {
            self.0 = self.0.wrapping_add(1);
            self.0
        });
    }
}

pub(super) fn invitation<'a>(epoch: u64, message: &'a [u8], tree: &'a [u8]) -> Invitation<'a> {
    Invitation { tenant: TENANT, conversation: CONVERSATION, epoch, message, tree }
}

pub(super) fn aad(id: u8) -> Aad {
    Aad {
        version: 1,
        message_id: MessageId::from_bytes([id; 16]),
        commitment: [0; 32],
        seen_seq: 0,
        seen_hash: [0; 32],
    }
}

/// Every leaf is its owner's: what is tried here is not the device chains.
pub(super) fn vouch(_: &LeafIdentity, _: &DevicePublicKey) -> Vouched {
    Vouched::Yes
}

/// The machine's clock, with which MLS compares lifetimes whatever it is told.
pub(super) fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn take(server: &mut PublicTree, pending: &Pending) {
    let Pending { commit, group_info, welcome } = pending;
    let checked = server.check(commit, group_info, welcome.as_deref(), &vouch).unwrap();
    server.apply(checked).unwrap();
}
