//! Key packages of this device: on their way to the server, then until their private keys are forgotten.

use super::conversation::{optional, signed};
use rusqlite::{Connection, Result, params};
use wire::UnixMillis;

/// A key package that was made and may not have reached the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyPackageRow {
    pub(crate) id: i64,
    pub(crate) last_resort: bool,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) fn insert(
    db: &Connection,
    last_resort: bool,
    made_at: UnixMillis,
    reference: &[u8],
    bytes: &[u8],
) -> Result<()> {
    db.prepare_cached("INSERT INTO key_package (last_resort, made_at, reference, bytes) VALUES (?, ?, ?, ?)")?
        .execute(params![last_resort, signed(made_at), reference, bytes])
        .map(|_| ())
}

pub(crate) fn waiting(db: &Connection) -> Result<Vec<KeyPackageRow>> {
    db.prepare_cached("SELECT id, last_resort, bytes FROM key_package WHERE bytes IS NOT NULL ORDER BY id")?
        .query_map([], |row| Ok(KeyPackageRow { id: row.get(0)?, last_resort: row.get(1)?, bytes: row.get(2)? }))?
        .collect()
}

/// Those that have not reached the server: id and reference.
pub(crate) fn unpublished(db: &Connection) -> Result<Vec<(i64, Vec<u8>)>> {
    db.prepare_cached("SELECT id, reference FROM key_package WHERE bytes IS NOT NULL")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// The server has those up to this id.
pub(crate) fn set_published(db: &Connection, id: i64) -> Result<()> {
    db.prepare_cached("UPDATE key_package SET bytes = NULL WHERE id <= ?")?.execute([id]).map(|_| ())
}

/// When the last-resort package in use was made.
pub(crate) fn last_resort_made_at(db: &Connection) -> Result<Option<UnixMillis>> {
    db.prepare_cached("SELECT max(made_at) FROM key_package WHERE last_resort = 1")?
        .query_row([], |row| optional(row, 0))
}

/// Packages that nobody can use any more: made before `dead`, or replaced and made before `replaced`.
pub(crate) fn stale(db: &Connection, dead: UnixMillis, replaced: UnixMillis) -> Result<Vec<(i64, Vec<u8>)>> {
    let sql = "SELECT id, reference FROM key_package WHERE made_at < ?1 OR (last_resort = 1 AND made_at < ?2
               AND id < (SELECT max(id) FROM key_package WHERE last_resort = 1))";
    db.prepare_cached(sql)?.query_map([signed(dead), signed(replaced)], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

pub(crate) fn delete(db: &Connection, id: i64) -> Result<()> {
    db.prepare_cached("DELETE FROM key_package WHERE id = ?")?.execute([id]).map(|_| ())
}
