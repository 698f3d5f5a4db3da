//! The stored state as the client keeps it: opaque keys, opaque secret values.

use std::collections::BTreeMap;
use std::fmt;
use zeroize::Zeroizing;

/// Reads what earlier write sets have stored. The client implements it over its open transaction, so that an operation
/// sees what the same transaction has written.
pub trait Entries {
    /// The value stored under `key`.
    ///
    /// # Errors
    /// [`StorageFailure`] when it cannot be told.
    fn entry(&self, key: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, StorageFailure>;
}

/// The stored state cannot be read, or is not what was written.
#[derive(Debug, thiserror::Error)]
pub enum StorageFailure {
    /// The database failed.
    #[error("the stored group state cannot be read")]
    Read(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A value is damaged, or of a version that is unknown. The device repairs by joining again.
    #[error("the stored group state is damaged")]
    Damaged,
    /// A value cannot be encoded; there is no known cause.
    #[error("the group state cannot be encoded")]
    Encode,
}

/// What an operation changed. The client applies it in the transaction that stores the rest of the effect, or drops it
/// together with the group. Values hold secrets: they go into the device's encrypted database and nowhere else.
#[derive(Default, Clone)]
#[must_use = "the operation happened only if this becomes durable"]
pub struct WriteSet {
    entries: BTreeMap<Vec<u8>, Option<Zeroizing<Vec<u8>>>>,
}

impl WriteSet {
    /// The changes in the order of keys: a new value, or `None` for a key that must be gone, overwritten and all.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.entries.iter().map(|(key, value)| (key.as_slice(), value.as_ref().map(|value| value.as_slice())))
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The number of keys changed.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn put(&mut self, key: Vec<u8>, value: Zeroizing<Vec<u8>>) {
        self.entries.insert(key, Some(value));
    }

    pub(crate) fn delete(&mut self, key: Vec<u8>) {
        self.entries.insert(key, None);
    }

    /// `None` when this write set says nothing about the key.
    pub(crate) fn value(&self, key: &[u8]) -> Option<Option<&Zeroizing<Vec<u8>>>> {
        self.entries.get(key).map(Option::as_ref)
    }
}

impl fmt::Debug for WriteSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteSet").field("keys", &self.entries.len()).finish_non_exhaustive()
    }
}
