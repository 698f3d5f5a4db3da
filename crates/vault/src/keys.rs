//! The two signing keys of a person's device (`docs/decisions/0004-identities.md`).

use crate::Entropy;
use ed25519_dalek::{Signer, SigningKey};
use hkdf::Hkdf;
use minicbor::{Decode, Encode};
use sha2::Sha256;
use std::fmt;
use trust::chain::{self, Action, ChainEntry};
use trust::registry::OWN_GROUP;
use trust::{AccountPublicKey, ChainError, DeviceChain, DevicePublicKey, Label, signature_input};
use wire::request::SignedEntry;
use wire::sabotage::{Defence, stands};
use wire::{ConversationId, DeviceId, TenantId, UserId};
use zeroize::Zeroizing;

/// A user's account identity key. Signs the device chain and nothing else.
pub struct AccountKey(SigningKey);

/// A device's key. Signs its MLS leaves and its logins; never leaves the device.
pub struct DeviceKey(SigningKey);

/// A chain entry that a new device proposes, and that only the account key can make valid.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct OfferedEntry {
    /// The encoded entry.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub payload: Vec<u8>,
    /// By the new device's key.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub possession: [u8; 64],
}

/// The bytes to sign are not an MLS signature input (RFC 9420 §5.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an MLS signature input")]
pub struct NotMls;

impl AccountKey {
    /// A new key.
    pub fn generate(entropy: &mut dyn Entropy) -> Self {
        Self(SigningKey::from_bytes(&Zeroizing::new(entropy.array())))
    }

    /// The key as it was sealed in the device's own database.
    pub fn from_sealed_storage(bytes: &Zeroizing<[u8; 32]>) -> Self {
        Self(SigningKey::from_bytes(bytes))
    }

    /// The key for the device's own, encrypted database; for nowhere else.
    pub fn to_sealed_storage(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The id of the group of the person's own devices: they all know it, and nobody else does before it is made.
    pub fn own_group(&self, tenant: TenantId, user: UserId) -> ConversationId {
        let info = [OWN_GROUP.as_bytes(), b"\0", tenant.as_bytes(), user.as_bytes()].concat();
        let mut id = [0; 16];
        // Fails only for more than 8,160 bytes.
        let _ = Hkdf::<Sha256>::new(None, self.to_sealed_storage().as_slice()).expand(&info, &mut id);
        ConversationId::from_bytes(id)
    }

    /// The public half.
    pub fn public(&self) -> AccountPublicKey {
        AccountPublicKey::from_bytes(self.0.verifying_key().to_bytes())
    }

    /// Begins the user's device chain with this device.
    pub fn open_chain(&self, tenant: TenantId, user: UserId, device: DeviceId, key: &DeviceKey) -> SignedEntry {
        self.sign(&chain::opening(tenant, user, self.public(), device, key.public()), Some(key))
    }

    /// Continues the chain. `introduced` is the key of the device that `action` adds: its possession is proved by it.
    pub fn continue_chain(&self, chain: &DeviceChain, action: Action, introduced: Option<&DeviceKey>) -> SignedEntry {
        self.sign(&chain.next(action), introduced)
    }

    /// Continues the chain by a device that has [offered itself](DeviceKey::offer_itself). The account signs what it would
    /// have written itself, and nothing else: the chain's next entry, which adds one device that has shown its key.
    ///
    /// # Errors
    /// [`ChainError::Broken`] when the offer was made on another chain, or an earlier state of this one; else as
    /// [`DeviceChain::append`].
    pub fn accept(&self, chain: &DeviceChain, offered: &OfferedEntry) -> Result<SignedEntry, ChainError> {
        let entry: ChainEntry = wire::decode(&offered.payload).map_err(|_| ChainError::Malformed)?;
        if !matches!(entry.action, Action::Add { .. }) {
            return Err(ChainError::Forbidden);
        }
        if wire::encode(&chain.next(entry.action)) != offered.payload {
            return Err(ChainError::Broken);
        }
        let payload = offered.payload.clone();
        let signature = self.0.sign(&signature_input(Label::ChainEntry, &payload)).to_bytes();
        let signed = SignedEntry { payload, signature, possession: Some(offered.possession) };
        chain.clone().append(&signed, None)?;
        Ok(signed)
    }

    fn sign(&self, entry: &ChainEntry, introduced: Option<&DeviceKey>) -> SignedEntry {
        let payload = wire::encode(entry);
        let signature = self.0.sign(&signature_input(Label::ChainEntry, &payload)).to_bytes();
        let possession = introduced.map(|key| key.sign(Label::DevicePossession, &payload));
        SignedEntry { payload, signature, possession }
    }
}

impl DeviceKey {
    /// A new key.
    pub fn generate(entropy: &mut dyn Entropy) -> Self {
        Self(SigningKey::from_bytes(&Zeroizing::new(entropy.array())))
    }

    /// The key as it was sealed in the device's own database.
    pub fn from_sealed_storage(bytes: &Zeroizing<[u8; 32]>) -> Self {
        Self(SigningKey::from_bytes(bytes))
    }

    /// The key for the device's own, encrypted database; for nowhere else.
    pub fn to_sealed_storage(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public half.
    pub fn public(&self) -> DevicePublicKey {
        DevicePublicKey::from_bytes(self.0.verifying_key().to_bytes())
    }

    /// The entry that would add this device to the chain, for the account key to sign, and the proof that the device has its
    /// key.
    pub fn offer_itself(&self, chain: &DeviceChain, device: DeviceId) -> OfferedEntry {
        let payload = wire::encode(&chain.next(Action::Add { device, device_key: self.public() }));
        let possession = self.sign(Label::DevicePossession, &payload);
        OfferedEntry { payload, possession }
    }

    /// Answers the server's login challenge.
    pub fn sign_login(&self, challenge: &[u8; 32], tenant: TenantId, device: DeviceId) -> [u8; 64] {
        self.sign(Label::DeviceLogin, &trust::login::content(challenge, tenant, device))
    }

    /// Signs an MLS `SignContent` (RFC 9420 §5.1.2).
    ///
    /// # Errors
    /// [`NotMls`] for anything else: a caller cannot get a signature of another purpose through this door.
    pub fn sign_mls(&self, sign_content: &[u8]) -> Result<[u8; 64], NotMls> {
        // `opaque label<V>`: a variable-length integer below 64 is one byte, and every MLS label is shorter.
        let (length, rest) = sign_content.split_first().ok_or(NotMls)?;
        let is_mls =
            *length < 64 && rest.len() >= usize::from(*length) && rest.starts_with(b"MLS 1.0 ") && *length >= 8;
        if is_mls || !stands(Defence::MlsDoor) { Ok(self.0.sign(sign_content).to_bytes()) } else { Err(NotMls) }
    }

    fn sign(&self, label: Label, content: &[u8]) -> [u8; 64] {
        self.0.sign(&signature_input(label, content)).to_bytes()
    }
}

impl fmt::Debug for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountKey").finish_non_exhaustive()
    }
}

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceKey").finish_non_exhaustive()
    }
}
