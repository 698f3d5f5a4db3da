//! The keys of a user's archive (`docs/decisions/0110-archive.md`): an archive key, which all of the user's devices have and
//! nobody else, seals the keys of days; a segment is sealed under what both give together (HKDF-SHA-256). So a day whose key
//! is destroyed is gone, and who has only an older archive key opens nothing that is sealed under a newer one, whatever day
//! it is put into. All by AES-256-GCM with random nonces.

use crate::Entropy;
use crate::file::padded_bytes;
use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use hkdf::Hkdf;
use sha2::Sha256;
use std::fmt;
use trust::registry::{ARCHIVE_DAY, ARCHIVE_SEGMENT};
use wire::{ConversationId, TenantId, UserId};
use zeroize::Zeroizing;

const FORM: u8 = 1;
const NONCE_BYTES: usize = 12;
/// Ends what is sealed; zeros follow.
const END: u8 = 0x80;

/// A user's archive key.
pub struct ArchiveKey {
    version: u32,
    removed: u32,
    key: Zeroizing<[u8; 32]>,
}

/// The key of one day of an archive.
pub struct DayKey(Zeroizing<[u8; 32]>);

/// Whose archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArchiveOwner {
    /// The tenant.
    pub tenant: TenantId,
    /// The user.
    pub user: UserId,
}

/// Where a segment stands; it opens nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentPlace {
    /// Of which conversation.
    pub conversation: ConversationId,
    /// The first place of its log.
    pub first: u64,
    /// The last one.
    pub last: u64,
    /// The day whose key seals it.
    pub day: u32,
    /// How often it was replaced.
    pub revision: u32,
}

/// What the server keeps was sealed under another key, for another place, or was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a part of the archive does not open")]
pub struct ArchiveError;

impl ArchiveKey {
    /// Bytes of the key where it is stored: version, removed devices, key.
    pub const SEALED_STORAGE_BYTES: usize = 4 + 4 + 32;

    /// A new key.
    pub fn generate(version: u32, removed: u32, entropy: &mut dyn Entropy) -> Self {
        Self { version, removed, key: Zeroizing::new(entropy.array()) }
    }

    /// From 1; the newest seals.
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// How many devices had been removed from the user's chain when the key was made. Once it is more, a device that is
    /// gone has the key, and nothing new is sealed under it.
    pub const fn removed(&self) -> u32 {
        self.removed
    }

    /// The key as it was sealed in the device's own database.
    pub fn from_sealed_storage(bytes: &Zeroizing<[u8; Self::SEALED_STORAGE_BYTES]>) -> Self {
        let number = |at: usize| bytes[at..at + 4].iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
        let mut key = Zeroizing::new([0; 32]);
        key.copy_from_slice(&bytes[8..]);
        Self { version: number(0), removed: number(4), key }
    }

    /// The key for the device's own, encrypted database, and for the sealed answer to a device that is linked.
    pub fn to_sealed_storage(&self) -> Zeroizing<[u8; Self::SEALED_STORAGE_BYTES]> {
        let mut bytes = Zeroizing::new([0; Self::SEALED_STORAGE_BYTES]);
        bytes[..4].copy_from_slice(&self.version.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.removed.to_be_bytes());
        bytes[8..].copy_from_slice(self.key.as_slice());
        bytes
    }

    /// Seals the key of a day.
    pub fn seal_day(&self, owner: ArchiveOwner, day: u32, key: &DayKey, entropy: &mut dyn Entropy) -> Vec<u8> {
        seal(&self.key, &self.of_day(owner, day), key.0.as_slice(), entropy)
    }

    /// Opens the key of a day.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn open_day(&self, owner: ArchiveOwner, day: u32, sealed: &[u8]) -> Result<DayKey, ArchiveError> {
        let opened = open(&self.key, &self.of_day(owner, day), sealed)?;
        let key: &[u8; 32] = opened.as_slice().try_into().map_err(|_| ArchiveError)?;
        Ok(DayKey(Zeroizing::new(*key)))
    }

    fn of_day(&self, owner: ArchiveOwner, day: u32) -> Vec<u8> {
        let numbers = [self.version, day].map(u32::to_be_bytes).concat();
        [ARCHIVE_DAY.as_bytes(), b"\0", owner.tenant.as_bytes(), owner.user.as_bytes(), &numbers].concat()
    }
}

impl DayKey {
    /// A new key.
    pub fn generate(entropy: &mut dyn Entropy) -> Self {
        Self(Zeroizing::new(entropy.array()))
    }

    /// The key as it was sealed in the device's own database.
    pub fn from_sealed_storage(bytes: &Zeroizing<[u8; 32]>) -> Self {
        Self(bytes.clone())
    }

    /// The key for the device's own, encrypted database; for nowhere else.
    pub fn to_sealed_storage(&self) -> Zeroizing<[u8; 32]> {
        self.0.clone()
    }

    /// Seals a segment for its place, under an archive key. Its length tells that of the content to within 12 % (Padmé).
    pub fn seal(
        &self,
        archive: &ArchiveKey,
        owner: ArchiveOwner,
        place: SegmentPlace,
        content: &[u8],
        entropy: &mut dyn Entropy,
    ) -> Vec<u8> {
        let padded = padded_bytes(content.len() as u64 + 1);
        let mut plain = Zeroizing::new(vec![0; usize::try_from(padded).unwrap_or(content.len() + 1)]);
        plain[..content.len()].copy_from_slice(content);
        plain[content.len()] = END;
        let sealed = seal(&self.with(archive), &of_segment(owner, place), &plain, entropy);
        [&archive.version.to_be_bytes()[..], &sealed].concat()
    }

    /// Which archive key a segment was sealed under.
    ///
    /// # Errors
    /// [`ArchiveError`] when it is no segment.
    pub fn version_of(sealed: &[u8]) -> Result<u32, ArchiveError> {
        sealed.first_chunk().map(|version| u32::from_be_bytes(*version)).ok_or(ArchiveError)
    }

    /// Opens a segment that was sealed for this place under this archive key.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn open(
        &self,
        archive: &ArchiveKey,
        owner: ArchiveOwner,
        place: SegmentPlace,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, ArchiveError> {
        let (version, sealed) = sealed.split_first_chunk::<4>().ok_or(ArchiveError)?;
        if u32::from_be_bytes(*version) != archive.version {
            return Err(ArchiveError);
        }
        let mut plain = open(&self.with(archive), &of_segment(owner, place), sealed)?;
        let end = plain.iter().rposition(|byte| *byte != 0).filter(|end| plain[*end] == END).ok_or(ArchiveError)?;
        plain.truncate(end);
        Ok(plain)
    }

    /// The key of this day's segments under an archive key. The version is bound by its key.
    fn with(&self, archive: &ArchiveKey) -> Zeroizing<[u8; 32]> {
        let mut both = Zeroizing::new([0; 64]);
        both[..32].copy_from_slice(self.0.as_slice());
        both[32..].copy_from_slice(archive.key.as_slice());
        let mut key = Zeroizing::new([0; 32]);
        // Fails only for more than 8,160 bytes.
        let _ = Hkdf::<Sha256>::new(None, both.as_slice()).expand(ARCHIVE_SEGMENT.as_bytes(), key.as_mut_slice());
        key
    }
}

fn of_segment(owner: ArchiveOwner, place: SegmentPlace) -> Vec<u8> {
    let SegmentPlace { conversation, first, last, day, revision } = place;
    let places = [first, last].map(u64::to_be_bytes).concat();
    let numbers = [day, revision].map(u32::to_be_bytes).concat();
    let (tenant, user) = (owner.tenant.as_bytes(), owner.user.as_bytes());
    [ARCHIVE_SEGMENT.as_bytes(), b"\0", tenant, user, conversation.as_bytes(), &places, &numbers].concat()
}

/// Form, nonce, AES-256-GCM.
fn seal(key: &[u8; 32], authenticated: &[u8], plain: &[u8], entropy: &mut dyn Entropy) -> Vec<u8> {
    let nonce: [u8; NONCE_BYTES] = entropy.array();
    let payload = Payload { msg: plain, aad: authenticated };
    // The library refuses only what is longer than 64 GiB; nothing then is what is stored.
    let sealed = cipher(key).encrypt(&Nonce::from(nonce), payload).unwrap_or_default();
    [[FORM].as_slice(), &nonce, &sealed].concat()
}

fn open(key: &[u8; 32], authenticated: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, ArchiveError> {
    let (form, rest) = sealed.split_first().ok_or(ArchiveError)?;
    let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>().filter(|_| *form == FORM).ok_or(ArchiveError)?;
    let opened = cipher(key).decrypt(&Nonce::from(*nonce), Payload { msg: sealed, aad: authenticated });
    opened.map(Zeroizing::new).map_err(|_| ArchiveError)
}

fn cipher(key: &[u8; 32]) -> Aes256Gcm {
    Aes256Gcm::new(Key::<Aes256Gcm>::from_slice(key))
}

impl fmt::Debug for ArchiveKey {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArchiveKey").field("version", &self.version).finish_non_exhaustive()
    }
}

impl fmt::Debug for DayKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DayKey(..)")
    }
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

    const OWNER: ArchiveOwner =
        ArchiveOwner { tenant: TenantId::from_bytes([1; 16]), user: UserId::from_bytes([2; 16]) };
    const PLACE: SegmentPlace =
        SegmentPlace { conversation: ConversationId::from_bytes([3; 16]), first: 4, last: 9, day: 20_000, revision: 1 };

    #[test]
    fn a_day_opens_with_its_own_archive_key_owner_and_day_only() {
        let mut entropy = Counter(0);
        let (key, day) = (ArchiveKey::generate(1, 0, &mut entropy), DayKey::generate(&mut entropy));
        let sealed = key.seal_day(OWNER, 7, &day, &mut entropy);
        let opened = key.open_day(OWNER, 7, &sealed).unwrap();
        assert_eq!(opened.to_sealed_storage(), day.to_sealed_storage());
        assert!(sealed.len() <= wire::limits::DAY_KEY_MAX_BYTES);
        let other = ArchiveOwner { user: UserId::from_bytes([9; 16]), ..OWNER };
        assert!(key.open_day(OWNER, 8, &sealed).is_err() && key.open_day(other, 7, &sealed).is_err());
        let newer = ArchiveKey { version: 2, removed: 0, key: key.key.clone() };
        assert!(newer.open_day(OWNER, 7, &sealed).is_err(), "a version cannot be passed off as another");
        assert!(ArchiveKey::generate(1, 0, &mut entropy).open_day(OWNER, 7, &sealed).is_err());
    }

    #[test]
    fn a_segment_opens_in_its_own_place_only() {
        let mut entropy = Counter(0);
        let (archive, key) = (ArchiveKey::generate(1, 0, &mut entropy), DayKey::generate(&mut entropy));
        for content in [b"".as_slice(), b"said", &[0; 300], &[END, 0]] {
            let sealed = key.seal(&archive, OWNER, PLACE, content, &mut entropy);
            assert_eq!(*key.open(&archive, OWNER, PLACE, &sealed).unwrap(), content);
        }
        let sealed = key.seal(&archive, OWNER, PLACE, b"said", &mut entropy);
        let elsewhere = [
            SegmentPlace { conversation: ConversationId::from_bytes([9; 16]), ..PLACE },
            SegmentPlace { first: 5, ..PLACE },
            SegmentPlace { last: 10, ..PLACE },
            SegmentPlace { day: 1, ..PLACE },
            SegmentPlace { revision: 2, ..PLACE },
        ];
        assert!(elsewhere.iter().all(|place| key.open(&archive, OWNER, *place, &sealed).is_err()));
        let tenant = ArchiveOwner { tenant: TenantId::from_bytes([9; 16]), ..OWNER };
        assert!(key.open(&archive, tenant, PLACE, &sealed).is_err());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(key.open(&archive, OWNER, PLACE, &changed).is_err(), "{at}");
            assert!(key.open(&archive, OWNER, PLACE, &sealed[..at]).is_err(), "{at}");
        }
    }

    #[test]
    fn a21_who_has_the_day_and_an_older_archive_key_opens_nothing_newer() {
        let mut entropy = Counter(0);
        let [old, new] = [1, 2].map(|version| ArchiveKey::generate(version, version - 1, &mut entropy));
        let day = DayKey::generate(&mut entropy);
        let sealed = day.seal(&new, OWNER, PLACE, b"said", &mut entropy);
        assert_eq!(DayKey::version_of(&sealed), Ok(2));
        assert!(day.open(&old, OWNER, PLACE, &sealed).is_err());
        let posing = ArchiveKey { version: 2, ..old };
        assert!(day.open(&posing, OWNER, PLACE, &sealed).is_err());
        assert!(day.open(&new, OWNER, PLACE, &sealed).is_ok(), "the control");
    }

    #[test]
    fn lengths_are_padded() {
        let mut entropy = Counter(0);
        let (archive, key) = (ArchiveKey::generate(1, 0, &mut entropy), DayKey::generate(&mut entropy));
        let mut length = |content: usize| key.seal(&archive, OWNER, PLACE, &vec![1; content], &mut entropy).len();
        assert_eq!((length(10_001), length(1)), (length(10_100), length(100)));
    }

    #[test]
    fn keys_return_from_where_they_are_stored() {
        let key = ArchiveKey::generate(3, 2, &mut Counter(0));
        let back = ArchiveKey::from_sealed_storage(&key.to_sealed_storage());
        assert_eq!((back.version(), back.removed(), &back.key), (3, 2, &key.key));
    }

    #[test]
    fn c6_debug_hides_the_keys() {
        let (key, day) = (ArchiveKey::generate(1, 0, &mut Counter(0x40)), DayKey::generate(&mut Counter(0x40)));
        assert_eq!(format!("{key:?} {day:?}"), "ArchiveKey { version: 1, .. } DayKey(..)");
    }
}
