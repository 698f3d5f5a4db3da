//! Attack A12 of the table, as a person meets it: the other member makes commits that this device cannot follow, again and
//! again, and the conversation lives.

use crate::content::{Body, Content, Plaintext};
use crate::testing::scene::{aad, bring_in, now};
use crate::testing::{BOB, CONVERSATION, Counter, TENANT, live_in_conversation};
use crate::{Client, ConversationState, Event, MessageState};
use e2ee::Suite;
use rogue::{Poisoned, Rogue};
use tempfile::TempDir;
use trust::{Aad, LeafIdentity};
use vault::{AccountKey, DeviceKey};
use wire::event::Recorded;
use wire::request::{Acknowledge, Commit, CurrentGroup, Done, RecordedAt, Send, Tree};
use wire::{DeviceId, Entry, EntryKind, Op, Operation, UnixMillis, frame};

/// The row of the table promises it.
const LIVE_AGAIN_MS: u64 = 60_000;
const MALLORY: DeviceId = DeviceId::from_bytes([8; 16]);

/// Alice's client, a device of Bob's that does harm, and the server, which a test plays.
struct Scene {
    _folder: TempDir,
    alice: Client,
    mallory: Rogue,
    seq: u64,
    at: UnixMillis,
}

impl Scene {
    fn new() -> Self {
        let (folder, mut alice) = live_in_conversation();
        let mut entropy = Counter::at(9_000);
        let (account, key) = (AccountKey::generate(&mut entropy), DeviceKey::generate(&mut entropy));
        let chain = [account.open_chain(TENANT, BOB, MALLORY, &key)];
        let mut mallory = Rogue::new(LeafIdentity { tenant: TENANT, user: BOB, device: MALLORY }, key);
        let (_, tree, welcome) = bring_in(&mut alice, &chain, vec![mallory.key_package(Suite::Classical, now())]);
        mallory.join(&welcome, &tree);
        Self { _folder: folder, alice, mallory, seq: 1, at: now() }
    }

    fn next(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }

    fn record(&mut self, kind: EntryKind, epoch: u64, payload: Vec<u8>) {
        let (seq, at) = (self.seq, self.at);
        let entry =
            Entry { seq, kind, epoch, sender: MALLORY, message_id: aad(seq).message_id, at, payload, generation: 0 };
        let recorded = Recorded { conversation: CONVERSATION, generation: 0, entry };
        self.alice.handle_frame(&frame::event(&wire::Event::Recorded(recorded)), at).unwrap();
    }

    /// Time passes until the client asks for something; what it asks for.
    fn asks(&mut self) -> Vec<u8> {
        loop {
            if let Some(bytes) = self.alice.poll_transmit() {
                return bytes;
            }
            self.at = self.alice.poll_timeout().unwrap().max(self.at + 1);
            self.alice.handle_timeout(self.at).unwrap();
        }
    }

    fn answer<O: Operation>(&mut self, id: u32, answer: &O::Answer) {
        self.alice.handle_frame(&frame::answer(id, answer), self.at).unwrap();
    }

    /// The server does what it is there for until Alice's words are recorded; they reach Mallory.
    fn serves_until_sent(&mut self, poisoned: &Poisoned, poisoned_at: u64) -> Vec<u8> {
        loop {
            let bytes = self.asks();
            let request = frame::read_request(&bytes).unwrap();
            let id = request.id;
            match request.known().unwrap() {
                Op::Acknowledge => self.answer::<Acknowledge>(id, &Done {}),
                Op::FetchGroupInfo => {
                    let (group_info, epoch) = (poisoned.group_info.clone(), poisoned.epoch + 1);
                    let current =
                        CurrentGroup { group_info, epoch, seq: poisoned_at, generation: 0, entry_hash: [2; 32] };
                    self.answer::<wire::request::FetchGroupInfo>(id, &current);
                }
                Op::FetchTree => self.answer::<wire::request::FetchTree>(id, &Tree { tree: poisoned.tree.clone() }),
                Op::Commit => {
                    let rejoin: Commit = wire::decode(request.body).unwrap();
                    assert_eq!(self.mallory.hear(&rejoin.commit), None);
                    let seq = self.next();
                    self.answer::<Commit>(id, &RecordedAt { seq, at: self.at, generation: 0 });
                }
                Op::Send => {
                    let sent: Send = wire::decode(request.body).unwrap();
                    assert_eq!(sent.epoch, self.mallory.epoch());
                    let seq = self.next();
                    self.answer::<Send>(id, &RecordedAt { seq, at: self.at, generation: 0 });
                    return self.mallory.hear(&sent.payload).unwrap();
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn words(&self) -> Vec<String> {
        let lines = self.alice.lines(CONVERSATION, 100).unwrap();
        assert!(lines.iter().all(|line| line.state != MessageState::Undecryptable), "{lines:?}");
        lines.iter().filter_map(|line| line.body.as_ref().and_then(Body::words).map(str::to_owned)).collect()
    }
}

#[test]
fn a12_who_poisons_commits_is_named_and_words_flow_again_within_a_minute() {
    let mut scene = Scene::new();
    for round in 0..3 {
        let poisoned_at = scene.next();
        let poisoned = scene.mallory.poison(None, &aad(poisoned_at));
        let (begun, words) = (scene.at, format!("words {round}"));
        scene.record(EntryKind::Commit, poisoned.epoch, poisoned.commit.clone());
        let events: Vec<Event> = std::iter::from_fn(|| scene.alice.poll_event()).collect();
        let named = Event::CommitPoisoned { conversation: CONVERSATION, seq: poisoned_at, user: BOB, device: MALLORY };
        assert!(events.contains(&named), "{events:?}");
        let lost = events.iter().filter(|event| matches!(event, Event::Undecryptable { .. })).count();
        assert_eq!(lost, 1, "the commit itself, and nothing else");
        scene.alice.send(CONVERSATION, &Content::text(&words, 1), scene.at).unwrap();

        let heard = scene.serves_until_sent(&poisoned, poisoned_at);
        assert!(heard.windows(words.len()).any(|window| window == words.as_bytes()), "Mallory is not thrown out");
        assert!(scene.at - begun < LIVE_AGAIN_MS, "{} ms", scene.at - begun);
        let seq = scene.next();
        let plaintext = Plaintext::wrap(&Content::text(format!("answer {round}"), 1).to_bytes(), &mut Counter::at(seq));
        let aad = Aad { commitment: plaintext.commitment(), ..aad(seq) };
        let (epoch, payload) = (scene.mallory.epoch(), scene.mallory.say(&aad, &plaintext.to_bytes()));
        scene.record(EntryKind::Application, epoch, payload);
    }
    assert_eq!(scene.words(), ["words 0", "answer 0", "words 1", "answer 1", "words 2", "answer 2"]);
    let state = scene.alice.conversation(CONVERSATION).unwrap().unwrap().state;
    assert_eq!(state, ConversationState::Active);
}
