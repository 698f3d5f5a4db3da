//! What anyone can see of an MLS group: its public tree, and whether a commit to it is valid. It holds no secret of a
//! member and names only OpenMLS's `PublicGroup`.
//!
//! The server follows every group with a [`PublicTree`]: it opens one when a conversation is created, checks every commit
//! against it before the commit is recorded, and takes the commit afterwards. What it cannot check is said at
//! [`PublicTree::check`]. [`key_package::check`] and [`payload::check_application`] are for uploads and for messages.
//!
//! [`reading`] is how a commit, a leaf and a group context are read. The client (`e2ee`) reads them with the same code, so
//! that both feed the same changes to [`trust::GroupPolicy::check`] (`docs/decisions/0007-one-reading-of-a-commit.md`).

pub mod key_package;
pub mod payload;
mod proposal;
pub mod reading;

mod refused;
mod snapshot;
mod tree;

pub use key_package::KeyPackageFacts;
pub use payload::ApplicationFacts;
pub use proposal::CheckedProposal;
pub use reading::Suite;
pub use refused::{KeyPackageFault, Refused};
pub use tree::{CheckedCommit, PublicTree};

use trust::{DevicePublicKey, LeafIdentity};

/// What a user's device chain says about a leaf: whether this key is that device's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vouched {
    /// The chain has the device with this key, and the device is active.
    Yes,
    /// As [`Vouched::Yes`], by a chain that may have grown meanwhile: enough for a device that comes; before the removal of
    /// one is refused, its chain is to be fetched.
    Stale,
    /// The chain does not have the device, or has it with another key.
    No,
    /// The chain has the device with this key, but it was revoked or its user has left.
    Gone,
    /// The chain is not at hand, or may be older than what it is asked about: fetch it and try again.
    Unknown,
}

/// Asks what the device chains say about a leaf.
pub type Vouch<'a> = &'a dyn Fn(&LeafIdentity, &DevicePublicKey) -> Vouched;
