//! A leaf of the tree: whose it is, and with which key.

use crate::Refused;
use openmls::prelude::{BasicCredential, Credential, CredentialType, LeafNode, PublicGroup};
use trust::{DevicePublicKey, LeafIdentity};

/// A leaf as both sides need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeafView {
    /// Its place in the tree.
    pub index: u32,
    /// Whose it is.
    pub identity: LeafIdentity,
    /// Its signature key.
    pub key: DevicePublicKey,
}

/// The credential of a device (RFC 9420 §5.3).
pub fn credential(identity: &LeafIdentity) -> Credential {
    BasicCredential::new(identity.to_bytes().to_vec()).into()
}

/// Whose leaf it is.
///
/// # Errors
/// [`Refused::Malformed`] when the credential is not one of ours.
pub fn identity(credential: &Credential) -> Result<LeafIdentity, Refused> {
    if credential.credential_type() != CredentialType::Basic {
        return Err(Refused::Malformed);
    }
    LeafIdentity::from_bytes(credential.serialized_content()).map_err(|_| Refused::Malformed)
}

/// The signature key of a leaf.
///
/// # Errors
/// [`Refused::Malformed`] when it has not the length of an Ed25519 key.
pub fn device_key(bytes: &[u8]) -> Result<DevicePublicKey, Refused> {
    bytes.try_into().map(DevicePublicKey::from_bytes).map_err(|_| Refused::Malformed)
}

/// A leaf node that is, or would be, at `index`.
///
/// # Errors
/// [`Refused::Malformed`].
pub fn leaf(index: u32, node: &LeafNode) -> Result<LeafView, Refused> {
    let (identity, key) = (identity(node.credential())?, device_key(node.signature_key().as_slice())?);
    Ok(LeafView { index, identity, key })
}

/// Every leaf of the tree, from the left.
///
/// # Errors
/// [`Refused::Malformed`] when one is not ours; such a group is refused before it can come to that.
pub fn members(group: &PublicGroup) -> Result<Vec<LeafView>, Refused> {
    let view = |member: openmls::prelude::Member| {
        let (identity, key) = (identity(&member.credential)?, device_key(&member.signature_key)?);
        Ok(LeafView { index: member.index.u32(), identity, key })
    };
    group.members().map(view).collect()
}
