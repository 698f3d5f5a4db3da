//! The key of the device's own database, sealed by a passphrase.

use crate::Entropy;
use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use argon2::{Algorithm, Argon2, Params, Version};
use minicbor::{Decode, Encode};
use std::fmt;
use zeroize::Zeroizing;

/// 32 random bytes that open the device's database (SQLCipher).
pub struct DatabaseKey(Zeroizing<[u8; 32]>);

/// Why a sealed key does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnsealError {
    /// The bytes are not a sealed key, or of a version that is unknown.
    #[error("the key file is damaged or of an unknown version")]
    Malformed,
    /// The passphrase is another, or the bytes were changed.
    #[error("the passphrase is wrong, or the key file was changed")]
    WrongPassphrase,
}

const VERSION: u8 = 1;
const AAD: &[u8] = b"mifeng/v1 database key";
/// Bounds on what a key file may ask this machine to spend, because a file can be changed by others.
const MEMORY_MAX_KIB: u32 = 1024 * 1024;
const PASSES_MAX: u32 = 16;

#[derive(Encode, Decode)]
#[cbor(map)]
struct Sealed {
    #[n(0)]
    version: u8,
    #[n(1)]
    memory_kib: u32,
    #[n(2)]
    passes: u32,
    #[cbor(n(3), with = "minicbor::bytes")]
    salt: [u8; 16],
    #[cbor(n(4), with = "minicbor::bytes")]
    nonce: [u8; 12],
    #[cbor(n(5), with = "minicbor::bytes")]
    ciphertext: Vec<u8>,
}

impl DatabaseKey {
    /// A new key.
    pub fn generate(entropy: &mut dyn Entropy) -> Self {
        Self(Zeroizing::new(entropy.array()))
    }

    /// A key kept by the operating system instead of under a passphrase.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The key's bytes, for the database and the operating system's keeper.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// Seals the key: Argon2id (64 MiB, 3 passes), AES-256-GCM.
    ///
    /// # Errors
    /// [`UnsealError::Malformed`] if the library refuses, which it has no reason to.
    pub fn seal(&self, passphrase: &[u8], entropy: &mut dyn Entropy) -> Result<Vec<u8>, UnsealError> {
        let (memory_kib, passes, salt, nonce) = (64 * 1024, 3, entropy.array(), entropy.array());
        let cipher = cipher(passphrase, memory_kib, passes, &salt)?;
        let ciphertext = cipher
            .encrypt(&Nonce::from(nonce), Payload { msg: self.0.as_slice(), aad: AAD })
            .map_err(|_| UnsealError::Malformed)?;
        Ok(wire::encode(&Sealed { version: VERSION, memory_kib, passes, salt, nonce, ciphertext }))
    }

    /// Opens a sealed key.
    ///
    /// # Errors
    /// [`UnsealError`].
    pub fn unseal(sealed: &[u8], passphrase: &[u8]) -> Result<Self, UnsealError> {
        let sealed: Sealed = wire::decode(sealed).map_err(|_| UnsealError::Malformed)?;
        if sealed.version != VERSION || sealed.memory_kib > MEMORY_MAX_KIB || sealed.passes > PASSES_MAX {
            return Err(UnsealError::Malformed);
        }
        let cipher = cipher(passphrase, sealed.memory_kib, sealed.passes, &sealed.salt)?;
        let opened = cipher
            .decrypt(&Nonce::from(sealed.nonce), Payload { msg: &sealed.ciphertext, aad: AAD })
            .map(Zeroizing::new)
            .map_err(|_| UnsealError::WrongPassphrase)?;
        opened.as_slice().try_into().map(|bytes| Self(Zeroizing::new(bytes))).map_err(|_| UnsealError::Malformed)
    }
}

fn cipher(passphrase: &[u8], memory_kib: u32, passes: u32, salt: &[u8; 16]) -> Result<Aes256Gcm, UnsealError> {
    let params = Params::new(memory_kib, passes, 1, Some(32)).map_err(|_| UnsealError::Malformed)?;
    let mut key = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase, salt, key.as_mut_slice())
        .map_err(|_| UnsealError::Malformed)?;
    Ok(Aes256Gcm::new(Key::<Aes256Gcm>::from_slice(key.as_slice())))
}

impl fmt::Debug for DatabaseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseKey").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counter(u8);
    impl Entropy for Counter {
        fn fill(&mut self, bytes: &mut [u8]) {
            for byte in bytes {
                self.0 = self.0.wrapping_add(1);
                *byte = self.0;
            }
        }
    }

    #[test]
    fn it_opens_with_its_passphrase_only() {
        let key = DatabaseKey::generate(&mut Counter(0));
        let sealed = key.seal(b"correct horse", &mut Counter(9)).unwrap();
        assert_eq!(DatabaseKey::unseal(&sealed, b"correct horse").unwrap().expose(), key.expose());
        assert_eq!(DatabaseKey::unseal(&sealed, b"wrong horse").unwrap_err(), UnsealError::WrongPassphrase);
    }

    /// Cheap parameters: the property is about the tag, not about the stretching.
    #[test]
    fn a14_every_other_tag_length_is_refused() {
        let (salt, nonce) = ([1; 16], [2; 12]);
        let whole = cipher(b"p", 8, 1, &salt)
            .unwrap()
            .encrypt(&Nonce::from(nonce), Payload { msg: &[7; 32], aad: AAD })
            .unwrap();
        let sealed = |ciphertext: Vec<u8>| {
            wire::encode(&Sealed { version: 1, memory_kib: 8, passes: 1, salt, nonce, ciphertext })
        };
        assert!(DatabaseKey::unseal(&sealed(whole.clone()), b"p").is_ok());
        for len in 0..whole.len() {
            assert!(DatabaseKey::unseal(&sealed(whole[..len].to_vec()), b"p").is_err(), "{len}");
        }
        assert!(DatabaseKey::unseal(&sealed([whole, vec![0]].concat()), b"p").is_err());
    }

    #[test]
    fn a_file_cannot_ask_for_more_than_is_sane() {
        let greedy = Sealed {
            version: 1,
            memory_kib: u32::MAX,
            passes: 1,
            salt: [0; 16],
            nonce: [0; 12],
            ciphertext: vec![0; 48],
        };
        assert_eq!(DatabaseKey::unseal(&wire::encode(&greedy), b"p").unwrap_err(), UnsealError::Malformed);
    }
}
