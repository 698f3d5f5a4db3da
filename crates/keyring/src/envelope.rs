//! The form of a sealed value: `algorithm: u8 ‖ key version: u32 ‖ nonce: 12 bytes ‖ ciphertext ‖ tag: 16 bytes`.

use crate::Cell;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

/// AES-256-GCM with a random nonce, the only algorithm so far.
pub const AES_256_GCM_ID: u8 = 1;
/// Bytes before the ciphertext.
pub const HEADER_BYTES: usize = 1 + 4 + NONCE_LEN;
/// Bytes after the ciphertext.
pub const TAG_BYTES: usize = 16;
/// What sealing adds to a value's length.
pub const OVERHEAD_BYTES: usize = HEADER_BYTES + TAG_BYTES;

/// Why a value was not sealed or does not open. It says nothing about the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The value is too short to be an envelope.
    #[error("a sealed value is cut short")]
    Malformed,
    /// The envelope names an algorithm that this version does not know.
    #[error("a sealed value has the unknown algorithm {0}")]
    Algorithm(u8),
    /// The envelope was sealed under another version of the key.
    #[error("a sealed value needs version {needed} of its key, not {held}")]
    KeyVersion {
        /// What the envelope names.
        needed: u32,
        /// The version of the key that was tried.
        held: u32,
    },
    /// It was altered, moved from another place, or sealed under another key.
    #[error("a sealed value does not open: altered, moved or under another key")]
    Refused,
    /// The cryptographic library failed: no randomness, or a value beyond its limits.
    #[error("the cryptographic library failed")]
    Library,
}

/// The version of the key under which an envelope was sealed.
///
/// # Errors
/// [`Error::Malformed`], [`Error::Algorithm`].
pub fn key_version(envelope: &[u8]) -> Result<u32, Error> {
    header(envelope).map(|(version, _)| version)
}

/// A key that seals. The library wipes its memory when it is dropped.
pub(crate) struct Cipher {
    key: LessSafeKey,
    version: u32,
}

/// 32 secret bytes on their way from or to an envelope.
pub(crate) type Secret = Zeroizing<[u8; 32]>;

/// 32 fresh random bytes.
pub(crate) fn random_secret() -> Result<Secret, Error> {
    let mut secret = Secret::default();
    aws_lc_rs::rand::fill(secret.as_mut_slice()).map_err(|_| Error::Library)?;
    Ok(secret)
}

impl Cipher {
    pub(crate) fn new(secret: &Secret, version: u32) -> Result<Self, Error> {
        let key = UnboundKey::new(&AES_256_GCM, secret.as_slice()).map_err(|_| Error::Library)?;
        Ok(Self { key: LessSafeKey::new(key), version })
    }

    pub(crate) const fn version(&self) -> u32 {
        self.version
    }

    pub(crate) fn seal(&self, cell: Cell<'_>, plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        let mut nonce = [0; NONCE_LEN];
        aws_lc_rs::rand::fill(&mut nonce).map_err(|_| Error::Library)?;
        let mut envelope = Vec::with_capacity(plaintext.len() + OVERHEAD_BYTES);
        envelope.push(AES_256_GCM_ID);
        envelope.extend_from_slice(&self.version.to_be_bytes());
        envelope.extend_from_slice(&nonce);
        envelope.extend_from_slice(plaintext);
        let body = envelope.get_mut(HEADER_BYTES..).ok_or(Error::Library)?;
        let aad = Aad::from(cell.authenticated(AES_256_GCM_ID, self.version));
        let tag = self
            .key
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), aad, body)
            .map_err(|_| Error::Library)?;
        envelope.extend_from_slice(tag.as_ref());
        Ok(envelope)
    }

    pub(crate) fn open(&self, cell: Cell<'_>, envelope: &[u8]) -> Result<Vec<u8>, Error> {
        let (needed, nonce) = header(envelope)?;
        if needed != self.version {
            return Err(Error::KeyVersion { needed, held: self.version });
        }
        let mut body = envelope.get(HEADER_BYTES..).ok_or(Error::Malformed)?.to_vec();
        let aad = Aad::from(cell.authenticated(AES_256_GCM_ID, self.version));
        let len = self
            .key
            .open_in_place(Nonce::assume_unique_for_key(nonce), aad, &mut body)
            .map_err(|_| Error::Refused)?
            .len();
        body.truncate(len);
        Ok(body)
    }

    /// Opens a wrapped key.
    pub(crate) fn open_secret(&self, cell: Cell<'_>, envelope: &[u8]) -> Result<Secret, Error> {
        let bytes = Zeroizing::new(self.open(cell, envelope)?);
        bytes.as_slice().try_into().map(Secret::new).map_err(|_| Error::Malformed)
    }
}

fn header(envelope: &[u8]) -> Result<(u32, [u8; NONCE_LEN]), Error> {
    if envelope.len() < OVERHEAD_BYTES {
        return Err(Error::Malformed);
    }
    let (algorithm, rest) = envelope.split_first().ok_or(Error::Malformed)?;
    if *algorithm != AES_256_GCM_ID {
        return Err(Error::Algorithm(*algorithm));
    }
    let (version, rest) = rest.split_first_chunk().ok_or(Error::Malformed)?;
    let nonce = rest.first_chunk().ok_or(Error::Malformed)?;
    Ok((u32::from_be_bytes(*version), *nonce))
}
