//! What the writer does about an SQLite file between batches: move the write-ahead log into it, and decide after a failure
//! whether it may be written to again.

use super::Home;
use crate::link::Link;
use crate::writer::Shared;
use crate::{Cause, Error, Health};
use rusqlite::ErrorCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Pages in the write-ahead log after which they are moved into the database: 16 MiB.
const CHECKPOINT_PAGES: u32 = 4_096;
/// Pages after which the writer waits for readers so that the log can start anew: 256 MiB.
const RESTART_PAGES: u32 = 65_536;
/// How often a full disk is tried again.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// Keeps one file. The directory stays ours until this is dropped.
pub(crate) struct Keeper {
    home: Home,
    max_bytes: Option<u64>,
    wal_pages: Arc<AtomicU32>,
}

impl Keeper {
    pub(super) fn new(home: Home, link: &mut Link, max_bytes: Option<u64>) -> Result<Self, Error> {
        let keeper = Self { home, max_bytes, wal_pages: Arc::default() };
        keeper.watch_log(link)?;
        Ok(keeper)
    }

    /// How long the writer may wait for work.
    pub(crate) fn patience(&self, health: Health) -> Option<Duration> {
        (health == Health::Full).then_some(PROBE_EVERY)
    }

    /// Moves the log's pages into the database when there are many, after the answers are out.
    pub(crate) fn checkpoint(&mut self, link: &mut Link, shared: &Shared) {
        let pages = self.wal_pages.load(Ordering::Relaxed);
        if pages < CHECKPOINT_PAGES || shared.health() == Health::Failed {
            return;
        }
        let text =
            if pages < RESTART_PAGES { "pragma wal_checkpoint(passive)" } else { "pragma wal_checkpoint(restart)" };
        match pragma(link, text) {
            Ok(()) => {
                self.wal_pages.store(0, Ordering::Relaxed);
                shared.checkpoints.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                self.recover(link, shared, error);
            }
        }
    }

    /// The next start then finds an empty log. If it fails, that start does the work.
    pub(crate) fn close(&self, link: &Link) {
        let _ = pragma(link, "pragma wal_checkpoint(truncate)");
    }

    /// After a batch that was undone because of the storage. Returns what its jobs are told.
    pub(crate) fn recover(&mut self, link: &mut Link, shared: &Shared, error: Error) -> Error {
        if link.is_in_transaction() {
            // If the rollback fails too, dropping the connection undoes it.
            let _ = link.script("rollback");
        }
        let cause = match &error {
            Error::Unavailable(Some(cause)) | Error::Statement(cause) | Error::Corrupt(cause) => Some(cause.clone()),
            _ => None,
        };
        if cause.as_ref().is_some_and(|cause| cause.is(ErrorCode::DiskFull)) {
            tracing::error!("the storage is full; writes are refused until there is room");
            shared.set_health(Health::Full);
            self.reopen(link);
        } else if !cause.as_ref().is_some_and(passes) {
            tracing::error!(%error, cause = cause.as_ref().map(tracing::field::display), "the storage failed; nothing more is written until a restart");
            shared.set_health(Health::Failed);
        }
        match error {
            corrupt @ Error::Corrupt(_) => corrupt,
            _ => Error::Unavailable(cause),
        }
    }

    fn reopen(&self, link: &mut Link) {
        match super::open_writer(&self.home.file(), self.max_bytes) {
            Ok(connection) => {
                *link = Link::Sqlite(connection);
                if self.watch_log(link).is_err() {
                    tracing::error!("the size of the write-ahead log cannot be watched");
                }
            }
            Err(error) => tracing::error!(%error, "the database cannot be opened again yet"),
        }
    }

    fn watch_log(&self, link: &mut Link) -> Result<(), Error> {
        let Link::Sqlite(connection) = link else { return Ok(()) };
        let pages = Arc::clone(&self.wal_pages);
        Ok(connection.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, len| {
            pages.store(u32::try_from(len).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))?)
    }
}

fn pragma(link: &Link, text: &str) -> Result<(), Error> {
    let Link::Sqlite(connection) = link else { return Ok(()) };
    Ok(connection.query_row(text, [], |_| Ok(()))?)
}

/// Failures after which the same connection may go on: somebody's tool held a lock for too long.
fn passes(cause: &Cause) -> bool {
    cause.is(ErrorCode::DatabaseBusy) || cause.is(ErrorCode::DatabaseLocked)
}
