//! What can go wrong. Texts hold no values of rows and no SQL.

use rusqlite::ErrorCode as Code;
use std::{fmt, path::PathBuf, sync::Arc};

/// Why a read or a write did not happen. After an error of a write nothing of it is in the database.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The disk is full or failing. Nothing was acknowledged; a repeat with the same idempotency key is safe.
    #[error("the storage is full or failing")]
    Unavailable(#[source] Option<Cause>),
    /// The bounded queue is full: try again later.
    #[error("too much waits for the storage")]
    Overloaded,
    /// The database is damaged. Nothing more is written.
    #[error("the database is damaged")]
    Corrupt(#[source] Cause),
    /// A stored value is not what its column holds.
    #[error("a stored value is not what its column holds")]
    Malformed,
    /// A sealed value was altered or moved, or its key is another.
    #[error("a sealed value cannot be used")]
    Sealed(#[from] keyring::Error),
    /// The key of the data was destroyed, or the data never existed.
    #[error("the key of this data does not exist")]
    KeyGone,
    /// A conversation's log has all the entries that its data key may seal.
    #[error("the log of this conversation is full")]
    LogFull,
    /// The change breaks a rule of the schema, such as naming a parent that does not exist.
    #[error("the change breaks a rule of the schema")]
    Constraint(#[source] Cause),
    /// The database refused a statement for another reason.
    #[error("the database refused a statement")]
    Statement(#[source] Cause),
    /// The job panicked. What it had written was undone.
    #[error("a job of the database panicked")]
    Panicked,
}

impl Error {
    /// The code with which a request that met this error is refused.
    pub const fn code(&self) -> wire::ErrorCode {
        match self {
            Self::Unavailable(_) => wire::ErrorCode::StorageUnavailable,
            Self::Overloaded => wire::ErrorCode::Overloaded,
            _ => wire::ErrorCode::Internal,
        }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        let code = error.sqlite_error_code();
        let cause = Cause(Arc::new(error));
        match code {
            Some(
                Code::DiskFull
                | Code::SystemIoFailure
                | Code::DatabaseBusy
                | Code::DatabaseLocked
                | Code::CannotOpen
                | Code::ReadOnly
                | Code::OutOfMemory,
            ) => Self::Unavailable(Some(cause)),
            Some(Code::DatabaseCorrupt | Code::NotADatabase) => Self::Corrupt(cause),
            Some(Code::ConstraintViolation) => Self::Constraint(cause),
            _ => Self::Statement(cause),
        }
    }
}

/// What the SQL library said.
#[derive(Clone)]
pub struct Cause(Arc<rusqlite::Error>);

impl Cause {
    pub(crate) fn is(&self, code: Code) -> bool {
        self.0.sqlite_error_code() == Some(code)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.sqlite_error() {
            Some(error) => error.fmt(f),
            // Its other texts are about the statement's shape; they hold SQL, which is ours, and no values.
            None => self.0.fmt(f),
        }
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Cause {}

/// Why a database cannot be opened. The text says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The directory cannot be made or entered.
    #[error("the data directory {directory} cannot be used")]
    Directory {
        /// Which.
        directory: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Another process has it.
    #[error("the data directory {directory} is in use by {owner}: stop that process, or choose another directory")]
    InUse {
        /// Which.
        directory: PathBuf,
        /// Who, as far as it is known.
        owner: String,
    },
    /// The file is damaged.
    #[error(
        "the database {file} is damaged ({finding}): stop, keep a copy of the whole directory, restore it from a backup"
    )]
    Corrupt {
        /// Which.
        file: PathBuf,
        /// What was found first.
        finding: String,
    },
    /// The file is not one of ours.
    #[error("{file} is not a database of this program")]
    Foreign {
        /// Which.
        file: PathBuf,
    },
    /// A later version wrote it.
    #[error("the database has schema {found}, this program knows schema {known}: start the newer program again")]
    NewerSchema {
        /// In the file.
        found: u32,
        /// In this program.
        known: u32,
    },
    /// A migration that was applied differs from the one that this program has.
    #[error("migration {0} of the database is not the one that this program has: use the program that made it")]
    OtherMigration(u32),
    /// The root key opens nothing in this database.
    #[error("the root key does not belong to this database: use the one it was made with")]
    WrongRootKey,
    /// The storage failed while it was opened.
    #[error("the database cannot be opened")]
    Storage(#[from] Error),
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Storage(error.into())
    }
}
