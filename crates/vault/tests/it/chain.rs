//! Device chains made with real keys, checked by `trust`.

use crate::Seeded;
use mifeng_vault::{AccountKey, DeviceKey, Entropy};
use trust::{Action, ChainError, DeviceChain, DeviceState};
use wire::request::SignedEntry;
use wire::{DeviceId, TenantId, UserId};

const TENANT: TenantId = TenantId::from_bytes([1; 16]);
const USER: UserId = UserId::from_bytes([2; 16]);
const LAPTOP: DeviceId = DeviceId::from_bytes([3; 16]);
const PHONE: DeviceId = DeviceId::from_bytes([4; 16]);

struct Person {
    account: AccountKey,
    laptop: DeviceKey,
    phone: DeviceKey,
    entries: Vec<SignedEntry>,
}

impl Person {
    fn new(seed: u64) -> Self {
        let entropy: &mut dyn Entropy = &mut Seeded(seed);
        let (account, laptop, phone) =
            (AccountKey::generate(entropy), DeviceKey::generate(entropy), DeviceKey::generate(entropy));
        let entries = vec![account.open_chain(TENANT, USER, LAPTOP, &laptop)];
        Self { account, laptop, phone, entries }
    }

    fn chain(&self) -> Result<DeviceChain, ChainError> {
        DeviceChain::verify(TENANT, USER, &self.entries, None)
    }

    fn then(mut self, action: Action, introduced: Option<&DeviceKey>) -> Self {
        let entry = self.account.continue_chain(&self.chain().unwrap(), action, introduced);
        self.entries.push(entry);
        self
    }

    fn with_phone(self) -> Self {
        let phone = DeviceKey::from_sealed_storage(&self.phone.to_sealed_storage());
        self.then(Action::Add { device: PHONE, device_key: phone.public() }, Some(&phone))
    }
}

#[test]
fn devices_come_and_go() {
    let person = Person::new(1).with_phone();
    let chain = person.chain().unwrap();
    assert!(chain.vouches_for(LAPTOP, &person.laptop.public()) && chain.vouches_for(PHONE, &person.phone.public()));
    assert!(!chain.vouches_for(PHONE, &person.laptop.public()), "a device's id with another's key");

    let chain = person.then(Action::Revoke { device: PHONE }, None).chain().unwrap();
    assert_eq!(chain.device(PHONE).unwrap().state, DeviceState::Revoked);
    assert_eq!(chain.head().len, 3);
}

#[test]
fn a4_every_changed_bit_is_refused() {
    let person = Person::new(2).with_phone();
    for (index, entry) in person.entries.iter().enumerate() {
        for bit in 0..entry.payload.len() * 8 {
            let mut entries = person.entries.clone();
            entries[index].payload[bit / 8] ^= 1 << (bit % 8);
            assert!(DeviceChain::verify(TENANT, USER, &entries, None).is_err(), "payload bit {bit} of entry {index}");
        }
        for bit in 0..512 {
            let mut entries = person.entries.clone();
            entries[index].signature[bit / 8] ^= 1 << (bit % 8);
            assert!(DeviceChain::verify(TENANT, USER, &entries, None).is_err(), "signature bit {bit} of entry {index}");
        }
    }
}

#[test]
fn a4_an_entry_that_introduces_no_device_carries_no_possession() {
    let person = Person::new(2).with_phone().then(Action::Revoke { device: PHONE }, None);
    assert!(person.chain().is_ok());
    let mut entries = person.entries.clone();
    entries[2].possession = entries[1].possession;
    let verified = DeviceChain::verify(TENANT, USER, &entries, None);
    assert_eq!(verified, Err(ChainError::Signature), "the same entry, another hash, and nobody's signature");
}

#[test]
fn a4_a_chain_of_another_user_or_tenant_is_refused() {
    let person = Person::new(3);
    assert_eq!(
        DeviceChain::verify(TENANT, UserId::from_bytes([9; 16]), &person.entries, None),
        Err(ChainError::Broken)
    );
    assert_eq!(
        DeviceChain::verify(TenantId::from_bytes([9; 16]), USER, &person.entries, None),
        Err(ChainError::Broken)
    );
}

#[test]
fn a4_an_entry_left_out_or_moved_breaks_the_chain() {
    let mut person = Person::new(3).with_phone();
    let revoked = person.account.continue_chain(&person.chain().unwrap(), Action::Revoke { device: PHONE }, None);
    person.entries.push(revoked);
    assert!(person.chain().is_ok());
    let verify = |order: &[usize]| {
        let entries: Vec<_> = order.iter().map(|index| person.entries[*index].clone()).collect();
        DeviceChain::verify(TENANT, USER, &entries, None).map(|_| ())
    };
    for order in [&[0, 2][..], &[0, 2, 1], &[0, 1, 1], &[0, 1, 2, 2], &[0, 0]] {
        assert!(verify(order).is_err(), "{order:?}");
    }
    assert_eq!(verify(&[0, 2]), Err(ChainError::Broken), "whatever the entry does");
}

#[test]
fn a1_the_server_cannot_add_a_device() {
    let (mut person, server) = (Person::new(4), Person::new(5));
    let action = Action::Add { device: PHONE, device_key: server.phone.public() };
    let forged = server.account.continue_chain(&person.chain().unwrap(), action, Some(&server.phone));
    person.entries.push(forged);
    assert_eq!(person.chain().unwrap_err(), ChainError::Signature);
}

#[test]
fn a4_a_device_cannot_be_claimed_without_its_key() {
    let mut person = Person::new(6);
    let stranger = DeviceKey::generate(&mut Seeded(7));
    let action = Action::Add { device: PHONE, device_key: stranger.public() };
    for introduced in [None, Some(&person.laptop)] {
        let entry = person.account.continue_chain(&person.chain().unwrap(), action.clone(), introduced);
        let entries = [person.entries.clone(), vec![entry]].concat();
        assert_eq!(DeviceChain::verify(TENANT, USER, &entries, None).unwrap_err(), ChainError::Signature);
    }
    person = person.with_phone();
    assert!(person.chain().is_ok());
}

#[test]
fn a_device_is_added_once_and_revoked_once() {
    let person = Person::new(8).with_phone().then(Action::Revoke { device: PHONE }, None);
    let chain = person.chain().unwrap();
    for (action, key) in [
        (Action::Revoke { device: PHONE }, None),
        (Action::Revoke { device: DeviceId::from_bytes([9; 16]) }, None),
        (Action::Add { device: PHONE, device_key: person.phone.public() }, Some(&person.phone)),
        (Action::Add { device: DeviceId::from_bytes([9; 16]), device_key: person.phone.public() }, Some(&person.phone)),
    ] {
        let entry = person.account.continue_chain(&chain, action.clone(), key);
        assert_eq!(chain.clone().append(&entry, None), Err(ChainError::Forbidden), "{action:?}");
    }
}

#[test]
fn entries_out_of_place_are_refused() {
    let person = Person::new(9).with_phone().then(Action::Revoke { device: PHONE }, None);
    let [open, add, revoke] = person.entries.as_slice() else { panic!("three entries") };
    for wrong in
        [vec![], vec![add, revoke], vec![open, revoke], vec![open, revoke, add], vec![open, add, add], vec![open, open]]
    {
        let wrong: Vec<_> = wrong.into_iter().cloned().collect();
        assert!(DeviceChain::verify(TENANT, USER, &wrong, None).is_err());
    }
}

/// The authority's key is an ordinary Ed25519 key; an account key stands in for it, which also shows that the label is
/// what keeps the two apart.
#[test]
fn closing_needs_the_authority() {
    let mut person = Person::new(10);
    let chain = person.chain().unwrap();
    let closing = person.account.continue_chain(&chain, Action::Close, None);
    let authority = trust::AuthorityPublicKey::from_bytes(*person.account.public().as_bytes());
    assert_eq!(chain.clone().append(&closing, None), Err(ChainError::Signature));
    assert_eq!(
        chain.clone().append(&closing, Some(&authority)),
        Err(ChainError::Signature),
        "signed under the wrong label"
    );
    person.entries.push(closing);
    assert!(person.chain().is_err());
}
