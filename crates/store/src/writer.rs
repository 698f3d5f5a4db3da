//! The one writer: group commit.
//!
//! It takes everything that waits, runs each job inside one transaction, commits once and then tells every job. Jobs of one
//! batch see each other's changes, in the order in which they came.
//!
//! - A job that returns an error or panics is undone alone, by a savepoint; its neighbours do not notice. Appending to a log
//!   has no savepoint, which would copy every page that it changes: it decides before it writes, and should it fail after
//!   that, the batch is undone with it.
//! - When the storage itself fails, in a job or at the commit, the whole batch is undone and every job of it gets
//!   [`Error::Unavailable`]. Nothing of it was acknowledged, so nothing acknowledged is lost.
//! - After a full disk the connection is opened anew, and a small write is tried every second until one is committed.
//! - After a failed write or fsync, or a damaged page, nothing more is ever written by this process: what the kernel holds
//!   then is not known to be what the disk holds. Restarting replays the log as it is on the disk.

use crate::database::Health;
use crate::keys::Keys;
use crate::queue::{Queue, Taken};
use crate::session::Session;
use crate::sql::{Sql, sql, values};
use crate::sqlite::Home;
use crate::{Error, sqlite};
use rusqlite::Connection;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Pages in the write-ahead log after which they are moved into the database: 16 MiB.
const CHECKPOINT_PAGES: u32 = 4_096;
/// Pages after which the writer waits for readers so that the log can start anew: 256 MiB.
const RESTART_PAGES: u32 = 65_536;
/// How often a full disk is tried again.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// Something that waits for the writer.
pub(crate) trait Job: Send {
    /// Whether it may fail after it has written something, so that a savepoint must undo it.
    fn needs_savepoint(&self) -> bool {
        true
    }
    /// Does its work, and says whether it is to be kept.
    fn run(&mut self, session: &Session) -> bool;
    /// Tells whoever waits: `Ok` when the commit that covers the job, or its undoing, is done.
    fn finish(self: Box<Self>, committed: Result<(), Error>);
}

/// What the threads of a database share.
pub(crate) struct Shared {
    pub(crate) queue: Queue<Box<dyn Job>>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) batches: AtomicU64,
    pub(crate) jobs: AtomicU64,
    pub(crate) undone: AtomicU64,
    pub(crate) failed_batches: AtomicU64,
    pub(crate) largest_batch: AtomicU64,
    pub(crate) checkpoints: AtomicU64,
    pub(crate) health: AtomicU8,
    /// Called after the callbacks of each batch.
    pub(crate) after_batch: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl Shared {
    pub(crate) fn set_health(&self, health: Health) {
        self.health.store(health as u8, Ordering::Release);
    }

    pub(crate) fn health(&self) -> Health {
        Health::from_number(self.health.load(Ordering::Acquire))
    }
}

pub(crate) struct Writer {
    shared: Arc<Shared>,
    session: Session,
    file: PathBuf,
    max_bytes: Option<u64>,
    batch_max: usize,
    wal_pages: Arc<AtomicU32>,
}

/// Why a batch was undone.
enum Fault {
    /// The storage failed.
    Storage(Error),
    /// A job without a savepoint failed after it had written something.
    Job,
}

impl Writer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        connection: Connection,
        file: PathBuf,
        max_bytes: Option<u64>,
        batch_max: usize,
    ) -> Result<Self, Error> {
        let session = Session::new(connection, Arc::clone(&shared.keys));
        let mut writer = Self { shared, session, file, max_bytes, batch_max, wal_pages: Arc::default() };
        writer.watch_log()?;
        Ok(writer)
    }

    /// Works until the queue is closed and empty. The directory stays ours until then.
    pub(crate) fn run(mut self, _home: &Home) {
        let mut batch = Vec::new();
        loop {
            let patience = (self.shared.health() == Health::Full).then_some(PROBE_EVERY);
            match self.shared.queue.take(&mut batch, self.batch_max, patience) {
                Taken::Some => {
                    // On a core that is busy, who filled the queue has more: it comes into this batch, not into one of its own.
                    std::thread::yield_now();
                    self.shared.queue.top_up(&mut batch, self.batch_max);
                    self.commit(&mut batch);
                }
                Taken::Nothing => self.probe(),
                Taken::Closed => break,
            }
            self.checkpoint();
        }
        if self.shared.health() != Health::Failed {
            // The next start then finds an empty log. If it fails, that start does the work.
            let _ = self.session.connection.query_row("pragma wal_checkpoint(truncate)", [], |_| Ok(()));
        }
    }

    fn commit(&mut self, batch: &mut Vec<Box<dyn Job>>) {
        let jobs = batch.len() as u64;
        let outcome = if self.shared.health() == Health::Failed {
            Err(Fault::Storage(Error::Unavailable(None)))
        } else {
            self.transact(batch)
        };
        let changes = self.session.changes.take();
        let committed = match outcome {
            Ok(()) => {
                self.shared.keys.apply(changes.into_iter());
                self.shared.batches.fetch_add(1, Ordering::Relaxed);
                self.shared.jobs.fetch_add(jobs, Ordering::Relaxed);
                self.shared.largest_batch.fetch_max(jobs, Ordering::Relaxed);
                Ok(())
            }
            Err(fault) => {
                self.shared.failed_batches.fetch_add(1, Ordering::Relaxed);
                Err(self.recover(fault))
            }
        };
        for job in batch.drain(..) {
            let committed = committed.clone();
            // What the callbacks do is theirs; a panic in one must not end the writer.
            if catch_unwind(AssertUnwindSafe(|| job.finish(committed))).is_err() {
                tracing::error!("a callback of a write panicked");
            }
        }
        if let Some(after_batch) = self.shared.after_batch.get() {
            after_batch();
        }
    }

    fn transact(&mut self, batch: &mut [Box<dyn Job>]) -> Result<(), Fault> {
        self.session.fault.take();
        self.statement(sql!("begin immediate"))?;
        // One job alone needs no savepoint: undoing it is undoing the transaction.
        let is_alone = batch.len() == 1;
        for job in batch {
            if job.needs_savepoint() {
                self.write_tails()?;
            }
            self.run_job(job.as_mut(), is_alone)?;
        }
        self.write_tails()?;
        if self.session.connection.is_autocommit() {
            return Ok(());
        }
        self.statement(sql!("commit"))?;
        if self.shared.health() == Health::Full {
            tracing::info!("the storage takes writes again");
            self.shared.set_health(Health::Ready);
        }
        Ok(())
    }

    fn run_job(&self, job: &mut dyn Job, is_alone: bool) -> Result<(), Fault> {
        let guarded = !is_alone && job.needs_savepoint();
        if guarded {
            self.statement(sql!("savepoint job"))?;
        }
        let rows = self.session.connection.total_changes();
        let changes = self.session.changes.borrow().len();
        // The job's own state is not used after a panic but to tell its owner.
        let kept = catch_unwind(AssertUnwindSafe(|| job.run(&self.session))).unwrap_or(false);
        if let Some(fault) = self.session.fault.take() {
            return Err(Fault::Storage(fault));
        }
        if kept {
            return if guarded { self.statement(sql!("release job")) } else { Ok(()) };
        }
        self.shared.undone.fetch_add(1, Ordering::Relaxed);
        self.session.changes.borrow_mut().truncate(changes);
        if guarded {
            self.statement(sql!("rollback to job"))?;
            self.statement(sql!("release job"))
        } else if is_alone {
            self.statement(sql!("rollback"))
        } else if self.session.connection.total_changes() == rows {
            Ok(())
        } else {
            Err(Fault::Job)
        }
    }

    fn write_tails(&self) -> Result<(), Fault> {
        self.session.write_tails().map_err(Fault::Storage)
    }

    fn statement(&self, sql: Sql) -> Result<(), Fault> {
        match self.session.execute(sql, values![]) {
            Ok(_) => Ok(()),
            Err(error) => Err(Fault::Storage(error)),
        }
    }

    /// Leaves the connection fit for the next batch, or the writer failed, and says what the jobs are told.
    fn recover(&mut self, fault: Fault) -> Error {
        self.session.fault.take();
        self.session.tails.take();
        if self.shared.health() == Health::Failed {
            return Error::Unavailable(None);
        }
        if !self.session.connection.is_autocommit() {
            // If the rollback fails too, dropping the connection undoes it.
            let _ = self.session.connection.execute_batch("rollback");
        }
        let Fault::Storage(error) = fault else {
            tracing::error!("a job failed after it had written; its batch was undone");
            return Error::Unavailable(None);
        };
        let cause = match &error {
            Error::Unavailable(Some(cause)) | Error::Statement(cause) | Error::Corrupt(cause) => Some(cause.clone()),
            _ => None,
        };
        if cause.as_ref().is_some_and(|cause| cause.is(rusqlite::ErrorCode::DiskFull)) {
            tracing::error!("the storage is full; writes are refused until there is room");
            self.shared.set_health(Health::Full);
            self.reopen();
        } else if !cause.as_ref().is_some_and(passes) {
            tracing::error!(%error, cause = cause.as_ref().map(tracing::field::display), "the storage failed; nothing more is written until a restart");
            self.shared.set_health(Health::Failed);
        }
        match error {
            corrupt @ Error::Corrupt(_) => corrupt,
            _ => Error::Unavailable(cause),
        }
    }

    fn reopen(&mut self) {
        match sqlite::open_writer(&self.file, self.max_bytes) {
            Ok(connection) => {
                self.session.connection = connection;
                if self.watch_log().is_err() {
                    tracing::error!("the size of the write-ahead log cannot be watched");
                }
            }
            Err(error) => tracing::error!(%error, "the database cannot be opened again yet"),
        }
    }

    /// Commits one changed row, to see whether the storage has room again.
    fn probe(&mut self) {
        struct Probe;
        impl Job for Probe {
            fn run(&mut self, session: &Session) -> bool {
                let text = sql!(
                    "insert into probes (tenant, count) values ($1, 1) on conflict (tenant) do update set count = probes.count + 1"
                );
                session.execute(text, values![[0u8; 16]]).is_ok()
            }
            fn finish(self: Box<Self>, _: Result<(), Error>) {}
        }
        self.commit(&mut vec![Box::new(Probe)]);
    }

    fn watch_log(&mut self) -> Result<(), Error> {
        let pages = Arc::clone(&self.wal_pages);
        Ok(self.session.connection.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, len| {
            pages.store(u32::try_from(len).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))?)
    }

    /// Moves the log's pages into the database when there are many, after the answers are out.
    fn checkpoint(&mut self) {
        let pages = self.wal_pages.load(Ordering::Relaxed);
        if pages < CHECKPOINT_PAGES || self.shared.health() == Health::Failed {
            return;
        }
        let text =
            if pages < RESTART_PAGES { "pragma wal_checkpoint(passive)" } else { "pragma wal_checkpoint(restart)" };
        match self.session.connection.query_row(text, [], |row| row.get::<_, i64>(1)) {
            Ok(_) => {
                self.wal_pages.store(0, Ordering::Relaxed);
                self.shared.checkpoints.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                self.recover(Fault::Storage(error.into()));
            }
        }
    }
}

/// Failures after which the same connection may go on: somebody's tool held a lock for too long.
fn passes(cause: &crate::Cause) -> bool {
    cause.is(rusqlite::ErrorCode::DatabaseBusy) || cause.is(rusqlite::ErrorCode::DatabaseLocked)
}
