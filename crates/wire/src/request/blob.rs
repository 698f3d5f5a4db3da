//! Blobs: files that the sender's device has sealed, in parts, for the members of a conversation
//! (`docs/decisions/0100-files.md`).

use crate::{BlobId, ConversationId};
use minicbor::{Decode, Encode};

/// Begins a blob, or asks how far it has come: a repeat with the same figures changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct BeginBlob {
    /// Chosen by the sender.
    #[n(0)]
    pub blob: BlobId,
    /// Whose members may fetch it.
    #[n(1)]
    pub conversation: ConversationId,
    /// Bytes of all parts together, sealed. Every part but the last has [`crate::limits::BLOB_PART_BYTES`].
    #[n(2)]
    pub bytes: u64,
    /// For how many days it is wanted, if not for as long as the server keeps blobs.
    #[n(3)]
    pub days: Option<u16>,
}

/// How far a blob has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct BlobProgress {
    /// The server has all parts before this one, durably.
    #[n(0)]
    pub parts: u32,
}

/// Stores a part of a blob that the caller's user has begun. It is durable when it is answered; a repeat takes its place.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct PutPart {
    /// Which blob.
    #[n(0)]
    pub blob: BlobId,
    /// From 0.
    #[n(1)]
    pub part: u32,
    /// Sealed by the sender.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub bytes: Vec<u8>,
}

/// Ends a blob all of whose parts are stored: from now on members may fetch it, and nobody may change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct FinishBlob {
    /// Which.
    #[n(0)]
    pub blob: BlobId,
}

/// Fetches a part of a blob of a conversation that the caller is a member of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct FetchPart {
    /// Which blob.
    #[n(0)]
    pub blob: BlobId,
    /// From 0.
    #[n(1)]
    pub part: u32,
}

/// The part.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Part {
    /// As the sender has sealed it.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub bytes: Vec<u8>,
}

/// Destroys a blob of the caller's user: its key at once, its parts soon after. A repeat changes nothing, and finds
/// nothing once these are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct DeleteBlob {
    /// Which.
    #[n(0)]
    pub blob: BlobId,
}
