//! What someone finds, or does, who holds the database files.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::*;
use mifeng_store as store;
use rusqlite::Connection;
use std::collections::BTreeSet;
use std::path::Path;
use store::schema::{COLUMNS, Column, Exposure};
use store::{Database, Error, NewAuditEntry, NewCommit, NewInvite, NewKeyPackage, NewUser, Settings, Store};
use wire::InviteId;

const CANARY: &str = "canary-7f3a91c2";
const HANDLE_CANARY: &str = "canaryhandle-5b1e";

/// One row and more in every table, with canaries in all that is to be sealed.
/// A link that was answered, a chain that has grown, a device that came in from outside.
fn link_and_enter(tx: &mut store::Tx<'_>) -> Outcome {
    let canary = CANARY.as_bytes();
    tx.offer_link(MEI, &[7; 32], canary, NOW)?;
    tx.answer_link(MEI, &[7; 32], MEI_LAPTOP, canary, NOW)?;
    let entry = wire::request::SignedEntry { payload: vec![1], signature: [1; 64], possession: None };
    assert!(tx.extend_chain(TOM, 0, &entry)?);
    let rejoin = NewCommit {
        conversation: TALK,
        epoch: 1,
        sender: MEI_LAPTOP,
        message_id: message_id(9),
        commit: canary.to_vec(),
        at: NOW,
        group_info: canary.to_vec(),
        policy: None,
        joiners: vec![store::Joiner { device: MEI_LAPTOP, user: MEI, welcomed: false }],
        removed: Vec::new(),
        welcome: None,
        tree: None,
        public_group: None,
    };
    assert!(matches!(tx.record_commit(rejoin)?, store::CommitOutcome::Recorded { .. }));
    Ok(())
}

async fn full_world() -> World {
    let world = lasting_world().await;
    let store = &world.store;
    store.write(add_people).await.unwrap();
    let handle =
        NewUser { opaque_record: CANARY.as_bytes(), ..new_user(wire::UserId::from_bytes([14; 16]), HANDLE_CANARY) };
    store.write(move |tx| tx.create_user(handle, NOW)).await.unwrap();
    store.write(|tx| tx.put_secret("opaque", CANARY.as_bytes())).await.unwrap();
    store.write(|tx| tx.put_secret("other", b"other secret")).await.unwrap();
    let canary = CANARY.as_bytes();
    let talk = store::NewConversation {
        group_info: canary,
        policy: canary,
        tree: canary,
        public_group: Some(canary),
        ..new_talk()
    };
    store.write(move |tx| tx.create_conversation(talk, NOW)).await.unwrap();
    let second =
        store::NewConversation { conversation: wire::ConversationId::from_bytes([32; 16]), pair: None, ..talk };
    store.write(move |tx| tx.create_conversation(second, NOW)).await.unwrap();
    let commit = NewCommit {
        conversation: TALK,
        epoch: 0,
        sender: MEI_PHONE,
        message_id: message_id(1),
        commit: canary.to_vec(),
        at: NOW,
        group_info: canary.to_vec(),
        policy: None,
        joiners: vec![store::Joiner { device: TOM_PHONE, user: TOM, welcomed: true }],
        removed: Vec::new(),
        welcome: Some(canary.to_vec()),
        tree: Some(canary.to_vec()),
        public_group: Some(canary.to_vec()),
    };
    store.write(move |tx| tx.record_commit(commit)).await.unwrap();
    store.write(|tx| tx.append_entry(message(1, 2, canary))).await.unwrap();
    store.write(|tx| tx.append_entry(message(1, 3, b"other message"))).await.unwrap();
    let cursor = wire::request::Cursor { conversation: TALK, generation: 0, seq: 1 };
    store.write(move |tx| tx.acknowledge(MEI_PHONE, &[cursor])).await.unwrap();
    store.write(link_and_enter).await.unwrap();
    let terms = rules::invite::terms(NOW, 1_000, 1).unwrap();
    let invite = NewInvite { invite: InviteId::from_bytes([5; 16]), code: CANARY, terms, created_by: None };
    store.write(move |tx| tx.create_invite(invite, NOW)).await.unwrap();
    store.write(|tx| tx.count_guess(HANDLE_CANARY, NOW)).await.unwrap();
    add_the_rest(store).await;
    world
}

async fn add_the_rest(store: &Store) {
    let entry = wire::request::SignedEntry { payload: vec![1; 40], signature: [1; 64], possession: None };
    store.write(move |tx| tx.append_chain_entry(MEI, 0, &entry)).await.unwrap();
    let package = NewKeyPackage { reference: vec![1; 32], package: vec![1; 100], not_after: NOW + 1_000 };
    store.write(move |tx| tx.publish_key_packages(MEI_PHONE, &[package], NOW)).await.unwrap();
    let claim = store::Claim { claimer: TOM, device: TOM_PHONE, target: MEI, devices: &[], key: [1; 16] };
    store.write(move |tx| tx.claim_key_packages(claim, NOW)).await.unwrap();
    let row = NewAuditEntry { at: NOW, actor: store::Actor::Server, operation: "test", outcome: "ok", objects: &[] };
    store.write(move |tx| tx.record_audit(row)).await.unwrap();
}

fn file(directory: &Path) -> std::path::PathBuf {
    directory.join("mifeng.db")
}

fn everything_on_disk(directory: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for name in ["mifeng.db", "mifeng.db-wal", "mifeng.db-shm"] {
        bytes.extend(std::fs::read(directory.join(name)).unwrap_or_default());
    }
    bytes
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn every_column_is_declared_and_every_declaration_has_its_column() {
    let world = world().await;
    let connection = Connection::open(file(world.directory.path())).unwrap();
    let text = "select m.name, p.name from sqlite_schema m join pragma_table_info(m.name) p where m.type = 'table'";
    let mut statement = connection.prepare(text).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))).unwrap();
    let real: BTreeSet<_> = rows.map(Result::unwrap).collect();
    let declared: BTreeSet<_> =
        COLUMNS.iter().map(|column| (column.table.to_owned(), column.column.to_owned())).collect();
    assert_eq!(declared.len(), COLUMNS.len(), "a column is declared twice");
    assert_eq!(real, declared);
    assert!(COLUMNS.iter().all(|column| !column.purpose.is_empty()));
}

#[tokio::test]
async fn every_table_has_the_tenant_first_in_its_key_and_in_every_index() {
    let world = world().await;
    let connection = Connection::open(file(world.directory.path())).unwrap();
    let text = "select m.name, i.name, c.name from sqlite_schema m join pragma_index_list(m.name) i \
                join pragma_index_info(i.name) c on c.seqno = 0 where m.type = 'table'";
    let mut statement = connection.prepare(text).unwrap();
    let rows = statement
        .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?)));
    let mut indexes = 0;
    for (table, index, first) in rows.unwrap().map(Result::unwrap) {
        let is_name_of_a_tenant = table == "tenants" && first == "name";
        assert!(first == "tenant" || is_name_of_a_tenant, "{table} {index} begins with {first}");
        indexes += 1;
    }
    assert!(indexes > 20);
}

#[tokio::test]
async fn sealed_columns_hold_envelopes_and_no_table_is_left_out() {
    let world = full_world().await;
    let connection = Connection::open(file(world.directory.path())).unwrap();
    for Column { table, column, exposure, .. } in COLUMNS.iter().filter(|column| column.table != "probes") {
        let mut statement =
            connection.prepare(&format!("select {column} from {table} where {column} is not null")).unwrap();
        let values = statement.query_map([], |row| row.get::<_, rusqlite::types::Value>(0)).unwrap();
        let values: Vec<_> = values.map(Result::unwrap).collect();
        if !matches!(
            (*table, *column),
            ("members", "removed_seq")
                | ("key_packages", "retired_at")
                | ("invites", "created_by")
                | ("audit_entries", "actor")
        ) {
            assert!(!values.is_empty(), "{table}.{column} has no value in this test");
        }
        for value in values {
            let is_envelope =
                matches!(&value, rusqlite::types::Value::Blob(bytes) if keyring::envelope::key_version(bytes) == Ok(1));
            match exposure {
                Exposure::Sealed => assert!(is_envelope, "{table}.{column}"),
                Exposure::BlindIndexed => {
                    assert!(matches!(value, rusqlite::types::Value::Blob(bytes) if bytes.len() == 32))
                }
                Exposure::Public => assert!(!is_envelope || *column == "wrapped", "{table}.{column}"),
            }
        }
    }
}

#[tokio::test]
async fn no_canary_is_in_the_files_and_the_control_is() {
    let world = full_world().await;
    let directory = world.directory.path();
    for moment in ["while it runs", "after it closed"] {
        let bytes = everything_on_disk(directory);
        assert!(!holds(&bytes, CANARY) && !holds(&bytes, HANDLE_CANARY), "{moment}");
        assert!(holds(&bytes, "tulip-works"), "the control is missing {moment}");
        world.database.close();
    }
}

#[tokio::test]
async fn the_name_of_a_deleted_tenant_is_found_in_free_pages_and_its_keys_are_not() {
    let world = full_world().await;
    let connection = Connection::open(file(world.directory.path())).unwrap();
    let keys = |table: &str| -> Vec<Vec<u8>> {
        let mut statement = connection.prepare(&format!("select wrapped from {table} where tenant = ?1")).unwrap();
        let rows = statement.query_map([TENANT.as_bytes()], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let keys = [keys("tenant_keys"), keys("data_keys")].concat();
    assert!(keys.len() > 5);
    world.database.operator().write(|tx| tx.delete_tenant(TENANT)).await.unwrap();
    drop(connection);
    world.database.close();
    // The log was cut back when it was closed; what counts is what stays.
    let bytes = everything_on_disk(world.directory.path());
    assert!(holds(&bytes, "tulip-works"), "freed pages were wiped: the control of `prove` is gone");
    for key in keys {
        assert!(!bytes.windows(key.len()).any(|window| window == key), "a destroyed key is still there");
    }
}

/// Changes the files behind the back of a database that is closed, and opens it again.
async fn after(world: World, change: &str) -> (Database, Store, tempfile::TempDir) {
    let World { database, directory, store, other } = world;
    database.close();
    drop((database, store, other));
    let connection = Connection::open(file(directory.path())).unwrap();
    assert!(connection.execute(change, []).unwrap() > 0, "nothing was changed: {change}");
    drop(connection);
    let database = Database::open(directory.path(), root(directory.path()), Settings::default()).unwrap();
    let store = database.tenant(TENANT);
    (database, store, directory)
}

fn refused<T: std::fmt::Debug>(result: Result<T, Error>) {
    assert!(matches!(result, Err(Error::Sealed(keyring::Error::Refused))), "{result:?}");
}

#[tokio::test]
async fn c11_a_payload_opens_in_its_own_row_only() {
    let swap = "update log_entries set payload = (select payload from log_entries where seq = 3) where seq = 2";
    let (_database, store, _directory) = after(full_world().await, swap).await;
    refused(store.read(|tx| tx.fetch_entries(TALK, MEI_PHONE, 1, 1)).await);
    assert!(store.read(|tx| tx.fetch_entries(TALK, MEI_PHONE, 2, 1)).await.is_ok(), "the others are fine");
}

#[tokio::test]
async fn c11_a_payload_does_not_open_in_another_table_or_column() {
    for (swap, what) in [
        (
            "update trees set tree = (select payload from log_entries where seq = 1) where epoch = 1 and length(conversation) = 16",
            0,
        ),
        ("update mls_groups set policy = group_info", 1),
        ("update users set opaque_record = handle", 2),
        (
            "update users set handle = (select handle from users order by user_id limit 1) where user_id > (select min(user_id) from users)",
            3,
        ),
        ("update secrets set value = (select value from secrets where name = 'other') where name = 'opaque'", 4),
        ("update welcomes set welcome = (select tree from trees where epoch = 1)", 5),
        ("update public_groups set state = (select tree from trees where epoch = 1)", 6),
        ("update mls_groups set epoch = epoch + 1", 7),
    ] {
        let (_database, store, _directory) = after(full_world().await, swap).await;
        match what {
            0 => refused(store.read(|tx| tx.tree(TALK, 1)).await),
            1 => refused(store.read(|tx| tx.group_policy(TALK)).await),
            2 => refused(store.read(|tx| tx.opaque_record(MEI)).await),
            3 => refused(store.read(|tx| tx.user(TOM)).await),
            4 => refused(store.read(|tx| tx.secret("opaque")).await),
            5 => refused(store.read(|tx| tx.welcomes(TOM_PHONE, 9)).await),
            6 => refused(store.read(|tx| tx.public_group(TALK)).await),
            _ => refused(store.read(|tx| tx.current_group(TALK)).await),
        }
    }
}

#[tokio::test]
async fn c11_a_wrapped_key_opens_for_its_own_object_only() {
    let swap = "update data_keys set wrapped = (select wrapped from data_keys where object = x'20202020202020202020202020202020') \
                where object = x'1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f'";
    let (_database, store, _directory) = after(full_world().await, swap).await;
    refused(store.read(|tx| tx.fetch_entries(TALK, MEI_PHONE, 0, 9)).await);
}

#[tokio::test]
async fn c11_a_row_does_not_open_in_another_tenant() {
    let swap = "update secrets set tenant = x'02020202020202020202020202020202' where name = 'opaque'";
    let (database, store, _directory) = after(full_world().await, swap).await;
    assert!(store.read(|tx| tx.secret("opaque")).await.unwrap().is_none());
    refused(database.tenant(OTHER).read(|tx| tx.secret("opaque")).await);
}
