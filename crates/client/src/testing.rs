//! What the tests of this crate share.

mod memory;
pub(crate) mod pages;
pub(crate) mod scene;

use crate::database::account::{self, Account};
use crate::database::conversation::{self, ConversationRow};
use crate::database::key_package;
use crate::database::outbox::{self, OutboxKind};
use crate::session::Phase;
use crate::turn::Turn;
use crate::{Client, ConversationState, Database, DatabaseKey};
use std::path::Path;
use tempfile::TempDir;
use trust::{Action, DeviceChain, EntryHash, Kind};
use vault::{AccountKey, DeviceKey, Entropy};
use wire::frame::read_request;
use wire::request::{KeyPackagesHeld, SignedEntry};
use wire::{ConversationId, DeviceId, Operation, TenantId, UserId};

/// Bytes that count up: never for keys outside of tests.
#[derive(Default)]
pub(crate) struct Counter(pub(crate) u64);

impl Counter {
    /// A counter that goes on from here.
    pub(crate) const fn at(start: u64) -> Self {
        Self(start)
    }
}

impl Entropy for Counter {
    fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            self.0 += 1;
            chunk.copy_from_slice(&self.0.to_be_bytes()[8 - chunk.len()..]);
        }
    }
}

pub(crate) const TENANT: TenantId = TenantId::from_bytes([1; 16]);
pub(crate) const ALICE: UserId = UserId::from_bytes([2; 16]);
pub(crate) const BOB: UserId = UserId::from_bytes([3; 16]);

/// A client that has joined as Alice, and its folder.
pub(crate) fn alice() -> (TempDir, Client) {
    alice_at(Path::new("device.db"))
}

/// The same with another file in that folder, or none: `:memory:`.
fn alice_at(file: &Path) -> (TempDir, Client) {
    let folder = tempfile::tempdir().unwrap();
    let key = DatabaseKey::generate(&mut Counter(7));
    let path = if file == Path::new(":memory:") { file.to_owned() } else { folder.path().join(file) };
    let mut database = Database::open(&path, &key).unwrap();
    let mut entropy = Counter(100);
    let account = Account {
        tenant: TENANT,
        tenant_name: "acme".into(),
        user: ALICE,
        device: DeviceId::from_bytes([4; 16]),
        handle: "alice".into(),
        account_key: AccountKey::generate(&mut entropy),
        device_key: DeviceKey::generate(&mut entropy),
        join_finish: None,
        suite: 1,
        authority: None,
    };
    let transaction = database.begin().unwrap();
    account::save(&transaction, &account).unwrap();
    transaction.commit().unwrap();
    (folder, Client::open(database, Box::new(entropy)).unwrap())
}

/// A person's keys and chain.
pub(crate) struct Chain {
    pub(crate) account: AccountKey,
    pub(crate) entries: Vec<SignedEntry>,
    user: UserId,
    entropy: Counter,
}

impl Chain {
    pub(crate) fn new(user: UserId, seed: u64) -> Self {
        let mut entropy = Counter(seed);
        let (account, device) = (AccountKey::generate(&mut entropy), DeviceKey::generate(&mut entropy));
        let id = DeviceId::from_bytes((&mut entropy as &mut dyn Entropy).array());
        let entries = vec![account.open_chain(TENANT, user, id, &device)];
        Self { account, entries, user, entropy }
    }

    /// The chain with one device more.
    pub(crate) fn grown(&mut self) -> Vec<SignedEntry> {
        let chain = DeviceChain::verify(TENANT, self.user, &self.entries, None).unwrap();
        let device_key = DeviceKey::generate(&mut self.entropy);
        let device = DeviceId::from_bytes((&mut self.entropy as &mut dyn Entropy).array());
        let action = Action::Add { device, device_key: device_key.public() };
        [self.entries.clone(), vec![self.account.continue_chain(&chain, action, Some(&device_key))]].concat()
    }
}

pub(crate) const CONVERSATION: ConversationId = ConversationId::from_bytes([6; 16]);

/// A client that is logged in, alone in a group of a conversation whose log is empty so far.
pub(crate) fn live_in_conversation() -> (TempDir, Client) {
    in_conversation_at(Path::new("device.db"))
}

/// The same with another file, or none: `:memory:`.
pub(crate) fn in_conversation_at(file: &Path) -> (TempDir, Client) {
    let (folder, mut client) = alice_at(file);
    client
        .turn(1_000, |turn| {
            let row = ConversationRow {
                peer: Some(BOB),
                ..ConversationRow::new(CONVERSATION, Kind::Direct, ConversationState::Claiming)
            };
            conversation::save(turn.db, &row)?;
            let row = turn.create_direct(row)?;
            outbox::delete_kind(turn.db, CONVERSATION, OutboxKind::Create)?;
            conversation::save(turn.db, &ConversationRow { state: ConversationState::Active, ..row })?;
            key_package::insert(turn.db, true, 1_000, b"reference", b"bytes")?;
            key_package::set_published(turn.db, 1)?;
            go_live(turn);
            Ok(())
        })
        .unwrap();
    while client.poll_event().is_some() {}
    (folder, client)
}

/// The same profile after its program has ended and was started anew.
pub(crate) fn reopen(folder: &TempDir) -> Client {
    let key = DatabaseKey::generate(&mut Counter(7));
    let database = Database::open(&folder.path().join("device.db"), &key).unwrap();
    Client::open(database, Box::new(Counter(1_000_000))).unwrap()
}

/// A new connection, up to where the device has caught up.
pub(crate) fn reconnect(client: &mut Client, now: u64) {
    client
        .turn(now, |turn| {
            go_live(turn);
            Ok(())
        })
        .unwrap();
}

/// What a login leads to.
fn go_live(turn: &mut Turn<'_>) {
    turn.memory.session.phase = Phase::Live;
    turn.memory.held = Some(KeyPackagesHeld { one_time: 50, last_resort_used: false });
    turn.memory.behind_on = Some(std::collections::BTreeSet::new());
    turn.memory.attention.insert(CONVERSATION);
}

/// The next request that a client wants written: its id and itself.
#[track_caller]
pub(crate) fn request<O: Operation>(client: &mut Client) -> (u32, O) {
    let frame = client.poll_transmit().expect("a request");
    let frame = read_request(&frame).unwrap();
    assert_eq!(frame.known(), Some(O::OP));
    (frame.id, wire::decode(frame.body).unwrap())
}

/// A client in a conversation whose log it has followed up to entry 5.
pub(crate) fn followed() -> (TempDir, Client) {
    let (folder, mut client) = alice();
    client
        .turn(1_000, |turn| {
            let mut row = ConversationRow::new(CONVERSATION, Kind::Direct, ConversationState::Active);
            row.peer = Some(BOB);
            for seq in 1..=5 {
                (row.cursor, row.entry_hash) = (seq, EntryHash([seq as u8; 32]));
                conversation::save(turn.db, &row)?;
                conversation::remember_hash(turn.db, &row)?;
            }
            Ok(())
        })
        .unwrap();
    (folder, client)
}
