//! The root: wraps tenant keys and nothing else. Here it is a key in memory that came out of a file; an HSM will do the
//! same two things, wrap and unwrap, without ever giving the key away.

use crate::envelope::{Cipher, Error, Secret, random_secret};
use crate::{Cell, Passphrase, RootFileError, TenantKey, root_file};
use std::{fmt, path::Path, sync::Arc};
use wire::TenantId;

/// The root key. Clones are the same key, once in memory.
#[derive(Clone)]
pub struct RootKey {
    cipher: Arc<Cipher>,
}

const TABLE: &str = "tenant_keys";
const COLUMN: &str = "wrapped";

impl RootKey {
    /// Makes a root key, version 1, and seals it into a new file that only its owner may read.
    ///
    /// # Errors
    /// [`RootFileError`]; a file that exists is never overwritten.
    pub fn create(path: &Path, passphrase: &Passphrase) -> Result<Self, RootFileError> {
        Self::create_version(path, passphrase, 1)
    }

    /// Makes the root key that is to follow version `version - 1`, in a file of its own. The tenant keys are then moved over
    /// by [`RootKey::rewrap`].
    ///
    /// # Errors
    /// [`RootFileError`].
    pub fn create_version(path: &Path, passphrase: &Passphrase, version: u32) -> Result<Self, RootFileError> {
        let secret = random_secret()?;
        let key = Self::new(&secret, version)?;
        root_file::write(path, passphrase, version, &secret)?;
        Ok(key)
    }

    /// Opens the file.
    ///
    /// # Errors
    /// [`RootFileError`], which tells a wrong passphrase from a damaged file.
    pub fn open(path: &Path, passphrase: &Passphrase) -> Result<Self, RootFileError> {
        let (version, secret) = root_file::read(path, passphrase)?;
        Ok(Self::new(&secret, version)?)
    }

    /// A root key that is in no file: what it wraps is lost with it. For tests and for throw-away servers.
    ///
    /// # Errors
    /// [`Error::Library`].
    pub fn ephemeral() -> Result<Self, Error> {
        Self::new(&random_secret()?, 1)
    }

    /// Which version.
    pub fn version(&self) -> u32 {
        self.cipher.version()
    }

    /// Makes a fresh tenant key and the envelope that keeps it.
    ///
    /// # Errors
    /// [`Error::Library`].
    pub fn create_tenant_key(&self, tenant: TenantId, version: u32) -> Result<(TenantKey, Vec<u8>), Error> {
        let secret = random_secret()?;
        let wrapped = self.wrap(tenant, version, &secret)?;
        Ok((TenantKey::new(tenant, version, &secret)?, wrapped))
    }

    /// Opens a tenant key.
    ///
    /// # Errors
    /// Every [`Error`].
    pub fn open_tenant_key(&self, tenant: TenantId, version: u32, wrapped: &[u8]) -> Result<TenantKey, Error> {
        TenantKey::new(tenant, version, &self.unwrap(tenant, version, wrapped)?)
    }

    /// Wraps a tenant key anew under another root; the tenant key and all below it stay as they are.
    ///
    /// # Errors
    /// Every [`Error`].
    pub fn rewrap(&self, to: &Self, tenant: TenantId, version: u32, wrapped: &[u8]) -> Result<Vec<u8>, Error> {
        to.wrap(tenant, version, &self.unwrap(tenant, version, wrapped)?)
    }

    fn new(secret: &Secret, version: u32) -> Result<Self, Error> {
        Ok(Self { cipher: Arc::new(Cipher::new(secret, version)?) })
    }

    fn wrap(&self, tenant: TenantId, version: u32, secret: &Secret) -> Result<Vec<u8>, Error> {
        let row = version.to_be_bytes();
        self.cipher.seal(Cell { tenant, table: TABLE, column: COLUMN, row: &row }, secret.as_slice())
    }

    fn unwrap(&self, tenant: TenantId, version: u32, wrapped: &[u8]) -> Result<Secret, Error> {
        let row = version.to_be_bytes();
        self.cipher.open_secret(Cell { tenant, table: TABLE, column: COLUMN, row: &row }, wrapped)
    }
}

impl fmt::Debug for RootKey {
    /// Which version, never what it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RootKey").field("version", &self.version()).finish_non_exhaustive()
    }
}
