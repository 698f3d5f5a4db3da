//! Conversations: the log, and the MLS delivery service around it.

use crate::{ConversationId, DeviceId, Entry, GroupId, MessageId, UnixMillis};
use minicbor::{Decode, Encode};

/// Creates a conversation with its first group at epoch 0, whose only leaf is the caller.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct CreateConversation {
    /// Made by the creator; also the idempotency key.
    #[n(0)]
    pub conversation: ConversationId,
    /// `MLSMessage` holding the GroupInfo of epoch 0, without the tree. It carries the group policy.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub group_info: Vec<u8>,
    /// The ratchet tree of epoch 0 (RFC 9420 §12.4.3.3).
    #[cbor(n(2), with = "minicbor::bytes")]
    pub tree: Vec<u8>,
}

/// Commits: ends the current epoch of the conversation's group.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Commit {
    /// Where.
    #[n(0)]
    pub conversation: ConversationId,
    /// Idempotency key, and the id in the commit's authenticated data.
    #[n(1)]
    pub message_id: MessageId,
    /// `MLSMessage` holding a `PublicMessage` commit.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub commit: Vec<u8>,
    /// `MLSMessage` holding the GroupInfo of the epoch that the commit begins, without the tree.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub group_info: Vec<u8>,
    /// `MLSMessage` holding the Welcome, if the commit adds anyone.
    #[cbor(n(4), with = "minicbor::bytes")]
    pub welcome: Option<Vec<u8>>,
}

/// Sends one sealed application message.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Send {
    /// Where.
    #[n(0)]
    pub conversation: ConversationId,
    /// The epoch in which it was sealed; must be the current one.
    #[n(1)]
    pub epoch: u64,
    /// Idempotency key, and the id in the authenticated data.
    #[n(2)]
    pub message_id: MessageId,
    /// `MLSMessage` holding a `PrivateMessage`.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub payload: Vec<u8>,
}

/// Puts another group into the place of the conversation's group: under the same policy, with the same people
/// (`docs/decisions/0060-successor-groups.md`).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Succeed {
    /// Where.
    #[n(0)]
    pub conversation: ConversationId,
    /// Idempotency key.
    #[n(1)]
    pub message_id: MessageId,
    /// The group that it ends; must be the current one.
    #[n(2)]
    pub predecessor: GroupId,
    /// The epoch of that group; must be the current one.
    #[n(3)]
    pub epoch: u64,
    /// `MLSMessage` holding the GroupInfo of the new group in epoch 1, without the tree, signed by the caller.
    #[cbor(n(4), with = "minicbor::bytes")]
    pub group_info: Vec<u8>,
    /// The ratchet tree of that epoch.
    #[cbor(n(5), with = "minicbor::bytes")]
    pub tree: Vec<u8>,
    /// `MLSMessage` holding the Welcome for every leaf but the caller's, if there is one.
    #[cbor(n(6), with = "minicbor::bytes")]
    pub welcome: Option<Vec<u8>>,
}

/// Where and when an entry was recorded, durably. A repeat answers the same.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RecordedAt {
    /// Its place in the log.
    #[n(0)]
    pub seq: u64,
    /// The server's clock.
    #[n(1)]
    pub at: UnixMillis,
    /// The generation of the log when it was recorded.
    #[n(2)]
    pub generation: u32,
}

/// Fetches entries after a place in the log, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Fetch {
    /// Where.
    #[n(0)]
    pub conversation: ConversationId,
    /// The last sequence number that the device has.
    #[n(1)]
    pub after: u64,
    /// At most so many entries.
    #[n(2)]
    pub limit: u32,
}

/// Entries, dense and in order from `after + 1`, or from the first one kept for the device.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Fetched {
    /// The entries.
    #[n(0)]
    pub entries: Vec<Entry>,
    /// The last sequence number of the log.
    #[n(1)]
    pub head: u64,
    /// The generation of the log.
    #[n(2)]
    pub generation: u32,
}

/// The device has processed everything up to these places, durably.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Acknowledge {
    /// One per conversation.
    #[n(0)]
    pub cursors: Vec<Cursor>,
}

/// A place in a conversation's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Cursor {
    /// Where.
    #[n(0)]
    pub conversation: ConversationId,
    /// The generation of the log that the number belongs to.
    #[n(1)]
    pub generation: u32,
    /// The last sequence number processed.
    #[n(2)]
    pub seq: u64,
}

/// Asks what there is: sent after every connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Sync {}

/// The conversations whose group holds a leaf of the device, and how far their logs go.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Synced {
    /// Heads of the logs.
    #[n(0)]
    pub heads: Vec<Cursor>,
    /// Welcomes that wait for the device.
    #[n(1)]
    pub welcomes: u32,
    /// The device's key packages.
    #[n(2)]
    pub key_packages: super::KeyPackagesHeld,
}

/// Fetches the Welcomes that wait for the device, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct FetchWelcomes {}

/// The Welcomes that wait; at most 50 at a time.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Welcomes {
    /// Oldest first.
    #[n(0)]
    pub welcomes: Vec<PendingWelcome>,
}

/// One Welcome and what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct PendingWelcome {
    /// Where it leads.
    #[n(0)]
    pub conversation: ConversationId,
    /// The device that made the commit.
    #[n(1)]
    pub sender: DeviceId,
    /// The sequence number of the commit; the device's log begins after it.
    #[n(2)]
    pub seq: u64,
    /// The generation of the log.
    #[n(3)]
    pub generation: u32,
    /// `EntryHash(seq)`, to be confirmed by the first message of a member.
    #[cbor(n(4), with = "minicbor::bytes")]
    pub entry_hash: [u8; 32],
    /// The epoch that the commit began; its tree is fetched with [`FetchTree`].
    #[n(5)]
    pub epoch: u64,
    /// `MLSMessage` holding the Welcome.
    #[cbor(n(6), with = "minicbor::bytes")]
    pub welcome: Vec<u8>,
    /// The group that it leads into.
    #[n(7)]
    pub group: GroupId,
}

/// The device has joined, or refuses to, durably: the Welcome need not be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct AcceptWelcome {
    /// The conversation of the Welcome.
    #[n(0)]
    pub conversation: ConversationId,
    /// Its sequence number.
    #[n(1)]
    pub seq: u64,
}

/// Fetches the ratchet tree of an epoch: the current one, or one that a waiting Welcome of the device needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct FetchTree {
    /// Where.
    #[n(0)]
    pub conversation: ConversationId,
    /// Which epoch.
    #[n(1)]
    pub epoch: u64,
    /// Of which group; of the current one if none is named.
    #[n(2)]
    pub group: Option<GroupId>,
}

/// A ratchet tree (RFC 9420 §12.4.3.3). The receiver checks its hash against the signed group context.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Tree {
    /// The tree's encoding.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub tree: Vec<u8>,
}

/// Fetches what an external commit needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct FetchGroupInfo {
    /// Where.
    #[n(0)]
    pub conversation: ConversationId,
}

/// The current epoch of a conversation's group.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct CurrentGroup {
    /// `MLSMessage` holding the GroupInfo, without the tree.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub group_info: Vec<u8>,
    /// The epoch.
    #[n(1)]
    pub epoch: u64,
    /// The place of the commit that began it.
    #[n(2)]
    pub seq: u64,
    /// The generation of the log.
    #[n(3)]
    pub generation: u32,
    /// `EntryHash(seq)`.
    #[cbor(n(4), with = "minicbor::bytes")]
    pub entry_hash: [u8; 32],
}

/// A typing or presence signal to the members who are online; not stored.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Whisper {
    /// Where.
    #[n(0)]
    pub conversation: ConversationId,
    /// The epoch whose key seals it; must be the current one.
    #[n(1)]
    pub epoch: u64,
    /// Sealed, at most 256 bytes.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub payload: Vec<u8>,
}
