//! The tenants that are in use, with what each request needs of them.

use crate::{gateway::failure::Failure, password::Passwords};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use store::{Database, Store};
use trust::AuthorityPublicKey;
use wire::TenantId;

/// The name of a tenant's OPAQUE setup among its secrets.
pub const OPAQUE_SETUP: &str = "opaque setup";
/// The name of the OPAQUE record that stands in for those that do not exist.
pub const FAKE_OPAQUE_RECORD: &str = "fake opaque record";
/// The name of the key with which a tenant closes the chains of leavers.
pub const AUTHORITY_KEY: &str = "authority key";

/// One tenant.
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// Its name.
    pub name: String,
    /// The MLS cipher suite of its new groups.
    pub suite: u16,
    /// Closes the chains of leavers.
    pub authority: AuthorityPublicKey,
    /// Its rows.
    pub store: Store,
    /// Its passwords.
    pub passwords: Passwords,
}

/// All tenants, loaded when they are first asked for.
pub struct Tenants {
    database: Database,
    loaded: Mutex<HashMap<String, Arc<Tenant>>>,
}

impl Tenants {
    /// Those of this database.
    pub fn new(database: Database) -> Self {
        Self { database, loaded: Mutex::default() }
    }

    /// The tenant with this name.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn named(&self, name: &str) -> Result<Option<Arc<Tenant>>, Failure> {
        if !rules::tenant::is_name(name) {
            return Ok(None);
        }
        if let Some(tenant) = self.loaded().get(name) {
            return Ok(Some(Arc::clone(tenant)));
        }
        let asked = name.to_owned();
        let found = self.database.operator().read(move |tx| Ok::<_, Failure>(tx.tenant_named(&asked)?)).await?;
        let Some(found) = found else { return Ok(None) };
        let store = self.database.tenant(found.tenant);
        let setup = store.read(|tx| Ok::<_, Failure>(tx.secret(OPAQUE_SETUP)?)).await?;
        let setup = setup.ok_or_else(|| Failure::internal("a tenant has no password setup"))?;
        let passwords = Passwords::open(found.tenant, &setup).map_err(Failure::internal)?;
        let tenant = Arc::new(Tenant {
            id: found.tenant,
            name: found.name,
            suite: found.suite,
            authority: found.authority_key,
            store,
            passwords,
        });
        self.loaded().insert(tenant.name.clone(), Arc::clone(&tenant));
        Ok(Some(tenant))
    }

    /// Name and id of every tenant.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn names(&self) -> Result<Vec<(String, TenantId)>, Failure> {
        let all = self.database.operator().read(|tx| Ok::<_, Failure>(tx.tenants()?)).await?;
        Ok(all.into_iter().map(|tenant| (tenant.name, tenant.tenant)).collect())
    }

    /// Forgets a tenant that was destroyed.
    pub fn forget(&self, name: &str) {
        self.loaded().remove(name);
    }

    fn loaded(&self) -> MutexGuard<'_, HashMap<String, Arc<Tenant>>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
