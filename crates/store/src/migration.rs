//! Versioned migrations, a folder of SQL per database.
//!
//! Done here rather than by a library: it is one page, it keeps each script's hash so that an edited script is noticed, and
//! the library at hand (refinery) takes no lock on PostgreSQL and holds back the version of rusqlite.

use crate::OpenError;
use rusqlite::Connection;
use sha2::{Digest, Sha256};

const SQLITE: &[&str] =
    &[include_str!("../migrations/sqlite/V001__first.sql"), include_str!("../migrations/sqlite/V002__devices.sql")];

/// Brings the schema up to date, each script in a transaction of its own.
pub(crate) fn migrate(connection: &mut Connection) -> Result<(), OpenError> {
    apply(connection, SQLITE)
}

fn apply(connection: &mut Connection, scripts: &[&str]) -> Result<(), OpenError> {
    connection.execute_batch(
        "create table if not exists schema_migrations (version integer not null primary key, digest blob not null) strict",
    )?;
    let known = scripts.len() as u32;
    let found: u32 =
        connection.query_row("select coalesce(max(version), 0) from schema_migrations", [], |row| row.get(0))?;
    if found > known {
        return Err(OpenError::NewerSchema { found, known });
    }
    for (script, version) in scripts.iter().zip(1u32..) {
        let digest: [u8; 32] = Sha256::digest(script).into();
        if version <= found {
            check(connection, version, digest)?;
        } else {
            let transaction = connection.transaction()?;
            transaction.execute_batch(script)?;
            transaction
                .execute("insert into schema_migrations (version, digest) values (?1, ?2)", (version, digest))?;
            transaction.commit()?;
        }
    }
    Ok(())
}

fn check(connection: &Connection, version: u32, digest: [u8; 32]) -> Result<(), OpenError> {
    let applied: Vec<u8> =
        connection.query_row("select digest from schema_migrations where version = ?1", [version], |row| row.get(0))?;
    if applied == digest { Ok(()) } else { Err(OpenError::OtherMigration(version)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_applied_once_in_order_and_whole() {
        let mut connection = Connection::open_in_memory().unwrap();
        let scripts = ["create table a (x integer)", "alter table a add column y integer; insert into a values (1, 2)"];
        apply(&mut connection, &scripts[..1]).unwrap();
        apply(&mut connection, &scripts).unwrap();
        apply(&mut connection, &scripts).unwrap();
        assert_eq!(connection.query_row("select count(*) from a", [], |row| row.get::<_, u32>(0)).unwrap(), 1);
        let broken = [scripts[0], scripts[1], "insert into a values (3, 4); insert into missing values (1)"];
        assert!(apply(&mut connection, &broken).is_err());
        assert_eq!(connection.query_row("select count(*) from a", [], |row| row.get::<_, u32>(0)).unwrap(), 1);
    }

    #[test]
    fn an_edited_script_and_a_newer_schema_are_refused() {
        let mut connection = Connection::open_in_memory().unwrap();
        apply(&mut connection, &["create table a (x integer)", "create table b (x integer)"]).unwrap();
        let edited = apply(&mut connection, &["create table a (y integer)", "create table b (x integer)"]);
        assert!(matches!(edited, Err(OpenError::OtherMigration(1))));
        let older = apply(&mut connection, &["create table a (x integer)"]);
        assert!(matches!(older, Err(OpenError::NewerSchema { found: 2, known: 1 })));
    }
}
