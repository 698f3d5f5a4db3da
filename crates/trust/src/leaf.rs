//! What an MLS leaf says about its owner: the content of its basic credential (RFC 9420 §5.3).

use wire::{DeviceId, Malformed, TenantId, UserId};

/// Who owns an MLS leaf. 49 bytes: version 1, tenant, user, device. Ids only, because the server sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeafIdentity {
    /// The tenant.
    pub tenant: TenantId,
    /// The user.
    pub user: UserId,
    /// The user's device.
    pub device: DeviceId,
}

const VERSION: u8 = 1;

impl LeafIdentity {
    /// The credential's content.
    pub fn to_bytes(&self) -> [u8; 49] {
        let mut bytes = [VERSION; 49];
        bytes[1..17].copy_from_slice(self.tenant.as_bytes());
        bytes[17..33].copy_from_slice(self.user.as_bytes());
        bytes[33..49].copy_from_slice(self.device.as_bytes());
        bytes
    }

    /// Reads a credential's content.
    ///
    /// # Errors
    /// [`Malformed`] when the length or the version is another.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let bytes: &[u8; 49] = bytes.try_into().map_err(|_| Malformed)?;
        if bytes[0] != VERSION {
            return Err(Malformed);
        }
        Ok(Self {
            tenant: TenantId::try_from(&bytes[1..17])?,
            user: UserId::try_from(&bytes[17..33])?,
            device: DeviceId::try_from(&bytes[33..49])?,
        })
    }
}
