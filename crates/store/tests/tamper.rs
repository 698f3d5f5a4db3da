//! What someone finds, or does, who holds the database files.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::*;
use mifeng_store as store;
use rusqlite::Connection;
use std::collections::BTreeSet;
use std::path::Path;
use store::schema::{COLUMNS, Column, Exposure};
use store::{Database, Error, NewAuditEntry, NewCommit, NewInvite, NewKeyPackage, NewUser, Store};
use wire::InviteId;
use wire::request::{ArchiveDay, Segment};

on_both! {
    every_column_is_declared_and_every_declaration_has_its_column;
    every_table_has_the_tenant_first_in_its_key_and_in_every_index;
    sealed_columns_hold_envelopes_and_no_table_is_left_out;
    c11_a_payload_opens_in_its_own_row_only;
    c11_a_payload_does_not_open_in_another_table_or_column;
    c11_a_wrapped_key_opens_for_its_own_object_only;
    c11_a_row_does_not_open_in_another_tenant;
}

const CANARY: &str = "canary-7f3a91c2";
const HANDLE_CANARY: &str = "canaryhandle-5b1e";
const DAY: u32 = 20_000;

/// A link that was answered, a chain that has grown, a device that came in from outside.
fn link_and_enter(tx: &mut store::Tx<'_>) -> Outcome {
    let canary = CANARY.as_bytes();
    tx.offer_link(MEI, &[7; 32], canary, NOW)?;
    tx.answer_link(MEI, &[7; 32], MEI_LAPTOP, canary, NOW)?;
    let entry = wire::request::SignedEntry { payload: vec![1], signature: [1; 64], possession: None };
    assert!(tx.extend_chain(TOM, 0, &entry)?);
    let rejoin = NewCommit {
        conversation: TALK,
        group: GROUP,
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
        supplied: None,
    };
    assert!(matches!(tx.record_commit(rejoin)?, store::CommitOutcome::Recorded { .. }));
    send_file(tx)
}

/// A blob that was begun. Its parts lie elsewhere.
fn send_file(tx: &mut store::Tx<'_>) -> Outcome {
    let blob = wire::BlobId::from_bytes([51; 16]);
    let parts = wire::Parts::of(9).unwrap();
    let new = store::NewBlob { blob, conversation: TALK, user: MEI, parts, days: Some(30), expires_at: NOW };
    assert_eq!(tx.begin_blob(new)?, store::Begun::New);
    Ok(())
}

#[tokio::test]
async fn c11_a_part_of_a_file_opens_in_its_own_blob_and_place_only() {
    let world = full_world(On::Sqlite).await;
    let (blob, other) = (wire::BlobId::from_bytes([51; 16]), wire::BlobId::from_bytes([52; 16]));
    let sealed = world.store.read(move |tx| tx.seal_part(blob, 3, b"part")).await.unwrap();
    let parts = wire::Parts::of(9).unwrap();
    let new = store::NewBlob { blob: other, conversation: TALK, user: MEI, parts, days: None, expires_at: NOW };
    world.store.write(move |tx| tx.begin_blob(new)).await.unwrap();
    for (blob, part, opens) in [(blob, 3, true), (blob, 2, false), (other, 3, false)] {
        let sealed = sealed.clone();
        let opened = world.store.read(move |tx| tx.open_part(blob, part, &sealed)).await;
        assert_eq!(opened.is_ok(), opens, "{blob} {part}: {opened:?}");
    }
    let destroyed = async {
        world.store.write(move |tx| tx.destroy_blob(blob)).await.unwrap();
        world.store.read(move |tx| tx.open_part(blob, 3, &sealed)).await
    };
    assert!(matches!(destroyed.await, Err(store::Error::KeyGone)));
}

/// Two segments of two days, and a conversation that is kept out.
fn read_on(tx: &mut store::Tx<'_>) -> Outcome {
    for (day, place) in [(DAY, 1), (DAY + 1, 2)] {
        let wrapped = format!("{CANARY} {day}").into_bytes();
        assert_eq!(tx.open_day(MEI, &ArchiveDay { day, version: 1, wrapped })?, store::OpenedDay::New);
        let segment = Segment { first: place, last: place, day, revision: 0, bytes: CANARY.as_bytes().to_vec() };
        let terms = rules::archive::Terms { user_bytes: 1_000, days: 0 };
        assert_eq!(tx.put_segment(MEI, TALK, &segment, terms)?, store::SegmentOutcome::Stored);
    }
    tx.keep_out(MEI, wire::ConversationId::from_bytes([32; 16]), true)
}

/// One row and more in every table, with canaries in all that is to be sealed.
async fn full_world(on: On) -> World {
    let world = on.lasting_world().await;
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
    world.database.operator().write(|tx| tx.mark_restored(TENANT, NOW)).await.unwrap();
    assert!(store.read(|tx| tx.is_held(NOW)).await.unwrap(), "nobody has come yet");
    store.write(|tx| tx.hold(NOW)).await.unwrap();
    assert!(!store.read(|tx| tx.is_held(NOW)).await.unwrap(), "that is over");
    let commit = NewCommit {
        conversation: TALK,
        group: GROUP,
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
        supplied: None,
    };
    store.write(move |tx| tx.record_commit(commit)).await.unwrap();
    store.write(|tx| tx.append_entry(message(1, 2, canary))).await.unwrap();
    store.write(|tx| tx.append_entry(message(1, 3, b"other message"))).await.unwrap();
    let cursor = wire::request::Cursor { conversation: TALK, generation: 1, seq: 1 };
    store.write(move |tx| tx.acknowledge(MEI_PHONE, &[cursor])).await.unwrap();
    store.write(link_and_enter).await.unwrap();
    store.write(read_on).await.unwrap();
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
    let quota = rules::lookup::Quota { user: 1, tenant: 1 };
    store.write(move |tx| tx.count_lookup(MEI, quota, NOW)).await.unwrap();
    let row = NewAuditEntry { at: NOW, actor: store::Actor::Server, operation: "test", outcome: "ok", objects: &[] };
    store.write(move |tx| tx.record_audit(row)).await.unwrap();
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

/// Lines of columns, as each database tells of itself.
fn lines(place: &Place, sqlite: &str, postgres: &str) -> Vec<Vec<String>> {
    match &place.base {
        None => {
            let connection = Connection::open(place.file()).unwrap();
            let mut statement = connection.prepare(sqlite).unwrap();
            let columns = statement.column_count();
            let line = |row: &rusqlite::Row<'_>| (0..columns).map(|column| row.get(column)).collect();
            let rows = statement.query_map([], line).unwrap();
            rows.map(Result::unwrap).collect()
        }
        Some(base) => base.sql(postgres).lines().map(|line| line.split('|').map(str::to_owned).collect()).collect(),
    }
}

async fn every_column_is_declared_and_every_declaration_has_its_column(on: On) {
    let world = on.world().await;
    let sqlite = "select m.name, p.name from sqlite_schema m join pragma_table_info(m.name) p where m.type = 'table'";
    let postgres = "select table_name, column_name from information_schema.columns where table_schema = 'mifeng'";
    let real = lines(&world.place, sqlite, postgres);
    let real: BTreeSet<_> = real.iter().map(|line| (line[0].as_str(), line[1].as_str())).collect();
    let declared: BTreeSet<_> = COLUMNS.iter().map(|column| (column.table, column.column)).collect();
    assert_eq!(declared.len(), COLUMNS.len(), "a column is declared twice");
    assert_eq!(real, declared);
    assert!(COLUMNS.iter().all(|column| !column.purpose.is_empty()));
}

async fn every_table_has_the_tenant_first_in_its_key_and_in_every_index(on: On) {
    let world = on.world().await;
    let sqlite = "select m.name, i.name, c.name from sqlite_schema m join pragma_index_list(m.name) i \
                  join pragma_index_info(i.name) c on c.seqno = 0 where m.type = 'table'";
    let postgres = "select i.indrelid::regclass, i.indexrelid::regclass, a.attname from pg_index i \
                    join pg_class c on c.oid = i.indrelid and c.relnamespace = 'mifeng'::regnamespace \
                    join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]";
    let indexes = lines(&world.place, sqlite, postgres);
    for line in &indexes {
        let [table, index, first] = line.as_slice() else { panic!("{line:?}") };
        let is_odd = (table == "tenants" && first == "name") || table == "schema_migrations";
        assert!(first == "tenant" || is_odd, "{table} {index} begins with {first}");
    }
    assert!(indexes.len() > 20);
}

/// What a column holds, without what is null.
fn values(place: &Place, table: &str, column: &str) -> Vec<Vec<u8>> {
    let there = format!("from {table} where {column} is not null");
    let hex = lines(
        place,
        &format!("select hex({column}) {there}"),
        // A blob is written `\\x`, and then in the same way; of the rest it is of no interest beyond that it is there.
        &format!("select {column}::text {there}"),
    );
    hex.iter().map(|line| from_hex(line[0].trim_start_matches("\\x"))).collect()
}

fn from_hex(text: &str) -> Vec<u8> {
    text.as_bytes().chunks(2).filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

async fn sealed_columns_hold_envelopes_and_no_table_is_left_out(on: On) {
    let world = full_world(on).await;
    for Column { table, column, exposure, .. } in COLUMNS.iter().filter(|column| column.table != "probes") {
        let values = values(&world.place, table, column);
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
            let is_envelope = keyring::envelope::key_version(&value) == Ok(1);
            match exposure {
                Exposure::Sealed => assert!(is_envelope, "{table}.{column}"),
                Exposure::BlindIndexed => assert_eq!(value.len(), 32, "{table}.{column}"),
                Exposure::Public => assert!(!is_envelope || *column == "wrapped", "{table}.{column}"),
            }
        }
    }
}

#[tokio::test]
async fn no_canary_is_in_the_files_and_the_control_is() {
    let world = full_world(On::Sqlite).await;
    let directory = &world.place.directory;
    for moment in ["while it runs", "after it closed"] {
        let bytes = everything_on_disk(directory);
        assert!(!holds(&bytes, CANARY) && !holds(&bytes, HANDLE_CANARY), "{moment}");
        assert!(holds(&bytes, "tulip-works"), "the control is missing {moment}");
        world.database.close();
    }
}

#[tokio::test]
async fn the_name_of_a_deleted_tenant_is_found_in_free_pages_and_its_keys_are_not() {
    let world = full_world(On::Sqlite).await;
    let connection = Connection::open(world.place.file()).unwrap();
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
    let bytes = everything_on_disk(&world.place.directory);
    assert!(holds(&bytes, "tulip-works"), "freed pages were wiped: the control of `prove` is gone");
    for key in keys {
        assert!(!bytes.windows(key.len()).any(|window| window == key), "a destroyed key is still there");
    }
}

/// Changes rows behind the back of a database that is closed, and opens it again.
async fn after(world: World, change: &str) -> (Database, Store, Place) {
    let World { database, place, store, other } = world;
    database.close();
    drop((database, store, other));
    assert!(place.change(change) > 0, "nothing was changed: {change}");
    let database = place.open().unwrap();
    let store = database.tenant(TENANT);
    (database, store, place)
}

fn refused<T: std::fmt::Debug>(result: Result<T, Error>) {
    assert!(matches!(result, Err(Error::Sealed(keyring::Error::Refused))), "{result:?}");
}

async fn c11_a_payload_opens_in_its_own_row_only(on: On) {
    let swap = "update log_entries set payload = (select payload from log_entries where seq = 3) where seq = 2";
    let (_database, store, _place) = after(full_world(on).await, swap).await;
    refused(store.read(|tx| tx.fetch_entries(TALK, MEI_PHONE, 1, 1)).await);
    assert!(store.read(|tx| tx.fetch_entries(TALK, MEI_PHONE, 2, 1)).await.is_ok(), "the others are fine");
}

async fn c11_a_payload_does_not_open_in_another_table_or_column(on: On) {
    for (swap, what) in [
        (
            "update trees set tree = (select payload from log_entries where seq = 1) where epoch = 1 and length(conversation) = 16",
            0,
        ),
        ("update mls_groups set policy = group_info", 1),
        ("update users set opaque_record = handle", 2),
        (
            "update users set handle = (select handle from users order by user_id limit 1) where user_id > (select user_id from users order by user_id limit 1)",
            3,
        ),
        ("update secrets set value = (select value from secrets where name = 'other') where name = 'opaque'", 4),
        ("update welcomes set welcome = (select tree from trees where epoch = 1)", 5),
        ("update public_groups set state = (select tree from trees where epoch = 1)", 6),
        ("update mls_groups set epoch = epoch + 1", 7),
        (
            "update archive_days set wrapped = (select sealed from archive_segments where first = 1) where day = 20000",
            8,
        ),
        ("update archive_days set version = 2", 8),
        (
            "update archive_segments set sealed = (select wrapped from archive_days where day = 20000) where first = 1",
            9,
        ),
        ("update archive_segments set revision = 1", 9),
        ("update archive_segments set last = 2 where first = 1", 9),
        ("update archive_segments set day = 20001 where first = 1", 9),
    ] {
        let (_database, store, _place) = after(full_world(on).await, swap).await;
        match what {
            0 => refused(store.read(|tx| tx.tree(TALK, GROUP, 1)).await),
            1 => refused(store.read(|tx| tx.group_policy(TALK)).await),
            2 => refused(store.read(|tx| tx.opaque_record(MEI)).await),
            3 => refused(store.read(|tx| tx.user(TOM)).await),
            4 => refused(store.read(|tx| tx.secret("opaque")).await),
            5 => refused(store.read(|tx| tx.welcomes(TOM_PHONE, 9)).await),
            6 => refused(store.read(|tx| tx.public_group(TALK)).await),
            7 => refused(store.read(|tx| tx.current_group(TALK)).await),
            8 => refused(store.read(|tx| tx.days_after(MEI, None, 9)).await),
            _ => refused(store.read(|tx| tx.segments_before(MEI, TALK, 2, 1_000)).await),
        }
    }
}

async fn c11_a_wrapped_key_opens_for_its_own_object_only(on: On) {
    let swap = "update data_keys set wrapped = (select wrapped from data_keys where object = x'20202020202020202020202020202020') \
                where object = x'1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f'";
    let (_database, store, _place) = after(full_world(on).await, swap).await;
    refused(store.read(|tx| tx.fetch_entries(TALK, MEI_PHONE, 0, 9)).await);
}

async fn c11_a_row_does_not_open_in_another_tenant(on: On) {
    let swap = "update secrets set tenant = x'02020202020202020202020202020202' where name = 'opaque'";
    let (database, store, _place) = after(full_world(on).await, swap).await;
    assert!(store.read(|tx| tx.secret("opaque")).await.unwrap().is_none());
    refused(database.tenant(OTHER).read(|tx| tx.secret("opaque")).await);
}
