//! A database that is open: its threads, and the queues in front of them.

use crate::keys::Keys;
use crate::queue::{Queue, Refused};
use crate::reader::{Readers, in_snapshot};
use crate::session::Session;
use crate::sqlite::{self, Home};
use crate::writer::{Job, Shared, Writer};
use crate::{Error, OpenError, Operator, Store};
use keyring::RootKey;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::oneshot;
use wire::TenantId;

/// How large things may get.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Writes that may wait; more are refused.
    pub writes_waiting_max: usize,
    /// Writes in one transaction.
    pub batch_max: usize,
    /// Threads that read.
    pub read_threads: usize,
    /// Reads that may wait; more are refused.
    pub reads_waiting_max: usize,
    /// The largest size of the database, not counting its write-ahead log; unlimited when absent.
    pub max_bytes: Option<u64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            writes_waiting_max: 16_384,
            batch_max: 1_024,
            read_threads: 2,
            reads_waiting_max: 4_096,
            max_bytes: None,
        }
    }
}

/// Whether writes are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Health {
    /// They are.
    Ready = 0,
    /// The disk is full: they are refused, and tried again by itself.
    Full = 1,
    /// The storage failed or is damaged: the process must be restarted, perhaps after a repair.
    Failed = 2,
}

impl Health {
    pub(crate) const fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Ready,
            1 => Self::Full,
            _ => Self::Failed,
        }
    }
}

/// What was done since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counters {
    /// Committed transactions; each is one fsync of the write-ahead log.
    pub batches: u64,
    /// Jobs in them.
    pub jobs: u64,
    /// Jobs that were undone because they returned an error or panicked.
    pub undone: u64,
    /// Batches of which nothing was kept because the storage failed.
    pub failed_batches: u64,
    /// Most jobs in one batch.
    pub largest_batch: u64,
    /// Moves of the write-ahead log into the database; each is two more fsyncs.
    pub checkpoints: u64,
    /// Jobs that wait now.
    pub waiting: u64,
}

/// A database that is open. Clones are the same database; the last one to go closes it.
#[derive(Clone)]
pub struct Database {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    readers: Readers,
    writer: Mutex<Option<JoinHandle<()>>>,
    file: PathBuf,
}

impl Database {
    /// Opens the database in this directory, making it if there is none. The directory belongs to one process at a time.
    ///
    /// A file of up to 32 MiB is checked whole first. One of up to 1 GiB is checked in the background, and
    /// [`Health::Failed`] says if it is damaged. A still larger one is left to [`Database::check`]; as everywhere, a damaged
    /// page is noticed when it is read.
    ///
    /// # Errors
    /// [`OpenError`], whose text says what to do.
    pub fn open(directory: &Path, root: RootKey, settings: Settings) -> Result<Self, OpenError> {
        let home = Home::take(directory)?;
        let file = home.file();
        let (connection, bytes) = sqlite::open_first(&file, settings.max_bytes)?;
        let keys = Arc::new(Keys::new(root));
        check_root(&connection, &keys)?;
        let shared = Arc::new(Shared {
            queue: Queue::new(settings.writes_waiting_max),
            keys: Arc::clone(&keys),
            batches: 0.into(),
            jobs: 0.into(),
            undone: 0.into(),
            failed_batches: 0.into(),
            largest_batch: 0.into(),
            checkpoints: 0.into(),
            health: 0.into(),
            after_batch: OnceLock::new(),
        });
        let readers = Readers::start(&file, &shared, settings.read_threads, settings.reads_waiting_max)?;
        let batch_max = settings.batch_max.max(1);
        let writer = Writer::new(Arc::clone(&shared), connection, file.clone(), settings.max_bytes, batch_max)?;
        let thread = std::thread::Builder::new().name("store-write".into());
        let thread = thread.spawn(move || writer.run(&home)).map_err(|_| Error::Unavailable(None))?;
        let writer = Mutex::new(Some(thread));
        let database = Self { inner: Arc::new(Inner { shared, readers, writer, file }) };
        if (sqlite::CHECKED_AT_OPEN_BYTES..sqlite::CHECKED_IN_BACKGROUND_BYTES).contains(&bytes) {
            database.check_in_background()?;
        }
        Ok(database)
    }

    /// Reads every page of a database that nobody has open, and compares indexes with tables.
    ///
    /// # Errors
    /// [`OpenError::Corrupt`] with the first finding, [`OpenError`].
    pub fn check(directory: &Path) -> Result<(), OpenError> {
        let home = Home::take(directory)?;
        sqlite::whole_check(&sqlite::open_reader(&home.file())?, &home.file())
    }

    /// The store of a tenant. Whether the tenant exists shows when it is used: what does not exist has no rows and no keys.
    pub fn tenant(&self, tenant: TenantId) -> Store {
        Store::new(self.clone(), tenant)
    }

    /// The operator's door: tenants themselves.
    pub fn operator(&self) -> Operator {
        Operator::new(self.clone())
    }

    /// Whether writes are taken; readiness of the process hangs on it.
    pub fn health(&self) -> Health {
        self.inner.shared.health()
    }

    /// What was done since the start.
    pub fn counters(&self) -> Counters {
        use std::sync::atomic::Ordering::Relaxed;
        let shared = &self.inner.shared;
        Counters {
            batches: shared.batches.load(Relaxed),
            jobs: shared.jobs.load(Relaxed),
            undone: shared.undone.load(Relaxed),
            failed_batches: shared.failed_batches.load(Relaxed),
            largest_batch: shared.largest_batch.load(Relaxed),
            checkpoints: shared.checkpoints.load(Relaxed),
            waiting: shared.queue.len() as u64,
        }
    }

    /// Calls `after_batch` on the writer's thread when everybody whose write was in a batch has been told, so that what their
    /// callbacks have prepared is done once for all of them. It must not block. Only the first call counts.
    pub fn after_each_batch(&self, after_batch: impl Fn() + Send + Sync + 'static) {
        // A second one would be a mistake of the caller's; the first goes on being called.
        let _ = self.inner.shared.after_batch.set(Box::new(after_batch));
    }

    /// Takes no more work, finishes what waits, and closes the files. Blocks until that is done.
    pub fn close(&self) {
        self.inner.close();
    }

    fn check_in_background(&self) -> Result<(), OpenError> {
        let shared = Arc::clone(&self.inner.shared);
        let file = self.inner.file.clone();
        let check = move || {
            let connection = sqlite::open_reader(&file).map_err(OpenError::from);
            if let Err(error) = connection.and_then(|connection| sqlite::whole_check(&connection, &file)) {
                tracing::error!(%error, "the database did not pass its check; nothing more is written");
                shared.set_health(Health::Failed);
            }
        };
        let thread = std::thread::Builder::new().name("store-check".into()).spawn(check);
        thread.map(drop).map_err(|_| OpenError::Storage(Error::Unavailable(None)))
    }

    pub(crate) fn submit<T, E, J, D>(&self, job: J, done: D, needs_savepoint: bool)
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        J: FnOnce(&Session) -> Result<T, E> + Send + 'static,
        D: FnOnce(Result<T, E>) + Send + 'static,
    {
        let write = Box::new(Write { job: Some(job), result: None, done, needs_savepoint });
        match self.inner.shared.queue.put(write) {
            Ok(()) => {}
            Err(Refused::Full(write)) => write.finish(Err(Error::Overloaded)),
            Err(Refused::Closed(write)) => write.finish(Err(Error::Unavailable(None))),
        }
    }

    pub(crate) async fn write<T, E, J>(&self, job: J) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        J: FnOnce(&Session) -> Result<T, E> + Send + 'static,
    {
        let (answer, waits) = oneshot::channel();
        // Whoever no longer waits does not need the answer; the job is done or not as if they did.
        self.submit(job, move |result| drop(answer.send(result)), true);
        waits.await.unwrap_or_else(|_| Err(Error::Panicked.into()))
    }

    pub(crate) async fn read<T, E, R>(&self, read: R) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        R: FnOnce(&Session) -> Result<T, E> + Send + 'static,
    {
        let (answer, waits) = oneshot::channel();
        let read = Box::new(move |session: &Session| drop(answer.send(in_snapshot(session, read))));
        self.inner.readers.put(read)?;
        waits.await.unwrap_or_else(|_| Err(Error::Panicked.into()))
    }
}

/// A write and who waits for it.
struct Write<T, E, J, D> {
    job: Option<J>,
    result: Option<Result<T, E>>,
    done: D,
    needs_savepoint: bool,
}

impl<T, E, J, D> Job for Write<T, E, J, D>
where
    T: Send,
    E: From<Error> + Send,
    J: FnOnce(&Session) -> Result<T, E> + Send,
    D: FnOnce(Result<T, E>) + Send,
{
    fn needs_savepoint(&self) -> bool {
        self.needs_savepoint
    }

    fn run(&mut self, session: &Session) -> bool {
        let Some(job) = self.job.take() else { return false };
        self.result.insert(job(session)).is_ok()
    }

    fn finish(self: Box<Self>, committed: Result<(), Error>) {
        let result = match committed {
            Ok(()) => self.result.unwrap_or_else(|| Err(Error::Panicked.into())),
            Err(error) => Err(error.into()),
        };
        (self.done)(result);
    }
}

/// Opens one tenant's key, so that a wrong root is noticed at the start and not by the first user.
fn check_root(connection: &rusqlite::Connection, keys: &Keys) -> Result<(), OpenError> {
    let text = "select tenant, version, wrapped from tenant_keys limit 1";
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, [u8; 16]>(0)?, row.get(1)?, row.get::<_, Vec<u8>>(2)?));
    let found = match connection.query_row(text, [], read) {
        Err(rusqlite::Error::QueryReturnedNoRows) => return Ok(()),
        found => found?,
    };
    let (tenant, version, wrapped) = found;
    match keys.root.open_tenant_key(TenantId::from_bytes(tenant), version, &wrapped) {
        Ok(_) => Ok(()),
        Err(_) => Err(OpenError::WrongRootKey),
    }
}

impl Inner {
    fn close(&self) {
        self.shared.queue.close();
        let me = std::thread::current().id();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        // The last clone may go inside a callback, which runs on the writer's own thread.
        if let Some(thread) = writer.filter(|thread| thread.thread().id() != me) {
            let _ = thread.join();
        }
        self.readers.close();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").field("file", &self.inner.file).finish_non_exhaustive()
    }
}
