//! Device chains, leaves, policies and authenticated data: what people and groups are believed by.

use super::change::changed;
use super::frames::returns;
use super::stage::Counted;
use std::sync::LazyLock;
use trust::chain::{Action, decode};
use trust::{DeviceChain, GroupPolicy, LeafIdentity};
use vault::{AccountKey, DeviceKey, OfferedEntry};
use wire::request::SignedEntry;
use wire::{ConversationId, DeviceId, GroupId, TenantId, UserId};

const TENANT: TenantId = TenantId::from_bytes([1; 16]);
const USER: UserId = UserId::from_bytes([2; 16]);
const DEVICES: [DeviceId; 3] =
    [DeviceId::from_bytes([3; 16]), DeviceId::from_bytes([4; 16]), DeviceId::from_bytes([5; 16])];

/// An entry as it comes; only one that opens the chain of the person here is ever signed.
pub(super) mod signed_entry {
    use super::*;

    pub(in crate::fuzz) fn run(bytes: &[u8]) -> bool {
        if let Ok(entry) = wire::decode::<SignedEntry>(bytes) {
            let _ = decode(&entry);
            let opens = DeviceChain::open(TENANT, USER, &entry).is_ok();
            assert_eq!(opens, entry == PERSON.entries[0], "only a person opens a chain: {entry:?}");
        }
        returns::<SignedEntry>(bytes)
    }

    pub(in crate::fuzz) fn seeds() -> Vec<Vec<u8>> {
        PERSON.entries.iter().map(wire::encode).collect()
    }
}

/// A real chain, one part of one entry changed: the first byte says of which, the second which part.
pub(super) mod chain {
    use super::*;

    pub(in crate::fuzz) fn run(bytes: &[u8]) -> bool {
        let [place, part, changes @ ..] = bytes else { return false };
        let mut entries = PERSON.entries.clone();
        let place = usize::from(*place) % entries.len();
        change(&mut entries[place], *part, changes);
        let taken = DeviceChain::verify(TENANT, USER, &entries, None).is_ok();
        assert_eq!(taken, entries == PERSON.entries, "a changed chain is refused, and no other: {entries:?}");
        follow(&entries);
        taken
    }

    fn change(entry: &mut SignedEntry, part: u8, changes: &[u8]) {
        match part % 4 {
            0 => entry.payload = changed(&entry.payload, changes),
            1 => entry.signature = changed(&entry.signature, changes).try_into().unwrap_or(entry.signature),
            2 => entry.possession = changes.first_chunk().copied(),
            _ => {
                let possession = entry.possession.map(|possession| changed(&possession, changes));
                entry.possession = possession.and_then(|possession| possession.try_into().ok());
            }
        }
    }

    /// What is refused leaves a chain as it was.
    fn follow(entries: &[SignedEntry]) {
        let Ok(mut chain) = DeviceChain::open(TENANT, USER, &entries[0]) else { return };
        for entry in &entries[1..] {
            let before = chain.clone();
            if chain.append(entry, None).is_err() {
                assert_eq!(chain, before);
            }
        }
    }

    pub(in crate::fuzz) fn seeds() -> Vec<Vec<u8>> {
        vec![vec![0, 0], vec![1, 0], vec![2, 0]]
    }
}

/// What a new device would like to be signed.
pub(super) mod offered_entry {
    use super::*;

    pub(in crate::fuzz) fn run(bytes: &[u8]) -> bool {
        let Ok(offered) = wire::decode::<OfferedEntry>(bytes) else { return false };
        let Ok(signed) = PERSON.account.accept(&PERSON.chain, &offered) else { return false };
        let entry = decode(&signed);
        assert!(matches!(&entry, Ok(entry) if matches!(entry.action, Action::Add { .. })), "signed {entry:?}");
        true
    }

    pub(in crate::fuzz) fn seeds() -> Vec<Vec<u8>> {
        let key = DeviceKey::generate(&mut Counted(b'o'));
        vec![wire::encode(&key.offer_itself(&PERSON.chain, DEVICES[2]))]
    }
}

pub(super) mod leaf_identity {
    use super::*;

    pub(in crate::fuzz) fn run(bytes: &[u8]) -> bool {
        let Ok(identity) = LeafIdentity::from_bytes(bytes) else { return false };
        assert_eq!(identity.to_bytes().as_slice(), bytes);
        true
    }

    pub(in crate::fuzz) fn seeds() -> Vec<Vec<u8>> {
        vec![LeafIdentity { tenant: TENANT, user: USER, device: DEVICES[0] }.to_bytes().to_vec()]
    }
}

pub(super) mod group_policy {
    use super::*;

    pub(in crate::fuzz) fn run(bytes: &[u8]) -> bool {
        let Ok(policy) = GroupPolicy::from_bytes(bytes) else { return false };
        assert_eq!(policy.validate(), Ok(()));
        assert_eq!(GroupPolicy::from_bytes(&policy.to_bytes()).as_ref(), Ok(&policy));
        let next = policy.successor(GroupId::from_bytes([9; 16]));
        assert_eq!(next.descends_from(&policy), policy.ordinal < u32::MAX);
        true
    }

    pub(in crate::fuzz) fn seeds() -> Vec<Vec<u8>> {
        let conversation = ConversationId::from_bytes([6; 16]);
        let group = GroupPolicy::group(TENANT, conversation, USER);
        let next = group.successor(GroupId::from_bytes([7; 16]));
        let direct = GroupPolicy::direct(TENANT, conversation, USER, UserId::from_bytes([8; 16]));
        [group, next, direct].iter().map(GroupPolicy::to_bytes).collect()
    }
}

pub(super) mod authenticated_data {
    use crate::fuzz::stage::aad;

    pub(in crate::fuzz) fn run(bytes: &[u8]) -> bool {
        let Ok(aad) = roster::payload::aad(bytes) else { return false };
        assert_eq!(roster::payload::aad(&wire::encode(&aad)).ok(), Some(aad));
        true
    }

    pub(in crate::fuzz) fn seeds() -> Vec<Vec<u8>> {
        vec![wire::encode(&aad(1))]
    }
}

static PERSON: LazyLock<Person> = LazyLock::new(Person::with_two_devices);

struct Person {
    account: AccountKey,
    /// Opens, adds the second device, revokes the first.
    entries: Vec<SignedEntry>,
    chain: DeviceChain,
}

impl Person {
    fn with_two_devices() -> Self {
        let entropy = &mut Counted(b'p');
        let account = AccountKey::generate(entropy);
        let [first, second] = [(); 2].map(|()| DeviceKey::generate(entropy));
        let mut entries = vec![account.open_chain(TENANT, USER, DEVICES[0], &first)];
        let mut chain = DeviceChain::open(TENANT, USER, &entries[0]).unwrap();
        let add = Action::Add { device: DEVICES[1], device_key: second.public() };
        for (action, introduced) in [(add, Some(&second)), (Action::Revoke { device: DEVICES[0] }, None)] {
            let entry = account.continue_chain(&chain, action, introduced);
            chain.append(&entry, None).unwrap();
            entries.push(entry);
        }
        Self { account, entries, chain }
    }
}
