//! Data keys in the clear, in memory, so that a message does not cost an unwrapping.

use keyring::{DataKey, IndexKey, KeyUse, RootKey};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use wire::TenantId;

/// Keys that a generation of the cache holds. A data key takes less than 1 KiB.
const GENERATION: usize = 4_096;

/// Names an object that has a data key.
pub(crate) type Owner = (TenantId, KeyUse, [u8; 16]);

/// The root key, and the keys below it that were used lately. Holds only what is committed.
pub(crate) struct Keys {
    pub(crate) root: RootKey,
    data: Mutex<Generations>,
    index: Mutex<HashMap<TenantId, Arc<IndexKey>>>,
}

/// A cache of bounded size whose eviction costs nothing: what was used since the young generation was begun is young.
#[derive(Default)]
struct Generations {
    young: HashMap<Owner, Arc<DataKey>>,
    old: HashMap<Owner, Arc<DataKey>>,
}

/// A change of the cache that waits for the commit of the transaction that caused it.
pub(crate) enum Change {
    Made(Owner, Arc<DataKey>),
    Destroyed(Owner),
    Forgotten(TenantId),
}

impl Change {
    /// Whether the cache may learn it although it is not known to be committed.
    pub(crate) const fn is_safe_if_undone(&self) -> bool {
        matches!(self, Self::Destroyed(_) | Self::Forgotten(_))
    }
}

impl Keys {
    pub(crate) fn new(root: RootKey) -> Self {
        Self { root, data: Mutex::default(), index: Mutex::default() }
    }

    pub(crate) fn data(&self, owner: &Owner) -> Option<Arc<DataKey>> {
        lock(&self.data).find(owner)
    }

    pub(crate) fn keep_data(&self, owner: Owner, key: &Arc<DataKey>) {
        lock(&self.data).put(owner, Arc::clone(key));
    }

    pub(crate) fn index(&self, tenant: TenantId) -> Option<Arc<IndexKey>> {
        lock(&self.index).get(&tenant).cloned()
    }

    pub(crate) fn keep_index(&self, tenant: TenantId, key: &Arc<IndexKey>) {
        let mut index = lock(&self.index);
        if index.len() >= GENERATION {
            index.clear();
        }
        index.insert(tenant, Arc::clone(key));
    }

    pub(crate) fn apply(&self, changes: impl Iterator<Item = Change>) {
        for change in changes {
            match change {
                Change::Made(owner, key) => self.keep_data(owner, &key),
                Change::Destroyed(owner) => lock(&self.data).remove(&owner),
                Change::Forgotten(tenant) => {
                    lock(&self.data).forget(tenant);
                    lock(&self.index).remove(&tenant);
                }
            }
        }
    }
}

impl Generations {
    fn find(&mut self, owner: &Owner) -> Option<Arc<DataKey>> {
        if let Some(key) = self.young.get(owner) {
            return Some(Arc::clone(key));
        }
        let key = self.old.remove(owner)?;
        self.put(*owner, Arc::clone(&key));
        Some(key)
    }

    fn put(&mut self, owner: Owner, key: Arc<DataKey>) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(owner, key);
    }

    fn remove(&mut self, owner: &Owner) {
        self.young.remove(owner);
        self.old.remove(owner);
    }

    fn forget(&mut self, tenant: TenantId) {
        self.young.retain(|owner, _| owner.0 != tenant);
        self.old.retain(|owner, _| owner.0 != tenant);
    }
}

/// A thread that panicked left at worst a missing entry behind.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
