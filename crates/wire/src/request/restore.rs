//! After a restore of the server: what survived, and giving back what did not (`docs/decisions/0070-restored-logs.md`).

use crate::{ConversationId, Entry};
use minicbor::{Decode, Encode};

/// Asks up to where a log is what a device knew of it. For whoever is or was a
/// member as the server has it, and their other devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct FetchRestored {
    /// Where.
    #[n(0)]
    pub conversation: ConversationId,
    /// The generation that the device knows.
    #[n(1)]
    pub generation: u32,
}

/// What became of a log since a generation.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Restored {
    /// The generation of the log now.
    #[n(0)]
    pub generation: u32,
    /// Up to here everything of the generation that was asked for survived. The head, if nothing was restored since.
    #[n(1)]
    pub seq: u64,
    /// `EntryHash(seq)`.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub entry_hash: [u8; 32],
    /// The last sequence number of the log.
    #[n(3)]
    pub head: u64,
    /// For so many milliseconds more only what was lost is recorded. Absent: what was not given back by now is not taken.
    #[n(4)]
    pub held_ms: Option<u32>,
    /// The GroupInfo of the current epoch was lost too: whoever is in that epoch makes another ([`RenewGroupInfo`]).
    #[n(5)]
    pub wants_group_info: bool,
    /// `EntryHash(head)`: who may not read the log from where it broke off compares this.
    #[cbor(n(6), with = "minicbor::bytes")]
    pub head_hash: [u8; 32],
}

/// Gives back the entry that followed the head before the restore, exactly as it was. The answer says where it was recorded;
/// it is the same for one that is there already.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Resupply {
    /// Where.
    #[n(0)]
    pub conversation: ConversationId,
    /// The entry, of an earlier generation than the log's.
    #[n(1)]
    pub entry: Entry,
    /// The ratchet tree of the group that a succession begins.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub tree: Option<Vec<u8>>,
}

/// Puts a GroupInfo of the current epoch in the place of the one that was lost, so that devices can join from outside.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RenewGroupInfo {
    /// Where.
    #[n(0)]
    pub conversation: ConversationId,
    /// `MLSMessage` holding the GroupInfo, without the tree, signed by the caller.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub group_info: Vec<u8>,
}
