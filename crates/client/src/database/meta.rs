//! Single values.

use super::conversation::signed;
use super::damaged;
use rusqlite::{Connection, OptionalExtension, Result, params};

/// Whose chains have grown is known up to this mark of the server's.
pub(crate) const CHAIN_MARK: &str = "chain mark";

pub(crate) fn number(db: &Connection, name: &str) -> Result<u64> {
    let found = db
        .prepare_cached("SELECT value FROM meta WHERE name = ?")?
        .query_row([name], |row| row.get::<_, [u8; 8]>(0))
        .optional()?;
    let number = found.map_or(0, i64::from_be_bytes);
    u64::try_from(number).map_err(|_| damaged())
}

pub(crate) fn set_number(db: &Connection, name: &str, number: u64) -> Result<()> {
    db.prepare_cached("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)")?
        .execute(params![name, signed(number).to_be_bytes()])
        .map(|_| ())
}
