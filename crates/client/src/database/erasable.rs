//! Slots for the keys of values that must be gone when they are deleted. SQLite leaves copies of rows where it has moved them
//! from; a slot never moves, and is overwritten in place (`docs/decisions/0090-erasable-rows.md`).

use rusqlite::{Connection, OptionalExtension, Result, params};
use vault::RowKey;
use wire::sabotage::{Defence, stands};

/// Puts a key into a free slot.
pub(super) fn take(db: &Connection, key: &RowKey) -> Result<i64> {
    let sql = "SELECT id FROM erasure_slot WHERE free = 1 LIMIT 1";
    if let Some(slot) = db.prepare_cached(sql)?.query_row([], |row| row.get(0)).optional()? {
        replace(db, slot, key)?;
        return Ok(slot);
    }
    db.prepare_cached("INSERT INTO erasure_slot (key, free) VALUES (?, 0)")?.execute([key.expose()])?;
    Ok(db.last_insert_rowid())
}

/// Puts a key in the place of the one before, which opens nothing any more.
pub(super) fn replace(db: &Connection, slot: i64, key: &RowKey) -> Result<()> {
    let sql = "UPDATE erasure_slot SET key = ?, free = 0 WHERE id = ?";
    db.prepare_cached(sql)?.execute(params![key.expose(), slot]).map(drop)
}

/// Destroys the key in a slot.
pub(super) fn destroy(db: &Connection, slot: i64) -> Result<()> {
    let sql = if stands(Defence::RowKeys) {
        "UPDATE erasure_slot SET key = zeroblob(32), free = 1 WHERE id = ?"
    } else {
        "UPDATE erasure_slot SET free = 1 WHERE id = ?"
    };
    db.prepare_cached(sql)?.execute([slot]).map(drop)
}
