//! People and their device chains, as they were first seen and have grown since.

use super::damaged;
use rusqlite::{Connection, OptionalExtension, Result, params};
use wire::UserId;
use wire::request::SignedEntry;

/// A person known to this device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ContactRow {
    pub(crate) user: UserId,
    pub(crate) handle: String,
    /// Why the server's last word about this person was refused.
    pub(crate) refused: Option<String>,
}

pub(crate) fn find(db: &Connection, user: UserId) -> Result<Option<ContactRow>> {
    let sql = "SELECT user, handle, refused FROM contact WHERE user = ?";
    db.prepare_cached(sql)?.query_row([user.as_bytes()], read).optional()
}

pub(crate) fn find_by_handle(db: &Connection, handle: &str) -> Result<Option<ContactRow>> {
    let sql = "SELECT user, handle, refused FROM contact WHERE handle = ? COLLATE NOCASE";
    db.prepare_cached(sql)?.query_row([handle], read).optional()
}

pub(crate) fn all(db: &Connection) -> Result<Vec<ContactRow>> {
    db.prepare_cached("SELECT user, handle, refused FROM contact ORDER BY handle")?.query_map([], read)?.collect()
}

pub(crate) fn save(db: &Connection, user: UserId, handle: &str) -> Result<()> {
    let sql = "INSERT INTO contact (user, handle) VALUES (?, ?)
               ON CONFLICT (user) DO UPDATE SET handle = excluded.handle, refused = NULL";
    db.prepare_cached(sql)?.execute(params![user.as_bytes(), handle]).map(|_| ())
}

pub(crate) fn refuse(db: &Connection, user: UserId, reason: &str) -> Result<()> {
    db.prepare_cached("UPDATE contact SET refused = ?2 WHERE user = ?1")?
        .execute(params![user.as_bytes(), reason])
        .map(|_| ())
}

pub(crate) fn chain(db: &Connection, user: UserId) -> Result<Vec<SignedEntry>> {
    let mut statement = db.prepare_cached("SELECT bytes FROM chain_entry WHERE user = ? ORDER BY place")?;
    let rows = statement.query_map([user.as_bytes()], |row| row.get::<_, Vec<u8>>(0))?;
    rows.map(|bytes| wire::decode(&bytes?).map_err(|_| damaged())).collect()
}

/// Adds entries after the `known` first.
pub(crate) fn extend_chain(db: &Connection, user: UserId, known: usize, entries: &[SignedEntry]) -> Result<()> {
    let mut statement = db.prepare_cached("INSERT INTO chain_entry (user, place, bytes) VALUES (?, ?, ?)")?;
    for (place, entry) in entries.iter().enumerate().skip(known) {
        statement.execute(params![user.as_bytes(), i64::try_from(place).unwrap_or(i64::MAX), wire::encode(entry)])?;
    }
    Ok(())
}

fn read(row: &rusqlite::Row<'_>) -> Result<ContactRow> {
    Ok(ContactRow { user: UserId::from_bytes(row.get(0)?), handle: row.get(1)?, refused: row.get(2)? })
}
