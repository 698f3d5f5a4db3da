//! What a device signs to log in.

use crate::{DevicePublicKey, InvalidSignature, Label};
use wire::{DeviceId, TenantId};

/// The content that a device signs under [`Label::DeviceLogin`]: challenge, tenant, device.
pub fn content(challenge: &[u8; 32], tenant: TenantId, device: DeviceId) -> [u8; 64] {
    let mut content = [0; 64];
    content[..32].copy_from_slice(challenge);
    content[32..48].copy_from_slice(tenant.as_bytes());
    content[48..].copy_from_slice(device.as_bytes());
    content
}

/// Checks a device's answer to the server's challenge.
///
/// # Errors
/// [`InvalidSignature`].
pub fn verify(
    key: &DevicePublicKey,
    challenge: &[u8; 32],
    tenant: TenantId,
    device: DeviceId,
    signature: &[u8; 64],
) -> Result<(), InvalidSignature> {
    key.verify(Label::DeviceLogin, &content(challenge, tenant, device), signature)
}
