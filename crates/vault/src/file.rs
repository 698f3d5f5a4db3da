//! Files, sealed on the device that sends them, part by part, so that each can be opened and checked as it comes
//! (`docs/decisions/0100-files.md`).

use crate::Entropy;
use aes_gcm::Aes256Gcm;
use aes_gcm::aead::generic_array::GenericArray;
use aes_gcm::aead::stream::{NewStream, StreamBE32, StreamPrimitive};
use aes_gcm::aead::{KeyInit, Payload};
use sha2::{Digest, Sha256};
use std::fmt;
use trust::registry::{FILE, FILE_DIGEST};
use wire::Parts;
use wire::limits::{self, BLOB_PART_BYTES};
use wire::sabotage::{Defence, stands};
use zeroize::Zeroizing;

/// What sealing adds to a part, in bytes.
const TAG_BYTES: usize = 16;
/// Bytes of a file in each part but the last.
pub const FILE_PART_BYTES: usize = BLOB_PART_BYTES - TAG_BYTES;
/// Smaller files are as long as this when they are sealed.
const PADDED_MIN_BYTES: u64 = 1_024;

/// 32 random bytes that open one file. They travel inside the message that announces it, and nowhere else.
#[derive(Clone, PartialEq, Eq)]
pub struct FileKey(Zeroizing<[u8; 32]>);

/// Which part of how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilePart {
    /// From 0.
    pub index: u32,
    /// Nothing comes after it.
    pub is_last: bool,
}

impl FileKey {
    /// A new key, for one file.
    pub fn generate(entropy: &mut dyn Entropy) -> Self {
        Self(Zeroizing::new(entropy.array()))
    }

    /// The key that came with a message.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The key's bytes, for the message that announces the file.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// Seals a part: AES-256-GCM in the STREAM construction (Hoang, Reyhanitabar, Rogaway and Vizár 2015), whose nonces say
    /// which part it is and whether it is the last. Each part of a file is sealed once.
    pub fn seal(&self, part: FilePart, bytes: &[u8]) -> Vec<u8> {
        let payload = Payload { msg: bytes, aad: FILE.as_bytes() };
        // The library refuses only what is longer than 64 GiB; nothing then is what is stored.
        self.stream().encrypt(place(part), part.is_last, payload).unwrap_or_default()
    }

    /// Opens a part; `None` when it is not this file's, not this part, or was changed.
    pub fn open(&self, part: FilePart, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let payload = Payload { msg: sealed, aad: FILE.as_bytes() };
        self.stream().decrypt(place(part), part.is_last, payload).ok().map(Zeroizing::new)
    }

    fn stream(&self) -> StreamBE32<Aes256Gcm> {
        // The key is one file's: there is nothing that this part of the nonce would have to keep apart.
        StreamBE32::from_aead(Aes256Gcm::new((&*self.0).into()), &GenericArray::default())
    }
}

/// Where in the stream a part is.
fn place(part: FilePart) -> u32 {
    if stands(Defence::PartPlace) { part.index } else { 0 }
}

impl fmt::Debug for FileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileKey(..)")
    }
}

/// How long a file of this size is when it is sealed, without what sealing adds: what it is padded to tells its size to
/// within 12 % and no closer (Padmé; Nikitin et al. 2019).
pub fn padded_bytes(size: u64) -> u64 {
    let size = size.max(PADDED_MIN_BYTES);
    let exponent = size.ilog2();
    let kept_bits = exponent.ilog2() + 1;
    size.next_multiple_of(1 << (exponent - kept_bits))
}

/// How a file of this size lies in parts when it is sealed. One that is too large is as if it were as large as it may be.
pub fn sealed_parts(size: u64) -> Parts {
    let padded = padded_bytes(size.min(limits::FILE_MAX_BYTES));
    let tags = padded.div_ceil(FILE_PART_BYTES as u64) * TAG_BYTES as u64;
    Parts::of(padded + tags).unwrap_or(Parts::LARGEST)
}

/// What a part counts for in the digest of its file.
pub fn part_digest(sealed: &[u8]) -> [u8; 32] {
    Sha256::digest(sealed).into()
}

/// The digest of a file: SHA-256 over those of its sealed parts, in order. It stands in the message, so that all who read it
/// get the same file, whatever its sender and the server agree on.
pub fn file_digest(parts: impl IntoIterator<Item = [u8; 32]>) -> [u8; 32] {
    let mut digest = Sha256::new_with_prefix(FILE_DIGEST);
    parts.into_iter().for_each(|part| digest.update(part));
    digest.finalize().into()
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

    const FIRST: FilePart = FilePart { index: 0, is_last: false };
    const LAST: FilePart = FilePart { index: 1, is_last: true };

    #[test]
    fn c11_a_part_opens_by_its_own_key_and_in_its_own_place_only() {
        let key = FileKey::generate(&mut Counter(0));
        let sealed = key.seal(LAST, b"the end");
        assert_eq!(key.open(LAST, &sealed).unwrap().as_slice(), b"the end");
        assert!(FileKey::generate(&mut Counter(5)).open(LAST, &sealed).is_none());
        for part in [FIRST, FilePart { index: 1, is_last: false }, FilePart { index: 2, is_last: true }] {
            assert!(key.open(part, &sealed).is_none(), "{part:?}");
        }
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert!(key.open(LAST, &changed).is_none());
        }
        assert!((0..sealed.len()).all(|len| key.open(LAST, &sealed[..len]).is_none()));
    }

    #[test]
    fn c6_debug_shows_no_file_key() {
        assert_eq!(format!("{:?}", FileKey::generate(&mut Counter(0))), "FileKey(..)");
    }

    #[test]
    fn padding_hides_the_size_and_costs_little() {
        let mut lengths = std::collections::BTreeSet::new();
        for size in (0..5_000).chain((13..32).flat_map(|bits| [(1u64 << bits) - 1, 1 << bits, (1 << bits) + 1])) {
            let padded = padded_bytes(size);
            assert!(padded >= size && padded * 100 <= size.max(PADDED_MIN_BYTES) * 112, "{size}: {padded}");
            lengths.insert(padded);
        }
        assert!(lengths.len() < 120, "{} lengths", lengths.len());
        assert_eq!(padded_bytes(wire::limits::FILE_MAX_BYTES), wire::limits::FILE_MAX_BYTES);
        assert!(sealed_parts(wire::limits::FILE_MAX_BYTES).bytes() < wire::limits::BLOB_MAX_BYTES);
        for size in [0, 1, FILE_PART_BYTES as u64, 1 + FILE_PART_BYTES as u64, 300_000_000] {
            let parts = padded_bytes(size).div_ceil(FILE_PART_BYTES as u64);
            assert_eq!(u64::from(sealed_parts(size).count()), parts, "a part of the file is a part of the blob");
        }
    }

    #[test]
    fn the_digest_is_of_the_parts_in_their_order() {
        let parts = [part_digest(b"a"), part_digest(b"b")];
        let digest = file_digest(parts);
        assert_eq!(digest, file_digest(parts));
        assert_ne!(digest, file_digest([parts[1], parts[0]]));
        assert_ne!(digest, file_digest([parts[0]]));
    }
}
