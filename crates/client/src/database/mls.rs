//! What MLS keeps, as keys and values whose form only `e2ee` knows. Each value is sealed under a key of its own, and gone with it.

use super::{damaged, erasable};
use rusqlite::{Connection, OptionalExtension, Result, params};
use vault::{Entropy, RowKey};
use zeroize::Zeroizing;

pub(crate) fn read(db: &Connection, name: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>> {
    let sql = "SELECT slot.key, entry.value FROM mls_entry entry JOIN erasure_slot slot ON slot.id = entry.slot
               WHERE entry.key = ?";
    let found: Option<([u8; 32], Vec<u8>)> =
        db.prepare_cached(sql)?.query_row([name], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    found.map(|(key, sealed)| RowKey::from_bytes(key).open(name, &sealed).ok_or_else(damaged)).transpose()
}

pub(crate) fn write(db: &Connection, name: &[u8], value: &[u8], entropy: &mut dyn Entropy) -> Result<()> {
    let (key, sealed) = RowKey::seal(name, value, entropy);
    if let Some(slot) = slot_of(db, name)? {
        erasable::replace(db, slot, &key)?;
        let sql = "UPDATE mls_entry SET value = ? WHERE key = ?";
        return db.prepare_cached(sql)?.execute(params![sealed, name]).map(drop);
    }
    let sql = "INSERT INTO mls_entry (key, slot, value) VALUES (?, ?, ?)";
    db.prepare_cached(sql)?.execute(params![name, erasable::take(db, &key)?, sealed]).map(drop)
}

pub(crate) fn delete(db: &Connection, name: &[u8]) -> Result<()> {
    let Some(slot) = slot_of(db, name)? else { return Ok(()) };
    db.prepare_cached("DELETE FROM mls_entry WHERE key = ?")?.execute([name])?;
    erasable::destroy(db, slot)
}

/// Seals what an earlier version has stored in the clear, and says whether there was such a thing.
pub(crate) fn seal_plain(db: &Connection, entropy: &mut dyn Entropy) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'mls_entry_plain')";
    if !db.query_row(sql, [], |row| row.get(0))? {
        return Ok(false);
    }
    let mut statement = db.prepare("SELECT key, value FROM mls_entry_plain")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let value: Zeroizing<Vec<u8>> = Zeroizing::new(row.get(1)?);
        write(db, &row.get::<_, Vec<u8>>(0)?, &value, entropy)?;
    }
    drop(rows);
    drop(statement);
    // Its pages are freed, and so overwritten from end to end.
    db.execute_batch("DROP TABLE mls_entry_plain")?;
    Ok(true)
}

fn slot_of(db: &Connection, name: &[u8]) -> Result<Option<i64>> {
    db.prepare_cached("SELECT slot FROM mls_entry WHERE key = ?")?.query_row([name], |row| row.get(0)).optional()
}
