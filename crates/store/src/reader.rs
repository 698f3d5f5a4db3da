//! A few threads with a connection each that does not write.

use crate::database::{Health, Location};
use crate::link::Link;
use crate::queue::{Queue, Refused, Taken};
use crate::scope::Scope;
use crate::session::Session;
use crate::writer::Shared;
use crate::{Error, OpenError, postgres, sqlite};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a database that could not be reached is left alone.
const PAUSE: Duration = Duration::from_millis(250);

pub(crate) type Read = Box<dyn FnOnce(&Session) + Send>;

pub(crate) struct Readers {
    queue: Arc<Queue<Read>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Readers {
    pub(crate) fn start(
        location: &Location,
        shared: &Arc<Shared>,
        threads: usize,
        waiting_max: usize,
    ) -> Result<Self, OpenError> {
        let queue = Arc::new(Queue::new(waiting_max));
        let mut started = Vec::new();
        for number in 0..threads.max(1) {
            let link = match location {
                Location::Directory(directory) => Link::Sqlite(sqlite::open_reader(&sqlite::file(directory))?),
                Location::Postgres(address) => {
                    let route = Arc::new(address.route()?);
                    Link::Postgres(Box::new(postgres::Connection::new(route)?))
                }
            };
            let session = Session::new(link, Arc::clone(&shared.keys));
            let (queue, shared) = (Arc::clone(&queue), Arc::clone(shared));
            let thread = std::thread::Builder::new().name(format!("store-read-{number}"));
            let thread = thread.spawn(move || work(&session, &queue, &shared)).map_err(|_| Error::Unavailable(None))?;
            started.push(thread);
        }
        Ok(Self { queue, threads: Mutex::new(started) })
    }

    pub(crate) fn put(&self, read: Read) -> Result<(), Error> {
        self.queue.put(read).map_err(|refused| match refused {
            Refused::Full(_) => Error::Overloaded,
            Refused::Closed(_) => Error::Unavailable(None),
        })
    }

    /// Lets the threads finish what waits and end.
    pub(crate) fn close(&self) {
        self.queue.close();
        let me = std::thread::current().id();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads.into_iter().filter(|thread| thread.thread().id() != me) {
            let _ = thread.join();
        }
    }
}

fn work(session: &Session, queue: &Queue<Read>, shared: &Shared) {
    let mut reads = Vec::with_capacity(1);
    let mut next_try = Instant::now();
    while queue.take(&mut reads, 1, None) == Taken::Some {
        for read in reads.drain(..) {
            be_connected(&session.link, &mut next_try);
            // A panic drops the reader's answer, and whoever waits is told so.
            if catch_unwind(AssertUnwindSafe(|| read(session))).is_err() {
                tracing::error!("a read of the database panicked");
            }
            if let Some(Error::Corrupt(cause)) = session.fault.take() {
                tracing::error!(%cause, "the database is damaged; nothing more is written");
                shared.set_health(Health::Failed);
            }
        }
    }
}

/// Connects if there is no connection. When that fails, the read meets it.
fn be_connected(link: &Link, next_try: &mut Instant) {
    let Link::Postgres(connection) = link else { return };
    if connection.is_connected() || Instant::now() < *next_try {
        return;
    }
    if let Err(error) = connection.connect() {
        let cause = std::error::Error::source(&error).map(tracing::field::display);
        tracing::warn!(%error, cause, "a reader cannot reach the database");
        *next_try = Instant::now() + PAUSE;
    }
}

/// Runs a read on one snapshot of the database.
pub(crate) fn in_snapshot<T, E: From<Error>>(
    session: &Session,
    scope: Scope,
    read: impl FnOnce(&Session) -> Result<T, E>,
) -> Result<T, E> {
    session.link.begin_to_read()?;
    session.link.enter(scope);
    let result = catch_unwind(AssertUnwindSafe(|| read(session))).unwrap_or_else(|_| Err(Error::Panicked.into()));
    if session.link.aborted().is_some() {
        session.link.rollback()?;
    } else {
        session.link.commit()?;
    }
    result
}
