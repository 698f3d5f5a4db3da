//! MLS key packages (RFC 9420 §10): published by devices, claimed by those who add them.

use crate::{DeviceId, UserId};
use minicbor::{Decode, Encode, bytes::ByteVec};

/// Publishes key packages of the calling device.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct PublishKeyPackages {
    /// One-time packages, each an `MLSMessage` of type `mls_key_package`. Repeats are recognised by their hash reference.
    #[n(0)]
    pub one_time: Vec<ByteVec>,
    /// Replaces the device's last-resort package.
    #[n(1)]
    pub last_resort: Option<ByteVec>,
}

/// How many the server holds now.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct KeyPackagesHeld {
    /// One-time packages that can still be handed out.
    #[n(0)]
    pub one_time: u32,
    /// The last-resort package has been handed out since it was published: replace it within 24 hours.
    #[n(1)]
    pub last_resort_used: bool,
}

/// Claims one package of every active device of a user, or of the devices named.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ClaimKeyPackages {
    /// Whose devices.
    #[n(0)]
    pub user: UserId,
    /// Only these; all active ones when empty.
    #[n(1)]
    pub devices: Vec<DeviceId>,
    /// The same claim repeated gets the same packages.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub idempotency_key: [u8; 16],
}

/// The packages claimed. A device without any is missing from the list.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ClaimedKeyPackages {
    /// One per device.
    #[n(0)]
    pub packages: Vec<ClaimedKeyPackage>,
}

/// One claimed package.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ClaimedKeyPackage {
    /// Whose.
    #[n(0)]
    pub device: DeviceId,
    /// An `MLSMessage` of type `mls_key_package`.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub bytes: Vec<u8>,
}
