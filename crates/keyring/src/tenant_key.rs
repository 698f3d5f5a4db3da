//! The key of one tenant: wraps the keys below it and seals no data.

use crate::data_key::{DataKey, KeyName, KeyUse};
use crate::envelope::{Cipher, Error, Secret, random_secret};
use crate::{Cell, IndexKey};
use std::fmt;
use wire::TenantId;

/// One version of a tenant's key.
pub struct TenantKey {
    tenant: TenantId,
    cipher: Cipher,
}

const TABLE: &str = "data_keys";
const COLUMN: &str = "wrapped";

impl TenantKey {
    pub(crate) fn new(tenant: TenantId, version: u32, secret: &Secret) -> Result<Self, Error> {
        Ok(Self { tenant, cipher: Cipher::new(secret, version)? })
    }

    /// Whose.
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// Which version.
    pub const fn version(&self) -> u32 {
        self.cipher.version()
    }

    /// Makes a fresh data key and the envelope that keeps it.
    ///
    /// # Errors
    /// [`Error::Refused`] for the name of another tenant's key, [`Error::Library`].
    pub fn create_data_key(&self, name: KeyName) -> Result<(DataKey, Vec<u8>), Error> {
        let secret = random_secret()?;
        let wrapped = self.wrap(name, &secret)?;
        Ok((DataKey::new(name, Cipher::new(&secret, name.version)?), wrapped))
    }

    /// Opens a data key.
    ///
    /// # Errors
    /// Every [`Error`].
    pub fn open_data_key(&self, name: KeyName, wrapped: &[u8]) -> Result<DataKey, Error> {
        Ok(DataKey::new(name, Cipher::new(&self.unwrap(name, wrapped)?, name.version)?))
    }

    /// Makes the tenant's index key and the envelope that keeps it, to be stored under [`TenantKey::index_key_name`].
    ///
    /// # Errors
    /// [`Error::Library`].
    pub fn create_index_key(&self) -> Result<(IndexKey, Vec<u8>), Error> {
        let secret = random_secret()?;
        let wrapped = self.wrap(Self::index_key_name(self.tenant), &secret)?;
        Ok((IndexKey::derive(self.tenant, &secret)?, wrapped))
    }

    /// Opens the tenant's index key.
    ///
    /// # Errors
    /// Every [`Error`].
    pub fn open_index_key(&self, wrapped: &[u8]) -> Result<IndexKey, Error> {
        IndexKey::derive(self.tenant, &self.unwrap(Self::index_key_name(self.tenant), wrapped)?)
    }

    /// The name of a tenant's index key. It has one version only: a new one would need every index computed anew.
    pub const fn index_key_name(tenant: TenantId) -> KeyName {
        KeyName { tenant, key_use: KeyUse::Index, object: *tenant.as_bytes(), version: 1 }
    }

    /// Wraps a key anew under another version of the tenant's key; what that key sealed stays as it is.
    ///
    /// # Errors
    /// Every [`Error`]; [`Error::Refused`] when `to` is another tenant's.
    pub fn rewrap(&self, to: &Self, name: KeyName, wrapped: &[u8]) -> Result<Vec<u8>, Error> {
        to.wrap(name, &self.unwrap(name, wrapped)?)
    }

    fn wrap(&self, name: KeyName, secret: &Secret) -> Result<Vec<u8>, Error> {
        self.check_owner(name)?;
        self.cipher
            .seal(Cell { tenant: self.tenant, table: TABLE, column: COLUMN, row: &name.row() }, secret.as_slice())
    }

    fn unwrap(&self, name: KeyName, wrapped: &[u8]) -> Result<Secret, Error> {
        self.check_owner(name)?;
        self.cipher.open_secret(Cell { tenant: self.tenant, table: TABLE, column: COLUMN, row: &name.row() }, wrapped)
    }

    fn check_owner(&self, name: KeyName) -> Result<(), Error> {
        if name.tenant == self.tenant { Ok(()) } else { Err(Error::Refused) }
    }
}

impl fmt::Debug for TenantKey {
    /// Which key, never what it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("TenantKey");
        debug.field("tenant", &self.tenant).field("version", &self.version()).finish_non_exhaustive()
    }
}
