//! What the tests of this crate share.

use crate::database::account::{self, Account};
use crate::{Client, Database, DatabaseKey};
use tempfile::TempDir;
use trust::{Action, DeviceChain};
use vault::{AccountKey, DeviceKey, Entropy};
use wire::request::SignedEntry;
use wire::{DeviceId, TenantId, UserId};

/// Bytes that count up: never for keys outside of tests.
#[derive(Default)]
pub(crate) struct Counter(u64);

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
    let folder = tempfile::tempdir().unwrap();
    let key = DatabaseKey::generate(&mut Counter(7));
    let mut database = Database::open(&folder.path().join("device.db"), &key).unwrap();
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
    };
    let transaction = database.begin().unwrap();
    account::save(&transaction, &account).unwrap();
    transaction.commit().unwrap();
    (folder, Client::open(database, Box::new(entropy)).unwrap())
}

/// A person's keys and chain.
pub(crate) struct Chain {
    account: AccountKey,
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
