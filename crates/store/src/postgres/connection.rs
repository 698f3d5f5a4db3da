//! One connection to PostgreSQL, driven by the thread that owns it.
//!
//! What is sent without waiting for an answer (the beginning of a transaction, whose rows it reaches, savepoints) is queued
//! and goes out in one flight with the next statement. A statement that fails aborts the transaction up to the last
//! savepoint: nothing more is asked of it until that is undone.

use super::address::Route;
use crate::scope::{Lock, Scope};
use crate::sql::{Row, Sql, Value};
use crate::{Cause, Error};
use futures_util::{TryStreamExt, future};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::task::yield_now;
use tokio_postgres::error::Severity;
use tokio_postgres::{Client, Statement, types::ToSql};

/// After this the connection is given up: longer than the database itself lets a statement run, so that only a peer that
/// is gone or stopped gets here.
const DEADLINE: Duration = Duration::from_secs(40);

/// As long for a new one.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

const SET_SCOPE: &str = "select set_config('app.tenant', $1, true), set_config('app.operator', $2, true)";

/// A place for a connection: it may be lost, and made anew.
pub(crate) struct Connection {
    route: Arc<Route>,
    open: RefCell<Option<Open>>,
    queued: RefCell<Vec<Queued>>,
    scope: Cell<Option<Scope>>,
    scope_before: Cell<Option<Scope>>,
    in_transaction: Cell<bool>,
    aborted: RefCell<Option<Error>>,
    runtime: Runtime,
}

/// A parameter of a statement that is for PostgreSQL alone.
pub(crate) type Parameter<'a> = &'a (dyn ToSql + Sync);

struct Open {
    client: Client,
    statements: RefCell<HashMap<&'static str, Statement>>,
}

/// Sent with the next statement.
#[derive(Clone, Copy, PartialEq)]
enum Queued {
    Plain(&'static str),
    Scope(Scope),
    Lock(Lock),
}

const SAVEPOINT: Queued = Queued::Plain("savepoint job");

impl Connection {
    /// Without a connection yet.
    pub(crate) fn new(route: Arc<Route>) -> Result<Self, Error> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(|_| Error::Unavailable(None))?;
        Ok(Self {
            route,
            open: RefCell::default(),
            queued: RefCell::default(),
            scope: Cell::default(),
            scope_before: Cell::default(),
            in_transaction: Cell::default(),
            aborted: RefCell::default(),
            runtime,
        })
    }

    /// Connects, in the place of whatever was there.
    pub(crate) fn connect(&self) -> Result<(), Error> {
        self.disconnect();
        let connecting = async { tokio::time::timeout(CONNECT_DEADLINE, self.route.connect()).await };
        let (client, driver) = match self.runtime.block_on(connecting) {
            Ok(connected) => connected?,
            Err(_) => return Err(Error::Unavailable(Some(Cause::deadline()))),
        };
        self.runtime.spawn(async move {
            if let Err(error) = driver.await {
                tracing::debug!(error = %Error::from(error), "a connection to the database ended");
            }
        });
        self.open.replace(Some(Open { client, statements: RefCell::default() }));
        Ok(())
    }

    /// Gives the connection up; what it had begun is undone by the database.
    pub(crate) fn disconnect(&self) {
        self.open.take();
        self.forget_transaction();
    }

    /// Whether there is a connection that has not ended, as far as this side has heard.
    pub(crate) fn is_connected(&self) -> bool {
        let open = self.open.borrow();
        let Some(open) = open.as_ref() else { return false };
        // Bytes of the other side, such as its farewell, are read only while this thread waits for something: twice, to
        // hear of them and to take them.
        self.runtime.block_on(async {
            yield_now().await;
            yield_now().await;
        });
        !open.client.is_closed()
    }

    pub(crate) fn begin(&self, text: &'static str) {
        self.queue(Queued::Plain(text));
        self.in_transaction.set(true);
    }

    pub(crate) fn is_in_transaction(&self) -> bool {
        self.in_transaction.get()
    }

    /// Whose rows the transaction reaches from here on.
    pub(crate) fn enter(&self, scope: Scope) {
        if self.scope.replace(Some(scope)) != Some(scope) {
            self.queue(Queued::Scope(scope));
        }
    }

    pub(crate) fn lock(&self, lock: Lock) {
        self.queue(Queued::Lock(lock));
    }

    pub(crate) fn commit(&self) -> Result<(), Error> {
        let is_empty = matches!(self.queued.borrow().first(), Some(Queued::Plain(first)) if first.starts_with("begin"));
        if !is_empty {
            self.plain("commit")?;
        }
        self.forget_transaction();
        Ok(())
    }

    pub(crate) fn rollback(&self) -> Result<(), Error> {
        self.aborted.take();
        self.queued.borrow_mut().clear();
        let undone = self.plain("rollback");
        self.forget_transaction();
        undone
    }

    pub(crate) fn savepoint(&self) {
        self.scope_before.set(self.scope.get());
        self.queue(SAVEPOINT);
    }

    pub(crate) fn release(&self) {
        // Nothing happened since: then it need not exist.
        if self.queued.borrow().last() == Some(&SAVEPOINT) {
            self.queued.borrow_mut().pop();
        } else {
            self.queue(Queued::Plain("release savepoint job"));
        }
    }

    pub(crate) fn undo_to_savepoint(&self) {
        self.aborted.take();
        self.scope.set(self.scope_before.get());
        let mut queued = self.queued.borrow_mut();
        match queued.iter().rposition(|queued| *queued == SAVEPOINT) {
            // It was not sent yet, and nothing after it was.
            Some(index) => queued.truncate(index),
            None => {
                queued.clear();
                queued.push(Queued::Plain("rollback to savepoint job; release savepoint job"));
            }
        }
    }

    /// The failure after which the database takes no more statements of this transaction.
    pub(crate) fn aborted(&self) -> Option<Error> {
        self.aborted.borrow().clone()
    }

    pub(crate) fn execute(&self, sql: Sql, values: &[Value<'_>]) -> Result<usize, Error> {
        let changed = self.run([sql.postgres].into_iter(), async |open| {
            let statement = open.statement(sql.postgres).await?;
            open.client.execute_raw(&statement, values.iter().copied()).await
        });
        Ok(usize::try_from(changed?).unwrap_or(usize::MAX))
    }

    pub(crate) fn rows<T>(
        &self,
        sql: Sql,
        values: &[Value<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<Option<T>, Error>,
    ) -> Result<Vec<T>, Error> {
        // All of them before the first is read: reading may need statements of its own.
        let rows: Vec<_> = self.run([sql.postgres].into_iter(), async |open| {
            let statement = open.statement(sql.postgres).await?;
            open.client.query_raw(&statement, values.iter().copied()).await?.try_collect().await
        })?;
        let mut all = Vec::with_capacity(rows.len());
        for row in &rows {
            match read(&Row::Postgres(row))? {
                Some(value) => all.push(value),
                None => break,
            }
        }
        Ok(all)
    }

    /// As [`Connection::rows`], for the few statements that are for PostgreSQL alone.
    pub(crate) fn rows_own(
        &self,
        text: &'static str,
        values: &[Parameter<'_>],
    ) -> Result<Vec<tokio_postgres::Row>, Error> {
        self.run([text].into_iter(), async |open| open.query(text, values).await)
    }

    /// The rows of two statements in one flight.
    pub(crate) fn rows_of_two(
        &self,
        (first, first_values): (&'static str, &[Parameter<'_>]),
        (second, second_values): (&'static str, &[Parameter<'_>]),
    ) -> Result<(Vec<tokio_postgres::Row>, Vec<tokio_postgres::Row>), Error> {
        self.run([first, second].into_iter(), async |open| {
            future::try_join(open.query(first, first_values), open.query(second, second_values)).await
        })
    }

    /// Statements in one flight, in this order; all of them have to succeed.
    pub(crate) fn execute_all(&self, all: &[(&'static str, &[Parameter<'_>])]) -> Result<(), Error> {
        self.run(all.iter().map(|(text, _)| *text), async |open| {
            let each = all.iter().map(|(text, values)| open.execute(text, values));
            future::try_join_all(each).await.map(drop)
        })
    }

    /// A script or a command without parameters.
    pub(crate) fn plain(&self, text: &str) -> Result<(), Error> {
        self.run([].into_iter(), async |open| open.client.batch_execute(text).await)
    }

    /// Sends what is queued and then the work, without waiting in between.
    fn run<T>(
        &self,
        texts: impl Iterator<Item = &'static str>,
        work: impl AsyncFnOnce(&Open) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T, Error> {
        if let Some(error) = self.aborted() {
            return Err(error);
        }
        let place = self.open.borrow();
        let Some(open) = place.as_ref() else { return Err(Error::Unavailable(None)) };
        let queued = self.queued.take();
        let all = async {
            // Preparing waits for its answer, so it comes first; nearly always all are prepared.
            for text in texts.chain(queued.iter().filter_map(Queued::prepared)) {
                open.statement(text).await?;
            }
            let before = future::try_join_all(queued.iter().map(|queued| open.send(*queued)));
            // Each is sent when it is first polled, in this order.
            let (before, done) = future::join(before, work(open)).await;
            before.and(done)
        };
        let done = self.runtime.block_on(async { tokio::time::timeout(DEADLINE, all).await });
        let is_closed = open.client.is_closed();
        drop(place);
        match done {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(self.failed(error, is_closed)),
            Err(_) => {
                self.disconnect();
                Err(Error::Unavailable(Some(Cause::deadline())))
            }
        }
    }

    /// What a failure leaves behind: no connection, or a transaction that has to be undone.
    fn failed(&self, error: tokio_postgres::Error, is_closed: bool) -> Error {
        let severity = error.as_db_error().and_then(|said| said.parsed_severity());
        let is_lost = is_closed || matches!(severity, Some(Severity::Fatal | Severity::Panic));
        let error = Error::from(error);
        if is_lost {
            self.disconnect();
        } else if self.in_transaction.get() {
            self.aborted.replace(Some(error.clone()));
        }
        error
    }

    fn queue(&self, queued: Queued) {
        self.queued.borrow_mut().push(queued);
    }

    fn forget_transaction(&self) {
        self.queued.borrow_mut().clear();
        self.scope.take();
        self.aborted.take();
        self.in_transaction.set(false);
    }
}

impl Open {
    /// Prepared at its first use.
    async fn statement(&self, text: &'static str) -> Result<Statement, tokio_postgres::Error> {
        if let Some(statement) = self.statements.borrow().get(text) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(text).await?;
        self.statements.borrow_mut().insert(text, statement.clone());
        Ok(statement)
    }

    async fn execute(&self, text: &'static str, values: &[Parameter<'_>]) -> Result<u64, tokio_postgres::Error> {
        let statement = self.statement(text).await?;
        self.client.execute(&statement, values).await
    }

    async fn query(
        &self,
        text: &'static str,
        values: &[Parameter<'_>],
    ) -> Result<Vec<tokio_postgres::Row>, tokio_postgres::Error> {
        let statement = self.statement(text).await?;
        self.client.query(&statement, values).await
    }

    async fn send(&self, queued: Queued) -> Result<(), tokio_postgres::Error> {
        match queued {
            Queued::Plain(text) => self.client.batch_execute(text).await,
            Queued::Scope(scope) => {
                let (tenant, operator) = (scope.tenant_text(), if scope.is_operator() { "on" } else { "" });
                self.execute(SET_SCOPE, &[&tenant, &operator]).await.map(drop)
            }
            Queued::Lock(lock) => self.execute(lock_text(lock), &[&lock.number()]).await.map(drop),
        }
    }
}

impl Queued {
    fn prepared(&self) -> Option<&'static str> {
        match self {
            Self::Plain(_) => None,
            Self::Scope(_) => Some(SET_SCOPE),
            Self::Lock(lock) => Some(lock_text(*lock)),
        }
    }
}

const fn lock_text(lock: Lock) -> &'static str {
    if lock.is_shared() { "select pg_advisory_xact_lock_shared($1)" } else { "select pg_advisory_xact_lock($1)" }
}
