//! Linking a device (`docs/decisions/0010-devices.md`): the code that a person carries from the new device to one that they
//! have, and what the two leave for each other at the server, which can neither read it nor put anything in its place.
//!
//! Everything is derived from the 256 random bits of the code, which the server never learns, for one tenant and user: what
//! the offer is found by, one key per direction, and the number that both devices show.

use crate::{AccountKey, ArchiveKey, Entropy, OfferedEntry, franking::block};
use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac};
use minicbor::{Decode, Encode};
use sha2::{Digest, Sha256};
use std::fmt;
use trust::Kind;
use wire::request::SignedEntry;
use wire::{ConversationId, DeviceId, TenantId, UnixMillis, UserId};
use zeroize::Zeroizing;

/// What every code begins with, and no invite does.
const PREFIX: &str = "mifeng-link:";
const SALT: &[u8] = b"mifeng/v1 link";
const VERSION: u8 = 1;
const NONCE_BYTES: usize = 12;
const CHECK_BYTES: usize = 4;
const NUMBERS: u64 = 1_000_000;

/// What keys are derived for, and what authenticates what they seal. The texts never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Lookup,
    Offer,
    Answer,
    Number,
}

impl Purpose {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Lookup => "mifeng/v1 link lookup",
            Self::Offer => "mifeng/v1 link offer",
            Self::Answer => "mifeng/v1 link answer",
            Self::Number => "mifeng/v1 link number",
        }
    }
}

/// Why a code, an offer or an answer is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The text is not a link code, or a character of it is wrong.
    #[error("this is not a link code, or a character of it is wrong")]
    NotCode,
    /// It was sealed under another code, by somebody else, or was changed.
    #[error("what the server keeps for this code was not made with it")]
    NotAuthentic,
    /// It opens, and is not what it should be, or of a version that is unknown.
    #[error("the other device speaks another version")]
    Malformed,
}

/// The secret of a link code.
pub struct LinkSecret(Zeroizing<[u8; 32]>);

/// What is derived from a link code for one user.
pub struct LinkKeys {
    lookup: [u8; 32],
    offer: Zeroizing<[u8; 32]>,
    answer: Zeroizing<[u8; 32]>,
    number: Zeroizing<[u8; 32]>,
}

/// What the new device says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct LinkOffer {
    /// 1.
    #[n(0)]
    pub version: u8,
    /// What the person calls it.
    #[n(1)]
    pub name: String,
    /// The entry that would add it to the person's chain.
    #[n(2)]
    pub entry: OfferedEntry,
}

/// What the new device needs to know, beside the account key.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct LinkPackage {
    /// 1.
    #[n(0)]
    pub version: u8,
    /// The person's handle.
    #[n(1)]
    pub handle: String,
    /// The person's chain, the new device in it.
    #[n(2)]
    pub chain: Vec<SignedEntry>,
    /// The tenant's authority, as the confirming device has pinned it.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub authority_key: Option<[u8; 32]>,
    /// People whose chains the confirming device has pinned.
    #[n(4)]
    pub contacts: Vec<LinkedContact>,
    /// Conversations, with what only their members know of them.
    #[n(5)]
    pub conversations: Vec<LinkedConversation>,
    /// What the person calls their devices.
    #[n(6)]
    pub devices: Vec<LinkedDevice>,
}

/// What the confirming device leaves for the new one.
pub struct LinkAnswer {
    /// The person's account key.
    pub account: AccountKey,
    /// The keys of the person's archive, oldest first.
    pub archive: Vec<ArchiveKey>,
    /// What is no secret between the two.
    pub package: LinkPackage,
}

/// A person whose chain is pinned.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct LinkedContact {
    /// Who.
    #[n(0)]
    pub user: UserId,
    /// The handle.
    #[n(1)]
    pub handle: String,
    /// The chain from its first entry.
    #[n(2)]
    pub chain: Vec<SignedEntry>,
}

/// A conversation that the new device is to join.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct LinkedConversation {
    /// Which.
    #[n(0)]
    pub id: ConversationId,
    /// Two people, or a group.
    #[n(1)]
    pub kind: Kind,
    /// The other user of a direct conversation.
    #[n(2)]
    pub peer: Option<UserId>,
    /// Its name.
    #[n(3)]
    pub name: Option<String>,
    /// What it is about.
    #[n(4)]
    pub topic: Option<String>,
}

/// What is known of a device beside the chain.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct LinkedDevice {
    /// Which.
    #[n(0)]
    pub device: DeviceId,
    /// What the person calls it.
    #[n(1)]
    pub name: Option<String>,
    /// When it was linked, or joined.
    #[n(2)]
    pub since: Option<UnixMillis>,
}

impl LinkSecret {
    /// A new secret, for one link.
    pub fn generate(entropy: &mut dyn Entropy) -> Self {
        Self(Zeroizing::new(entropy.array()))
    }

    /// The secret as it was sealed in the device's own database.
    pub fn from_sealed_storage(bytes: &Zeroizing<[u8; 32]>) -> Self {
        Self(bytes.clone())
    }

    /// The secret for the device's own, encrypted database; for nowhere else.
    pub fn to_sealed_storage(&self) -> Zeroizing<[u8; 32]> {
        self.0.clone()
    }

    /// Reads a code: the prefix, then base32 in either case; spaces and hyphens are passed over.
    ///
    /// # Errors
    /// [`LinkError::NotCode`].
    pub fn from_code(code: &str) -> Result<Self, LinkError> {
        let code = code.trim();
        let prefix = code.get(..PREFIX.len()).filter(|prefix| prefix.eq_ignore_ascii_case(PREFIX));
        let digits = prefix.and_then(|_| code.get(PREFIX.len()..)).ok_or(LinkError::NotCode)?;
        let bytes = base32::decode::<{ 32 + CHECK_BYTES }>(digits).ok_or(LinkError::NotCode)?;
        let secret = Self(Zeroizing::new(*bytes.first_chunk().ok_or(LinkError::NotCode)?));
        if bytes[32..] == secret.check() { Ok(secret) } else { Err(LinkError::NotCode) }
    }

    /// The code to show, in capitals: a QR code of letters and digits is smaller.
    pub fn to_code(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new([0; 32 + CHECK_BYTES]);
        bytes[..32].copy_from_slice(self.0.as_slice());
        bytes[32..].copy_from_slice(&self.check());
        let mut code = Zeroizing::new(String::with_capacity(PREFIX.len() + 64));
        code.push_str(PREFIX);
        base32::encode(bytes.as_slice(), &mut code);
        code.make_ascii_uppercase();
        code
    }

    /// What is derived from the code for this user.
    ///
    /// # Errors
    /// [`LinkError::Malformed`] if the library refuses, which it has no reason to.
    pub fn keys(&self, tenant: TenantId, user: UserId) -> Result<LinkKeys, LinkError> {
        let hkdf = Hkdf::<Sha256>::new(Some(SALT), self.0.as_slice());
        let derive = |purpose: Purpose| {
            let info = [purpose.as_str().as_bytes(), &[0], tenant.as_bytes(), user.as_bytes()].concat();
            let mut key = Zeroizing::new([0; 32]);
            hkdf.expand(&info, key.as_mut_slice()).map_err(|_| LinkError::Malformed).map(|()| key)
        };
        Ok(LinkKeys {
            lookup: *derive(Purpose::Lookup)?,
            offer: derive(Purpose::Offer)?,
            answer: derive(Purpose::Answer)?,
            number: derive(Purpose::Number)?,
        })
    }

    /// Finds a wrong character before the server is asked for something that cannot be there.
    fn check(&self) -> [u8; CHECK_BYTES] {
        let hash = Sha256::new().chain_update(b"mifeng/v1 link code\0").chain_update(self.0.as_slice()).finalize();
        std::array::from_fn(|index| hash[index])
    }
}

impl LinkKeys {
    /// What the offer is found by at the server.
    pub const fn lookup(&self) -> [u8; 32] {
        self.lookup
    }

    /// Seals what the new device says of itself.
    ///
    /// # Errors
    /// [`LinkError::Malformed`] if the library refuses, which it has no reason to.
    pub fn seal_offer(&self, offer: &LinkOffer, entropy: &mut dyn Entropy) -> Result<Vec<u8>, LinkError> {
        seal(&self.offer, Purpose::Offer, &[], &wire::encode(offer), entropy)
    }

    /// Opens what a new device says of itself.
    ///
    /// # Errors
    /// [`LinkError`].
    pub fn open_offer(&self, sealed: &[u8]) -> Result<LinkOffer, LinkError> {
        let plain = open(&self.offer, Purpose::Offer, &[], sealed)?;
        let offer: LinkOffer = wire::decode(&plain).map_err(|_| LinkError::Malformed)?;
        if offer.version == VERSION { Ok(offer) } else { Err(LinkError::Malformed) }
    }

    /// The number that both devices show, below a million: it is of this very offer.
    pub fn number(&self, sealed_offer: &[u8]) -> u32 {
        let mac = Hmac::<Sha256>::new((&block(&self.number)).into()).chain_update(sealed_offer).finalize().into_bytes();
        let number = mac.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        // Less than a million.
        (number % NUMBERS) as u32
    }

    /// Seals the account key, the keys of the person's archive (the newest 255 at most) and what belongs to them, as the answer
    /// to this very offer.
    ///
    /// # Errors
    /// As [`LinkKeys::seal_offer`].
    pub fn seal_answer(
        &self,
        sealed_offer: &[u8],
        account: &AccountKey,
        archive: &[ArchiveKey],
        package: &LinkPackage,
        entropy: &mut dyn Entropy,
    ) -> Result<Vec<u8>, LinkError> {
        let package = wire::encode(package);
        let archive = &archive[archive.len().saturating_sub(u8::MAX.into())..];
        let room = 32 + 1 + archive.len() * ArchiveKey::SEALED_STORAGE_BYTES + package.len();
        // Never moved: what is left behind would not be overwritten.
        let mut plain = Zeroizing::new(Vec::with_capacity(room));
        plain.extend_from_slice(account.to_sealed_storage().as_slice());
        plain.push(u8::try_from(archive.len()).unwrap_or(u8::MAX));
        archive.iter().for_each(|key| plain.extend_from_slice(key.to_sealed_storage().as_slice()));
        plain.extend_from_slice(&package);
        seal(&self.answer, Purpose::Answer, sealed_offer, &plain, entropy)
    }

    /// Opens the answer to this very offer.
    ///
    /// # Errors
    /// [`LinkError`].
    pub fn open_answer(&self, sealed_offer: &[u8], sealed: &[u8]) -> Result<LinkAnswer, LinkError> {
        let plain = open(&self.answer, Purpose::Answer, sealed_offer, sealed)?;
        let (key, rest) = plain.split_first_chunk::<32>().ok_or(LinkError::Malformed)?;
        let account = AccountKey::from_sealed_storage(&Zeroizing::new(*key));
        let (count, mut rest) = rest.split_first().ok_or(LinkError::Malformed)?;
        let mut archive = Vec::new();
        for _ in 0..*count {
            let (key, after) = rest.split_first_chunk().ok_or(LinkError::Malformed)?;
            archive.push(ArchiveKey::from_sealed_storage(&Zeroizing::new(*key)));
            rest = after;
        }
        let package: LinkPackage = wire::decode(rest).map_err(|_| LinkError::Malformed)?;
        if package.version != VERSION {
            return Err(LinkError::Malformed);
        }
        Ok(LinkAnswer { account, archive, package })
    }
}

impl LinkOffer {
    /// An offer of this version.
    pub const fn new(name: String, entry: OfferedEntry) -> Self {
        Self { version: VERSION, name, entry }
    }
}

impl LinkPackage {
    /// An empty package of this version.
    pub fn new(handle: String, chain: Vec<SignedEntry>, authority_key: Option<[u8; 32]>) -> Self {
        let (contacts, conversations, devices) = (Vec::new(), Vec::new(), Vec::new());
        Self { version: VERSION, handle, chain, authority_key, contacts, conversations, devices }
    }
}

/// Version, nonce, AES-256-GCM. Authenticated: what it is for, and what it answers.
fn seal(
    key: &[u8; 32],
    purpose: Purpose,
    answers: &[u8],
    plain: &[u8],
    entropy: &mut dyn Entropy,
) -> Result<Vec<u8>, LinkError> {
    let nonce: [u8; NONCE_BYTES] = entropy.array();
    let aad = authenticated(purpose, answers);
    let sealed = cipher(key)
        .encrypt(&Nonce::from(nonce), Payload { msg: plain, aad: &aad })
        .map_err(|_| LinkError::Malformed)?;
    Ok([[VERSION].as_slice(), &nonce, &sealed].concat())
}

fn open(key: &[u8; 32], purpose: Purpose, answers: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, LinkError> {
    let (version, rest) = sealed.split_first().ok_or(LinkError::NotAuthentic)?;
    if *version != VERSION {
        return Err(LinkError::Malformed);
    }
    let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(LinkError::NotAuthentic)?;
    let aad = authenticated(purpose, answers);
    let opened = cipher(key).decrypt(&Nonce::from(*nonce), Payload { msg: sealed, aad: &aad });
    opened.map(Zeroizing::new).map_err(|_| LinkError::NotAuthentic)
}

fn authenticated(purpose: Purpose, answers: &[u8]) -> Vec<u8> {
    [purpose.as_str().as_bytes(), &[0, VERSION], Sha256::digest(answers).as_slice()].concat()
}

fn cipher(key: &[u8; 32]) -> Aes256Gcm {
    Aes256Gcm::new(Key::<Aes256Gcm>::from_slice(key))
}

/// RFC 4648 §6 without padding.
mod base32 {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

    pub(super) fn encode(bytes: &[u8], text: &mut String) {
        let (mut buffer, mut bits) = (0_u32, 0);
        for byte in bytes {
            buffer = buffer << 8 | u32::from(*byte);
            bits += 8;
            while bits >= 5 {
                bits -= 5;
                text.push(char::from(ALPHABET[(buffer >> bits & 31) as usize]));
            }
        }
        if bits > 0 {
            text.push(char::from(ALPHABET[(buffer << (5 - bits) & 31) as usize]));
        }
    }

    /// Exactly `N` bytes, in one spelling only but for case, spaces and hyphens.
    pub(super) fn decode<const N: usize>(text: &str) -> Option<zeroize::Zeroizing<[u8; N]>> {
        let mut bytes = zeroize::Zeroizing::new([0; N]);
        let (mut buffer, mut bits, mut filled) = (0_u32, 0, 0);
        for letter in text.bytes().filter(|letter| !b" -".contains(letter)) {
            let digit = ALPHABET.iter().position(|known| *known == letter.to_ascii_lowercase())? as u32;
            buffer = buffer << 5 | digit;
            bits += 5;
            if bits >= 8 {
                bits -= 8;
                *bytes.get_mut(filled)? = (buffer >> bits & 255) as u8;
                filled += 1;
            }
        }
        let rest_is_zero = buffer & ((1 << bits) - 1) == 0;
        (filled == N && bits < 5 && rest_is_zero).then_some(bytes)
    }
}

macro_rules! opaque_debug {
    ($($name:ident),*) => {$(
        /// Says only what it is.
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )*};
}
opaque_debug!(LinkSecret, LinkKeys, LinkAnswer);
