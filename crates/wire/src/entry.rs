//! One entry of a conversation's log.

use crate::{DeviceId, MessageId, UnixMillis};
use minicbor::{Decode, Encode};

/// What an entry's payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum EntryKind {
    /// An MLS application message (`PrivateMessage`).
    #[n(0)]
    Application,
    /// An MLS commit (`PublicMessage`); it ends its epoch.
    #[n(1)]
    Commit,
    /// An MLS proposal (`PublicMessage`), only SelfRemove.
    #[n(2)]
    Proposal,
    /// The GroupInfo of the group that takes the place of this one; it ends the group.
    #[n(3)]
    Succession,
}

/// One entry of a conversation's log, as every member receives it: the same bytes for all.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Entry {
    /// Place in the log, dense from 1.
    #[n(0)]
    pub seq: u64,
    /// What the payload is.
    #[n(1)]
    pub kind: EntryKind,
    /// The epoch in which the payload was made; a commit ends it, a succession the group.
    #[n(2)]
    pub epoch: u64,
    /// The device that sent it, as the server authenticated it. The MLS leaf is what counts.
    #[n(3)]
    pub sender: DeviceId,
    /// Chosen by the sender.
    #[n(4)]
    pub message_id: MessageId,
    /// When the server recorded it.
    #[n(5)]
    pub at: UnixMillis,
    /// An `MLSMessage` (RFC 9420 §6).
    #[cbor(n(6), with = "minicbor::bytes")]
    pub payload: Vec<u8>,
    /// The generation of the log when it was recorded: never lower than that of the entry before. It stays what it was when
    /// the entry is supplied again after a restore.
    #[n(7)]
    pub generation: u32,
}
