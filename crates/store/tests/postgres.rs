//! What is PostgreSQL's alone: row-level security, what it refuses to start on, and what happens when it goes away.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::cluster::{Base, Cluster, OWNER, SERVER, until};
use common::*;
use mifeng_store as store;
use std::collections::HashMap;
use std::process::Command;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use store::{Append, Database, Error, Health, OpenError, Postgres, Settings};
use wire::MessageId;

fn open(address: Postgres) -> Result<Database, OpenError> {
    Database::open(address, keyring::RootKey::ephemeral().unwrap(), Settings::default())
}

/// A database whose schema is there.
fn migrated() -> Base {
    let base = Cluster::shared().base();
    open(postgres(&base)).unwrap().close();
    base
}

/// Every table that names a tenant, with one row of each of two tenants.
async fn filled() -> (World, Vec<String>) {
    let world = On::Postgres.world().await;
    let base = world.place.base.clone().unwrap();
    let tables = base.sql(
        "select table_name from information_schema.columns where table_schema = 'mifeng' and column_name = 'tenant' \
         and table_name <> 'tenants' order by table_name",
    );
    let tables: Vec<String> = tables.lines().map(str::to_owned).collect();
    for table in &tables {
        // Any values will do: zeros and empty texts. Without triggers, parents need not exist.
        let columns = base.sql(&format!(
            "select column_name || '|' || data_type from information_schema.columns \
             where table_schema = 'mifeng' and table_name = '{table}' and column_name <> 'tenant'"
        ));
        let (mut names, mut values) = (vec!["tenant"], Vec::new());
        for column in columns.lines() {
            let (name, kind) = column.split_once('|').unwrap();
            names.push(name);
            values.push(match kind {
                "bigint" => "77",
                "bytea" => "'\\x77'::bytea",
                _ => "'77'",
            });
        }
        for tenant in [TENANT, OTHER] {
            base.sql(&format!(
                "set session_replication_role = replica; insert into {table} ({}) values ({}, {})",
                names.join(", "),
                literal(tenant),
                values.join(", ")
            ));
        }
    }
    (world, tables)
}

fn literal(tenant: wire::TenantId) -> String {
    let hex: String = tenant.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("'\\x{hex}'::bytea")
}

/// What a tenant can do to another's row in this table, with whatever statement; empty is well.
fn breaches(base: &Base, table: &str, context: &str) -> Vec<String> {
    let (other, own) = (literal(OTHER), literal(TENANT));
    let columns = base.sql(&format!(
        "select string_agg(column_name, ', ') from information_schema.columns \
         where table_schema = 'mifeng' and table_name = '{table}' and column_name <> 'tenant'"
    ));
    let columns = columns.trim().to_owned();
    let counted = |text: &str| format!("with changed as ({text} returning 1) select count(*) from changed");
    let columns = columns.as_str();
    let attempts = [
        ("reads", format!("select count(*) from {table} where tenant = {other}")),
        ("reads by another column", format!("select count(*) from {table} where tenant <> {own}")),
        ("locks", format!("select count(*) from (select 1 from {table} where tenant = {other} for update) l")),
        ("changes", counted(&format!("update {table} set tenant = tenant where tenant = {other}"))),
        ("deletes", counted(&format!("delete from {table} where tenant = {other}"))),
        ("takes", counted(&format!("update {table} set tenant = {own} where tenant = {other}"))),
        ("gives", counted(&format!("update {table} set tenant = {other} where tenant = {own}"))),
        ("writes", {
            let copy = format!("select '\\x{}'::bytea, {columns} from {table} where tenant = {own}", "03".repeat(16));
            counted(&format!("insert into {table} (tenant, {columns}) {copy}"))
        }),
    ];
    let mut script = String::from("\n\\set ON_ERROR_STOP 0\n");
    for (what, attempt) in attempts {
        let attempt = attempt.replacen("select count(*)", &format!("select '{what} {table}|' || count(*)"), 1);
        script.push_str(&format!("begin; {context};\n{attempt};\nrollback;\n"));
    }
    // A refusal, which prints nothing here, is as good as finding nothing.
    let found = base.try_sql(SERVER, &script).unwrap();
    found.lines().filter(|line| !line.ends_with("|0")).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn b15_row_security_keeps_every_table_of_another_tenant_out_of_reach() {
    let (world, tables) = filled().await;
    let base = world.place.base.clone().unwrap();
    assert!(tables.len() > 20);
    let context = "set local app.tenant = '01010101010101010101010101010101'";
    for table in &tables {
        assert_eq!(breaches(&base, table, context), [""; 0], "{table}");
        let own = format!("begin; {context}; select count(*) from {table}; rollback");
        let own = base.try_sql(SERVER, &own).unwrap();
        assert!(own.trim().parse::<u64>().unwrap() > 0, "a tenant sees its own rows of {table}");
        let none = format!("select count(*) from {table}");
        assert_eq!(base.try_sql(SERVER, &none).unwrap().trim(), "0", "nobody's context reaches nothing of {table}");
    }
    // The control: the same questions to a table that nobody protects.
    base.sql(&format!(
        "create table open_to_all (tenant bytea, value bigint); grant all on open_to_all to {SERVER}; \
         insert into open_to_all values ({}, 1), ({}, 1)",
        literal(TENANT),
        literal(OTHER)
    ));
    assert_eq!(breaches(&base, "open_to_all", context).len(), 8, "the check finds nothing anywhere");
}

#[tokio::test(flavor = "multi_thread")]
async fn b15_only_the_operator_lists_makes_and_deletes_tenants() {
    let world = On::Postgres.world().await;
    let base = world.place.base.unwrap();
    let ask = |context: &str, text: &str| base.try_sql(SERVER, &format!("begin; {context}; {text}; rollback"));
    let count = "select count(*) from tenants";
    let tenant = "set local app.tenant = '01010101010101010101010101010101'";
    let operator = "set local app.operator = 'on'";
    assert_eq!(ask(tenant, count).unwrap().trim(), "1", "itself");
    assert_eq!(ask(operator, count).unwrap().trim(), "2");
    let delete = "with gone as (delete from tenants returning 1) select count(*) from gone";
    assert_eq!(ask(tenant, delete).unwrap().trim(), "0");
    assert_eq!(ask(operator, delete).unwrap().trim(), "0", "only the one that it is at work on");
    assert_eq!(ask(&format!("{tenant}; {operator}"), delete).unwrap().trim(), "1");
    let insert = "insert into tenants select '\\x03', 'third', suite, authority_key, created_at from tenants limit 1";
    for context in [tenant, operator] {
        let refused = ask(context, insert).unwrap_err();
        assert!(refused.contains("row-level security"), "{refused}");
    }
    let users = "select count(*) from data_keys";
    assert_eq!(ask(operator, users).unwrap().trim(), "0", "the operator is inside no tenant");
    for table in ["tenants", "log_entries", "audit_entries", "chain_entries", "schema_migrations"] {
        let refused = ask(tenant, &format!("update {table} set tenant = tenant")).unwrap_err();
        assert!(refused.contains("permission denied") || refused.contains("does not exist"), "{refused}");
    }
}

#[track_caller]
fn refuses(address: Postgres, why: &str) {
    let error = open(address).map(drop).unwrap_err();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    assert!(text.contains(why), "{why}: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_row_security_does_not_bind_is_refused() {
    let base = migrated();
    let with_role = |role: &str| Postgres { url: base.url(role), migration: None, ..postgres(&base) };
    open(with_role(SERVER)).unwrap().close();
    refuses(with_role("postgres"), "superuser");
    refuses(with_role(OWNER), "owns table");
    let password = base.cluster.password();
    let unique = base.name.clone();
    for (role, more, why) in
        [("bypassing", "bypassrls", "BYPASSRLS"), ("heir", "in role mifeng_owner", "member of its owner")]
    {
        let role = format!("{role}_{unique}");
        base.sql(&format!("create role {role} login password '{password}' {more}; grant {SERVER} to {role}"));
        refuses(with_role(&role), why);
        base.sql(&format!("drop role {role}"));
    }
    for (change, back) in [
        ("alter table users no force row level security", "alter table users force row level security"),
        ("alter table users disable row level security", "alter table users enable row level security"),
        ("alter policy own on users rename to other; drop policy other on users", "call protect('users')"),
    ] {
        base.sql(change);
        refuses(with_role(SERVER), "table users has no forced row-level security");
        base.sql(back);
    }
    open(with_role(SERVER)).unwrap().close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_may_forget_what_it_acknowledged_is_refused() {
    let base = migrated();
    for commit in ["off", "local", "remote_write"] {
        base.sql(&format!("alter database {} set synchronous_commit = {commit}", base.name));
        refuses(postgres(&base), "synchronous_commit");
    }
    base.sql(&format!("alter database {} set synchronous_commit = remote_apply", base.name));
    open(postgres(&base)).unwrap().close();
    let careless = Cluster::own(&["fsync = off"]);
    refuses(postgres(&careless.base()), "fsync is off");
}

#[tokio::test(flavor = "multi_thread")]
async fn older_newer_edited_schemas_and_wrong_roots_are_refused() {
    let base = Cluster::shared().base();
    let without_owner = Postgres { migration: None, ..postgres(&base) };
    refuses(without_owner.clone(), "has schema 0");
    let world = world_at(Place::new(Some(base.clone())), keyring::RootKey::ephemeral().unwrap()).await;
    world.database.close();
    refuses(without_owner.clone(), "root key does not belong");
    base.sql("insert into schema_migrations values (99, '\\x00')");
    refuses(postgres(&base), "start the newer program");
    base.sql("delete from schema_migrations where version = 99; update schema_migrations set digest = '\\x00'");
    refuses(without_owner, "is not the one that this program has");
}

#[tokio::test(flavor = "multi_thread")]
async fn c9_the_servers_certificate_is_verified() {
    let base = migrated();
    let over_tls = |host: &str, ca| Postgres {
        url: base.tls_url(SERVER, host),
        ca_file: Some(ca),
        migration: None,
        ..postgres(&base)
    };
    open(over_tls("localhost", base.cluster.ca_file())).unwrap().close();
    let tls = "select count(*) from pg_stat_ssl s join pg_stat_activity a using (pid) where s.ssl and s.version = 'TLSv1.3' \
               and a.datname = current_database()";
    let database = open(over_tls("localhost", base.cluster.ca_file())).unwrap();
    assert_eq!(base.sql(tls).trim(), "1", "the connection is encrypted");
    database.close();
    refuses(over_tls("127.0.0.1", base.cluster.ca_file()), "certificate");
    let stranger = Cluster::own(&[]);
    refuses(over_tls("localhost", stranger.ca_file()), "certificate");
    let wrong = Postgres { password: Some("wrong".to_owned().into()), migration: None, ..postgres(&base) };
    refuses(wrong, "28P01");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_served_by_one_process() {
    let base = migrated();
    let first = open(postgres(&base)).unwrap();
    let Err(error) = open(Postgres { migration: None, ..postgres(&base) }) else { panic!("two serve at once") };
    assert!(matches!(&error, OpenError::Served { .. }), "{error:?}");
    assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
    first.close();
    open(postgres(&base)).unwrap().close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_is_given_up_undoes_its_batch_and_the_next_goes_on() {
    let world = On::Postgres.world().await;
    world.store.write(add_talk).await.unwrap();
    let base = world.place.base.clone().unwrap();
    let holder = base.clone();
    let hold =
        std::thread::spawn(move || holder.sql("begin; select * from conversations for update; select pg_sleep(3)"));
    let waiting =
        "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()";
    let holds = "select count(*) from pg_stat_activity where query like '%pg_sleep(3)%' and wait_event = 'PgSleep'";
    until("the row is locked", || base.sql(holds).trim() == "1");
    let write = tokio::spawn({
        let store = world.store.clone();
        async move { store.write(|tx| tx.append_entry(message(0, 1, b"sealed"))).await }
    });
    until("the writer waits", || base.sql(waiting).trim() == "1");
    let cancel = "select pg_cancel_backend(pid) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()";
    assert_eq!(base.sql(cancel).trim(), "t", "the fault fired");
    let refused = write.await.unwrap();
    assert!(matches!(&refused, Err(Error::Unavailable(Some(_)))), "{refused:?}");
    assert_eq!(world.database.health(), Health::Ready, "the connection is still there");
    let next = world.store.write(|tx| tx.append_entry(message(0, 1, b"sealed"))).await.unwrap();
    assert!(matches!(next, Append::Recorded { ref entry, .. } if entry.seq == 1), "{next:?}");
    hold.join().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_goes_on_after_a_failed_statement_is_undone_alone() {
    let world = On::Postgres.world().await;
    world.store.write(add_talk).await.unwrap();
    let (release, hold) = std::sync::mpsc::sync_channel::<()>(0);
    world.store.submit(move |_| hold.recv().map_err(|_| Error::Overloaded), |_| ());
    let (told, answers) = std::sync::mpsc::sync_channel(3);
    for id in 1..=3 {
        let told = told.clone();
        let job = move |tx: &mut store::Tx<'_>| {
            if id == 2 {
                // Breaks a rule of the schema, and is not minded.
                let nobody = wire::UserId::from_bytes([99; 16]);
                let key = trust::DevicePublicKey::from_bytes([3; 32]);
                assert!(tx.add_device(wire::DeviceId::from_bytes([98; 16]), nobody, key, NOW).is_err());
            }
            let _ = tx.append_entry(message(0, id, b"sealed"));
            Ok::<_, Error>(())
        };
        world.store.submit(job, move |result| told.send((id, result.is_ok())).unwrap());
    }
    release.send(()).unwrap();
    let mut all: Vec<_> = answers.iter().take(3).collect();
    all.sort_unstable();
    assert_eq!(all, [(1, true), (2, false), (3, true)], "the database kept nothing of the second");
    let there = world.store.read(|tx| tx.fetch_entries(TALK, MEI_PHONE, 0, 9)).await.unwrap().unwrap();
    assert_eq!(there.entries.iter().map(|entry| entry.message_id).collect::<Vec<_>>(), [message_id(1), message_id(3)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_several_tenants_is_one_transaction_and_each_writes_its_own() {
    let world = On::Postgres.world().await;
    world.store.write(add_talk).await.unwrap();
    world.other.write(add_talk).await.unwrap();
    let release = held_writer(&world.store);
    let before = world.database.counters().batches;
    let (told, answers) = std::sync::mpsc::sync_channel(100);
    for id in 1..=40 {
        let told = told.clone();
        let store = if id % 2 == 0 { &world.store } else { &world.other };
        store.submit_entry(message(0, id, b"sealed"), move |result| told.send((id, result.unwrap())).unwrap());
    }
    let operator = world.database.operator();
    let listed = tokio::spawn(async move { operator.write(|tx| tx.tenants().map(|all| all.len())).await });
    while world.database.counters().waiting < 41 {
        tokio::task::yield_now().await;
    }
    release.send(()).unwrap();
    let answers: Vec<_> = answers.iter().take(40).collect();
    assert_eq!(answers.iter().map(|(id, _)| *id).collect::<Vec<_>>(), (1..=40).collect::<Vec<_>>(), "in their order");
    assert!(
        answers
            .iter()
            .all(|(id, append)| { matches!(append, Append::Recorded { entry, .. } if entry.seq == id.div_ceil(2)) })
    );
    assert_eq!(listed.await.unwrap().unwrap(), 2);
    assert_eq!(world.database.counters().batches - before, 2, "not one batch");
}

/// Sends under new ids and again under those whose outcome it does not know, as a client does; notes what was acknowledged.
async fn send_for_ever(store: store::Store, sender: u64, acknowledged: Arc<Mutex<HashMap<MessageId, u64>>>) {
    for id in 1.. {
        loop {
            let entry = message(0, sender << 32 | id, &[7; 300]);
            let message_id = entry.message_id;
            match store.write(move |tx| tx.append_entry(entry)).await {
                Ok(Append::Recorded { entry, .. }) => drop(acknowledged.lock().unwrap().insert(message_id, entry.seq)),
                Ok(Append::Repeated(at)) => drop(acknowledged.lock().unwrap().insert(message_id, at.seq)),
                Ok(other) => panic!("{other:?}"),
                Err(Error::Unavailable(_)) => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
                Err(error) => panic!("{error:?}"),
            }
            break;
        }
    }
}

fn kill_the_writers_backend(base: &Base) {
    let pid = base.sql(
        "select l.pid from pg_locks l where l.locktype = 'advisory' and l.classid = 1298558567 and l.granted \
         and l.database = (select oid from pg_database where datname = current_database())",
    );
    assert!(Command::new("kill").args(["-KILL", pid.trim()]).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn crashes_of_the_database_lose_nothing_that_was_acknowledged() {
    let cluster = Cluster::own(&[]);
    let world = world_at(Place::new(Some(cluster.base())), keyring::RootKey::ephemeral().unwrap()).await;
    let base = world.place.base.clone().unwrap();
    world.store.write(add_talk).await.unwrap();
    let acknowledged = Arc::new(Mutex::new(HashMap::new()));
    let senders: Vec<_> = (0..8)
        .map(|sender| tokio::spawn(send_for_ever(world.store.clone(), sender, Arc::clone(&acknowledged))))
        .collect();
    let count = || acknowledged.lock().unwrap().len();
    let restarts = || cluster.log().matches("database system was not properly shut down").count();
    for round in 0..4 {
        let (before, crashed) = (count(), restarts());
        until("some are acknowledged", || count() > before + 100);
        let reconnects = world.database.counters().reconnects;
        match round {
            0 => {
                cluster.stop("immediate");
                until("it is noticed", || world.database.health() == Health::Lost);
                cluster.start();
            }
            1 => kill_the_writers_backend(&base),
            2 => assert!(base.end_sessions(SERVER) >= 1),
            _ => {
                cluster.stop("fast");
                cluster.start();
            }
        }
        until("it is back", || world.database.counters().reconnects > reconnects);
        assert_eq!(restarts() - crashed, usize::from(round < 2), "round {round}: {}", cluster.log());
    }
    let before = count();
    until("it goes on", || count() > before + 100);
    senders.iter().for_each(|sender| sender.abort());
    assert!(world.database.counters().failed_batches > 0, "no batch met a fault");
    let mut there = HashMap::new();
    let mut after = 0;
    loop {
        let part = world.store.read(move |tx| tx.fetch_entries(TALK, MEI_PHONE, after, 500)).await.unwrap().unwrap();
        let Some(last) = part.entries.last() else { break };
        after = last.seq;
        for entry in part.entries {
            assert_eq!(there.insert(entry.message_id, entry.seq), None, "a message is there twice");
        }
    }
    assert_eq!(there.len() as u64, after, "the log has a gap");
    let acknowledged = acknowledged.lock().unwrap();
    let lost: Vec<_> = acknowledged.iter().filter(|(id, seq)| there.get(id) != Some(seq)).collect();
    assert!(lost.is_empty(), "{lost:?}");
    world.database.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_come_back_after_the_database_does() {
    let world = On::Postgres.world().await;
    let base = world.place.base.clone().unwrap();
    let tenants = async || world.database.operator().read(|tx| tx.tenants().map(|all| all.len())).await;
    assert_eq!(tenants().await.unwrap(), 2);
    assert!(base.end_sessions(SERVER) >= 2, "the fault fired");
    let start = Instant::now();
    while tenants().await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(20), "reads do not come back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
