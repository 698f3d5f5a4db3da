//! Tenants, and the small secrets that the server keeps for each.

use crate::keys::Change;
use crate::schema::{SealedColumn, sealed};
use crate::sql::{Row, sql, values};
use crate::{Error, OperatorTx, Tx};
use keyring::{KeyUse, TenantKey};
use trust::AuthorityPublicKey;
use wire::{TenantId, UnixMillis};
use zeroize::Zeroizing;

const SECRET: SealedColumn = sealed("secrets", "value");

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// Its id.
    pub tenant: TenantId,
    /// What people type to reach it; public, unique, never changes.
    pub name: String,
    /// MLS cipher suite of new groups.
    pub suite: u16,
    /// Closes the chains of leavers.
    pub authority_key: AuthorityPublicKey,
    /// When it was made.
    pub created_at: UnixMillis,
}

/// A tenant to be made.
#[derive(Debug, Clone, Copy)]
pub struct NewTenant<'a> {
    /// Its id.
    pub tenant: TenantId,
    /// Its name, as `rules::tenant` allows it.
    pub name: &'a str,
    /// MLS cipher suite of new groups.
    pub suite: u16,
    /// Closes the chains of leavers.
    pub authority_key: AuthorityPublicKey,
}

impl OperatorTx<'_> {
    /// Makes a tenant with its keys. `false` when id or name are taken.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn create_tenant(&mut self, new: NewTenant<'_>, now: UnixMillis) -> Result<bool, Error> {
        self.on(new.tenant);
        let text = sql!(
            "insert into tenants (tenant, name, suite, authority_key, created_at) values ($1, $2, $3, $4, $5) \
             on conflict do nothing"
        );
        let values = values![new.tenant, new.name, new.suite, new.authority_key, now];
        if self.session.execute(text, values)? == 0 {
            return Ok(false);
        }
        let (key, wrapped) = self.session.keys.root.create_tenant_key(new.tenant, 1)?;
        self.insert_tenant_key(&key, &wrapped, now)?;
        let (_, wrapped) = key.create_index_key()?;
        self.session.insert_data_key(TenantKey::index_key_name(new.tenant), &wrapped)?;
        self.session.create_data_key((new.tenant, KeyUse::Tenant, *new.tenant.as_bytes()))?;
        Ok(true)
    }

    /// The tenant with this name.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn tenant_named(&self, name: &str) -> Result<Option<Tenant>, Error> {
        self.on_all();
        let text = sql!("select tenant, name, suite, authority_key, created_at from tenants where name = $1");
        self.session.row(text, values![name], tenant)
    }

    /// Every tenant, by name.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn tenants(&self) -> Result<Vec<Tenant>, Error> {
        self.on_all();
        let text = sql!("select tenant, name, suite, authority_key, created_at from tenants order by name");
        self.session.rows(text, values![], |row| tenant(row).map(Some))
    }

    /// Gives a tenant another cipher suite. Key packages of the old one are of no use any more and go.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn set_suite(&mut self, tenant: TenantId, suite: u16) -> Result<(), Error> {
        self.on(tenant);
        self.session.execute(sql!("update tenants set suite = $2 where tenant = $1"), values![tenant, suite])?;
        self.session.execute(sql!("delete from key_packages where tenant = $1"), values![tenant]).map(drop)
    }

    /// Deletes a tenant and everything that belongs to it. Its keys are overwritten first: freed pages are not wiped, and
    /// without the keys nothing else in them can be read. `false` when there is none.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn delete_tenant(&mut self, tenant: TenantId) -> Result<bool, Error> {
        self.on(tenant);
        self.overwrite_keys(tenant)?;
        // First what waits for those who are writing to it: after that nobody finds a conversation to write to.
        let deleted = self.session.execute(sql!("delete from tenants where tenant = $1"), values![tenant])?;
        for text in [
            sql!("delete from log_entries where tenant = $1"),
            sql!("delete from recent_sends where tenant = $1"),
            sql!("delete from cursors where tenant = $1"),
            sql!("delete from audit_entries where tenant = $1"),
        ] {
            self.session.execute(text, values![tenant])?;
        }
        self.session.changes.borrow_mut().push(Change::Forgotten(tenant));
        Ok(deleted > 0)
    }

    pub(crate) fn insert_tenant_key(&self, key: &TenantKey, wrapped: &[u8], now: UnixMillis) -> Result<(), Error> {
        let text = sql!("insert into tenant_keys (tenant, version, wrapped, created_at) values ($1, $2, $3, $4)");
        self.session.execute(text, values![key.tenant(), key.version(), wrapped, now]).map(drop)
    }

    /// Zeros of the same length take the place of the wrapped keys in their pages.
    fn overwrite_keys(&self, tenant: TenantId) -> Result<(), Error> {
        let zeros = [0u8; 32 + keyring::envelope::OVERHEAD_BYTES];
        self.session.execute(sql!("update data_keys set wrapped = $2 where tenant = $1"), values![tenant, zeros])?;
        self.session.execute(sql!("update tenant_keys set wrapped = $2 where tenant = $1"), values![tenant, zeros])?;
        Ok(())
    }
}

impl Tx<'_> {
    /// The tenant itself.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn tenant(&self) -> Result<Option<Tenant>, Error> {
        let text = sql!("select tenant, name, suite, authority_key, created_at from tenants where tenant = $1");
        self.session.row(text, values![self.tenant], tenant)
    }

    /// Keeps a secret of the server under a name, in place of the one before.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn put_secret(&mut self, name: &str, secret: &[u8]) -> Result<(), Error> {
        let tenant = self.tenant;
        let key = self.key_or_new(KeyUse::Tenant, tenant.as_bytes())?;
        let value = self.seal(&key, SECRET, name.as_bytes(), secret)?;
        let text = sql!(
            "insert into secrets (tenant, name, value) values ($1, $2, $3) \
             on conflict (tenant, name) do update set value = excluded.value"
        );
        self.session.execute(text, values![self.tenant, name, value]).map(drop)
    }

    /// The secret of that name.
    ///
    /// # Errors
    /// [`Error::Sealed`] when it was tampered with, [`Error`] of the storage.
    pub fn secret(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        let text = sql!("select value from secrets where tenant = $1 and name = $2");
        let Some(value) = self.session.row(text, values![self.tenant, name], |row| Ok(row.bytes(0)?.to_vec()))? else {
            return Ok(None);
        };
        let key = self.key(KeyUse::Tenant, self.tenant.as_bytes())?;
        self.open(&key, SECRET, name.as_bytes(), &value).map(|secret| Some(Zeroizing::new(secret)))
    }
}

fn tenant(row: &Row<'_>) -> Result<Tenant, Error> {
    Ok(Tenant {
        tenant: row.id(0)?,
        name: row.text(1)?.to_owned(),
        suite: row.number(2)?,
        authority_key: AuthorityPublicKey::from_bytes(row.array(3)?),
        created_at: row.number(4)?,
    })
}
