//! The device's own database: SQLCipher, one file, one connection. A file per entity; every function takes the
//! transaction that its caller has begun, so that a message, the ratchet that opened it and the cursor commit together.

pub(crate) mod account;
pub(crate) mod archive;
pub(crate) mod contact;
pub(crate) mod conversation;
pub(crate) mod device;
mod erasable;
pub(crate) mod expiry;
pub(crate) mod file;
pub(crate) mod key_package;
pub(crate) mod link;
pub(crate) mod local;
pub(crate) mod message;
pub(crate) mod meta;
pub(crate) mod mls;
pub(crate) mod outbox;
pub(crate) mod page;
pub(crate) mod part;
pub(crate) mod raw;
pub(crate) mod search;
pub(crate) mod setting;
pub(crate) mod verified;

pub use conversation::ConversationState;
pub use message::{MessageRow, MessageState};
pub use page::Place as LinePlace;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};
use std::path::Path;
use vault::{DatabaseKey, Entropy};
use wire::sabotage::{Defence, stands};
use zeroize::Zeroizing;

/// Why the device's database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// Another key, or a file that is not a database of ours. Nothing was changed.
    #[error("the key does not open the database, or the file is damaged")]
    WrongKey,
    /// A page does not authenticate, or the structure is broken.
    #[error("the database is damaged")]
    Damaged,
    /// It was written by a later version of the program.
    #[error("the database is of a later version ({found}; this program knows {known})")]
    TooNew {
        /// The file's version.
        found: u32,
        /// The latest that this program knows.
        known: u32,
    },
    /// Another process has it open.
    #[error("the database is in use by another process")]
    Busy,
    /// The disk is full; nothing was changed.
    #[error("the disk is full")]
    Full,
    /// Anything else.
    #[error("the database failed")]
    Sqlite(#[source] rusqlite::Error),
}

impl From<rusqlite::Error> for DatabaseError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::WrongKey,
            Some(ErrorCode::DatabaseCorrupt) => Self::Damaged,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            Some(ErrorCode::DiskFull) => Self::Full,
            _ => Self::Sqlite(error),
        }
    }
}

/// A row holds what this program would not have written.
pub(crate) fn damaged() -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT), None)
}

/// Numbered migrations; the file's `user_version` says how many have run.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_first.sql"),
    include_str!("migrations/0002_devices.sql"),
    include_str!("migrations/0003_expiry.sql"),
    include_str!("migrations/0004_restores.sql"),
    include_str!("migrations/0005_unreadable.sql"),
    include_str!("migrations/0006_erasable.sql"),
    include_str!("migrations/0007_local.sql"),
    include_str!("migrations/0008_files.sql"),
    include_str!("migrations/0009_archive.sql"),
];

/// More than there are: preparing one takes longer than most of them run.
const STATEMENTS_KEPT: usize = 256;

/// The device's database, open.
pub struct Database {
    connection: Connection,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").finish_non_exhaustive()
    }
}

impl Database {
    /// Opens the file, or makes it, and brings it up to this version.
    ///
    /// # Errors
    /// [`DatabaseError`]; a file that the key does not open is left as it was.
    pub fn open(path: &Path, key: &DatabaseKey) -> Result<Self, DatabaseError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        if cfg!(target_family = "wasm") {
            // A browser's files have no shared memory: the log's index is kept in this connection, which is the only one. It
            // has to know before it reads the first page.
            connection.execute_batch("PRAGMA locking_mode = EXCLUSIVE;")?;
        }
        unlock(&connection, key)?;
        connection.execute_batch(
            "PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 2000; PRAGMA temp_store = MEMORY;
             PRAGMA trusted_schema = OFF;",
        )?;
        connection.pragma_update(None, "secure_delete", stands(Defence::SecureDelete))?;
        connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get::<_, String>(0))?;
        part::attach(&connection, path, key)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
        // Else SQLite compiles a kept statement anew whenever another limit is bound.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        let mut database = Self { connection };
        database.migrate()?;
        // A process that was killed has left some.
        database.drop_old_pages()?;
        Ok(database)
    }

    /// Begins a transaction that may write. The database of files is locked only by those that come to it: to lock both, as an
    /// immediate transaction does, costs every turn.
    pub(crate) fn begin(&mut self) -> Result<Transaction<'_>, DatabaseError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
        transaction.prepare_cached("DELETE FROM main.meta WHERE 0")?.execute([])?;
        Ok(transaction)
    }

    pub(crate) const fn reader(&self) -> &Connection {
        &self.connection
    }

    /// A database as a version before this one left it.
    #[cfg(test)]
    pub(crate) fn of_version(path: &Path, key: &DatabaseKey, version: usize) -> Result<Connection, DatabaseError> {
        let connection = Connection::open(path)?;
        unlock(&connection, key)?;
        connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get::<_, String>(0))?;
        MIGRATIONS.iter().take(version).try_for_each(|migration| connection.execute_batch(migration))?;
        connection.pragma_update(None, "user_version", u32::try_from(version).unwrap_or(u32::MAX))?;
        Ok(connection)
    }

    fn migrate(&mut self) -> Result<(), DatabaseError> {
        let known = u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX);
        let found: u32 = self.connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if found > known {
            return Err(DatabaseError::TooNew { found, known });
        }
        for (number, migration) in (1..=known).zip(MIGRATIONS).skip(found as usize) {
            let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
            transaction.execute_batch(migration)?;
            transaction.pragma_update(None, "user_version", number)?;
            transaction.commit()?;
        }
        let transaction = self.begin()?;
        search::fill_if_outdated(&transaction)?;
        Ok(transaction.commit()?)
    }

    /// Seals what an earlier version has stored in the clear, and leaves nothing of it.
    pub(crate) fn seal_plain(&mut self, entropy: &mut dyn Entropy) -> Result<(), DatabaseError> {
        let transaction = self.begin()?;
        let had_any = mls::seal_plain(&transaction, entropy)?;
        transaction.commit()?;
        if had_any {
            self.drop_old_pages()?;
        }
        Ok(())
    }

    /// Drops the write-ahead log, where the pages of what was deleted may still stand as they were; `false` when something
    /// is still reading them.
    pub(crate) fn drop_old_pages(&self) -> Result<bool, DatabaseError> {
        if !stands(Defence::OldPages) {
            return Ok(true);
        }
        Ok(self
            .connection
            .query_row("PRAGMA main.wal_checkpoint(TRUNCATE)", [], |row| Ok(row.get::<_, i64>(0)? == 0))?)
    }
}

/// Hands SQLCipher the raw key and reads one page, which fails if the key is another.
fn unlock(connection: &Connection, key: &DatabaseKey) -> Result<(), DatabaseError> {
    let mut pragma = Zeroizing::new(String::with_capacity(128));
    pragma.push_str("PRAGMA key = \"");
    pragma.push_str(&raw_key(key));
    pragma.push_str("\";");
    connection.execute_batch(&pragma)?;
    connection.execute_batch("PRAGMA cipher_memory_security = ON;")?;
    connection.query_row("SELECT count(*) FROM sqlite_master", [], |_| Ok(()))?;
    Ok(())
}

/// A key as SQLCipher takes it, without stretching it.
fn raw_key(key: &DatabaseKey) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(72));
    text.push_str("x'");
    key.expose().iter().for_each(|byte| push_hex(&mut text, *byte));
    text.push('\'');
    text
}

fn push_hex(text: &mut String, byte: u8) {
    for nibble in [byte >> 4, byte & 15] {
        text.push(char::from(b"0123456789abcdef"[usize::from(nibble)]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Counter;

    fn key() -> DatabaseKey {
        DatabaseKey::generate(&mut Counter::default())
    }

    #[test]
    fn it_opens_again_with_its_key_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("device.db");
        drop(Database::open(&path, &key()).unwrap());
        let before = std::fs::read(&path).unwrap();
        let other = DatabaseKey::from_bytes([9; 32]);
        assert!(matches!(Database::open(&path, &other), Err(DatabaseError::WrongKey)));
        assert_eq!(std::fs::read(&path).unwrap(), before);
        Database::open(&path, &key()).unwrap();
    }

    #[test]
    fn what_is_no_database_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("device.db");
        let bytes = vec![0x5a; 20_000];
        std::fs::write(&path, &bytes).unwrap();
        assert!(matches!(Database::open(&path, &key()), Err(DatabaseError::WrongKey)));
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }

    #[test]
    fn a_changed_page_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("device.db");
        drop(Database::open(&path, &key()).unwrap());
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let opened = Database::open(&path, &key());
        let checked = opened.and_then(|database| {
            let integrity = "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'";
            let faults: u32 = database.reader().query_row(integrity, [], |row| row.get(0))?;
            if faults == 0 { Ok(()) } else { Err(DatabaseError::Damaged) }
        });
        assert!(checked.is_err());
    }

    #[test]
    fn a_later_version_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("device.db");
        let database = Database::open(&path, &key()).unwrap();
        database.connection.pragma_update(None, "user_version", 99).unwrap();
        drop(database);
        assert!(matches!(Database::open(&path, &key()), Err(DatabaseError::TooNew { found: 99, .. })));
    }

    #[test]
    fn a_database_of_the_first_version_is_brought_up_with_its_words() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("device.db");
        let connection = Database::of_version(&path, &key(), 1).unwrap();
        connection
            .execute_batch(
                "INSERT INTO conversation (id, state, kind, entry_hash) VALUES (x'01', 2, 0, x'00');
                 INSERT INTO search (rowid, words) VALUES (7, 'old');",
            )
            .unwrap();
        let sql = "INSERT INTO message (id, conversation, generation, device, at, state, kind, line, content)
                   VALUES (7, x'01', 0, x'02', 5, 1, 1, 1, ?)";
        connection.execute(sql, [crate::content::Content::text("北京 hello", 5).to_bytes()]).unwrap();
        drop(connection);
        for _ in 0..2 {
            let database = Database::open(&path, &key()).unwrap();
            assert_eq!(search::find(database.reader(), "北京", 9).unwrap(), [7]);
            search::remove(database.reader(), 99, "北京").unwrap();
        }
    }

    #[test]
    fn the_list_of_conversations_reads_no_history() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&folder.path().join("device.db"), &key()).unwrap();
        for (sql, index) in
            [(message::UNDECRYPTABLE, "message_unreadable"), (expiry::PENDING_TIMER, "message_unrecorded")]
        {
            let sql = format!("EXPLAIN QUERY PLAN {sql}");
            let plan: String =
                database.reader().query_row(&sql, [[0; 16].as_slice()], |row| row.get("detail")).unwrap();
            assert!(plan.contains(index), "{plan}");
        }
    }

    #[test]
    fn a_kept_statement_is_compiled_once() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&folder.path().join("device.db"), &key()).unwrap();
        let sql = "SELECT count(*) FROM (SELECT 1 FROM message LIMIT ?)";
        let mut statement = database.reader().prepare(sql).unwrap();
        for limit in 1..10 {
            statement.query_row([limit], |row| row.get::<_, i64>(0)).unwrap();
        }
        assert_eq!(statement.get_status(rusqlite::StatementStatus::RePrepare), 0);
    }

    #[test]
    fn nothing_readable_is_on_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("device.db");
        let database = Database::open(&path, &key()).unwrap();
        let canary = b"canary-3f9c".as_slice();
        database.connection.execute("INSERT INTO meta VALUES ('canary', ?1)", [canary]).unwrap();
        let files = std::fs::read_dir(folder.path()).unwrap().map(|file| std::fs::read(file.unwrap().path()).unwrap());
        let (mut bytes, mut found) = (0, 0);
        for file in files {
            bytes += file.len();
            found += usize::from(file.windows(canary.len()).any(|window| window == canary));
            found += usize::from(file.windows(6).any(|window| window == b"SQLite"));
        }
        assert!(bytes > 10_000);
        assert_eq!(found, 0);
    }
}
