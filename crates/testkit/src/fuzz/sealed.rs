//! What is sealed, and opens only unchanged; and the messages by which a password is proved.

use super::change::{changed, taken_unchanged};
use super::frames::returns;
use super::stage::{Counted, WORDS};
use keyring::{Cell, DataKey, KeyName, KeyUse, RootKey, TenantKey, envelope};
use mifeng_server::password::Passwords;
use rules::handle::Handle;
use std::sync::LazyLock;
use vault::link::{LinkKeys, LinkOffer, LinkPackage, LinkSecret, LinkedContact, LinkedConversation, LinkedDevice};
use vault::{AccountKey, DeviceKey, WhisperKey, WhisperPlace, password};
use wire::{ConversationId, DeviceId, TenantId, UserId};
use zeroize::Zeroizing;

const TENANT: TenantId = TenantId::from_bytes([1; 16]);
const USER: UserId = UserId::from_bytes([2; 16]);
const DEVICE: DeviceId = DeviceId::from_bytes([3; 16]);
const CONVERSATION: ConversationId = ConversationId::from_bytes([4; 16]);
const CELL: Cell<'_> = Cell { tenant: TENANT, table: "users", column: "handle", row: &[5; 16] };
const NAME: KeyName = KeyName { tenant: TENANT, key_use: KeyUse::User, object: [6; 16], version: 1 };

/// A value in the server's database.
pub(super) mod cell {
    use super::*;

    pub(in crate::fuzz) fn run(bytes: &[u8]) -> bool {
        let envelope = changed(&KEYS.cell, bytes);
        let _ = envelope::key_version(&envelope);
        taken_unchanged(&KEYS.cell, &envelope, KEYS.data.open(CELL, &envelope))
    }

    pub(in crate::fuzz) fn seeds() -> Vec<Vec<u8>> {
        vec![vec![]]
    }
}

/// A data key in the server's database.
pub(super) mod wrapped_key {
    use super::*;

    pub(in crate::fuzz) fn run(bytes: &[u8]) -> bool {
        let wrapped = changed(&KEYS.wrapped, bytes);
        taken_unchanged(&KEYS.wrapped, &wrapped, KEYS.tenant.open_data_key(NAME, &wrapped))
    }

    pub(in crate::fuzz) fn seeds() -> Vec<Vec<u8>> {
        vec![vec![]]
    }
}

pub(super) mod registration_request {
    use super::*;

    pub(in crate::fuzz) fn run(bytes: &[u8]) -> bool {
        PASSWORDS.keeper.register(&PASSWORDS.handle, bytes).is_ok()
    }

    pub(in crate::fuzz) fn seeds() -> Vec<Vec<u8>> {
        vec![password::Registration::start(b"a password", &mut Counted(1)).unwrap().1]
    }
}

pub(super) mod registration_upload {
    use super::*;

    pub(in crate::fuzz) fn run(bytes: &[u8]) -> bool {
        let record = Passwords::record(bytes);
        if let Ok(record) = &record {
            // What is stored can be read again, whatever somebody registered with.
            assert!(PASSWORDS.keeper.login(&PASSWORDS.handle, record, &PASSWORDS.ke1).is_ok());
        }
        record.is_ok()
    }

    pub(in crate::fuzz) fn seeds() -> Vec<Vec<u8>> {
        // A record is stored as it was uploaded.
        vec![PASSWORDS.record.clone()]
    }
}

/// Both halves of a login, in the place where the first one ends.
pub(super) mod login {
    use super::*;

    pub(in crate::fuzz) fn run(bytes: &[u8]) -> bool {
        let (ke1, ke3) = bytes.split_at(PASSWORDS.ke1.len().min(bytes.len()));
        let Ok((pending, _)) = PASSWORDS.keeper.login(&PASSWORDS.handle, &PASSWORDS.record, ke1) else { return false };
        assert!(pending.finish(ke3).is_err(), "nobody knows the password");
        true
    }

    pub(in crate::fuzz) fn seeds() -> Vec<Vec<u8>> {
        let ke3 = [0; 64];
        vec![PASSWORDS.ke1.clone(), [PASSWORDS.ke1.as_slice(), &ke3].concat()]
    }
}

/// What a new device left at the server.
pub(super) mod link_offer {
    use super::*;

    pub(in crate::fuzz) fn run(bytes: &[u8]) -> bool {
        let sealed = changed(&LINK.offer, bytes);
        let _ = LINK.keys.number(&sealed);
        taken_unchanged(&LINK.offer, &sealed, LINK.keys.open_offer(&sealed))
    }

    pub(in crate::fuzz) fn seeds() -> Vec<Vec<u8>> {
        vec![vec![]]
    }
}

/// What the device that confirmed left there.
pub(super) mod link_answer {
    use super::*;

    pub(in crate::fuzz) fn run(bytes: &[u8]) -> bool {
        let sealed = changed(&LINK.answer, bytes);
        taken_unchanged(&LINK.answer, &sealed, LINK.keys.open_answer(&LINK.offer, &sealed).map(|_| ()))
    }

    pub(in crate::fuzz) fn seeds() -> Vec<Vec<u8>> {
        vec![vec![]]
    }
}

/// An offer after it was opened: whoever has the code can say anything.
pub(super) mod offer {
    use super::*;

    pub(in crate::fuzz) fn run(bytes: &[u8]) -> bool {
        returns::<LinkOffer>(bytes)
    }

    pub(in crate::fuzz) fn seeds() -> Vec<Vec<u8>> {
        vec![wire::encode(&LINK.said)]
    }
}

/// A package after it was opened.
pub(super) mod package {
    use super::*;

    pub(in crate::fuzz) fn run(bytes: &[u8]) -> bool {
        returns::<LinkPackage>(bytes)
    }

    pub(in crate::fuzz) fn seeds() -> Vec<Vec<u8>> {
        vec![wire::encode(&LINK.package)]
    }
}

/// A typing or presence signal.
pub(super) mod whisper {
    use super::*;

    const PLACE: WhisperPlace = WhisperPlace { conversation: CONVERSATION, epoch: 7, sender: DEVICE };

    pub(in crate::fuzz) fn run(bytes: &[u8]) -> bool {
        let key = WhisperKey::from_exporter(Zeroizing::new([9; 32]));
        let original = key.seal(&PLACE, &[5; 32], &mut Counted(1));
        let sealed = changed(&original, bytes);
        taken_unchanged(&original, &sealed, key.open(&PLACE, &sealed).ok_or("no signal"))
    }

    pub(in crate::fuzz) fn seeds() -> Vec<Vec<u8>> {
        vec![vec![]]
    }
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let (tenant, _) = RootKey::ephemeral().unwrap().create_tenant_key(TENANT, 1).unwrap();
    let (data, wrapped) = tenant.create_data_key(NAME).unwrap();
    let cell = data.seal(CELL, WORDS).unwrap();
    Keys { tenant, data, wrapped, cell }
});

struct Keys {
    tenant: TenantKey,
    data: DataKey,
    wrapped: Vec<u8>,
    cell: Vec<u8>,
}

static PASSWORDS: LazyLock<Known> = LazyLock::new(|| {
    let setup = Passwords::create().unwrap();
    Known {
        record: Passwords::fake_record(&setup).unwrap(),
        keeper: Passwords::open(TENANT, &setup).unwrap(),
        handle: Handle::parse("alice").unwrap(),
        ke1: password::Login::start(b"a password", &mut Counted(1)).unwrap().1,
    }
});

/// A handle with a password that nobody knows.
struct Known {
    keeper: Passwords,
    handle: Handle,
    record: Vec<u8>,
    ke1: Vec<u8>,
}

static LINK: LazyLock<Link> = LazyLock::new(Link::between_two_devices);

struct Link {
    keys: LinkKeys,
    said: LinkOffer,
    package: LinkPackage,
    offer: Vec<u8>,
    answer: Vec<u8>,
}

impl Link {
    fn between_two_devices() -> Self {
        let entropy = &mut Counted(b'l');
        let (account, device, new) =
            (AccountKey::generate(entropy), DeviceKey::generate(entropy), DeviceKey::generate(entropy));
        let first = account.open_chain(TENANT, USER, DEVICE, &device);
        let chain = trust::DeviceChain::open(TENANT, USER, &first).unwrap();
        let said = LinkOffer::new("phone".into(), new.offer_itself(&chain, DeviceId::from_bytes([7; 16])));
        let mut package = LinkPackage::new("alice".into(), vec![first.clone()], Some([8; 32]));
        package.contacts.push(LinkedContact { user: USER, handle: "bob".into(), chain: vec![first] });
        let (name, topic) = (Some("name".into()), Some("topic".into()));
        let (id, kind) = (CONVERSATION, trust::Kind::Direct);
        package.conversations.push(LinkedConversation { id, kind, peer: Some(USER), name, topic });
        package.devices.push(LinkedDevice { device: DEVICE, name: Some("laptop".into()), since: Some(9) });
        let keys = LinkSecret::generate(entropy).keys(TENANT, USER).unwrap();
        let offer = keys.seal_offer(&said, entropy).unwrap();
        let answer = keys
            .seal_answer(&offer, &account, &[vault::ArchiveKey::generate(1, 0, entropy)], &package, entropy)
            .unwrap();
        Self { keys, said, package, offer, answer }
    }
}
