//! What MLS keeps, as keys and values whose form only `e2ee` knows.

use rusqlite::{Connection, OptionalExtension, Result, params};

pub(crate) fn read(db: &Connection, key: &[u8]) -> Result<Option<Vec<u8>>> {
    db.prepare_cached("SELECT value FROM mls_entry WHERE key = ?")?.query_row([key], |row| row.get(0)).optional()
}

pub(crate) fn write(db: &Connection, key: &[u8], value: &[u8]) -> Result<()> {
    db.prepare_cached("INSERT OR REPLACE INTO mls_entry (key, value) VALUES (?, ?)")?
        .execute(params![key, value])
        .map(|_| ())
}

pub(crate) fn delete(db: &Connection, key: &[u8]) -> Result<()> {
    db.prepare_cached("DELETE FROM mls_entry WHERE key = ?")?.execute([key]).map(|_| ())
}
