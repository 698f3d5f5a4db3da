//! Key packages on their way to the server.

use rusqlite::{Connection, Result, params};

/// A key package that was made and may not have reached the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyPackageRow {
    pub(crate) id: i64,
    pub(crate) last_resort: bool,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) fn insert(db: &Connection, last_resort: bool, bytes: &[u8]) -> Result<()> {
    db.prepare_cached("INSERT INTO key_package (last_resort, bytes) VALUES (?, ?)")?
        .execute(params![last_resort, bytes])
        .map(|_| ())
}

pub(crate) fn waiting(db: &Connection) -> Result<Vec<KeyPackageRow>> {
    db.prepare_cached("SELECT id, last_resort, bytes FROM key_package ORDER BY id")?
        .query_map([], |row| Ok(KeyPackageRow { id: row.get(0)?, last_resort: row.get(1)?, bytes: row.get(2)? }))?
        .collect()
}

/// The server has those up to this id.
pub(crate) fn delete_up_to(db: &Connection, id: i64) -> Result<()> {
    db.prepare_cached("DELETE FROM key_package WHERE id <= ?")?.execute([id]).map(|_| ())
}
