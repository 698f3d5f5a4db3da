//! A database that is open: its threads, and the queues in front of them.

use crate::keys::Keys;
use crate::link::Link;
use crate::postgres::{self, Postgres};
use crate::queue::Refused;
use crate::reader::{Readers, in_snapshot};
use crate::scope::Scope;
use crate::session::{OperatorTx, Session};
use crate::sql::{sql, values};
use crate::sqlite::{self, Home};
use crate::writer::{Job, Keeper, Shared, Writer};
use crate::{Error, OpenError, Operator, Store};
use keyring::RootKey;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::oneshot;
use wire::{ConversationId, DeviceId, TenantId};

/// Where a database is.
#[derive(Debug, Clone)]
pub enum Location {
    /// SQLite, in this directory.
    Directory(PathBuf),
    /// PostgreSQL.
    Postgres(Box<Postgres>),
}

impl From<&Path> for Location {
    fn from(directory: &Path) -> Self {
        Self::Directory(directory.to_owned())
    }
}

impl From<&PathBuf> for Location {
    fn from(directory: &PathBuf) -> Self {
        Self::Directory(directory.clone())
    }
}

impl From<Postgres> for Location {
    fn from(address: Postgres) -> Self {
        Self::Postgres(Box::new(address))
    }
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Directory(directory) => write!(f, "SQLite in {}", directory.display()),
            Self::Postgres(address) => f.write_str(&address.describe()),
        }
    }
}

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
    /// The largest size of an SQLite database, not counting its write-ahead log; unlimited when absent.
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
    /// The database is out of reach: they are refused, and it is tried again by itself.
    Lost = 3,
}

impl Health {
    pub(crate) const fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Ready,
            1 => Self::Full,
            3 => Self::Lost,
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
    /// How often a database that was out of reach came back.
    pub reconnects: u64,
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
    location: Location,
}

impl Database {
    /// Opens a database, making what is in it if there is nothing. It belongs to one process at a time.
    ///
    /// An SQLite file of up to 32 MiB is checked whole first. One of up to 1 GiB is checked in the background, and
    /// [`Health::Failed`] says if it is damaged. A still larger one is left to [`Database::check`]; as everywhere, a damaged
    /// page is noticed when it is read.
    ///
    /// # Errors
    /// [`OpenError`], whose text says what to do.
    pub fn open(location: impl Into<Location>, root: RootKey, settings: Settings) -> Result<Self, OpenError> {
        let location = location.into();
        let shared = Arc::new(Shared::new(settings.writes_waiting_max, Keys::new(root)));
        let (opened, opening) = sync_channel(1);
        // Everything of a connection happens on the thread that owns it, so that it may block.
        let thread = std::thread::Builder::new().name("store-write".into()).spawn({
            let (location, shared) = (location.clone(), Arc::clone(&shared));
            move || write(&location, shared, settings, &opened)
        });
        let thread = thread.map_err(|_| Error::Unavailable(None))?;
        let bytes = opening.recv().map_err(|_| Error::Panicked)??;
        let readers = Readers::start(&location, &shared, settings.read_threads, settings.reads_waiting_max)?;
        let writer = Mutex::new(Some(thread));
        let database = Self { inner: Arc::new(Inner { shared, readers, writer, location }) };
        if (sqlite::CHECKED_AT_OPEN_BYTES..sqlite::CHECKED_IN_BACKGROUND_BYTES).contains(&bytes) {
            database.check_in_background()?;
        }
        Ok(database)
    }

    /// Checks a database without changing it. SQLite, which nobody may have open: reads every page and compares indexes with
    /// tables. PostgreSQL: whether it may be used, by its settings, our role and its schema.
    ///
    /// # Errors
    /// [`OpenError::Corrupt`] with the first finding, [`OpenError`].
    pub fn check(location: impl Into<Location>) -> Result<(), OpenError> {
        match location.into() {
            Location::Directory(directory) => {
                let home = Home::take(&directory)?;
                sqlite::whole_check(&sqlite::open_reader(&home.file())?, &home.file())
            }
            Location::Postgres(address) => {
                let check = std::thread::spawn(move || postgres::check(&address));
                check.join().unwrap_or(Err(OpenError::Storage(Error::Panicked)))
            }
        }
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
            reconnects: shared.reconnects.load(Relaxed),
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
        let Location::Directory(directory) = &self.inner.location else { return Ok(()) };
        let file = sqlite::file(directory);
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

    pub(crate) fn submit<T, E, J, D>(&self, asked: Asked, job: J, done: D)
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        J: FnOnce(&Session) -> Result<T, E> + Send + 'static,
        D: FnOnce(Result<T, E>) + Send + 'static,
    {
        let write = Box::new(Write { job: Some(job), result: None, done, asked });
        match self.inner.shared.queue.put(write) {
            Ok(()) => {}
            Err(Refused::Full(write)) => write.finish(Err(Error::Overloaded)),
            Err(Refused::Closed(write)) => write.finish(Err(Error::Unavailable(None))),
        }
    }

    pub(crate) async fn write<T, E, J>(&self, scope: Scope, job: J) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        J: FnOnce(&Session) -> Result<T, E> + Send + 'static,
    {
        let (answer, waits) = oneshot::channel();
        // Whoever no longer waits does not need the answer; the job is done or not as if they did.
        self.submit(Asked::anything(scope), job, move |result| drop(answer.send(result)));
        waits.await.unwrap_or_else(|_| Err(Error::Panicked.into()))
    }

    pub(crate) async fn read<T, E, R>(&self, scope: Scope, read: R) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        R: FnOnce(&Session) -> Result<T, E> + Send + 'static,
    {
        let (answer, waits) = oneshot::channel();
        let read = Box::new(move |session: &Session| drop(answer.send(in_snapshot(session, scope, read))));
        self.inner.readers.put(read)?;
        waits.await.unwrap_or_else(|_| Err(Error::Panicked.into()))
    }
}

/// A write and who waits for it.
struct Write<T, E, J, D> {
    job: Option<J>,
    result: Option<Result<T, E>>,
    done: D,
    asked: Asked,
}

/// What is known of a write before it runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) scope: Scope,
    /// Appends an entry of this device there, and does nothing else.
    pub(crate) append: Option<(ConversationId, DeviceId)>,
}

impl Asked {
    pub(crate) const fn anything(scope: Scope) -> Self {
        Self { scope, append: None }
    }

    pub(crate) const fn append(scope: Scope, conversation: ConversationId, sender: DeviceId) -> Self {
        Self { scope, append: Some((conversation, sender)) }
    }
}

impl<T, E, J, D> Job for Write<T, E, J, D>
where
    T: Send,
    E: From<Error> + Send,
    J: FnOnce(&Session) -> Result<T, E> + Send,
    D: FnOnce(Result<T, E>) + Send,
{
    fn asked(&self) -> Asked {
        self.asked
    }

    fn run(&mut self, session: &Session) -> bool {
        let Some(job) = self.job.take() else { return false };
        self.result.insert(job(session)).is_ok()
    }

    fn fail(&mut self, error: Error) {
        self.result = Some(Err(error.into()));
    }

    fn finish(self: Box<Self>, committed: Result<(), Error>) {
        let result = match committed {
            Ok(()) => self.result.unwrap_or_else(|| Err(Error::Panicked.into())),
            Err(error) => Err(error.into()),
        };
        (self.done)(result);
    }
}

/// What the writer's thread does, from its birth to its end.
fn write(location: &Location, shared: Arc<Shared>, settings: Settings, opened: &SyncSender<Result<u64, OpenError>>) {
    let open = || {
        let (link, keeper, bytes) = match location {
            Location::Directory(directory) => {
                let (link, keeper, bytes) = sqlite::open_first(Home::take(directory)?, settings.max_bytes)?;
                (link, Keeper::Sqlite(keeper), bytes)
            }
            Location::Postgres(address) => {
                let connection = postgres::open_first(address)?;
                (Link::Postgres(Box::new(connection)), Keeper::Postgres(postgres::Keeper::new()), 0)
            }
        };
        let session = Session::new(link, Arc::clone(&shared.keys));
        check_root(&session)?;
        Ok((Writer::new(Arc::clone(&shared), session, keeper, settings.batch_max.max(1)), bytes))
    };
    match open() {
        Ok((writer, bytes)) => {
            if opened.send(Ok(bytes)).is_ok() {
                writer.run();
            }
        }
        Err(error) => drop(opened.send(Err(error))),
    }
}

/// Opens one tenant's key, so that a wrong root is noticed at the start and not by the first user.
fn check_root(session: &Session) -> Result<(), OpenError> {
    session.link.begin_to_read()?;
    let tx = OperatorTx { session };
    tx.on_all();
    let tenant = session.row(sql!("select tenant from tenants limit 1"), values![], |row| row.id::<TenantId>(0))?;
    let opened = tenant.map_or(Ok(()), |tenant| {
        tx.on(tenant);
        session.current_tenant_key(tenant).map(drop)
    });
    session.link.commit()?;
    match opened {
        Err(Error::Sealed(_)) => Err(OpenError::WrongRootKey),
        Err(error) => Err(error.into()),
        Ok(()) => Ok(()),
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
        f.debug_struct("Database").field("location", &self.inner.location).finish_non_exhaustive()
    }
}
