//! Public keys only: account and device identities, the signatures over them, the group policy both sides check, and
//! the conversation log's hash chain. What a client checks before it believes a server, and the server before it records.
//!
//! Nothing here holds a secret or a clock.

pub mod chain;
pub mod key;
pub mod leaf;
pub mod log;
pub mod login;
pub mod password;
pub mod policy;
pub mod registry;
pub mod safety_number;
pub mod succession;

pub use chain::{Action, ChainEntry, ChainError, ChainHead, DeviceChain, DeviceState};
pub use key::{AccountPublicKey, AuthorityPublicKey, DevicePublicKey, InvalidSignature, Label, signature_input};
pub use leaf::LeafIdentity;
pub use log::{Aad, EntryHash};
pub use policy::{Change, CommitView, Committer, GroupPolicy, Kind, PolicyViolation, WhoMayAdd};
pub use succession::{GroupView, SuccessionViolation};
