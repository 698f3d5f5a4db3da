//! The key of one stored value, destroyed with it (`docs/decisions/0090-erasable-rows.md`).

use crate::Entropy;
use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use std::fmt;
use trust::registry::ROW;
use zeroize::Zeroizing;

/// Every key seals one value, once: there is nothing that a nonce would have to keep apart.
const NONCE: [u8; 12] = [0; 12];

/// 32 random bytes that open one value of a device's database. Whoever has the database without them has not the value.
pub struct RowKey(Zeroizing<[u8; 32]>);

impl RowKey {
    /// Seals a value by AES-256-GCM under a key of its own, bound to the name that it is stored by.
    pub fn seal(name: &[u8], value: &[u8], entropy: &mut dyn Entropy) -> (Self, Vec<u8>) {
        let key = Self(Zeroizing::new(entropy.array()));
        let payload = Payload { msg: value, aad: &authenticated(name) };
        // The library refuses only what is longer than 64 GiB; nothing then is what is stored.
        let sealed = key.cipher().encrypt(&Nonce::from(NONCE), payload).unwrap_or_default();
        (key, sealed)
    }

    /// The value; `None` when it is not this key's, or another name's.
    pub fn open(&self, name: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let payload = Payload { msg: sealed, aad: &authenticated(name) };
        self.cipher().decrypt(&Nonce::from(NONCE), payload).ok().map(Zeroizing::new)
    }

    /// A key that was stored.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The key's bytes, for where they are stored and nowhere else.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new((&*self.0).into())
    }
}

impl fmt::Debug for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RowKey(..)")
    }
}

fn authenticated(name: &[u8]) -> Vec<u8> {
    [ROW.as_bytes(), b"\0", name].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counter(u8);

    impl Entropy for Counter {
        fn fill(&mut self, bytes: &mut [u8]) {
            self.0 += 1;
            bytes.fill(self.0);
        }
    }

    #[test]
    fn a_value_opens_by_its_own_key_and_under_its_own_name_only() {
        let mut entropy = Counter(0);
        let (key, sealed) = RowKey::seal(b"one", b"secret", &mut entropy);
        let (other, _) = RowKey::seal(b"one", b"secret", &mut entropy);
        let stored = RowKey::from_bytes(*key.expose());
        assert_eq!(stored.open(b"one", &sealed).unwrap().as_slice(), b"secret");
        assert!(key.open(b"two", &sealed).is_none() && other.open(b"one", &sealed).is_none());
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert!(key.open(b"one", &changed).is_none());
        }
        assert!(key.open(b"one", &[]).is_none());
        assert_eq!(format!("{key:?}"), "RowKey(..)");
    }
}
