//! The doors: a tenant's store, and the operator's. What comes in gets a `Tx` bound to that tenant, or to none.

use crate::database::Asked;
use crate::scope::Scope;
use crate::session::{OperatorTx, Tx};
use crate::{Append, Database, Error, NewEntry};
use wire::TenantId;

/// The part of a database that belongs to one tenant.
#[derive(Clone)]
pub struct Store {
    database: Database,
    tenant: TenantId,
}

impl Store {
    pub(crate) const fn new(database: Database, tenant: TenantId) -> Self {
        Self { database, tenant }
    }

    /// Whose.
    pub const fn tenant_id(&self) -> TenantId {
        self.tenant
    }

    /// Queues a write. `done` runs on the writer's thread after the commit that covers the job, and must not block; when
    /// the queue is full or closed it runs here and at once.
    ///
    /// An `Err` of the job undoes all that it wrote.
    pub fn submit<T, E, J, D>(&self, job: J, done: D)
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        J: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        D: FnOnce(Result<T, E>) + Send + 'static,
    {
        let tenant = self.tenant;
        let asked = Asked::anything(Scope::of(tenant));
        self.database.submit(asked, move |session| job(&mut Tx { session, tenant }), done);
    }

    /// Queues [`Tx::append_entry`], the one write that happens for every message. As [`Store::submit`], but cheaper.
    pub fn submit_entry<D>(&self, entry: NewEntry, done: D)
    where
        D: FnOnce(Result<Append, Error>) + Send + 'static,
    {
        let tenant = self.tenant;
        let asked = Asked::append(Scope::of(tenant), entry.conversation, entry.sender);
        self.database.submit(asked, move |session| Tx { session, tenant }.append_to_tail(entry), done);
    }

    /// Writes, and waits until it is durable.
    ///
    /// # Errors
    /// The job's own, or an [`Error`] of the storage. Dropping the future does not undo the write.
    pub async fn write<T, E, J>(&self, job: J) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        J: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        let tenant = self.tenant;
        self.database.write(Scope::of(tenant), move |session| job(&mut Tx { session, tenant })).await
    }

    /// Reads one snapshot of what is committed.
    ///
    /// # Errors
    /// The read's own, or an [`Error`] of the storage.
    pub async fn read<T, E, R>(&self, read: R) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        R: FnOnce(&Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        let tenant = self.tenant;
        self.database.read(Scope::of(tenant), move |session| read(&Tx { session, tenant })).await
    }
}

/// The operator's door.
#[derive(Clone)]
pub struct Operator {
    database: Database,
}

impl Operator {
    pub(crate) const fn new(database: Database) -> Self {
        Self { database }
    }

    /// Writes, and waits until it is durable.
    ///
    /// # Errors
    /// The job's own, or an [`Error`] of the storage.
    pub async fn write<T, E, J>(&self, job: J) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        J: FnOnce(&mut OperatorTx<'_>) -> Result<T, E> + Send + 'static,
    {
        self.database.write(Scope::OPERATOR, move |session| job(&mut OperatorTx { session })).await
    }

    /// Reads one snapshot of what is committed.
    ///
    /// # Errors
    /// The read's own, or an [`Error`] of the storage.
    pub async fn read<T, E, R>(&self, read: R) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        R: FnOnce(&OperatorTx<'_>) -> Result<T, E> + Send + 'static,
    {
        self.database.read(Scope::OPERATOR, move |session| read(&OperatorTx { session })).await
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Operator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operator").finish_non_exhaustive()
    }
}
