//! A user's device chain: which devices speak for the user, checked link by link (`docs/decisions/0004-identities.md`).

use crate::{AccountPublicKey, AuthorityPublicKey, DevicePublicKey, InvalidSignature, Label};
use minicbor::{Decode, Encode};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use wire::request::SignedEntry;
use wire::sabotage::{Defence, stands};
use wire::{DeviceId, TenantId, UserId, limits};

/// What is signed in one link of the chain.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ChainEntry {
    /// 1.
    #[n(0)]
    pub version: u8,
    /// The tenant.
    #[n(1)]
    pub tenant: TenantId,
    /// The user whose chain it is.
    #[n(2)]
    pub user: UserId,
    /// Place in the chain, from 0.
    #[n(3)]
    pub index: u32,
    /// SHA-256 of the entry before, as it was carried; zeros for the first.
    #[cbor(n(4), with = "minicbor::bytes")]
    pub previous: [u8; 32],
    /// What changes.
    #[n(5)]
    pub action: Action,
}

/// What a link changes.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Action {
    /// Begins the chain: the account key and the first device.
    #[n(0)]
    Open {
        /// Signs this chain from here on.
        #[n(0)]
        account_key: AccountPublicKey,
        /// The first device.
        #[n(1)]
        device: DeviceId,
        /// Its key.
        #[n(2)]
        device_key: DevicePublicKey,
    },
    /// A further device.
    #[n(1)]
    Add {
        /// The device.
        #[n(0)]
        device: DeviceId,
        /// Its key.
        #[n(1)]
        device_key: DevicePublicKey,
    },
    /// A device that no longer speaks for the user.
    #[n(2)]
    Revoke {
        /// The device.
        #[n(0)]
        device: DeviceId,
    },
    /// The user has left; no device speaks for them any more. By the tenant authority.
    #[n(3)]
    Close,
}

/// A device as its user's chain has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device {
    /// Its key; never changes.
    pub key: DevicePublicKey,
    /// Whether it still speaks for the user.
    pub state: DeviceState,
}

/// Whether a device speaks for its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceState {
    /// It does.
    Active,
    /// Its user revoked it.
    Revoked,
    /// The user has left the tenant.
    Closed,
}

/// How far a chain goes: what a contact remembers, so that it cannot be rolled back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainHead {
    /// Number of entries.
    pub len: u32,
    /// SHA-256 of the last entry.
    pub hash: [u8; 32],
}

/// Why a chain is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// An entry is not an encoding of one, or of a version that is unknown.
    #[error("the device chain is malformed")]
    Malformed,
    /// An entry belongs to another user, tenant or place, or does not follow the one before.
    #[error("the device chain does not link")]
    Broken,
    /// A signature is wrong, missing, or where none belongs.
    #[error("a signature in the device chain is invalid")]
    Signature,
    /// An entry does what the chain's state does not allow, such as adding a device twice.
    #[error("the device chain does what it may not")]
    Forbidden,
    /// The chain is shorter than one seen before, or parts from it.
    #[error("the device chain was rolled back or forked")]
    RolledBack,
}

impl From<InvalidSignature> for ChainError {
    fn from(_: InvalidSignature) -> Self {
        Self::Signature
    }
}

/// A chain that has been checked from its first entry on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceChain {
    tenant: TenantId,
    user: UserId,
    account_key: AccountPublicKey,
    devices: BTreeMap<DeviceId, Device>,
    closed: bool,
    head: ChainHead,
}

impl DeviceChain {
    /// Checks a whole chain. `authority` is the tenant's, if the verifier knows it; without it no closing entry is accepted.
    ///
    /// # Errors
    /// [`ChainError`] says what is wrong with the first bad entry.
    pub fn verify(
        tenant: TenantId,
        user: UserId,
        entries: &[SignedEntry],
        authority: Option<&AuthorityPublicKey>,
    ) -> Result<Self, ChainError> {
        let (first, rest) = entries.split_first().ok_or(ChainError::Malformed)?;
        let mut chain = Self::open(tenant, user, first)?;
        rest.iter().try_for_each(|entry| chain.append(entry, authority))?;
        Ok(chain)
    }

    /// Checks a first entry.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn open(tenant: TenantId, user: UserId, signed: &SignedEntry) -> Result<Self, ChainError> {
        let entry = decode(signed)?;
        let Action::Open { account_key, device, device_key } = entry.action else { return Err(ChainError::Forbidden) };
        if (entry.tenant, entry.user, entry.index, entry.previous) != (tenant, user, 0, [0; 32]) {
            return Err(ChainError::Broken);
        }
        account_key.verify(Label::ChainEntry, &signed.payload, &signed.signature)?;
        verify_possession(&device_key, signed)?;
        let devices = BTreeMap::from([(device, Device { key: device_key, state: DeviceState::Active })]);
        Ok(Self { tenant, user, account_key, devices, closed: false, head: ChainHead { len: 1, hash: hash(signed) } })
    }

    /// Checks the next entry and takes it.
    ///
    /// # Errors
    /// [`ChainError`]; the chain is then as it was.
    pub fn append(&mut self, signed: &SignedEntry, authority: Option<&AuthorityPublicKey>) -> Result<(), ChainError> {
        let entry = decode(signed)?;
        let follows = (entry.tenant, entry.user, entry.index, entry.previous)
            == (self.tenant, self.user, self.head.len, self.head.hash);
        if !follows && stands(Defence::ChainLink) {
            return Err(ChainError::Broken);
        }
        if self.closed || self.head.len as usize >= limits::CHAIN_MAX_ENTRIES {
            return Err(ChainError::Forbidden);
        }
        match entry.action {
            Action::Open { .. } => return Err(ChainError::Forbidden),
            Action::Add { device, device_key } => {
                self.verify_account(signed)?;
                verify_possession(&device_key, signed)?;
                self.add(device, device_key)?;
            }
            Action::Revoke { device } => {
                refuse_possession(signed)?;
                self.verify_account(signed)?;
                self.revoke(device)?;
            }
            Action::Close => {
                refuse_possession(signed)?;
                let authority = authority.ok_or(ChainError::Signature)?;
                authority.verify(Label::ChainClosing, &signed.payload, &signed.signature)?;
                self.close();
            }
        }
        self.head = ChainHead { len: self.head.len + 1, hash: hash(signed) };
        Ok(())
    }

    /// The account key that signs the chain.
    pub const fn account_key(&self) -> &AccountPublicKey {
        &self.account_key
    }

    /// Whose chain it is.
    pub const fn user(&self) -> UserId {
        self.user
    }

    /// How far the chain goes.
    pub const fn head(&self) -> ChainHead {
        self.head
    }

    /// A device by its id, whatever its state.
    pub fn device(&self, id: DeviceId) -> Option<&Device> {
        self.devices.get(&id)
    }

    /// Every device, whatever its state, in the order of ids.
    pub fn devices(&self) -> impl Iterator<Item = (DeviceId, &Device)> {
        self.devices.iter().map(|(id, device)| (*id, device))
    }

    /// Whether this device with this key speaks for the user.
    pub fn vouches_for(&self, id: DeviceId, key: &DevicePublicKey) -> bool {
        self.device(id).is_some_and(|device| device.key == *key && device.state == DeviceState::Active)
    }

    /// The entry that would follow, to be signed.
    pub const fn next(&self, action: Action) -> ChainEntry {
        ChainEntry {
            version: 1,
            tenant: self.tenant,
            user: self.user,
            index: self.head.len,
            previous: self.head.hash,
            action,
        }
    }

    fn verify_account(&self, signed: &SignedEntry) -> Result<(), ChainError> {
        match self.account_key.verify(Label::ChainEntry, &signed.payload, &signed.signature) {
            Err(_) if !stands(Defence::ChainSignature) => Ok(()),
            verified => Ok(verified?),
        }
    }

    fn add(&mut self, device: DeviceId, key: DevicePublicKey) -> Result<(), ChainError> {
        let active = self.devices.values().filter(|device| device.state == DeviceState::Active).count();
        let known = self.devices.contains_key(&device) || self.devices.values().any(|device| device.key == key);
        if known || active >= limits::USER_MAX_DEVICES {
            return Err(ChainError::Forbidden);
        }
        self.devices.insert(device, Device { key, state: DeviceState::Active });
        Ok(())
    }

    fn revoke(&mut self, device: DeviceId) -> Result<(), ChainError> {
        match self.devices.get_mut(&device) {
            Some(device) if device.state == DeviceState::Active => {
                device.state = DeviceState::Revoked;
                Ok(())
            }
            _ => Err(ChainError::Forbidden),
        }
    }

    fn close(&mut self) {
        self.closed = true;
        for device in self.devices.values_mut().filter(|device| device.state == DeviceState::Active) {
            device.state = DeviceState::Closed;
        }
    }
}

/// The first entry of a chain, to be signed.
pub const fn opening(
    tenant: TenantId,
    user: UserId,
    account_key: AccountPublicKey,
    device: DeviceId,
    device_key: DevicePublicKey,
) -> ChainEntry {
    let action = Action::Open { account_key, device, device_key };
    ChainEntry { version: 1, tenant, user, index: 0, previous: [0; 32], action }
}

/// Reads an entry without believing it: to learn whose it claims to be, before it is checked.
///
/// # Errors
/// [`ChainError::Malformed`].
pub fn decode(signed: &SignedEntry) -> Result<ChainEntry, ChainError> {
    let entry: ChainEntry = wire::decode(&signed.payload).map_err(|_| ChainError::Malformed)?;
    if entry.version == 1 { Ok(entry) } else { Err(ChainError::Malformed) }
}

fn verify_possession(key: &DevicePublicKey, signed: &SignedEntry) -> Result<(), ChainError> {
    let possession = signed.possession.as_ref().ok_or(ChainError::Signature)?;
    match key.verify(Label::DevicePossession, &signed.payload, possession) {
        Err(_) if !stands(Defence::ChainPossession) => Ok(()),
        verified => Ok(verified?),
    }
}

/// What introduces no device has no device's signature. Nothing would sign one that stood there all the same, but the
/// chain's hash would cover it: whoever carries the entry could give everybody another chain.
const fn refuse_possession(signed: &SignedEntry) -> Result<(), ChainError> {
    if signed.possession.is_none() { Ok(()) } else { Err(ChainError::Signature) }
}

fn hash(signed: &SignedEntry) -> [u8; 32] {
    Sha256::digest(wire::encode(signed)).into()
}
