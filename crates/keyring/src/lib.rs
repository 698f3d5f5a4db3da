//! Envelope encryption: root, tenant key, data key; seal and open.
//!
//! ```text
//! RootKey (a file sealed by a passphrase; later an HSM)   wraps
//!   TenantKey (versioned, one per tenant)                 wraps
//!     DataKey (one per conversation, per user, …)         seals the cells of a database
//!     IndexKey (one per tenant)                           makes blind indexes, so that sealed fields can be looked up
//! ```
//!
//! Every sealed value is an [`envelope`]: algorithm id, key version, nonce, ciphertext, tag. It is bound to the [`Cell`] it
//! was sealed for, so that it opens nowhere else. Rotating the root or a tenant key re-wraps keys and touches no data.
//!
//! Nonces are 96 random bits, so one key may seal at most 2^32 values (NIST SP 800-38D §8.3). The root and the tenant keys
//! seal one value per key below them; a data key belongs to one conversation or user, and whoever keeps conversations must
//! see to it that one never comes near that number ([`SEALS_MAX`]).

pub mod cell;
mod data_key;
pub mod envelope;
mod index_key;
mod passphrase;
mod root_file;
mod root_key;
mod tenant_key;

pub use cell::Cell;
pub use data_key::{DataKey, KeyName, KeyUse};
pub use envelope::Error;
pub use index_key::IndexKey;
pub use passphrase::{Passphrase, WeakPassphrase};
pub use root_file::RootFileError;
pub use root_key::RootKey;
pub use tenant_key::TenantKey;

/// Values that one key may seal, because nonces are random.
pub const SEALS_MAX: u64 = 1 << 32;
