//! The person's own devices: what is known of them beside the chain, and which are to be revoked.

use super::conversation::{optional, signed};
use rusqlite::{Connection, OptionalExtension, Result, params};
use wire::{DeviceId, UnixMillis};

/// What is known of a device beside the chain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DeviceNote {
    pub(crate) name: Option<String>,
    pub(crate) since: Option<UnixMillis>,
}

pub(crate) fn note(db: &Connection, device: DeviceId) -> Result<DeviceNote> {
    let read = |row: &rusqlite::Row<'_>| Ok(DeviceNote { name: row.get(0)?, since: optional(row, 1)? });
    let mut statement = db.prepare_cached("SELECT name, since FROM own_device WHERE device = ?")?;
    Ok(statement.query_row([device.as_bytes()], read).optional()?.unwrap_or_default())
}

/// Adds what is newly known; what was known stays.
pub(crate) fn save_note(db: &Connection, device: DeviceId, note: &DeviceNote) -> Result<()> {
    let sql = "INSERT INTO own_device (device, name, since) VALUES (?, ?, ?)
               ON CONFLICT (device) DO UPDATE SET name = coalesce(name, excluded.name), since = coalesce(since, excluded.since)";
    db.prepare_cached(sql)?.execute(params![device.as_bytes(), note.name, note.since.map(signed)]).map(|_| ())
}

pub(crate) fn want_revoked(db: &Connection, device: DeviceId) -> Result<()> {
    db.prepare_cached("INSERT OR IGNORE INTO revocation (device) VALUES (?)")?.execute([device.as_bytes()]).map(|_| ())
}

/// The next device to revoke.
pub(crate) fn to_revoke(db: &Connection) -> Result<Option<DeviceId>> {
    let mut statement = db.prepare_cached("SELECT device FROM revocation ORDER BY device LIMIT 1")?;
    statement.query_row([], |row| row.get(0).map(DeviceId::from_bytes)).optional()
}

pub(crate) fn revocations(db: &Connection) -> Result<u64> {
    let count: i64 = db.prepare_cached("SELECT count(*) FROM revocation")?.query_row([], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

pub(crate) fn forget_revocation(db: &Connection, device: DeviceId) -> Result<()> {
    db.prepare_cached("DELETE FROM revocation WHERE device = ?")?.execute([device.as_bytes()]).map(|_| ())
}
