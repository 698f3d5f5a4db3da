//! One file per entity: its rows, and the methods of `Tx` that read and write them.

mod append;
mod attempt;
mod audit;
mod chain;
mod commit;
mod conversation;
mod cursor;
mod device;
mod entrance;
mod fetch;
mod invite;
mod key_package;
mod link;
mod member;
mod recent_sends;
mod rotation;
mod succession;
pub(crate) mod tail;
mod tail_batch;
mod tenant;
mod tree;
mod user;
mod welcome;

pub use append::{Append, NewEntry};
pub use audit::{Actor, AuditEntry, NewAuditEntry};
pub use commit::{CommitOutcome, Joiner, NewCommit};
pub use conversation::{Conversation, CreateConversation, NewConversation};
pub use device::Device;
pub use invite::{Invite, NewInvite};
pub use key_package::{Claim, Claimed, NewKeyPackage};
pub use link::{LinkOffer, Offered};
pub use member::Member;
pub use succession::NewSuccession;
pub use tenant::{NewTenant, Tenant};
pub use tree::PublicGroupState;
pub use user::{CreateUser, NewUser, User, UserState};
