//! A few threads with a read-only connection each.

use crate::database::Health;
use crate::queue::{Queue, Refused, Taken};
use crate::session::Session;
use crate::writer::Shared;
use crate::{Error, sqlite};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

pub(crate) type Read = Box<dyn FnOnce(&Session) + Send>;

pub(crate) struct Readers {
    queue: Arc<Queue<Read>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Readers {
    pub(crate) fn start(file: &Path, shared: &Arc<Shared>, threads: usize, waiting_max: usize) -> Result<Self, Error> {
        let queue = Arc::new(Queue::new(waiting_max));
        let mut started = Vec::new();
        for number in 0..threads.max(1) {
            let session = Session::new(sqlite::open_reader(file)?, Arc::clone(&shared.keys));
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
    while queue.take(&mut reads, 1, None) == Taken::Some {
        for read in reads.drain(..) {
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

/// Runs a read on one snapshot of the database.
pub(crate) fn in_snapshot<T, E: From<Error>>(
    session: &Session,
    read: impl FnOnce(&Session) -> Result<T, E>,
) -> Result<T, E> {
    use crate::sql::{sql, values};
    session.execute(sql!("begin"), values![])?;
    let result = catch_unwind(AssertUnwindSafe(|| read(session))).unwrap_or_else(|_| Err(Error::Panicked.into()));
    session.execute(sql!("commit"), values![])?;
    result
}
