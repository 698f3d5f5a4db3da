//! The tenants that are in use, with what each request needs of them.

use crate::{clock::Clock, gateway::failure::Failure, password::Passwords};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use store::{Database, Store, Tx};
use trust::AuthorityPublicKey;
use wire::{TenantId, UnixMillis};

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
    /// After a restore: until then nothing is recorded but what was lost.
    held_until: Option<UnixMillis>,
}

impl Tenant {
    /// For how many milliseconds more nothing is recorded but what a restore has lost; `None` when everything is.
    pub fn held_ms(&self, now: UnixMillis) -> Option<u32> {
        let left = self.held_until?.checked_sub(now).filter(|left| *left > 0)?;
        Some(u32::try_from(left).unwrap_or(u32::MAX))
    }
}

/// All tenants, loaded when they are first asked for.
pub struct Tenants {
    database: Database,
    clock: Clock,
    resupply_ms: u64,
    loaded: Mutex<Loaded>,
}

#[derive(Default)]
struct Loaded {
    by_name: HashMap<String, Arc<Tenant>>,
    /// How often one was forgotten: what was read before that is not kept after it.
    forgotten: u64,
}

impl Tenants {
    /// Those of this database. After a restore devices have `resupply_ms` to give back what was lost, from when the first of
    /// them comes.
    pub fn new(database: Database, clock: Clock, resupply_ms: u64) -> Self {
        Self { database, clock, resupply_ms, loaded: Mutex::default() }
    }

    /// The tenant with this name.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn named(&self, name: &str) -> Result<Option<Arc<Tenant>>, Failure> {
        if !rules::tenant::is_name(name) {
            return Ok(None);
        }
        let forgotten = {
            let loaded = self.loaded();
            if let Some(tenant) = loaded.by_name.get(name) {
                return Ok(Some(Arc::clone(tenant)));
            }
            loaded.forgotten
        };
        let asked = name.to_owned();
        let found = self.database.operator().read(move |tx| Ok::<_, Failure>(tx.tenant_named(&asked)?)).await?;
        let Some(found) = found else { return Ok(None) };
        let store = self.database.tenant(found.tenant);
        let setup = store.read(|tx| Ok::<_, Failure>(tx.secret(OPAQUE_SETUP)?)).await?;
        let setup = setup.ok_or_else(|| Failure::internal("a tenant has no password setup"))?;
        let passwords = Passwords::open(found.tenant, &setup).map_err(Failure::internal)?;
        let held_until = self.held_until(&store).await?;
        let tenant = Arc::new(Tenant {
            held_until,
            id: found.tenant,
            name: found.name,
            suite: found.suite,
            authority: found.authority_key,
            store,
            passwords,
        });
        let mut loaded = self.loaded();
        if loaded.forgotten != forgotten {
            return Ok(Some(tenant));
        }
        // Another connection may have loaded it meanwhile: there is one of it.
        Ok(Some(Arc::clone(loaded.by_name.entry(tenant.name.clone()).or_insert(tenant))))
    }

    async fn held_until(&self, store: &Store) -> Result<Option<UnixMillis>, Failure> {
        if !store.read(|tx| Ok::<_, Failure>(tx.was_restored()?)).await? {
            return Ok(None);
        }
        let end = self.clock.now().saturating_add(self.resupply_ms);
        store.write(move |tx: &mut Tx<'_>| Ok::<_, Failure>(tx.hold(end)?)).await
    }

    /// Name and id of every tenant.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn names(&self) -> Result<Vec<(String, TenantId)>, Failure> {
        let all = self.database.operator().read(|tx| Ok::<_, Failure>(tx.tenants()?)).await?;
        Ok(all.into_iter().map(|tenant| (tenant.name, tenant.tenant)).collect())
    }

    /// Whether the tenant is still as it was loaded.
    pub fn is_current(&self, tenant: &Arc<Tenant>) -> bool {
        self.loaded().by_name.get(&tenant.name).is_some_and(|loaded| Arc::ptr_eq(loaded, tenant))
    }

    /// Forgets a tenant that was destroyed or changed; connections that were greeted before do not log in any more.
    pub fn forget(&self, name: &str) {
        let mut loaded = self.loaded();
        loaded.by_name.remove(name);
        loaded.forgotten += 1;
    }

    fn loaded(&self) -> MutexGuard<'_, Loaded> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
