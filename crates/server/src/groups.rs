//! What the server keeps in memory of conversations: who belongs to them, and the public trees that commits are checked
//! against. Both are copies. The store decides again under its lock, and when it disagrees the copy is thrown away.

use roster::PublicTree;
use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use wire::sabotage::{Defence, stands};
use wire::{ConversationId, DeviceId, GroupId, TenantId};

/// Public trees that are kept. A large post-quantum one has megabytes.
const TREES: usize = 64;

type Key = (TenantId, ConversationId);

/// Who belongs to a conversation in one epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The MLS group.
    pub group_id: GroupId,
    /// The generation of the log.
    pub generation: u32,
    /// The group's epoch.
    pub epoch: u64,
    /// The place in the log of what began the epoch.
    pub since: u64,
    /// The devices with a leaf, sorted.
    pub devices: Vec<DeviceId>,
}

impl Membership {
    /// Whether the device has a leaf.
    pub fn has(&self, device: DeviceId) -> bool {
        self.devices.binary_search(&device).is_ok() || !stands(Defence::Membership)
    }

    /// By the log, because epochs begin anew in every group.
    fn is_later_than(&self, other: &Self) -> bool {
        (self.generation, self.since) > (other.generation, other.since)
    }
}

/// Everything that is kept.
pub struct Groups {
    memberships: Mutex<Cache<Key, Arc<Membership>>>,
    trees: Mutex<Cache<Key, PublicTree>>,
}

impl Groups {
    /// Keeps the membership of up to so many conversations.
    pub fn new(conversations: usize) -> Self {
        Self { memberships: Mutex::new(Cache::new(conversations)), trees: Mutex::new(Cache::new(TREES)) }
    }

    /// Who belongs to the conversation, if that is at hand.
    pub fn membership(&self, tenant: TenantId, conversation: ConversationId) -> Option<Arc<Membership>> {
        lock(&self.memberships).find(&(tenant, conversation)).cloned()
    }

    /// Keeps a membership, unless a later one is there.
    pub fn keep(&self, tenant: TenantId, conversation: ConversationId, membership: Arc<Membership>) {
        let mut memberships = lock(&self.memberships);
        let key = (tenant, conversation);
        if memberships.find(&key).is_none_or(|kept| membership.is_later_than(kept)) {
            memberships.put(key, membership);
        }
    }

    /// Takes the tree out, so that one commit at a time works on it; another loads its own.
    pub fn take_tree(&self, tenant: TenantId, conversation: ConversationId) -> Option<PublicTree> {
        lock(&self.trees).take(&(tenant, conversation))
    }

    /// Puts a tree back, unless one of a later epoch is there.
    pub fn put_tree(&self, tenant: TenantId, conversation: ConversationId, tree: PublicTree) {
        let mut trees = lock(&self.trees);
        let key = (tenant, conversation);
        if trees.find(&key).is_none_or(|kept| place(&tree) > place(kept)) {
            trees.put(key, tree);
        }
    }

    /// Puts a tree in the place of one of the same epoch or an earlier one: it knows a proposal that the other may not.
    pub fn replace_tree(&self, tenant: TenantId, conversation: ConversationId, tree: PublicTree) {
        let mut trees = lock(&self.trees);
        let key = (tenant, conversation);
        if trees.find(&key).is_none_or(|kept| place(&tree) >= place(kept)) {
            trees.put(key, tree);
        }
    }

    /// Forgets a conversation: the store knows it otherwise.
    pub fn forget(&self, tenant: TenantId, conversation: ConversationId) {
        lock(&self.memberships).take(&(tenant, conversation));
        lock(&self.trees).take(&(tenant, conversation));
    }

    /// Forgets a tenant that was destroyed.
    pub fn forget_tenant(&self, tenant: TenantId) {
        lock(&self.memberships).retain(|key| key.0 != tenant);
        lock(&self.trees).retain(|key| key.0 != tenant);
    }
}

/// Which of two trees of a conversation is the later one: by the group's place in the chain, then by the epoch.
fn place(tree: &PublicTree) -> (u32, u64) {
    (tree.policy().ordinal, tree.epoch())
}

/// A cache of bounded size whose eviction costs nothing: what was used since the young generation began is young, and when
/// that is full, the old one is dropped.
struct Cache<K, V> {
    half: usize,
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Eq + Hash + Copy, V> Cache<K, V> {
    fn new(size: usize) -> Self {
        Self { half: size.div_ceil(2).max(1), young: HashMap::new(), old: HashMap::new() }
    }

    fn find(&mut self, key: &K) -> Option<&V> {
        if let Some(value) = self.old.remove(key) {
            self.put(*key, value);
        }
        self.young.get(key)
    }

    fn put(&mut self, key: K, value: V) {
        if self.young.len() >= self.half && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.old.remove(&key);
        self.young.insert(key, value);
    }

    fn take(&mut self, key: &K) -> Option<V> {
        self.young.remove(key).or_else(|| self.old.remove(key))
    }

    fn retain(&mut self, keep: impl Fn(&K) -> bool) {
        self.young.retain(|key, _| keep(key));
        self.old.retain(|key, _| keep(key));
    }
}

/// A thread that panicked left at worst a missing copy behind.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn membership(group: u8, epoch: u64, since: u64) -> Arc<Membership> {
        let group_id = GroupId::from_bytes([group; 16]);
        Arc::new(Membership { group_id, generation: 0, epoch, since, devices: Vec::new() })
    }

    #[test]
    fn an_older_membership_never_replaces_a_later_one() {
        let groups = Groups::new(10);
        let (tenant, conversation) = (TenantId::from_bytes([1; 16]), ConversationId::from_bytes([2; 16]));
        groups.keep(tenant, conversation, membership(0, 3, 7));
        groups.keep(tenant, conversation, membership(0, 2, 5));
        assert_eq!(groups.membership(tenant, conversation).unwrap().epoch, 3);
        groups.keep(tenant, conversation, membership(1, 1, 9));
        groups.keep(tenant, conversation, membership(0, 4, 8));
        assert_eq!(groups.membership(tenant, conversation).unwrap().epoch, 1, "of the group that came after");
        assert!(groups.membership(TenantId::from_bytes([9; 16]), conversation).is_none());
    }

    #[test]
    fn the_cache_is_bounded_and_keeps_what_is_used() {
        let mut cache = Cache::new(10);
        for key in 0..1_000 {
            cache.put(key, key);
            assert_eq!(cache.find(&0), Some(&0));
            assert!(cache.young.len() + cache.old.len() <= 11);
        }
        assert_eq!(cache.find(&1), None);
    }
}
