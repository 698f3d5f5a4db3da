//! Opening SQLite: the owner's lock, the pragmas, the checks.

mod keeper;

pub(crate) use keeper::Keeper;

use crate::link::Link;
use crate::{Error, OpenError, migration};
use rusqlite::{Connection, OpenFlags, config::DbConfig};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

/// Marks the file as ours (`PRAGMA application_id`): "Mfng".
const APPLICATION_ID: i32 = 0x4d66_6e67;
/// How long to wait for a lock that somebody's tool holds.
const BUSY_TIMEOUT_MS: u64 = 5_000;
/// A smaller file is checked whole before it is used: that takes less than a tenth of a second.
pub(crate) const CHECKED_AT_OPEN_BYTES: u64 = 32 << 20;
/// A smaller file is checked whole while it is used. The check is one long read, during which the write-ahead log cannot
/// start anew; for larger files that would be too long.
pub(crate) const CHECKED_IN_BACKGROUND_BYTES: u64 = 1 << 30;
/// Statements that a connection keeps prepared; there are about as many in the program.
const STATEMENTS: usize = 192;
/// Pages that the writer keeps in memory. They should hold what one batch changes; a larger batch takes more for its time.
const WRITER_CACHE_KIB: i64 = 8_192;
/// A write-ahead log that grew larger is cut back to this size when it starts anew.
const WAL_KEPT_BYTES: i64 = 64 << 20;

/// Which directory, and the lock that makes it ours until this is dropped.
pub(crate) struct Home {
    directory: PathBuf,
    _lock: File,
}

impl Home {
    /// Takes the directory, making it if there is none.
    pub(crate) fn take(directory: &Path) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Directory { directory: directory.to_owned(), source };
        std::fs::create_dir_all(directory).map_err(failed)?;
        let path = directory.join("owner.lock");
        let mut options = OpenOptions::new();
        let mut lock = options.read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::InUse { directory: directory.to_owned(), owner: owner(&mut lock) });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        // Who holds the lock is for people; the lock itself is the kernel's and dies with the process.
        let noted = lock.set_len(0).and_then(|()| write!(lock, "process {}", std::process::id()));
        noted.map_err(failed)?;
        Ok(Self { directory: directory.to_owned(), _lock: lock })
    }

    pub(crate) fn file(&self) -> PathBuf {
        file(&self.directory)
    }
}

/// The database of a directory.
pub(crate) fn file(directory: &Path) -> PathBuf {
    directory.join("mifeng.db")
}

fn owner(lock: &mut File) -> String {
    let mut text = String::new();
    let read = lock.rewind().and_then(|()| lock.take(64).read_to_string(&mut text));
    if read.is_ok() && !text.is_empty() { text } else { "another process".into() }
}

/// Opens the writer's connection, checks a small file and brings the schema up to date. Says how large the file is.
pub(crate) fn open_first(home: Home, max_bytes: Option<u64>) -> Result<(Link, Keeper, u64), OpenError> {
    let file = home.file();
    let (connection, bytes) = open_checked(&file, max_bytes)?;
    let mut link = Link::Sqlite(connection);
    match migration::migrate_sqlite(&link) {
        Err(OpenError::Storage(Error::Corrupt(cause))) => {
            return Err(OpenError::Corrupt { file, finding: cause.to_string() });
        }
        other => other?,
    }
    let keeper = Keeper::new(home, &mut link, max_bytes)?;
    Ok((link, keeper, bytes))
}

fn open_checked(file: &Path, max_bytes: Option<u64>) -> Result<(Connection, u64), OpenError> {
    let bytes = std::fs::metadata(file).map_or(0, |file| file.len());
    let told = |error: rusqlite::Error| match Error::from(error) {
        Error::Corrupt(cause) => OpenError::Corrupt { file: file.to_owned(), finding: cause.to_string() },
        other => OpenError::Storage(other),
    };
    let mut connection = Connection::open_with_flags(file, flags() | OpenFlags::SQLITE_OPEN_CREATE).map_err(told)?;
    restrict(file);
    let id: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(told)?;
    let is_empty = bytes == 0 && !exists_wal(file);
    if is_empty {
        connection.pragma_update(None, "application_id", APPLICATION_ID).map_err(told)?;
    } else if id != APPLICATION_ID {
        return Err(OpenError::Foreign { file: file.to_owned() });
    }
    set_up_writer(&mut connection, max_bytes).map_err(told)?;
    if bytes < CHECKED_AT_OPEN_BYTES {
        whole_check(&connection, file)?;
    }
    Ok((connection, bytes))
}

/// Opens the writer's connection again, after the storage failed.
pub(crate) fn open_writer(file: &Path, max_bytes: Option<u64>) -> Result<Connection, Error> {
    let mut connection = Connection::open_with_flags(file, flags())?;
    set_up_writer(&mut connection, max_bytes)?;
    Ok(connection)
}

/// Opens a connection that cannot write.
pub(crate) fn open_reader(file: &Path) -> Result<Connection, Error> {
    let connection = Connection::open_with_flags(file, flags())?;
    set_up(&connection)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// Reads every page and compares indexes with tables.
pub(crate) fn whole_check(connection: &Connection, file: &Path) -> Result<(), OpenError> {
    let corrupt = |finding: String| OpenError::Corrupt { file: file.to_owned(), finding };
    match connection.query_row("pragma quick_check(1)", [], |row| row.get::<_, String>(0)) {
        Ok(finding) if finding == "ok" => Ok(()),
        Ok(finding) => Err(corrupt(finding)),
        Err(error) => match Error::from(error) {
            Error::Corrupt(cause) => Err(corrupt(cause.to_string())),
            other => Err(OpenError::Storage(other)),
        },
    }
}

fn flags() -> OpenFlags {
    // One thread per connection, hence no mutex.
    OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(std::time::Duration::from_millis(BUSY_TIMEOUT_MS))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // Else SQLite compiles a statement anew whenever a value is bound that might have led to another plan.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "temp_store", "memory")
}

fn set_up_writer(connection: &mut Connection, max_bytes: Option<u64>) -> rusqlite::Result<()> {
    set_up(connection)?;
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    // FULL syncs the log before a commit returns: an answer is a promise.
    connection.pragma_update(None, "synchronous", "full")?;
    // Off: freed pages keep what they held. Everything in them that is not public is sealed, destroyed keys are overwritten
    // before their rows are deleted (entity/tenant.rs), and `mifeng prove` finds its control value in free pages, which
    // shows that it looks there.
    connection.pragma_update_and_check(None, "secure_delete", false, |_| Ok(()))?;
    connection.pragma_update_and_check(None, "journal_size_limit", WAL_KEPT_BYTES, |_| Ok(()))?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    // Else pages of a large batch are written before its commit, and read again.
    connection.pragma_update(None, "cache_spill", false)?;
    // The writer checkpoints between batches, so that nobody's answer waits for it.
    connection.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
    if let Some(bytes) = max_bytes {
        let page: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
        connection.pragma_update_and_check(
            None,
            "max_page_count",
            i64::try_from(bytes).unwrap_or(i64::MAX) / page.max(1),
            |_| Ok(()),
        )?;
    }
    Ok(())
}

/// The database is nobody else's to read. What fails here fails again, and loudly, at the first write.
fn restrict(file: &Path) {
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        let _ = std::fs::set_permissions(file, mode);
    }
}

fn exists_wal(file: &Path) -> bool {
    let mut wal = file.as_os_str().to_owned();
    wal.push("-wal");
    std::fs::metadata(PathBuf::from(wal)).is_ok_and(|wal| wal.len() > 0)
}
