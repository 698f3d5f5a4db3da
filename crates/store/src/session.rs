//! A transaction as a job sees it: statements bound to a tenant, and its keys.

use crate::Error;
use crate::entity::tail::Tails;
use crate::keys::{Change, Keys, Owner};
use crate::link::Link;
use crate::schema::SealedColumn;
use crate::scope::{Lock, Scope};
use crate::sql::{Row, Sql, Value, sql, values};
use keyring::{Cell, DataKey, IndexKey, KeyName, KeyUse, TenantKey};
use std::cell::RefCell;
use std::sync::Arc;
use wire::TenantId;

/// A connection inside a transaction.
pub(crate) struct Session {
    pub(crate) link: Link,
    pub(crate) keys: Arc<Keys>,
    /// What the cache of keys learns when the transaction commits.
    pub(crate) changes: RefCell<Vec<Change>>,
    /// Ends of logs that this batch has moved and not yet written.
    pub(crate) tails: RefCell<Tails>,
    /// The first failure of the storage in this transaction, whatever the job made of it.
    pub(crate) fault: RefCell<Option<Error>>,
}

/// A transaction of one tenant: no statement names another's rows, and on PostgreSQL none can reach them. Methods that change something take `&mut self`; a
/// read hands out `&Tx` only.
pub struct Tx<'s> {
    pub(crate) session: &'s Session,
    pub(crate) tenant: TenantId,
}

/// A transaction of the operator: tenants, and nothing inside them.
pub struct OperatorTx<'s> {
    pub(crate) session: &'s Session,
}

impl Session {
    pub(crate) fn new(link: Link, keys: Arc<Keys>) -> Self {
        Self { link, keys, changes: RefCell::default(), tails: RefCell::default(), fault: RefCell::default() }
    }

    pub(crate) fn execute(&self, sql: Sql, values: &[Value<'_>]) -> Result<usize, Error> {
        self.noting(self.link.execute(sql, values))
    }

    pub(crate) fn row<T>(
        &self,
        sql: Sql,
        values: &[Value<'_>],
        read: impl FnOnce(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        self.noting(self.link.row(sql, values, read))
    }

    /// Reads rows until there are no more, or `read` says that it has enough by `None`.
    pub(crate) fn rows<T>(
        &self,
        sql: Sql,
        values: &[Value<'_>],
        read: impl FnMut(&Row<'_>) -> Result<Option<T>, Error>,
    ) -> Result<Vec<T>, Error> {
        self.noting(self.link.rows(sql, values, read))
    }

    /// Grows whenever something was written.
    pub(crate) fn written(&self) -> u64 {
        self.link.changes() + self.tails.borrow().unwritten()
    }

    pub(crate) fn noting<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        if let Err(error @ (Error::Unavailable(_) | Error::Corrupt(_))) = &result {
            self.fault.borrow_mut().get_or_insert_with(|| error.clone());
        }
        result
    }

    pub(crate) fn tenant_key(&self, tenant: TenantId, version: u32) -> Result<TenantKey, Error> {
        let text = sql!("select wrapped from tenant_keys where tenant = $1 and version = $2");
        let open = |row: &Row<'_>| Ok(self.keys.root.open_tenant_key(tenant, version, row.bytes(0)?)?);
        self.row(text, values![tenant, version], open)?.ok_or(Error::KeyGone)
    }

    pub(crate) fn current_tenant_key(&self, tenant: TenantId) -> Result<TenantKey, Error> {
        let text = sql!("select version, wrapped from tenant_keys where tenant = $1 order by version desc limit 1");
        let open = |row: &Row<'_>| Ok(self.keys.root.open_tenant_key(tenant, row.number(0)?, row.bytes(1)?)?);
        self.row(text, values![tenant], open)?.ok_or(Error::KeyGone)
    }

    /// The newest version of an object's data key.
    fn data_key(&self, owner: Owner) -> Result<Option<Arc<DataKey>>, Error> {
        if let Some(key) = self.fresh_key(owner).or_else(|| self.keys.data(&owner)) {
            return Ok(Some(key));
        }
        let (tenant, key_use, object) = owner;
        let text = sql!(
            "select version, wrapped from data_keys where tenant = $1 and key_use = $2 and object = $3 \
             order by version desc limit 1"
        );
        let found = self
            .row(text, values![tenant, key_use.number(), object], |row| Ok((row.number(0)?, row.bytes(1)?.to_vec())))?;
        let Some((version, wrapped)) = found else { return Ok(None) };
        let key = Arc::new(self.open_data_key(KeyName { tenant, key_use, object, version }, &wrapped)?);
        self.keys.keep_data(owner, &key);
        Ok(Some(key))
    }

    /// An older version of an object's data key; not worth a place in the cache.
    fn older_data_key(&self, name: KeyName) -> Result<DataKey, Error> {
        let text =
            sql!("select wrapped from data_keys where tenant = $1 and key_use = $2 and object = $3 and version = $4");
        let key_use = name.key_use.number();
        let values = values![name.tenant, key_use, name.object, name.version];
        let wrapped = self.row(text, values, |row| Ok(row.bytes(0)?.to_vec()))?.ok_or(Error::KeyGone)?;
        self.open_data_key(name, &wrapped)
    }

    fn open_data_key(&self, name: KeyName, wrapped: &[u8]) -> Result<DataKey, Error> {
        let tenant_key = self.tenant_key(name.tenant, keyring::envelope::key_version(wrapped)?)?;
        Ok(tenant_key.open_data_key(name, wrapped)?)
    }

    fn fresh_key(&self, owner: Owner) -> Option<Arc<DataKey>> {
        self.changes.borrow().iter().rev().find_map(|change| match change {
            Change::Made(made, key) if *made == owner => Some(Arc::clone(key)),
            _ => None,
        })
    }

    pub(crate) fn create_data_key(&self, (tenant, key_use, object): Owner) -> Result<Arc<DataKey>, Error> {
        // Not while the tenant's key is rotated: what is wrapped by the one before would be lost with it.
        self.link.lock(Lock::WrapKey(tenant));
        let name = KeyName { tenant, key_use, object, version: 1 };
        let (key, wrapped) = self.current_tenant_key(tenant)?.create_data_key(name)?;
        self.insert_data_key(name, &wrapped)?;
        let key = Arc::new(key);
        self.changes.borrow_mut().push(Change::Made((tenant, key_use, object), Arc::clone(&key)));
        Ok(key)
    }

    pub(crate) fn insert_data_key(&self, name: KeyName, wrapped: &[u8]) -> Result<(), Error> {
        let text =
            sql!("insert into data_keys (tenant, key_use, object, version, wrapped) values ($1, $2, $3, $4, $5)");
        self.execute(text, values![name.tenant, name.key_use.number(), name.object, name.version, wrapped])?;
        Ok(())
    }

    fn index_key(&self, tenant: TenantId) -> Result<Arc<IndexKey>, Error> {
        if let Some(key) = self.keys.index(tenant) {
            return Ok(key);
        }
        let name = TenantKey::index_key_name(tenant);
        let text =
            sql!("select wrapped from data_keys where tenant = $1 and key_use = $2 and object = $3 and version = $4");
        let key_use = name.key_use.number();
        let values = values![tenant, key_use, name.object, name.version];
        let wrapped = self.row(text, values, |row| Ok(row.bytes(0)?.to_vec()))?.ok_or(Error::KeyGone)?;
        let tenant_key = self.tenant_key(tenant, keyring::envelope::key_version(&wrapped)?)?;
        let key = Arc::new(tenant_key.open_index_key(&wrapped)?);
        // The key of a tenant that is being made in this transaction is not committed yet.
        if self.changes.borrow().is_empty() {
            self.keys.keep_index(tenant, &key);
        }
        Ok(key)
    }
}

impl Tx<'_> {
    /// Whose rows it reaches.
    pub const fn tenant_id(&self) -> TenantId {
        self.tenant
    }

    pub(crate) fn key(&self, key_use: KeyUse, object: &[u8; 16]) -> Result<Arc<DataKey>, Error> {
        self.session.data_key((self.tenant, key_use, *object))?.ok_or(Error::KeyGone)
    }

    pub(crate) fn key_or_new(&mut self, key_use: KeyUse, object: &[u8; 16]) -> Result<Arc<DataKey>, Error> {
        let owner = (self.tenant, key_use, *object);
        match self.session.data_key(owner)? {
            Some(key) => Ok(key),
            None => self.session.create_data_key(owner),
        }
    }

    /// Destroys the key of an object, in every version: overwritten first, because freed pages are not wiped. What it has
    /// sealed can no longer be opened, wherever it lies.
    pub(crate) fn destroy_key(&mut self, key_use: KeyUse, object: &[u8; 16]) -> Result<(), Error> {
        let (number, zeros) = (key_use.number(), [0u8; 32 + keyring::envelope::OVERHEAD_BYTES]);
        let text = sql!("update data_keys set wrapped = $4 where tenant = $1 and key_use = $2 and object = $3");
        self.session.execute(text, values![self.tenant, number, *object, zeros])?;
        let text = sql!("delete from data_keys where tenant = $1 and key_use = $2 and object = $3");
        self.session.execute(text, values![self.tenant, number, *object])?;
        self.session.changes.borrow_mut().push(Change::Destroyed((self.tenant, key_use, *object)));
        Ok(())
    }

    pub(crate) fn seal(&self, key: &DataKey, column: SealedColumn, row: &[u8], value: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(key.seal(self.cell(column, row), value)?)
    }

    pub(crate) fn open(
        &self,
        key: &DataKey,
        column: SealedColumn,
        row: &[u8],
        sealed: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let cell = self.cell(column, row);
        match key.open(cell, sealed) {
            Err(keyring::Error::KeyVersion { needed, .. }) => {
                let older = self.session.older_data_key(KeyName { version: needed, ..key.name() })?;
                Ok(older.open(cell, sealed)?)
            }
            opened => Ok(opened?),
        }
    }

    pub(crate) fn blind(&self, table: &'static str, column: &'static str, value: &[u8]) -> Result<[u8; 32], Error> {
        Ok(self.session.index_key(self.tenant)?.index(table, column, value))
    }

    const fn cell<'a>(&self, column: SealedColumn, row: &'a [u8]) -> Cell<'a> {
        Cell { tenant: self.tenant, table: column.table, column: column.column, row }
    }
}

impl OperatorTx<'_> {
    /// The same transaction inside a tenant: what a tenant is made with, its secrets and records, is made with it or not at
    /// all.
    pub fn inside(&mut self, tenant: TenantId) -> Tx<'_> {
        self.on(tenant);
        Tx { session: self.session, tenant }
    }

    /// What follows is about this tenant.
    pub(crate) fn on(&self, tenant: TenantId) {
        self.session.link.enter(Scope::operator_on(tenant));
    }

    /// What follows is about the list of tenants.
    pub(crate) fn on_all(&self) {
        self.session.link.enter(Scope::OPERATOR);
    }
}

impl std::fmt::Debug for Tx<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tx").field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for OperatorTx<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OperatorTx").finish_non_exhaustive()
    }
}
