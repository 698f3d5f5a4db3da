//! What can go wrong. Texts hold no values of rows and no SQL.

use rusqlite::ErrorCode as Code;
use std::{fmt, path::PathBuf, sync::Arc};
use tokio_postgres::error::SqlState;

/// Why a read or a write did not happen. After an error of a write nothing of it is in the database, but for
/// [`Error::Unavailable`].
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The storage is full, failing or out of reach. Nothing was acknowledged, and whether it was written is not known; a
    /// repeat with the same idempotency key is safe.
    #[error("the storage is full, failing or out of reach")]
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
        let cause = Cause(Arc::new(Said::Sqlite(error)));
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

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        // The first two characters are the class (PostgreSQL's appendix A).
        let code = error.code().map(|state| state.code().to_owned());
        let cause = Cause::postgres(error);
        match code.as_deref().and_then(|code| Some((code.get(..2)?, code))) {
            // Integrity constraint violation.
            Some(("23", _)) => Self::Constraint(cause),
            // Data or index corrupted.
            Some((_, "XX001" | "XX002")) => Self::Corrupt(cause),
            // Connection, transaction rollback (deadlock, serialization), resources, operator intervention, system error;
            // a standby; a lock or a transaction that took too long; and whatever is not an answer of the database.
            Some(("08" | "40" | "53" | "57" | "58", _) | (_, "25006" | "25P03" | "25P04" | "55P03")) | None => {
                Self::Unavailable(Some(cause))
            }
            Some(_) => Self::Statement(cause),
        }
    }
}

/// What the SQL library said.
#[derive(Clone)]
pub struct Cause(Arc<Said>);

enum Said {
    Sqlite(rusqlite::Error),
    Postgres(tokio_postgres::Error),
    Deadline,
}

impl Cause {
    /// The database did not answer in time.
    pub(crate) fn deadline() -> Self {
        Self(Arc::new(Said::Deadline))
    }

    pub(crate) fn is(&self, code: Code) -> bool {
        matches!(&*self.0, Said::Sqlite(error) if error.sqlite_error_code() == Some(code))
    }

    /// What PostgreSQL calls it; nothing when it was not PostgreSQL that spoke.
    pub(crate) fn sql_state(&self) -> Option<&SqlState> {
        match &*self.0 {
            Said::Postgres(error) => error.code(),
            _ => None,
        }
    }

    fn postgres(error: tokio_postgres::Error) -> Self {
        Self(Arc::new(Said::Postgres(error)))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Said::Sqlite(error) => match error.sqlite_error() {
                Some(error) => error.fmt(f),
                // Its other texts are about the statement's shape; they hold SQL, which is ours, and no values.
                None => error.fmt(f),
            },
            Said::Postgres(error) => match error.as_db_error() {
                // Neither message nor detail: both may quote values.
                Some(said) => {
                    write!(f, "SQLSTATE {}", said.code().code())?;
                    said.constraint().map_or(Ok(()), |constraint| write!(f, " ({constraint})"))
                }
                None => match std::error::Error::source(error) {
                    Some(source) => write!(f, "{error}: {source}"),
                    None => error.fmt(f),
                },
            },
            Said::Deadline => f.write_str("no answer in time"),
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
    /// The program is newer than the schema, and was given nobody who may change it.
    #[error(
        "the database has schema {found}, this program needs schema {needed}: give it a migration role (store.migration_user) once"
    )]
    OlderSchema {
        /// In the database.
        found: u32,
        /// What this program needs.
        needed: u32,
    },
    /// The connection string, or a file that it needs, cannot be used.
    #[error("the PostgreSQL database cannot be reached as configured: {0}")]
    Address(String),
    /// PostgreSQL, or our role there, is not set up as it has to be.
    #[error("the PostgreSQL database is not safe to use: {0}")]
    Unsafe(String),
    /// Another process serves this database.
    #[error("the database is in use by {owner}: one process serves a database, stop that one first")]
    Served {
        /// Who, as far as it is known.
        owner: String,
    },
    /// The root key opens nothing in this database.
    #[error("the root key does not belong to this database: use the one it was made with")]
    WrongRootKey,
    /// The storage failed while it was opened.
    #[error("the database cannot be opened")]
    Storage(#[from] Error),
}

impl From<tokio_postgres::Error> for OpenError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Storage(error.into())
    }
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Storage(error.into())
    }
}
