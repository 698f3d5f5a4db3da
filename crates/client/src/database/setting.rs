//! Single values, by name.

use rusqlite::{Connection, OptionalExtension, Result, params};

pub(crate) fn load(db: &Connection, name: &str) -> Result<Option<bool>> {
    db.prepare_cached("SELECT value = x'01' FROM meta WHERE name = ?")?.query_row([name], |row| row.get(0)).optional()
}

pub(crate) fn save(db: &Connection, name: &str, value: bool) -> Result<()> {
    db.prepare_cached("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)")?
        .execute(params![name, [u8::from(value)]])
        .map(|_| ())
}
