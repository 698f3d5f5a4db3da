//! Key packages (RFC 9420 §10): checked when they are uploaded, and again by whoever adds with them.

use crate::reading::{self, Suite};
use crate::{KeyPackageFault, Refused};
use openmls::prelude::{ExtensionType, KeyPackage, MlsMessageBodyIn, ProtocolVersion};
use openmls_rust_crypto::RustCrypto;
use trust::registry::KEY_PACKAGE_WIDTH_MAX_S;
use trust::{DevicePublicKey, LeafIdentity};
use wire::UnixMillis;
use wire::sabotage::{Defence, stands};

/// What a key package says, after it was checked. Whether the key is the device's is the device chain's to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPackageFacts {
    /// Whose device it is.
    pub identity: LeafIdentity,
    /// The device's key.
    pub key: DevicePublicKey,
    /// Its hash reference (RFC 9420 §5.2), which names it in a Welcome.
    pub reference: Vec<u8>,
    /// It is valid until then, in seconds since the Unix epoch.
    pub not_after_s: u64,
    /// It may be handed out more than once.
    pub last_resort: bool,
}

/// Checks an uploaded key package, an `MLSMessage` of type `mls_key_package`.
///
/// OpenMLS also compares its lifetime with the machine's own clock.
///
/// # Errors
/// [`Refused::Malformed`], [`Refused::Suite`] or [`Refused::KeyPackage`].
pub fn check(bytes: &[u8], now: UnixMillis, suite: Suite) -> Result<KeyPackageFacts, Refused> {
    open(bytes, now, suite).map(|(_, facts)| facts)
}

/// Checks a key package, and returns it for an Add.
///
/// # Errors
/// As [`check`].
pub fn open(bytes: &[u8], now: UnixMillis, suite: Suite) -> Result<(KeyPackage, KeyPackageFacts), Refused> {
    let MlsMessageBodyIn::KeyPackage(unverified) = reading::message(bytes)? else { return Err(Refused::Malformed) };
    let crypto = RustCrypto::default();
    let package = unverified.validate(&crypto, ProtocolVersion::Mls10).map_err(|_| KeyPackageFault::Invalid)?;
    if Suite::of(package.ciphersuite())? != suite && stands(Defence::SuiteOfTenant) {
        return Err(Refused::Suite);
    }
    check_width(&package)?;
    let lifetime = package.life_time();
    let now_s = now / 1_000;
    if lifetime.not_before() > now_s || lifetime.not_after() <= now_s {
        return Err(KeyPackageFault::NotNow.into());
    }
    if !is_plain(&package) {
        return Err(KeyPackageFault::Extensions.into());
    }
    let leaf = reading::leaf(0, package.leaf_node()).map_err(|_| KeyPackageFault::Credential)?;
    let facts = KeyPackageFacts {
        identity: leaf.identity,
        key: leaf.key,
        reference: package.hash_ref(&crypto).map_err(Refused::invalid)?.as_slice().to_vec(),
        not_after_s: lifetime.not_after(),
        last_resort: package.last_resort(),
    };
    Ok((package, facts))
}

/// Whether a key package's lifetime is no wider than anyone accepts. OpenMLS leaves that to the application.
pub(crate) fn check_width(package: &KeyPackage) -> Result<(), Refused> {
    let lifetime = package.life_time();
    let width = lifetime.not_after().checked_sub(lifetime.not_before());
    match width {
        Some(width) if width <= KEY_PACKAGE_WIDTH_MAX_S => Ok(()),
        _ if !stands(Defence::KeyPackageWidth) => Ok(()),
        _ => Err(KeyPackageFault::TooWide.into()),
    }
}

/// Whether a key package carries nothing that Mifeng does not use.
pub(crate) fn is_plain(package: &KeyPackage) -> bool {
    package.extensions().iter().all(|extension| extension.extension_type() == ExtensionType::LastResort)
        && reading::leaf_is_plain(package.leaf_node())
}
