//! Versioned migrations, a folder of SQL per database.
//!
//! Done here rather than by a library: it is one page, it keeps each script's hash so that an edited script is noticed, and
//! the library at hand (refinery) takes no lock on PostgreSQL and holds back the version of rusqlite.

use crate::link::Link;
use crate::postgres::Connection;
use crate::sql::{Row, Sql, sql, values};
use crate::{Cause, Error, OpenError};
use sha2::{Digest, Sha256};
use tokio_postgres::error::SqlState;

const SQLITE: &[&str] = &[
    include_str!("../migrations/sqlite/V001__first.sql"),
    include_str!("../migrations/sqlite/V002__devices.sql"),
    include_str!("../migrations/sqlite/V003__successors.sql"),
    include_str!("../migrations/sqlite/V004__lookups.sql"),
    include_str!("../migrations/sqlite/V005__restores.sql"),
    include_str!("../migrations/sqlite/V006__blobs.sql"),
    include_str!("../migrations/sqlite/V007__archive.sql"),
];
const POSTGRES: &[&str] = &[
    include_str!("../migrations/postgres/V001__first.sql"),
    include_str!("../migrations/postgres/V002__devices.sql"),
    include_str!("../migrations/postgres/V003__successors.sql"),
    include_str!("../migrations/postgres/V004__lookups.sql"),
    include_str!("../migrations/postgres/V005__restores.sql"),
    include_str!("../migrations/postgres/V006__blobs.sql"),
    include_str!("../migrations/postgres/V007__archive.sql"),
];
const _: () = assert!(SQLITE.len() == POSTGRES.len(), "a migration is missing for one of the databases");

const APPLIED: Sql = sql!("select version, digest from schema_migrations order by version");

/// Brings the schema up to date, each script in a transaction of its own.
pub(crate) fn migrate_sqlite(link: &Link) -> Result<(), OpenError> {
    link.script(
        "create table if not exists schema_migrations (version integer not null primary key, digest blob not null) strict",
    )?;
    apply(link, SQLITE)
}

/// The same as the role that owns the tables; then lets the role that serves use them. Whoever calls this holds the lock
/// that keeps others from doing so at once.
pub(crate) fn migrate_postgres(link: &Link, serving_role: &str) -> Result<(), OpenError> {
    link.script(include_str!("../migrations/postgres/schema.sql"))?;
    apply(link, POSTGRES)?;
    link.begin()?;
    link.row(sql!("select set_config('mifeng.role', $1, true)"), values![serving_role], |_| Ok(()))?;
    link.script(include_str!("../migrations/postgres/grants.sql"))?;
    Ok(link.commit()?)
}

/// Whether the schema is the one that this program has.
pub(crate) fn check_postgres(connection: &Connection) -> Result<(), OpenError> {
    let needed = POSTGRES.len() as u32;
    let applied = match connection.rows(APPLIED, values![], applied) {
        Err(Error::Statement(cause)) if is_missing(&cause) => return Err(OpenError::OlderSchema { found: 0, needed }),
        applied => applied?,
    };
    compare(&applied, POSTGRES)?;
    let found = applied.len() as u32;
    if found < needed { Err(OpenError::OlderSchema { found, needed }) } else { Ok(()) }
}

fn apply(link: &Link, scripts: &[&str]) -> Result<(), OpenError> {
    let applied = link.rows(APPLIED, values![], applied)?;
    compare(&applied, scripts)?;
    for (script, version) in scripts.iter().zip(1u32..).skip(applied.len()) {
        link.begin()?;
        let insert = sql!("insert into schema_migrations (version, digest) values ($1, $2)");
        let done = link.script(script).and_then(|()| link.execute(insert, values![version, digest(script)]));
        if let Err(error) = done {
            link.rollback()?;
            return Err(error.into());
        }
        link.commit()?;
    }
    Ok(())
}

/// Whether what was applied is what this program has, as far as it goes.
fn compare(applied: &[(u32, Vec<u8>)], scripts: &[&str]) -> Result<(), OpenError> {
    let known = scripts.len() as u32;
    match applied.last() {
        Some((found, _)) if *found > known => return Err(OpenError::NewerSchema { found: *found, known }),
        _ => {}
    }
    let mut pairs = applied.iter().zip(scripts).zip(1u32..);
    match pairs.find(|(((version, found), script), place)| version != place || *found != digest(script)) {
        Some((_, place)) => Err(OpenError::OtherMigration(place)),
        None => Ok(()),
    }
}

fn applied(row: &Row<'_>) -> Result<Option<(u32, Vec<u8>)>, Error> {
    Ok(Some((row.number(0)?, row.bytes(1)?.to_vec())))
}

fn digest(script: &str) -> [u8; 32] {
    Sha256::digest(script).into()
}

fn is_missing(cause: &Cause) -> bool {
    let missing = [SqlState::UNDEFINED_TABLE, SqlState::INVALID_SCHEMA_NAME, SqlState::INSUFFICIENT_PRIVILEGE];
    cause.sql_state().is_some_and(|state| missing.contains(state))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;

    fn empty() -> Link {
        let link = Link::Sqlite(Connection::open_in_memory().unwrap());
        link.script("create table schema_migrations (version integer not null primary key, digest blob not null)")
            .unwrap();
        link
    }

    fn rows(link: &Link) -> Option<u32> {
        link.row(sql!("select count(*) from a"), values![], |row| row.number(0)).unwrap()
    }

    #[test]
    fn scripts_are_applied_once_in_order_and_whole() {
        let link = empty();
        let scripts = ["create table a (x integer)", "alter table a add column y integer; insert into a values (1, 2)"];
        apply(&link, &scripts[..1]).unwrap();
        apply(&link, &scripts).unwrap();
        apply(&link, &scripts).unwrap();
        assert_eq!(rows(&link), Some(1));
        let broken = [scripts[0], scripts[1], "insert into a values (3, 4); insert into missing values (1)"];
        assert!(apply(&link, &broken).is_err());
        assert_eq!(rows(&link), Some(1));
    }

    #[test]
    fn an_edited_script_and_a_newer_schema_are_refused() {
        let link = empty();
        apply(&link, &["create table a (x integer)", "create table b (x integer)"]).unwrap();
        let edited = apply(&link, &["create table a (y integer)", "create table b (x integer)"]);
        assert!(matches!(edited, Err(OpenError::OtherMigration(1))));
        let older = apply(&link, &["create table a (x integer)"]);
        assert!(matches!(older, Err(OpenError::NewerSchema { found: 2, known: 1 })));
    }
}
