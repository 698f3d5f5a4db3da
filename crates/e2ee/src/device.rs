//! Who acts, and with which stored state.

use crate::entries::{Entries, WriteSet};
use crate::group::{Changed, Group};
use crate::storage::Storage;
use crate::{Error, config};
use openmls::prelude::{CredentialWithKey, KeyPackage, KeyPackageRef, MlsMessageOut, OpenMlsProvider, SignatureScheme};
use openmls_rust_crypto::RustCrypto;
use openmls_traits::signatures::{Signer, SignerError};
use openmls_traits::storage::StorageProvider;
use roster::Refused;
use roster::reading::{self, Suite};
use std::fmt;
use tls_codec::{DeserializeBytes, Serialize};
use trust::LeafIdentity;
use vault::DeviceKey;
use wire::UnixMillis;

/// This device, and the stored state as one transaction sees it. Made for each transaction.
pub struct Device<'a> {
    identity: LeafIdentity,
    key: &'a DeviceKey,
    entries: &'a dyn Entries,
    crypto: RustCrypto,
}

/// What a key package is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyPackageUse {
    /// Handed out once; its private key is deleted when it was used to join.
    Once,
    /// Handed out when no other is left. Its private key stays until it is forgotten.
    LastResort,
}

/// A new key package. Its private keys are in the write set.
#[derive(Debug)]
pub struct NewKeyPackage {
    /// `MLSMessage` of type `mls_key_package`, to be published.
    pub bytes: Vec<u8>,
    /// Its hash reference, for [`Device::forget_key_package`].
    pub reference: Vec<u8>,
    /// Durable before the package is published.
    pub writes: WriteSet,
}

impl<'a> Device<'a> {
    /// The device with this identity and key, over this stored state.
    pub fn new(identity: LeafIdentity, key: &'a DeviceKey, entries: &'a dyn Entries) -> Self {
        Self { identity, key, entries, crypto: RustCrypto::default() }
    }

    /// Whose device it is.
    pub const fn identity(&self) -> LeafIdentity {
        self.identity
    }

    /// Makes a key package.
    ///
    /// # Errors
    /// [`Error::Storage`], or a failure of the library that has no known cause.
    pub fn key_package(&self, suite: Suite, usage: KeyPackageUse, now: UnixMillis) -> Result<NewKeyPackage, Error> {
        let builder = KeyPackage::builder()
            .key_package_lifetime(config::lifetime(now))
            .leaf_node_capabilities(reading::capabilities());
        let builder = match usage {
            KeyPackageUse::Once => builder,
            KeyPackageUse::LastResort => builder.mark_as_last_resort(),
        };
        let build = |provider: &Provider<'_>| {
            builder.build(suite.ciphersuite(), provider, &self.signer(), self.credential()).map_err(Error::invalid)
        };
        let (bundle, writes) = self.run(build)?;
        let reference = bundle.key_package().hash_ref(&self.crypto).map_err(Error::invalid)?.as_slice().to_vec();
        let message = MlsMessageOut::from(bundle.into_key_package());
        Ok(NewKeyPackage { bytes: bytes(&message)?, reference, writes })
    }

    /// Deletes the private keys of a key package that will not be used any more: replaced, or past its lifetime.
    ///
    /// # Errors
    /// [`Refused::Malformed`] when it is not a hash reference.
    pub fn forget_key_package(&self, reference: &[u8]) -> Result<WriteSet, Error> {
        let mut encoded = Vec::new();
        tls_codec::VLBytes::from(reference).tls_serialize(&mut encoded).map_err(|_| Refused::Malformed)?;
        let reference = KeyPackageRef::tls_deserialize_exact_bytes(&encoded).map_err(|_| Refused::Malformed)?;
        let delete = |provider: &Provider<'_>| Ok(provider.storage().delete_key_package(&reference)?);
        self.run(delete).map(|((), writes)| writes)
    }

    /// Runs one operation. If the storage failed in it, that is the error, whatever OpenMLS made of it.
    pub(crate) fn run<T>(
        &self,
        operation: impl FnOnce(&Provider<'_>) -> Result<T, Error>,
    ) -> Result<(T, WriteSet), Error> {
        let provider = Provider { crypto: &self.crypto, storage: Storage::new(self.entries) };
        let outcome = operation(&provider);
        let writes = provider.storage.finish()?;
        outcome.map(|output| (output, writes))
    }

    /// Runs an operation that changes a group.
    pub(crate) fn change<T>(
        &self,
        operation: impl FnOnce(&Provider<'_>) -> Result<(T, Option<Group>), Error>,
    ) -> Result<Changed<T>, Error> {
        self.run(operation).map(|((output, group), writes)| Changed { output, writes, group })
    }

    pub(crate) const fn crypto(&self) -> &RustCrypto {
        &self.crypto
    }

    pub(crate) const fn signer(&self) -> LeafSigner<'_> {
        LeafSigner(self.key)
    }

    pub(crate) fn credential(&self) -> CredentialWithKey {
        let signature_key = self.key.public().as_bytes().as_slice().into();
        CredentialWithKey { credential: reading::credential(&self.identity), signature_key }
    }
}

impl fmt::Debug for Device<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device").field("identity", &self.identity).finish_non_exhaustive()
    }
}

pub(crate) fn bytes(value: &impl Serialize) -> Result<Vec<u8>, Error> {
    value.tls_serialize_detached().map_err(Error::invalid)
}

/// The device key as OpenMLS signs with it. OpenMLS never sees the key, and what it does not label `MLS 1.0` is refused.
pub(crate) struct LeafSigner<'a>(&'a DeviceKey);

impl Signer for LeafSigner<'_> {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        self.0.sign_mls(payload).map(|signature| signature.to_vec()).map_err(|_| SignerError::SigningError)
    }

    fn signature_scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

/// What OpenMLS needs for one operation.
pub(crate) struct Provider<'a> {
    crypto: &'a RustCrypto,
    storage: Storage<'a>,
}

impl<'a> OpenMlsProvider for Provider<'a> {
    type CryptoProvider = RustCrypto;
    type RandProvider = RustCrypto;
    type StorageProvider = Storage<'a>;

    fn storage(&self) -> &Storage<'a> {
        &self.storage
    }

    fn crypto(&self) -> &RustCrypto {
        self.crypto
    }

    fn rand(&self) -> &RustCrypto {
        self.crypto
    }
}
