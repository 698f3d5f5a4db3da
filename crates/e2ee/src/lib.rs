//! MLS groups (RFC 9420) of one device: bytes in, effects out. The only client crate that names OpenMLS; none of its types
//! is in this interface.
//!
//! A [`Device`] says who acts and reads the stored state ([`Entries`]). An operation that changes something consumes the
//! [`Group`] and returns [`Changed`]: the output, the [`WriteSet`] that makes it durable, and the group as it is then.
//!
//! ```text
//! let Changed { output, writes, group } = group.seal(&device, &aad, plaintext)?;
//! transaction.apply(&writes); transaction.insert(outbox row); transaction.commit()?;
//! keep(group);                       // only now
//! ```
//!
//! If the transaction does not commit, everything above is dropped, the group with it, and the group is loaded again: what
//! is in memory is never ahead of what is on disk. The same after an error: the operation did not happen, no write set
//! exists, and the group is loaded again. That is why operations take `self`.
//!
//! Before a leaf is believed, the device chains are asked ([`Vouch`]). If one is missing, the operation answers
//! [`Error::NeedsIdentities`] and nothing has changed: fetch the chains, load the group, try again.
//!
//! OpenMLS reads the clock when it checks lifetimes and seeds its own randomness; see ARCHITECTURE.md.

mod codec;
mod commit;
mod config;
mod device;
mod entries;
mod error;
mod group;
mod join;
mod open;
mod storage;
mod succession;

pub use commit::{Committed, Pending, Proposed};
pub use device::{Device, KeyPackageUse, NewKeyPackage};
pub use entries::{Entries, StorageFailure, WriteSet};
pub use error::Error;
pub use group::{Changed, Group};
pub use join::{Created, Invitation, Joined, Rejoined};
pub use open::Opened;
pub use roster::key_package::{KeyPackageFacts, check as check_key_package};
pub use roster::reading::{LeafView, Suite};
pub use roster::{KeyPackageFault, Refused, Vouch, Vouched};
pub use succession::{Succession, group_of};
