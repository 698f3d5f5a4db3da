//! Alice's client in a direct conversation with Bob, whose device a test plays, and the server, which it plays too.

use super::{BOB, CONVERSATION, Counter, TENANT, live_in_conversation};
use crate::content::{Content, Plaintext};
use crate::database::{conversation, key_package};
use crate::turn::{Turn, identity};
use crate::{Client, ConversationState, Event};
use e2ee::{
    Changed, Device, Entries, Group, KeyPackageUse, Pending, Proposed, StorageFailure, Suite, Vouched, WriteSet,
};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};
use tempfile::TempDir;
use trust::{Aad, GroupPolicy, LeafIdentity};
use vault::{AccountKey, DeviceKey};
use wire::event::Recorded;
use wire::request::{
    Acknowledge, Commit, CurrentGroup, Done, Fetch, FetchGroupInfo, FetchTree, FetchWelcomes, Fetched, PendingWelcome,
    SignedEntry, Tree, Welcomes,
};
use wire::{ConversationId, DeviceId, Entry, EntryKind, GroupId, MessageId, Op, Operation, frame};
use zeroize::Zeroizing;

/// The group that takes the place of the first one.
pub(crate) const NEXT: GroupId = GroupId::from_bytes([0x9a; 16]);

/// OpenMLS compares the lifetimes of key packages with this clock.
pub(crate) fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// A device's database, as far as groups go.
#[derive(Default)]
pub(crate) struct Disk(RefCell<BTreeMap<Vec<u8>, Vec<u8>>>);

impl Entries for Disk {
    fn entry(&self, key: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, StorageFailure> {
        Ok(self.0.borrow().get(key).cloned().map(Zeroizing::new))
    }
}

impl Disk {
    pub(crate) fn apply(&self, writes: &WriteSet) {
        let mut entries = self.0.borrow_mut();
        for (key, value) in writes.iter() {
            match value {
                Some(value) => drop(entries.insert(key.to_vec(), value.to_vec())),
                None => drop(entries.remove(key)),
            }
        }
    }
}

/// Bob's device, which a test plays, and Alice's client, in a direct conversation.
pub(crate) struct Scene {
    pub(crate) folder: TempDir,
    pub(crate) alice: Client,
    pub(crate) bob: LeafIdentity,
    key: DeviceKey,
    pub(crate) disk: Disk,
    pub(crate) group: GroupId,
}

/// What Bob hands to the server.
pub(crate) struct Made {
    pub(crate) info: Vec<u8>,
    pub(crate) tree: Vec<u8>,
    pub(crate) welcome: Vec<u8>,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let (folder, mut alice) = live_in_conversation();
        let mut entropy = Counter::at(9_000);
        let (account, key) = (AccountKey::generate(&mut entropy), DeviceKey::generate(&mut entropy));
        let bob = LeafIdentity { tenant: TENANT, user: BOB, device: DeviceId::from_bytes([8; 16]) };
        let disk = Disk::default();
        let package = Device::new(bob, &key, &disk).key_package(Suite::Classical, KeyPackageUse::Once, now()).unwrap();
        disk.apply(&package.writes);
        let chain = [account.open_chain(TENANT, BOB, bob.device, &key)];
        let (group, tree, welcome) = bring_in(&mut alice, &chain, vec![package.bytes]);
        let scene = Self { folder, alice, bob, key, disk, group };
        let invitation =
            e2ee::Invitation { tenant: TENANT, conversation: CONVERSATION, epoch: 1, message: &welcome, tree: &tree };
        let joined = scene.device().join(&invitation, &all).unwrap();
        scene.disk.apply(&joined.writes);
        scene
    }

    pub(crate) fn device(&self) -> Device<'_> {
        Device::new(self.bob, &self.key, &self.disk)
    }

    pub(crate) fn policy(&mut self) -> GroupPolicy {
        let group = Group::load(&self.device(), self.group).unwrap().unwrap();
        group.policy().successor(self.group)
    }

    /// Bob makes a group and asks nobody whether it may take the place of the other.
    pub(crate) fn make(&mut self, policy: &GroupPolicy) -> Made {
        let package = self
            .alice
            .turn(now(), |turn| {
                turn.act(|device, _| {
                    let made = device.key_package(Suite::Classical, KeyPackageUse::Once, now())?;
                    Ok((made.bytes, made.writes))
                })
            })
            .unwrap()
            .unwrap();
        let aad = Aad {
            version: 1,
            message_id: MessageId::from_bytes([2; 16]),
            commitment: [0; 32],
            seen_seq: 0,
            seen_hash: [0; 32],
        };
        let created = self.device().create(Suite::Classical, NEXT, policy, now()).unwrap();
        self.disk.apply(&created.writes);
        let group = Group::load(&self.device(), NEXT).unwrap().unwrap();
        let proposed = Proposed { add: vec![package], ..Proposed::default() };
        let first = group.commit(&self.device(), &proposed, &aad, now(), &all).unwrap();
        self.disk.apply(&first.writes);
        let merged = first.group.unwrap().merge_pending(&self.device()).unwrap();
        self.disk.apply(&merged.writes);
        let tree = merged.group.unwrap().tree().unwrap();
        Made { info: first.output.group_info, tree, welcome: first.output.welcome.unwrap() }
    }

    /// As it stands in the log.
    pub(crate) fn entry(&self, made: &Made) -> Entry {
        Entry {
            seq: 2,
            kind: EntryKind::Succession,
            epoch: 1,
            sender: self.bob.device,
            message_id: MessageId::from_bytes([2; 16]),
            at: now(),
            payload: made.info.clone(),
            generation: 0,
        }
    }

    /// The server tells of it, and hands out what belongs to it.
    pub(crate) fn hear(&mut self, made: &Made, welcomed: bool) {
        self.tell(CONVERSATION, self.entry(made));
        self.bring(made, welcomed);
    }

    /// The server hands out what belongs to it; `welcomed` whether it has a Welcome for Alice.
    pub(crate) fn bring(&mut self, made: &Made, welcomed: bool) {
        let (id, _) = self.want::<FetchWelcomes>();
        let pending = PendingWelcome {
            conversation: CONVERSATION,
            sender: self.bob.device,
            seq: 2,
            generation: 0,
            entry_hash: [0; 32],
            epoch: 1,
            welcome: made.welcome.clone(),
            group: NEXT,
        };
        let welcomes = Welcomes { welcomes: if welcomed { vec![pending] } else { Vec::new() } };
        self.answer::<FetchWelcomes>(id, &welcomes);
        if welcomed {
            let (id, fetch) = self.want::<FetchTree>();
            assert_eq!((fetch.epoch, fetch.group), (1, Some(NEXT)));
            self.answer::<FetchTree>(id, &Tree { tree: made.tree.clone() });
        }
        let (id, fetch) = self.want::<Fetch>();
        assert_eq!(fetch.after, 1);
        self.answer::<Fetch>(id, &Fetched { entries: vec![self.entry(made)], head: 2, generation: 0 });
    }

    /// The server tells of an entry.
    pub(crate) fn tell(&mut self, conversation: ConversationId, entry: Entry) {
        self.hear_of(Recorded { conversation, generation: 0, entry });
    }

    /// The same, when the log is of this generation.
    pub(crate) fn tell_of(&mut self, generation: u32, entry: Entry) {
        self.hear_of(Recorded { conversation: CONVERSATION, generation, entry });
    }

    fn hear_of(&mut self, recorded: Recorded) {
        self.alice.handle_frame(&frame::event(&wire::Event::Recorded(recorded)), now()).unwrap();
    }

    /// What Bob says in a group, at this place of its log.
    pub(crate) fn said(&self, group: GroupId, seq: u64, text: &str) -> Entry {
        let plaintext = Plaintext::wrap(&Content::text(text, 1).to_bytes(), &mut Counter::at(77 * seq));
        let aad = Aad { commitment: plaintext.commitment(), ..aad(seq) };
        let (epoch, sender, message_id) = (self.bobs(group).epoch(), self.bob.device, aad.message_id);
        let payload = self.act(group, |group, device| group.seal(device, &aad, &plaintext.to_bytes()));
        Entry { seq, kind: EntryKind::Application, epoch, sender, message_id, at: now(), payload, generation: 0 }
    }

    /// What Bob commits in a group, at this place of its log.
    pub(crate) fn committed(&self, group: GroupId, seq: u64, proposed: &Proposed) -> (Entry, Pending) {
        let commit = |group: Group, device: &Device<'_>| group.commit(device, proposed, &aad(seq), now(), &all);
        let (epoch, sender, message_id) = (self.bobs(group).epoch(), self.bob.device, aad(seq).message_id);
        let pending = self.act(group, commit);
        self.act(group, |group, device| group.merge_pending(device));
        let payload = pending.commit.clone();
        (Entry { seq, kind: EntryKind::Commit, epoch, sender, message_id, at: now(), payload, generation: 0 }, pending)
    }

    /// A commit of Alice's, as it stands in the log.
    pub(crate) fn entry_of_alice(&self, commit: &Commit, epoch: u64, seq: u64) -> Entry {
        let (sender, message_id, payload) = (self.alice_leaf().device, commit.message_id, commit.commit.clone());
        Entry { seq, kind: EntryKind::Commit, epoch, sender, message_id, at: now(), payload, generation: 0 }
    }

    pub(crate) fn alice_leaf(&self) -> LeafIdentity {
        identity(self.alice.account().unwrap())
    }

    /// What Bob's device does in a group, and keeps.
    pub(crate) fn act<T>(
        &self,
        group: GroupId,
        act: impl FnOnce(Group, &Device<'_>) -> Result<Changed<T>, e2ee::Error>,
    ) -> T {
        let changed = act(self.bobs(group), &self.device()).unwrap();
        self.disk.apply(&changed.writes);
        changed.output
    }

    /// The group as Bob's device has it.
    pub(crate) fn bobs(&self, group: GroupId) -> Group {
        Group::load(&self.device(), group).unwrap().unwrap()
    }

    pub(crate) fn answer<O: Operation>(&mut self, id: u32, answer: &O::Answer) {
        self.alice.handle_frame(&frame::answer(id, answer), now()).unwrap();
    }

    /// The server is asked for Welcomes, and has these.
    pub(crate) fn welcomes(&mut self, welcomes: Vec<PendingWelcome>) {
        let (id, _) = self.want::<FetchWelcomes>();
        self.answer::<FetchWelcomes>(id, &Welcomes { welcomes });
    }

    /// The server hands out the current group; what the client asks for after that.
    pub(crate) fn hand_out(&mut self, made: &Made) {
        let (id, _) = self.want::<FetchGroupInfo>();
        let current =
            CurrentGroup { group_info: made.info.clone(), epoch: 1, seq: 2, generation: 0, entry_hash: [2; 32] };
        self.answer::<FetchGroupInfo>(id, &current);
        let (id, fetch) = self.want::<FetchTree>();
        assert_eq!(fetch.group, Some(NEXT));
        self.answer::<FetchTree>(id, &Tree { tree: made.tree.clone() });
    }

    /// The next request, when what only moves a cursor is answered.
    #[track_caller]
    pub(crate) fn want<O: Operation>(&mut self) -> (u32, O) {
        loop {
            let bytes = self.alice.poll_transmit().expect("a request");
            let frame = frame::read_request(&bytes).unwrap();
            if frame.known() == Some(O::OP) {
                return (frame.id, wire::decode(frame.body).unwrap());
            }
            assert!(matches!(frame.known(), Some(Op::Acknowledge | Op::AcceptWelcome)), "{:?}", frame.known());
            self.answer::<Acknowledge>(frame.id, &Done {});
        }
    }

    /// What the client asks for by itself now, but for what only moves a cursor.
    pub(crate) fn wants(&mut self) -> Vec<Op> {
        let mut wants = Vec::new();
        while let Some(bytes) = self.alice.poll_transmit() {
            let frame = frame::read_request(&bytes).unwrap();
            match frame.known().unwrap() {
                Op::Acknowledge | Op::AcceptWelcome => self.answer::<Acknowledge>(frame.id, &Done {}),
                op => wants.push(op),
            }
        }
        wants
    }

    pub(crate) fn state(&self) -> (ConversationState, Option<GroupId>) {
        let row = conversation::find(self.alice.reader(), CONVERSATION).unwrap().unwrap();
        (row.state, row.group)
    }

    pub(crate) fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.alice.poll_event()).collect()
    }

    /// How many groups Alice's device has keys of.
    pub(crate) fn groups(&self) -> usize {
        let mut statement = self.alice.reader().prepare("SELECT key FROM mls_entry").unwrap();
        let keys = statement.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap();
        keys.filter(|key| key.as_ref().unwrap().starts_with(b"epoch\0")).count()
    }
}

/// What an entry at this place authenticates; its id says the place.
pub(crate) fn aad(seq: u64) -> Aad {
    let mut id = [0x1d; 16];
    id[..8].copy_from_slice(&seq.to_be_bytes());
    let message_id = MessageId::from_bytes(id);
    Aad { version: 1, message_id, commitment: [0; 32], seen_seq: 0, seen_hash: [0; 32] }
}

/// Bob believes everybody.
pub(crate) const fn all(_: &LeafIdentity, _: &trust::DevicePublicKey) -> Vouched {
    Vouched::Yes
}

/// Alice brings Bob's devices into the conversation: the group, its tree and the Welcome.
pub(crate) fn bring_in(
    alice: &mut Client,
    chain: &[SignedEntry],
    packages: Vec<Vec<u8>>,
) -> (GroupId, Vec<u8>, Vec<u8>) {
    let added = alice.turn(now(), |turn| {
        turn.pin(BOB, "bob", chain)?;
        key_package::insert(turn.db, true, turn.now, b"fresh", b"bytes")?;
        key_package::set_published(turn.db, i64::MAX)?;
        let mut row = turn.conversation(CONVERSATION)?;
        let aad = Turn::aad(&row, MessageId::from_bytes([1; 16]), [0; 32]);
        let (proposed, at) = (Proposed { add: packages, ..Proposed::default() }, turn.now);
        let pending = turn.change(&row, |group, device, v| group.commit(device, &proposed, &aad, at, v))??;
        turn.change(&row, |group, device, _| group.merge_pending(device))??;
        (row.cursor, row.renew_at) = (1, None);
        conversation::save(turn.db, &row)?;
        let tree = turn.peek(&row, Group::tree)?.unwrap();
        Ok((row.group.unwrap(), tree, pending.welcome.unwrap()))
    });
    added.unwrap()
}
