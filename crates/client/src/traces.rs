//! Attack A13 of the table: what a server can do to the order of things. Random traces of entries that are replayed,
//! reordered, dropped, repeated, changed and withheld: whatever comes, every message is shown once, in the order of the log,
//! and what is missing is asked for, or shown to be missing.

use crate::content::{Body, Content, Plaintext};
use crate::testing::scene::{aad, bring_in, now};
use crate::testing::{BOB, CONVERSATION, Counter, TENANT, in_conversation_at};
use crate::{Client, ConversationState, Event, MessageState};
use e2ee::Suite;
use rogue::Rogue;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use tempfile::TempDir;
use trust::{Aad, Action, DeviceChain, LeafIdentity};
use vault::{AccountKey, DeviceKey};
use wire::event::Recorded;
use wire::request::{Done, Fetch, Fetched};
use wire::{DeviceId, Entry, EntryKind, ErrorCode, Op, Refusal, UnixMillis, frame};

/// New messages in a trace.
const MESSAGES: u64 = 4;
/// What happens in one, before the server is honest again.
const EVENTS: u64 = 6;
/// So many traces are one conversation.
const TRACES_OF_A_LIFE: u64 = 1_000;
/// The entry after which Alice's log begins.
const BEGINS: u64 = 1;
const DEVICES: [DeviceId; 2] = [DeviceId::from_bytes([8; 16]), DeviceId::from_bytes([9; 16])];

/// Chance from a seed (xorshift64*).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit.max(1)
    }

    /// So many times of a thousand.
    fn permille(&mut self, chance: u64) -> bool {
        self.below(1_000) < chance
    }
}

/// What was counted, so that a run shows that it has played what it was to play.
#[derive(Debug, Default)]
struct Tally {
    traces: u64,
    messages: u64,
    lives: u64,
    out_of_order: u64,
    replayed: u64,
    withheld: u64,
    broken: u64,
}

/// Alice's client, two devices of Bob, and a server that plays tricks.
struct Life<'a> {
    _folder: TempDir,
    alice: Client,
    bob: [Rogue; 2],
    log: Vec<Entry>,
    /// The last entry that was shown.
    shown: u64,
    /// The last that the server has spoken of.
    told: u64,
    at: UnixMillis,
    dice: &'a mut Dice,
    tally: &'a mut Tally,
    /// A trick that the client can only show: its copy of the group is not trusted any more.
    is_broken: bool,
}

impl<'a> Life<'a> {
    fn new(dice: &'a mut Dice, tally: &'a mut Tally) -> Self {
        tally.lives += 1;
        let (folder, mut alice) = in_conversation_at(Path::new(":memory:"));
        let mut entropy = Counter::at(9_000);
        let account = AccountKey::generate(&mut entropy);
        let keys = [DeviceKey::generate(&mut entropy), DeviceKey::generate(&mut entropy)];
        let first = account.open_chain(TENANT, BOB, DEVICES[0], &keys[0]);
        let chain = DeviceChain::verify(TENANT, BOB, std::slice::from_ref(&first), None).unwrap();
        let second = Action::Add { device: DEVICES[1], device_key: keys[1].public() };
        let second = account.continue_chain(&chain, second, Some(&keys[1]));
        let mut number = 0;
        let mut bob = keys.map(|key| {
            number += 1;
            Rogue::new(LeafIdentity { tenant: TENANT, user: BOB, device: DEVICES[number - 1] }, key)
        });
        let packages = bob.iter().map(|device| device.key_package(Suite::Classical, now())).collect();
        let (_, tree, welcome) = bring_in(&mut alice, &[first, second], packages);
        bob.iter_mut().for_each(|device| device.join(&welcome, &tree));
        let (log, at) = (Vec::new(), now());
        Self { _folder: folder, alice, bob, log, shown: BEGINS, told: BEGINS, at, dice, tally, is_broken: false }
    }

    fn head(&self) -> u64 {
        BEGINS + self.log.len() as u64
    }

    fn entry(&self, seq: u64) -> Entry {
        self.log[(seq - BEGINS - 1) as usize].clone()
    }

    /// One trace: new messages, tricks, and then an honest server. `false` when the life is over.
    fn trace(&mut self) -> bool {
        self.tally.traces += 1;
        let before = self.head();
        (0..MESSAGES).for_each(|_| self.say());
        for _ in 0..EVENTS {
            self.trick(before);
            self.serve(true);
            if self.is_broken {
                self.is_shown_to_be_broken();
                return false;
            }
        }
        if self.told > self.shown {
            self.at += 10_000;
            self.alice.handle_timeout(self.at).unwrap();
            assert!(self.serve(false) > 0, "what is missing is asked for");
        }
        self.tell(self.entry(self.head()));
        self.serve(false);
        self.at += 10_000;
        self.alice.handle_timeout(self.at).unwrap();
        self.serve(false);
        assert_eq!(self.shown, self.head(), "everything is shown");
        true
    }

    fn say(&mut self) {
        let (seq, who) = (self.head() + 1, self.dice.below(2) as usize);
        let plaintext = Plaintext::wrap(&Content::text(words(seq), 1).to_bytes(), &mut Counter::at(seq));
        let aad = Aad { commitment: plaintext.commitment(), ..aad(seq) };
        let (epoch, payload) = (self.bob[who].epoch(), self.bob[who].say(&aad, &plaintext.to_bytes()));
        let (kind, sender, at) = (EntryKind::Application, DEVICES[who], self.at);
        self.log.push(Entry { seq, kind, epoch, sender, message_id: aad.message_id, at, payload, generation: 0 });
        self.tally.messages += 1;
    }

    fn trick(&mut self, before: u64) {
        let new = before + 1 + self.dice.below(MESSAGES);
        match self.dice.below(100) {
            0..70 => {
                self.tally.out_of_order += u64::from(new != self.shown + 1);
                self.tell(self.entry(new));
            }
            70..85 if before > BEGINS => {
                self.tally.replayed += 1;
                let old = before - self.dice.below((before - BEGINS).min(200));
                self.tell(self.entry(old));
            }
            85..87 if self.dice.permille(100) => {
                let mut entry = self.entry(new);
                let place = self.dice.below(entry.payload.len() as u64) as usize;
                entry.payload[place] ^= 1 << self.dice.below(8);
                self.is_broken = new == self.shown + 1;
                self.tell(entry);
            }
            _ => {
                self.at += self.dice.below(3_000);
                self.alice.handle_timeout(self.at).unwrap();
            }
        }
    }

    fn tell(&mut self, entry: Entry) {
        self.told = entry.seq;
        let recorded = Recorded { conversation: CONVERSATION, generation: 0, entry };
        self.alice.handle_frame(&frame::event(&wire::Event::Recorded(recorded)), self.at).unwrap();
        self.hear();
    }

    /// Answers what the client asks for; how often it asked for entries.
    fn serve(&mut self, hostile: bool) -> u64 {
        let mut fetches = 0;
        while let Some(bytes) = self.alice.poll_transmit() {
            let request = frame::read_request(&bytes).unwrap();
            let answer = match request.known().unwrap() {
                Op::Acknowledge => frame::answer(request.id, &Done {}),
                Op::Fetch => {
                    fetches += 1;
                    let fetch: Fetch = wire::decode(request.body).unwrap();
                    self.fetched(request.id, fetch.after, hostile)
                }
                // The client repairs itself, which is another story.
                Op::FetchGroupInfo if self.is_broken => continue,
                other => panic!("{other:?}"),
            };
            self.alice.handle_frame(&answer, self.at).unwrap();
            self.hear();
        }
        fetches
    }

    fn fetched(&mut self, id: u32, after: u64, hostile: bool) -> Vec<u8> {
        let head = self.head();
        let mut fetched =
            Fetched { entries: (after + 1..=head).map(|seq| self.entry(seq)).collect(), head, generation: 0 };
        match self.dice.below(100) {
            0..15 if hostile => fetched.entries.truncate(1 + self.dice.below(MESSAGES) as usize),
            15..30 if hostile && after > BEGINS => {
                let again = (after - self.dice.below((after - BEGINS).min(8)))..=after;
                fetched.entries.splice(0..0, again.map(|seq| self.entry(seq)));
            }
            30..40 if hostile => {
                self.tally.withheld += 1;
                (fetched.entries, fetched.head) = (Vec::new(), after);
            }
            40..45 if hostile => {
                return frame::refused(id, &Refusal::retry_after(ErrorCode::RateLimited, 1_000));
            }
            45 if hostile && fetched.entries.len() > 1 && self.dice.permille(200) => {
                fetched.entries.remove(0);
                self.is_broken = true;
            }
            _ => {}
        }
        self.told = fetched.head;
        frame::answer(id, &fetched)
    }

    /// Every line that is shown is the next one of the log, as it was said.
    fn hear(&mut self) {
        while let Some(event) = self.alice.poll_event() {
            match event {
                Event::Line { line, .. } if line.state == MessageState::Recorded => {
                    let seq = self.shown + 1;
                    assert_eq!((line.seq, line.author), (Some(seq), Some(BOB)));
                    assert_eq!(line.body.as_ref().and_then(Body::words), Some(words(seq).as_str()));
                    assert_eq!(line.id, Some(self.entry(seq).message_id));
                    self.shown = seq;
                }
                Event::CaughtUp | Event::ConversationChanged(_) => {}
                Event::Line { .. } | Event::Undecryptable { .. } if self.is_broken => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn is_shown_to_be_broken(&mut self) {
        self.tally.broken += 1;
        let state = self.alice.conversation(CONVERSATION).unwrap().unwrap().state;
        assert_eq!(state, ConversationState::Repairing);
    }

    /// The lines that are kept are those that were shown.
    fn end(self) {
        let lines = self.alice.lines(CONVERSATION, u32::MAX).unwrap();
        let kept = lines.iter().filter(|line| line.state == MessageState::Recorded).filter_map(|line| line.seq);
        assert!(kept.eq(BEGINS + 1..=self.shown));
    }
}

fn words(seq: u64) -> String {
    format!("words {seq}")
}

fn play(traces: u64, seed: u64) -> Tally {
    let (mut dice, mut tally) = (Dice(seed), Tally::default());
    while tally.traces < traces {
        let end = (tally.traces + TRACES_OF_A_LIFE).min(traces);
        let mut life = Life::new(&mut dice, &mut tally);
        while life.tally.traces < end && life.trace() {}
        life.end();
    }
    tally
}

#[test]
fn a13_random_traces_show_every_message_once_in_order_or_its_gap() {
    let tally = play(TRACES, 0x9e37_79b9_7f4a_7c15);
    let Tally { out_of_order, replayed, withheld, broken, .. } = tally;
    assert!(out_of_order > TRACES && replayed > TRACES / 2 && withheld > TRACES / 50 && broken > 0, "{tally:?}");
}

/// So many in every run.
const TRACES: u64 = 2_000;

#[test]
#[ignore = "takes minutes: cargo xtask soak attacks"]
fn a13_a_million_random_traces_show_every_message_once_in_order_or_its_gap() {
    const PARTS: u64 = 50;
    let next = AtomicU64::new(0);
    let work = || {
        while let Some(part) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|part| *part < PARTS) {
            println!("part {part} of {PARTS}: {:?}", play(1_000_000 / PARTS, 0x5eed + part));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
}
