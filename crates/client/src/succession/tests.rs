use super::*;
use crate::Event;
use crate::content::{Content, Plaintext};
use crate::database::{conversation, key_package};
use crate::session::Phase;
use crate::testing::{BOB, CONVERSATION, Counter, TENANT, live_in_conversation};
use e2ee::{Device, Entries, KeyPackageUse, Proposed, StorageFailure, WriteSet};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};
use tempfile::TempDir;
use trust::{Aad, GroupPolicy, LeafIdentity};
use vault::{AccountKey, DeviceKey};
use wire::event::Recorded;
use wire::request::{
    Acknowledge, ClaimKeyPackages, ClaimedKeyPackage, ClaimedKeyPackages, Commit, CurrentGroup, Done, Fetch,
    FetchGroupInfo, FetchStay, FetchTree, FetchWelcomes, Fetched, Greeting, PendingWelcome, RecordedAt, Send, Stay,
    Succeed, Tree, Welcomes,
};
use wire::{DeviceId, Entry, EntryKind, ErrorCode, MessageId, Op, Operation, Refusal, frame};
use zeroize::Zeroizing;

const NEXT: GroupId = GroupId::from_bytes([0x9a; 16]);

/// OpenMLS compares the lifetimes of key packages with this clock.
fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

#[derive(Default)]
struct Disk(RefCell<BTreeMap<Vec<u8>, Vec<u8>>>);

impl Entries for Disk {
    fn entry(&self, key: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, StorageFailure> {
        Ok(self.0.borrow().get(key).cloned().map(Zeroizing::new))
    }
}

impl Disk {
    fn apply(&self, writes: &WriteSet) {
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
struct Scene {
    _folder: TempDir,
    alice: Client,
    bob: LeafIdentity,
    key: DeviceKey,
    disk: Disk,
    group: GroupId,
}

/// What Bob hands to the server.
struct Made {
    info: Vec<u8>,
    tree: Vec<u8>,
    welcome: Vec<u8>,
}

impl Scene {
    fn new() -> Self {
        let (folder, mut alice) = live_in_conversation();
        let mut entropy = Counter::at(9_000);
        let (account, key) = (AccountKey::generate(&mut entropy), DeviceKey::generate(&mut entropy));
        let bob = LeafIdentity { tenant: TENANT, user: BOB, device: DeviceId::from_bytes([8; 16]) };
        let disk = Disk::default();
        let package = Device::new(bob, &key, &disk).key_package(Suite::Classical, KeyPackageUse::Once, now()).unwrap();
        disk.apply(&package.writes);
        let chain = vec![account.open_chain(TENANT, BOB, bob.device, &key)];
        let (group, tree, welcome) = alice
            .turn(now(), |turn| {
                turn.pin(BOB, "bob", &chain)?;
                key_package::insert(turn.db, true, turn.now, b"fresh", b"bytes")?;
                key_package::set_published(turn.db, i64::MAX)?;
                let mut row = turn.conversation(CONVERSATION)?;
                let aad = Turn::aad(&row, MessageId::from_bytes([1; 16]), [0; 32]);
                let (proposed, at) = (Proposed { add: vec![package.bytes], ..Proposed::default() }, turn.now);
                let pending = turn.change(&row, |group, device, v| group.commit(device, &proposed, &aad, at, v))??;
                turn.change(&row, |group, device, _| group.merge_pending(device))??;
                (row.cursor, row.renew_at) = (1, None);
                conversation::save(turn.db, &row)?;
                let tree = turn.peek(&row, Group::tree)?.unwrap();
                Ok((row.group.unwrap(), tree, pending.welcome.unwrap()))
            })
            .unwrap();
        let scene = Self { _folder: folder, alice, bob, key, disk, group };
        let invitation =
            e2ee::Invitation { tenant: TENANT, conversation: CONVERSATION, epoch: 1, message: &welcome, tree: &tree };
        let joined = scene.device().join(&invitation, &|_, _| e2ee::Vouched::Yes).unwrap();
        scene.disk.apply(&joined.writes);
        scene
    }

    fn device(&self) -> Device<'_> {
        Device::new(self.bob, &self.key, &self.disk)
    }

    fn policy(&mut self) -> GroupPolicy {
        let group = Group::load(&self.device(), self.group).unwrap().unwrap();
        group.policy().successor(self.group)
    }

    /// Bob makes a group and asks nobody whether it may take the place of the other.
    fn make(&mut self, policy: &GroupPolicy) -> Made {
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
        let first = group.commit(&self.device(), &proposed, &aad, now(), &|_, _| e2ee::Vouched::Yes).unwrap();
        self.disk.apply(&first.writes);
        let merged = first.group.unwrap().merge_pending(&self.device()).unwrap();
        self.disk.apply(&merged.writes);
        let tree = merged.group.unwrap().tree().unwrap();
        Made { info: first.output.group_info, tree, welcome: first.output.welcome.unwrap() }
    }

    /// As it stands in the log.
    fn entry(&self, made: &Made) -> Entry {
        Entry {
            seq: 2,
            kind: EntryKind::Succession,
            epoch: 1,
            sender: self.bob.device,
            message_id: MessageId::from_bytes([2; 16]),
            at: now(),
            payload: made.info.clone(),
        }
    }

    /// The server tells of it, and hands out what belongs to it.
    fn hear(&mut self, made: &Made, welcomed: bool) {
        let recorded = Recorded { conversation: CONVERSATION, generation: 0, entry: self.entry(made) };
        self.alice.handle_frame(&frame::event(&wire::Event::Recorded(recorded)), now()).unwrap();
        self.bring(made, welcomed);
    }

    /// The server hands out what belongs to it; `welcomed` whether it has a Welcome for Alice.
    fn bring(&mut self, made: &Made, welcomed: bool) {
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

    fn answer<O: Operation>(&mut self, id: u32, answer: &O::Answer) {
        self.alice.handle_frame(&frame::answer(id, answer), now()).unwrap();
    }

    /// The server hands out the current group; what the client asks for after that.
    fn hand_out(&mut self, made: &Made) {
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
    fn want<O: Operation>(&mut self) -> (u32, O) {
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
    fn wants(&mut self) -> Vec<Op> {
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

    fn state(&self) -> (ConversationState, Option<GroupId>) {
        let row = conversation::find(self.alice.reader(), CONVERSATION).unwrap().unwrap();
        (row.state, row.group)
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.alice.poll_event()).collect()
    }

    /// How many groups Alice's device has keys of.
    fn groups(&self) -> usize {
        let mut statement = self.alice.reader().prepare("SELECT key FROM mls_entry").unwrap();
        let keys = statement.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap();
        keys.filter(|key| key.as_ref().unwrap().starts_with(b"epoch\0")).count()
    }
}

/// What Bob seals in the new group as its first message.
fn said(scene: &Scene, text: &str) -> Entry {
    let id = MessageId::from_bytes([5; 16]);
    let plaintext = Plaintext::wrap(&Content::text(text, 1).to_bytes(), &mut Counter::at(77));
    let commitment = plaintext.commitment();
    let aad = Aad { version: 1, message_id: id, commitment, seen_seq: 1, seen_hash: [0; 32] };
    let group = Group::load(&scene.device(), NEXT).unwrap().unwrap();
    let epoch = group.epoch();
    let sealed = group.seal(&scene.device(), &aad, &plaintext.to_bytes()).unwrap();
    scene.disk.apply(&sealed.writes);
    let (kind, sender) = (EntryKind::Application, scene.bob.device);
    Entry { seq: 3, kind, epoch, sender, message_id: id, at: now(), payload: sealed.output }
}

#[test]
fn an_honest_successor_is_followed_and_what_waits_is_sealed_anew_under_its_id() {
    let mut scene = Scene::new();
    let message = scene.alice.send(CONVERSATION, &Content::text("waits", 1), now()).unwrap();
    let (id, before) = scene.want::<Send>();
    assert_eq!((before.message_id, before.epoch), (message, 1));
    let policy = scene.policy();
    let made = scene.make(&policy);
    scene.alice.handle_frame(&frame::refused(id, &ErrorCode::StaleEpoch.into()), now()).unwrap();
    let (id, _) = scene.want::<Fetch>();
    scene.answer::<Fetch>(id, &Fetched { entries: Vec::new(), head: 1, generation: 0 });
    let (id, again) = scene.want::<Send>();
    assert_eq!(again.message_id, message);
    scene.alice.handle_frame(&frame::refused(id, &ErrorCode::StaleEpoch.into()), now()).unwrap();
    let (id, _) = scene.want::<Fetch>();
    scene.answer::<Fetch>(id, &Fetched { entries: vec![scene.entry(&made)], head: 2, generation: 0 });
    scene.bring(&made, true);
    assert_eq!(scene.state(), (ConversationState::Active, Some(NEXT)));
    assert_eq!(scene.groups(), 1, "the old group's keys are deleted");
    let (id, anew) = scene.want::<Send>();
    assert_eq!((anew.message_id, anew.epoch), (message, 1));
    assert_ne!(anew.payload, again.payload);
    scene.answer::<Send>(id, &RecordedAt { seq: 3, at: now(), generation: 0 });
    assert!(scene.events().iter().any(|event| matches!(event, Event::Sent { message: sent, .. } if *sent == message)));
    assert_eq!(scene.alice.unsent().unwrap(), 0);
}

#[test]
fn a2_a19_a_successor_that_may_not_be_is_refused_shown_and_not_let_in_by_another_door() {
    let mut scene = Scene::new();
    let policy = scene.policy();
    let far = GroupPolicy { ordinal: policy.ordinal + 1, ..policy };
    let made = scene.make(&far);
    scene.hear(&made, true);
    assert_eq!(scene.state(), (ConversationState::Repairing, Some(scene.group)), "the old one is kept");
    let shown = scene.events();
    let bob = scene.bob.device;
    let is_shown = |event: &Event| matches!(event, Event::SuccessorRefused { by, .. } if *by == bob);
    assert!(shown.iter().any(is_shown), "{shown:?}");
    scene.hand_out(&made);
    assert_eq!(scene.wants(), [], "no external commit into it");
    assert_eq!(scene.state(), (ConversationState::Repairing, Some(scene.group)));
}

#[test]
fn who_is_not_welcomed_rejoins_from_outside_and_is_shown_what_it_missed() {
    let mut scene = Scene::new();
    let policy = scene.policy();
    let made = scene.make(&policy);
    scene.hear(&made, false);
    assert_eq!(scene.state(), (ConversationState::Repairing, Some(scene.group)));
    scene.hand_out(&made);
    let (id, commit) = scene.want::<Commit>();
    assert_eq!(commit.conversation, CONVERSATION);
    assert_eq!(scene.state(), (ConversationState::Joining, Some(scene.group)), "the old one is kept until it is in");
    scene.alice.handle_frame(&frame::refused(id, &ErrorCode::EpochTaken.into()), now()).unwrap();
    assert_eq!(scene.state(), (ConversationState::Repairing, Some(scene.group)), "to hold the next one against it");
    scene.hand_out(&made);
    let (id, _) = scene.want::<Commit>();
    scene.answer::<Commit>(id, &RecordedAt { seq: 6, at: now(), generation: 0 });
    let (id, _) = scene.want::<FetchStay>();
    scene.answer::<FetchStay>(id, &Stay { seq: 6, generation: 0, entry_hash: [6; 32] });
    assert_eq!((scene.state(), scene.groups()), ((ConversationState::Active, Some(NEXT)), 1));
    let lines = scene.alice.lines(CONVERSATION, 10).unwrap();
    assert!(lines[0].reason.as_deref().unwrap().starts_with("3 entries"), "{lines:?}");
    assert!(scene.events().contains(&Event::Repaired(CONVERSATION)));
}

#[test]
fn what_is_said_in_the_new_group_is_read() {
    let mut scene = Scene::new();
    let policy = scene.policy();
    let made = scene.make(&policy);
    scene.hear(&made, true);
    let entry = said(&scene, "here");
    let recorded = Recorded { conversation: CONVERSATION, generation: 0, entry };
    scene.alice.handle_frame(&frame::event(&wire::Event::Recorded(recorded)), now()).unwrap();
    let lines = scene.alice.lines(CONVERSATION, 10).unwrap();
    assert_eq!(lines[0].body.as_ref().and_then(crate::content::Body::words), Some("here"), "{lines:?}");
}

#[test]
fn a12_after_rejoins_in_vain_another_group_takes_the_place_of_one_that_nobody_can_enter() {
    let mut scene = Scene::new();
    let package = scene.device().key_package(Suite::Classical, KeyPackageUse::Once, now()).unwrap();
    scene.disk.apply(&package.writes);
    let start = now();
    scene.alice.turn(start, |turn| turn.conversation(CONVERSATION).and_then(|row| turn.start_repair(row))).unwrap();
    let mut at = start;
    let claim = loop {
        assert!(at - start < 60_000, "no other group within a minute");
        let Some(bytes) = scene.alice.poll_transmit() else {
            at = scene.alice.poll_timeout().unwrap().max(at + 1);
            scene.alice.handle_timeout(at).unwrap();
            continue;
        };
        let request = frame::read_request(&bytes).unwrap();
        let (group_info, tree) = (b"poisoned".to_vec(), b"poisoned".to_vec());
        let answer = match request.known().unwrap() {
            Op::FetchGroupInfo => frame::answer(
                request.id,
                &CurrentGroup { group_info, epoch: 7, seq: 1, generation: 0, entry_hash: [2; 32] },
            ),
            Op::FetchTree => frame::answer(request.id, &Tree { tree }),
            Op::ClaimKeyPackages => break request.id,
            other => panic!("{other:?}"),
        };
        scene.alice.handle_frame(&answer, at).unwrap();
    };
    let packages = vec![ClaimedKeyPackage { device: scene.bob.device, bytes: package.bytes }];
    scene.answer::<ClaimKeyPackages>(claim, &ClaimedKeyPackages { packages });
    let (id, succeed) = scene.want::<Succeed>();
    assert_eq!((succeed.predecessor, succeed.epoch), (scene.group, 7), "the epoch is the server's word");
    scene.answer::<Succeed>(id, &RecordedAt { seq: 2, at, generation: 0 });
    let next = e2ee::group_of(&succeed.group_info).unwrap();
    assert_eq!((scene.state(), scene.groups()), ((ConversationState::Active, Some(next)), 1));
}

#[test]
fn nobody_is_thrown_out_what_is_refused_is_forgotten_and_tried_again_later() {
    let mut scene = Scene::new();
    scene
        .alice
        .turn(now(), |turn| {
            let row = turn.conversation(CONVERSATION)?;
            turn.begin_succession(&row, None)
        })
        .unwrap();
    scene.alice.handle_timeout(now()).unwrap();
    let (id, claim) = scene.want::<ClaimKeyPackages>();
    assert_eq!((claim.user, claim.devices.as_slice()), (BOB, [scene.bob.device].as_slice()));
    scene.alice.handle_frame(&frame::refused(id, &ErrorCode::NoKeyPackage.into()), now()).unwrap();
    assert_eq!((scene.alice.unsent().unwrap(), scene.groups()), (0, 1), "it waits for Bob, and nothing waits for it");
    let package = scene.device().key_package(Suite::Classical, KeyPackageUse::Once, now()).unwrap();
    scene.disk.apply(&package.writes);
    scene
        .alice
        .turn(now(), |turn| {
            let row = turn.conversation(CONVERSATION)?;
            turn.begin_succession(&row, None)
        })
        .unwrap();
    let (id, _) = scene.want::<ClaimKeyPackages>();
    let packages = vec![ClaimedKeyPackage { device: scene.bob.device, bytes: package.bytes }];
    scene.answer::<ClaimKeyPackages>(id, &ClaimedKeyPackages { packages });
    let (id, _) = scene.want::<Succeed>();
    assert_eq!(scene.groups(), 2);
    scene.alice.handle_frame(&frame::refused(id, &Refusal::new(ErrorCode::InvalidCommit)), now()).unwrap();
    assert_eq!((scene.alice.unsent().unwrap(), scene.groups()), (0, 1));
    assert_eq!(scene.state(), (ConversationState::Active, Some(scene.group)), "the conversation goes on");
}

#[test]
fn a19_a_tenants_suite_becomes_stronger_and_never_weaker() {
    let greeting = |suite| Greeting { tenant: TENANT, challenge: [7; 32], now: 1, suite };
    let mut scene = Scene::new();
    let greet = |alice: &mut Client, suite| alice.turn(now(), |turn| turn.greeted(greeting(suite)));
    greet(&mut scene.alice, 0x004e).unwrap();
    let suite = scene.alice.turn(now(), |turn| Ok(turn.account()?.suite)).unwrap();
    assert_eq!(suite, 0x004e);
    let weaker = greet(&mut scene.alice, 0x0001);
    assert!(matches!(weaker, Err(Error::Protocol(why)) if why.contains("weaker")), "{weaker:?}");
    assert!(greet(&mut scene.alice, 0x1234).is_err(), "not one of ours");
    assert_eq!(scene.alice.turn(now(), |turn| Ok(turn.account()?.suite)).unwrap(), 0x004e);
}

#[test]
fn a_group_of_a_weaker_suite_is_moved_by_its_members_after_a_pause_of_chance() {
    let mut scene = Scene::new();
    let start = now();
    scene
        .alice
        .turn(start, |turn| {
            turn.greeted(Greeting { tenant: TENANT, challenge: [7; 32], now: 1, suite: 0x004e })?;
            turn.memory.session.phase = Phase::Live;
            turn.memory.attention.insert(CONVERSATION);
            Ok(())
        })
        .unwrap();
    scene.alice.handle_timeout(start).unwrap();
    scene.wants();
    assert_eq!(scene.alice.unsent().unwrap(), 0, "not at once");
    scene.alice.handle_timeout(start + 3 * FIRST_MS + 1).unwrap();
    assert_eq!(scene.alice.unsent().unwrap(), 1);
    assert_eq!(scene.alice.suite(CONVERSATION, now()).unwrap(), Some(Suite::Classical));
}
