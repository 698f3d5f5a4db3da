//! Sealed values open in one place only, whole, and under one key.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use keyring::{Cell, DataKey, Error, KeyName, KeyUse, RootKey, TenantKey, envelope};
use mifeng_keyring as keyring;
use proptest::prelude::*;
use wire::TenantId;

const TENANT: TenantId = TenantId::from_bytes([1; 16]);
const OTHER_TENANT: TenantId = TenantId::from_bytes([2; 16]);

fn name(tenant: TenantId, object: u8, version: u32) -> KeyName {
    KeyName { tenant, key_use: KeyUse::Conversation, object: [object; 16], version }
}

fn tenant_key(tenant: TenantId, version: u32) -> TenantKey {
    RootKey::ephemeral().unwrap().create_tenant_key(tenant, version).unwrap().0
}

fn data_key() -> DataKey {
    tenant_key(TENANT, 1).create_data_key(name(TENANT, 3, 1)).unwrap().0
}

fn cell(row: &[u8]) -> Cell<'_> {
    Cell { tenant: TENANT, table: "log_entries", column: "payload", row }
}

proptest! {
    #[test]
    fn what_is_sealed_returns(plaintext in proptest::collection::vec(any::<u8>(), 0..2048), row in proptest::collection::vec(any::<u8>(), 0..64)) {
        let key = data_key();
        let sealed = key.seal(cell(&row), &plaintext).unwrap();
        prop_assert_eq!(sealed.len(), plaintext.len() + envelope::OVERHEAD_BYTES);
        prop_assert_eq!(envelope::key_version(&sealed), Ok(1));
        prop_assert_eq!(key.open(cell(&row), &sealed).unwrap(), plaintext);
    }

    #[test]
    fn bytes_from_outside_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        prop_assert!(data_key().open(cell(b"row"), &bytes).is_err());
        prop_assert!(tenant_key(TENANT, 1).open_data_key(name(TENANT, 3, 1), &bytes).is_err());
    }
}

#[test]
fn c11_a_sealed_value_opens_in_its_own_cell_only() {
    let key = data_key();
    let sealed = key.seal(cell(b"row"), b"text").unwrap();
    let home = cell(b"row");
    for (what, elsewhere) in [
        ("tenant", Cell { tenant: OTHER_TENANT, ..home }),
        ("table", Cell { table: "users", ..home }),
        ("column", Cell { column: "handle", ..home }),
        ("row", Cell { row: b"rox", ..home }),
        ("longer row", Cell { row: b"row\0", ..home }),
        ("names that join to the same text", Cell { table: "log_entriesp", column: "ayload", ..home }),
        ("row that takes over the column's end", Cell { column: "payloa", row: b"drow", ..home }),
    ] {
        assert_eq!(key.open(elsewhere, &sealed), Err(Error::Refused), "{what}");
    }
    assert_eq!(key.open(home, &sealed).unwrap(), b"text");
    assert_eq!(key.seal(Cell { tenant: OTHER_TENANT, ..home }, b"text"), Err(Error::Refused));
}

#[test]
fn c11_a_version_cannot_be_relabelled() {
    let tenant = tenant_key(TENANT, 1);
    let (_, wrapped) = tenant.create_data_key(name(TENANT, 3, 1)).unwrap();
    let first = tenant.open_data_key(name(TENANT, 3, 1), &wrapped).unwrap();
    let mut sealed = first.seal(cell(b"row"), b"text").unwrap();
    let (second, _) = tenant.create_data_key(name(TENANT, 3, 2)).unwrap();
    assert_eq!(second.open(cell(b"row"), &sealed), Err(Error::KeyVersion { needed: 1, held: 2 }));
    sealed[1..5].copy_from_slice(&2u32.to_be_bytes());
    assert_eq!(second.open(cell(b"row"), &sealed), Err(Error::Refused));
    assert_eq!(first.open(cell(b"row"), &sealed), Err(Error::KeyVersion { needed: 2, held: 1 }));
}

#[test]
fn c11_wrapped_keys_cannot_change_places() {
    let root = RootKey::ephemeral().unwrap();
    let (tenant, wrapped_tenant) = root.create_tenant_key(TENANT, 1).unwrap();
    assert!(root.open_tenant_key(TENANT, 1, &wrapped_tenant).is_ok());
    assert_eq!(root.open_tenant_key(OTHER_TENANT, 1, &wrapped_tenant).err(), Some(Error::Refused));
    assert_eq!(root.open_tenant_key(TENANT, 2, &wrapped_tenant).err(), Some(Error::Refused));

    let (_, wrapped) = tenant.create_data_key(name(TENANT, 3, 1)).unwrap();
    assert!(tenant.open_data_key(name(TENANT, 3, 1), &wrapped).is_ok());
    for elsewhere in [
        name(TENANT, 4, 1),
        name(TENANT, 3, 2),
        name(OTHER_TENANT, 3, 1),
        KeyName { key_use: KeyUse::User, ..name(TENANT, 3, 1) },
    ] {
        assert_eq!(tenant.open_data_key(elsewhere, &wrapped).err(), Some(Error::Refused), "{elsewhere:?}");
    }
    let (other, _) = root.create_tenant_key(TENANT, 1).unwrap();
    assert_eq!(other.open_data_key(name(TENANT, 3, 1), &wrapped).err(), Some(Error::Refused));
}

#[test]
fn a14_every_other_length_of_the_tag_is_refused() {
    let key = data_key();
    for plaintext in [b"".as_slice(), b"text"] {
        let sealed = key.seal(cell(b"row"), plaintext).unwrap();
        for tag in 0..envelope::TAG_BYTES {
            let cut = &sealed[..sealed.len() - envelope::TAG_BYTES + tag];
            assert!(
                matches!(key.open(cell(b"row"), cut), Err(Error::Refused | Error::Malformed)),
                "{tag} bytes of tag"
            );
        }
        let longer = [sealed.as_slice(), &[0]].concat();
        assert_eq!(key.open(cell(b"row"), &longer), Err(Error::Refused));
        assert_eq!(key.open(cell(b"row"), &sealed).unwrap(), plaintext);
    }
}

#[test]
fn a14_every_bit_counts() {
    let key = data_key();
    let sealed = key.seal(cell(b"row"), b"text").unwrap();
    for bit in 0..sealed.len() * 8 {
        let mut altered = sealed.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        assert!(key.open(cell(b"row"), &altered).is_err(), "bit {bit}");
    }
}

#[test]
fn sealing_twice_gives_two_values() {
    let key = data_key();
    assert_ne!(key.seal(cell(b"row"), b"text").unwrap(), key.seal(cell(b"row"), b"text").unwrap());
}

#[test]
fn rotation_wraps_anew_and_leaves_data_alone() {
    let (old_root, new_root) = (RootKey::ephemeral().unwrap(), RootKey::ephemeral().unwrap());
    let (first, wrapped_first) = old_root.create_tenant_key(TENANT, 1).unwrap();
    let (data, wrapped) = first.create_data_key(name(TENANT, 3, 1)).unwrap();
    let (index, wrapped_index) = first.create_index_key().unwrap();
    let sealed = data.seal(cell(b"row"), b"text").unwrap();

    let moved = old_root.rewrap(&new_root, TENANT, 1, &wrapped_first).unwrap();
    assert_eq!(old_root.open_tenant_key(TENANT, 1, &moved).err(), Some(Error::Refused));
    let first = new_root.open_tenant_key(TENANT, 1, &moved).unwrap();

    let (second, _) = new_root.create_tenant_key(TENANT, 2).unwrap();
    let wrapped = first.rewrap(&second, name(TENANT, 3, 1), &wrapped).unwrap();
    assert_eq!(envelope::key_version(&wrapped), Ok(2));
    assert_eq!(
        second.open_data_key(name(TENANT, 3, 1), &wrapped).unwrap().open(cell(b"row"), &sealed).unwrap(),
        b"text"
    );

    let wrapped_index = first.rewrap(&second, TenantKey::index_key_name(TENANT), &wrapped_index).unwrap();
    let index_after = second.open_index_key(&wrapped_index).unwrap();
    assert_eq!(index_after.index("users", "handle_index", b"mei"), index.index("users", "handle_index", b"mei"));
}

#[test]
fn blind_indexes_differ_by_tenant_table_column_and_value() {
    let (index, _) = tenant_key(TENANT, 1).create_index_key().unwrap();
    let (other, _) = tenant_key(OTHER_TENANT, 1).create_index_key().unwrap();
    let home = index.index("users", "handle_index", b"mei");
    assert_eq!(home, index.index("users", "handle_index", b"mei"));
    for elsewhere in [
        other.index("users", "handle_index", b"mei"),
        index.index("invites", "handle_index", b"mei"),
        index.index("users", "handle", b"mei"),
        index.index("users", "handle_inde", b"xmei"),
        index.index("users", "handle_index", b"Mei"),
    ] {
        assert_ne!(home, elsewhere);
    }
}

#[test]
fn debug_says_nothing() {
    let root = RootKey::ephemeral().unwrap();
    let (tenant, _) = root.create_tenant_key(TENANT, 1).unwrap();
    let (data, _) = tenant.create_data_key(name(TENANT, 3, 1)).unwrap();
    let (index, _) = tenant.create_index_key().unwrap();
    let passphrase = keyring::Passphrase::new("tulip-granite-oyster-7").unwrap();
    insta::assert_snapshot!(format!("{root:?}\n{tenant:?}\n{data:?}\n{index:?}\n{passphrase:?}"), @r"
    RootKey { version: 1, .. }
    TenantKey { tenant: ten_01010101010101010101010101010101, version: 1, .. }
    DataKey { name: KeyName { tenant: ten_01010101010101010101010101010101, key_use: Conversation, object: [3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3], version: 1 }, .. }
    IndexKey { tenant: ten_01010101010101010101010101010101, .. }
    Passphrase { .. }
    ");
}
