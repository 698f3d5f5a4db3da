//! The device's database in the browser's private file system (OPFS), under SQLite's own file layer.

use client::{Database, DatabaseError, DatabaseKey};
use sqlite_wasm_rs::WasmOsCallback;
use sqlite_wasm_vfs::sahpool::{OpfsSAHError, OpfsSAHPoolCfgBuilder, install};
use std::path::Path;

/// Everything of ours stands in this folder of the origin's.
const FOLDER: &str = "mifeng";
const FILE: &str = "device.db";
/// Two databases, a write-ahead log, rollback journals, and room.
const FILES_MAX: usize = 8;

/// Why there is no database.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The browser gives no files to write in, or another tab or window holds them.
    #[error("the browser's private file system is not available, or in use by another tab")]
    Files(#[source] OpfsSAHError),
    /// The files are there, and the database is not.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// Opens this origin's database, or makes it. Every file is held exclusively until the worker ends, so that two tabs
/// cannot both write, whatever they have agreed on.
///
/// # Errors
/// [`StorageError`]; a database that the key does not open is left as it was.
pub async fn open_database(key: &DatabaseKey) -> Result<Database, StorageError> {
    let pool = OpfsSAHPoolCfgBuilder::new().directory(FOLDER).vfs_name(FOLDER).initial_capacity(FILES_MAX).build();
    install::<WasmOsCallback>(&pool, true).await.map_err(StorageError::Files)?;
    Ok(Database::open(Path::new(FILE), key)?)
}
