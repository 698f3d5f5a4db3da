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
//! - After a full disk a small write is tried every second until one is committed.
//! - SQLite: after a failed write or fsync, or a damaged page, nothing more is ever written by this process: what the kernel
//!   holds then is not known to be what the disk holds. Restarting replays the log as it is on the disk.
//! - PostgreSQL: when the connection is lost, whether the batch was committed is not known; a repeat with the same
//!   idempotency key finds out. The writer connects again by itself.

use crate::database::{Asked, Health};
use crate::keys::{Change, Keys};
use crate::link::Link;
use crate::queue::{Queue, Taken};
use crate::scope::Scope;
use crate::session::Session;
use crate::sql::{sql, values};
use crate::{Error, postgres, sqlite};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use wire::TenantId;

/// Something that waits for the writer.
pub(crate) trait Job: Send {
    /// Whose rows it reaches, and whether it only appends. Else it may fail after it has written something, so that a
    /// savepoint must undo it.
    fn asked(&self) -> Asked;
    /// Does its work, and says whether it is to be kept.
    fn run(&mut self, session: &Session) -> bool;
    /// It was undone, whatever it said.
    fn fail(&mut self, error: Error);
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
    pub(crate) reconnects: AtomicU64,
    pub(crate) health: AtomicU8,
    /// Called after the callbacks of each batch.
    pub(crate) after_batch: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl Shared {
    pub(crate) fn new(waiting_max: usize, keys: Keys) -> Self {
        Self {
            queue: Queue::new(waiting_max),
            keys: Arc::new(keys),
            batches: 0.into(),
            jobs: 0.into(),
            undone: 0.into(),
            failed_batches: 0.into(),
            largest_batch: 0.into(),
            checkpoints: 0.into(),
            reconnects: 0.into(),
            health: 0.into(),
            after_batch: OnceLock::new(),
        }
    }

    pub(crate) fn set_health(&self, health: Health) {
        self.health.store(health as u8, Ordering::Release);
    }

    pub(crate) fn health(&self) -> Health {
        Health::from_number(self.health.load(Ordering::Acquire))
    }
}

/// What is done for a database of each kind between batches.
pub(crate) enum Keeper {
    Sqlite(sqlite::Keeper),
    Postgres(postgres::Keeper),
}

pub(crate) struct Writer {
    shared: Arc<Shared>,
    session: Session,
    keeper: Keeper,
    batch_max: usize,
}

/// Why a batch was undone.
enum Fault {
    /// The storage failed.
    Storage(Error),
    /// A job without a savepoint failed after it had written something.
    Job,
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Storage(error)
    }
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>, session: Session, keeper: Keeper, batch_max: usize) -> Self {
        Self { shared, session, keeper, batch_max }
    }

    /// Works until the queue is closed and empty.
    pub(crate) fn run(mut self) {
        let mut batch = Vec::new();
        loop {
            let patience = self.keeper.patience(self.shared.health());
            let taken = self.shared.queue.take(&mut batch, self.batch_max, patience);
            if taken == Taken::Closed {
                break;
            }
            self.keeper.before(&self.session, &self.shared);
            match taken {
                Taken::Some => {
                    // On a core that is busy, who filled the queue has more: it comes into this batch, not into one of its own.
                    std::thread::yield_now();
                    self.shared.queue.top_up(&mut batch, self.batch_max);
                    self.commit(&mut batch);
                }
                _ if self.shared.health() == Health::Full => self.probe(),
                _ => self.keeper.ask(&self.session, &self.shared),
            }
            self.keeper.after(&mut self.session, &self.shared);
        }
        if let Keeper::Sqlite(keeper) = &self.keeper
            && self.shared.health() != Health::Failed
        {
            keeper.close(&self.session.link);
        }
    }

    fn commit(&mut self, batch: &mut Vec<Box<dyn Job>>) {
        let jobs = batch.len() as u64;
        let outcome = if matches!(self.shared.health(), Health::Failed | Health::Lost) {
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
                // It may have been committed all the same; what was to be forgotten is forgotten in either case.
                self.shared.keys.apply(changes.into_iter().filter(Change::is_safe_if_undone));
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
        self.session.link.begin()?;
        // One job alone needs no savepoint: undoing it is undoing the transaction.
        let is_alone = batch.len() == 1;
        match &self.session.link {
            Link::Sqlite(_) => {
                for job in batch {
                    let only_appends = job.asked().append.is_some();
                    if !only_appends {
                        self.session.write_tails()?;
                    }
                    self.run_job(job.as_mut(), !only_appends && !is_alone, is_alone)?;
                }
            }
            Link::Postgres(_) => self.run_by_tenant(batch, is_alone)?,
        }
        self.session.write_tails()?;
        if !self.session.link.is_in_transaction() {
            return Ok(());
        }
        self.session.link.commit()?;
        if self.shared.health() == Health::Full {
            tracing::info!("the storage takes writes again");
            self.shared.set_health(Health::Ready);
        }
        Ok(())
    }

    /// Each tenant's part of the batch together, in the order in which it came, so that the database is told once whose rows
    /// may be reached; and in it each run of appended entries together, so that what they look at is read once.
    fn run_by_tenant(&self, batch: &mut [Box<dyn Job>], is_alone: bool) -> Result<(), Fault> {
        let asked: Vec<Asked> = batch.iter().map(|job| job.asked()).collect();
        let mut order: Vec<usize> = (0..batch.len()).collect();
        order.sort_by_key(|index| asked.get(*index).map(|asked| asked.scope));
        let mut scope = None;
        let mut loaded = 0;
        for (place, index) in order.iter().enumerate() {
            let (Some(job), Some(now)) = (batch.get_mut(*index), asked.get(*index)) else { continue };
            if now.append.is_none() || scope != Some(now.scope) || self.session.tails.borrow().is_heavy() {
                self.session.write_tails()?;
                loaded = place;
            }
            scope = Some(now.scope);
            self.session.link.enter(now.scope);
            if now.append.is_some() && place >= loaded {
                let rest = order.iter().skip(place).filter_map(|index| asked.get(*index));
                loaded = place + self.load_run(now.scope, rest)?;
            }
            self.run_job(job.as_mut(), now.append.is_none() && !is_alone, is_alone)?;
        }
        Ok(())
    }

    /// Reads what the entries look at that are appended next, one after the other; returns how many that are.
    fn load_run<'a>(&self, scope: Scope, rest: impl Iterator<Item = &'a Asked>) -> Result<usize, Fault> {
        let run: Vec<_> = rest.map_while(|asked| asked.append.filter(|_| asked.scope == scope)).collect();
        if let (Some(tenant), true) = (scope.tenant(), run.len() > 1) {
            self.session.load_tails(tenant, run.iter().copied())?;
        }
        Ok(run.len())
    }

    fn run_job(&self, job: &mut dyn Job, guarded: bool, is_alone: bool) -> Result<(), Fault> {
        let link = &self.session.link;
        if guarded {
            link.savepoint()?;
        }
        let written = self.session.written();
        let changes = self.session.changes.borrow().len();
        // The job's own state is not used after a panic but to tell its owner.
        let mut kept = catch_unwind(AssertUnwindSafe(|| job.run(&self.session))).unwrap_or(false);
        if let Some(fault) = self.session.fault.take() {
            return Err(Fault::Storage(fault));
        }
        if let Some(error) = link.aborted() {
            // Whatever the job made of the failure: none of its statements holds.
            if kept {
                job.fail(error);
            }
            kept = false;
        }
        if kept {
            return if guarded { Ok(link.release()?) } else { Ok(()) };
        }
        self.shared.undone.fetch_add(1, Ordering::Relaxed);
        self.session.changes.borrow_mut().truncate(changes);
        if guarded {
            Ok(link.undo_to_savepoint()?)
        } else if is_alone {
            self.session.tails.take();
            Ok(link.rollback()?)
        } else if self.session.written() == written && link.aborted().is_none() {
            Ok(())
        } else {
            Err(Fault::Job)
        }
    }

    /// Leaves the connection fit for the next batch, or the writer failed, and says what the jobs are told.
    fn recover(&mut self, fault: Fault) -> Error {
        self.session.fault.take();
        self.session.tails.take();
        if matches!(self.shared.health(), Health::Failed | Health::Lost) {
            return Error::Unavailable(None);
        }
        match fault {
            Fault::Storage(error) => self.keeper.recover(&mut self.session, &self.shared, error),
            Fault::Job => {
                tracing::error!("a job failed after it had written; its batch was undone");
                match self.session.link.rollback() {
                    Ok(()) => Error::Unavailable(None),
                    Err(error) => self.keeper.recover(&mut self.session, &self.shared, error),
                }
            }
        }
    }

    /// Commits one changed row, to see whether the storage has room again.
    fn probe(&mut self) {
        struct Probe;
        impl Job for Probe {
            fn asked(&self) -> Asked {
                Asked::anything(Scope::of(TenantId::from_bytes([0; 16])))
            }
            fn run(&mut self, session: &Session) -> bool {
                let text = sql!(
                    "insert into probes (tenant, count) values ($1, 1) on conflict (tenant) do update set count = probes.count + 1"
                );
                session.execute(text, values![[0u8; 16]]).is_ok()
            }
            fn fail(&mut self, _: Error) {}
            fn finish(self: Box<Self>, _: Result<(), Error>) {}
        }
        self.commit(&mut vec![Box::new(Probe)]);
    }
}

impl Keeper {
    fn patience(&self, health: Health) -> Option<Duration> {
        match self {
            Self::Sqlite(keeper) => keeper.patience(health),
            Self::Postgres(keeper) => keeper.patience(health),
        }
    }

    fn before(&mut self, session: &Session, shared: &Shared) {
        if let (Self::Postgres(keeper), Link::Postgres(connection)) = (self, &session.link) {
            keeper.tend(connection, shared);
        }
    }

    fn ask(&mut self, session: &Session, shared: &Shared) {
        if let (Self::Postgres(keeper), Link::Postgres(connection)) = (self, &session.link) {
            keeper.ask(connection, shared);
        }
    }

    fn after(&mut self, session: &mut Session, shared: &Shared) {
        if let Self::Sqlite(keeper) = self {
            keeper.checkpoint(&mut session.link, shared);
        }
    }

    fn recover(&mut self, session: &mut Session, shared: &Shared, error: Error) -> Error {
        match (self, &mut session.link) {
            (Self::Sqlite(keeper), link) => keeper.recover(link, shared, error),
            (Self::Postgres(keeper), Link::Postgres(connection)) => keeper.recover(connection, shared, error),
            (Self::Postgres(_), Link::Sqlite(_)) => error,
        }
    }
}
