//! Parts of files, sealed as they travel, in a database beside the device's own: large, written once, and not worth a place
//! in the write-ahead log that everything else goes through. It comes into being with the first file.

use super::{DatabaseError, raw_key};
use rusqlite::{Connection, OptionalExtension, Result, params};
use std::path::{Path, PathBuf};
use vault::DatabaseKey;

// Room is given back when a file is deleted. That has to be said before there is anything.
const TABLE: &str = "PRAGMA files.auto_vacuum = FULL;
CREATE TABLE IF NOT EXISTS files.part (
    file INTEGER NOT NULL,
    part INTEGER NOT NULL,
    digest BLOB NOT NULL,
    bytes BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS files.part_place ON part (file, part);";

/// Attaches the database of parts that belongs to the device's database at this path, under the same key.
pub(super) fn attach(connection: &Connection, path: &Path, key: &DatabaseKey) -> Result<(), DatabaseError> {
    let path = beside(path);
    connection.execute("ATTACH DATABASE ?1 AS files KEY ?2", params![path.to_string_lossy(), *raw_key(key)])?;
    // A part is durable when its transaction is.
    connection.execute_batch("PRAGMA files.synchronous = FULL;")?;
    connection.query_row("SELECT count(*) FROM files.sqlite_master", [], |_| Ok(()))?;
    Ok(())
}

fn beside(path: &Path) -> PathBuf {
    if path == Path::new(":memory:") {
        return path.into();
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{stem}-files.db"))
}

/// Keeps a part, in place of the one before.
pub(crate) fn put(db: &Connection, file: i64, part: u32, digest: &[u8; 32], bytes: &[u8]) -> Result<()> {
    if !exist(db)? {
        db.execute_batch(TABLE)?;
    }
    db.prepare_cached("INSERT OR REPLACE INTO files.part (file, part, digest, bytes) VALUES (?, ?, ?, ?)")?
        .execute(params![file, part, digest, bytes])
        .map(drop)
}

/// A part, as it travels.
pub(crate) fn get(db: &Connection, file: i64, part: u32) -> Result<Option<Vec<u8>>> {
    if !exist(db)? {
        return Ok(None);
    }
    let sql = "SELECT bytes FROM files.part WHERE file = ? AND part = ?";
    db.prepare_cached(sql)?.query_row(params![file, part], |row| row.get(0)).optional()
}

/// How many parts of a file are here.
pub(crate) fn count(db: &Connection, file: i64) -> Result<u32> {
    if !exist(db)? {
        return Ok(0);
    }
    let sql = "SELECT count(*) FROM files.part WHERE file = ?";
    db.prepare_cached(sql)?.query_row([file], |row| row.get(0))
}

/// The first part from this one on that is not here.
pub(crate) fn missing_from(db: &Connection, file: i64, mut part: u32) -> Result<u32> {
    while exist(db)? && is_here(db, file, part)? {
        part += 1;
    }
    Ok(part)
}

fn is_here(db: &Connection, file: i64, part: u32) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM files.part WHERE file = ? AND part = ?)";
    db.prepare_cached(sql)?.query_row(params![file, part], |row| row.get(0))
}

/// The digests of all parts that are here, in order.
pub(crate) fn digests(db: &Connection, file: i64) -> Result<Vec<[u8; 32]>> {
    if !exist(db)? {
        return Ok(Vec::new());
    }
    let sql = "SELECT digest FROM files.part WHERE file = ? ORDER BY part";
    db.prepare_cached(sql)?.query_map([file], |row| row.get(0))?.collect()
}

/// Deletes the parts of a file.
pub(crate) fn delete(db: &Connection, file: i64) -> Result<()> {
    if !exist(db)? {
        return Ok(());
    }
    db.prepare_cached("DELETE FROM files.part WHERE file = ?")?.execute([file]).map(drop)
}

/// Deletes the parts of files that are no more.
pub(crate) fn sweep(db: &Connection) -> Result<()> {
    if !exist(db)? {
        return Ok(());
    }
    db.execute("DELETE FROM files.part WHERE file NOT IN (SELECT id FROM main.file)", []).map(drop)
}

/// Whether there ever was a file.
fn exist(db: &Connection) -> Result<bool> {
    db.prepare_cached("SELECT EXISTS (SELECT 1 FROM files.sqlite_master WHERE name = 'part')")?
        .query_row([], |row| row.get(0))
}
