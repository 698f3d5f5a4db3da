//! Keys that seal data.

use crate::Cell;
use crate::envelope::{Cipher, Error};
use std::fmt;
use wire::TenantId;

/// What a key below the tenant key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyUse {
    /// The tenant's own secrets, such as the server's half of its passwords.
    Tenant,
    /// One user's personal fields.
    User,
    /// One conversation.
    Conversation,
    /// The tenant's blind indexes.
    Index,
    /// One blob.
    Blob,
    /// One day of one user's archive.
    Archive,
}

impl KeyUse {
    /// The number that is stored; never changes.
    pub const fn number(self) -> u8 {
        match self {
            Self::Tenant => 0,
            Self::User => 1,
            Self::Conversation => 2,
            Self::Index => 3,
            Self::Blob => 4,
            Self::Archive => 5,
        }
    }
}

/// Which key below a tenant key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyName {
    /// The tenant.
    pub tenant: TenantId,
    /// What it is for.
    pub key_use: KeyUse,
    /// The user, conversation, blob or day; for the tenant's own keys the tenant.
    pub object: [u8; 16],
    /// From 1.
    pub version: u32,
}

impl KeyName {
    /// The row of the key in the table of wrapped keys: use, object, version.
    pub fn row(&self) -> [u8; 21] {
        let mut row = [self.key_use.number(); 21];
        row[1..17].copy_from_slice(&self.object);
        row[17..].copy_from_slice(&self.version.to_be_bytes());
        row
    }
}

/// Seals and opens the cells that belong to one object.
pub struct DataKey {
    name: KeyName,
    cipher: Cipher,
}

impl DataKey {
    pub(crate) const fn new(name: KeyName, cipher: Cipher) -> Self {
        Self { name, cipher }
    }

    /// Which key this is.
    pub const fn name(&self) -> KeyName {
        self.name
    }

    /// Seals a value for one cell.
    ///
    /// # Errors
    /// [`Error::Refused`] for a cell of another tenant, [`Error::Library`].
    pub fn seal(&self, cell: Cell<'_>, plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        if cell.tenant != self.name.tenant {
            return Err(Error::Refused);
        }
        self.cipher.seal(cell, plaintext)
    }

    /// Opens what was sealed for this cell under this key.
    ///
    /// # Errors
    /// Every [`Error`]; above all [`Error::Refused`] when the value was altered or moved.
    pub fn open(&self, cell: Cell<'_>, envelope: &[u8]) -> Result<Vec<u8>, Error> {
        self.cipher.open(cell, envelope)
    }
}

impl fmt::Debug for DataKey {
    /// Which key, never what it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataKey").field("name", &self.name).finish_non_exhaustive()
    }
}
