//! A user's archive: what their devices have read, sealed by them for those that come later, in days and segments
//! (`docs/decisions/0110-archive.md`). The server sees whose, which places of which conversation, which day and how much.

use crate::ConversationId;
use minicbor::{Decode, Encode};

/// The key of a day of the archive, sealed by one of the user's devices.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ArchiveDay {
    /// Days since 1 January 1970, UTC.
    #[n(0)]
    pub day: u32,
    /// Which of the user's archive keys it is sealed under, from 1.
    #[n(1)]
    pub version: u32,
    /// The day's key, sealed: at most [`crate::limits::DAY_KEY_MAX_BYTES`].
    #[cbor(n(2), with = "minicbor::bytes")]
    pub wrapped: Vec<u8>,
}

/// Begins a day of the caller's archive. The answer is the day as it is: another device may have begun it before.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct OpenArchiveDay {
    /// The day, with a new key.
    #[n(0)]
    pub day: ArchiveDay,
}

/// Lists the days of the caller's archive, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct FetchArchiveDays {
    /// Only those after this day.
    #[n(0)]
    pub after: Option<u32>,
}

/// Days of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ArchiveDays {
    /// Up to [`crate::limits::ARCHIVE_DAYS_MAX`], oldest first.
    #[n(0)]
    pub days: Vec<ArchiveDay>,
    /// There are more.
    #[n(1)]
    pub more: bool,
}

/// Puts keys of days, sealed under a newer archive key, in the place of what they were. A day that has a key of this version
/// or a newer one, or that is not there any more, stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RewrapArchiveDays {
    /// Up to [`crate::limits::ARCHIVE_DAYS_MAX`].
    #[n(0)]
    pub days: Vec<ArchiveDay>,
}

/// A part of a conversation, as one of the user's devices has sealed it: all that it has read from one place of the log to
/// another.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Segment {
    /// The first place.
    #[n(0)]
    pub first: u64,
    /// The last place.
    #[n(1)]
    pub last: u64,
    /// The day whose key seals it.
    #[n(2)]
    pub day: u32,
    /// How often it was replaced.
    #[n(3)]
    pub revision: u32,
    /// Sealed: at most [`crate::limits::SEGMENT_MAX_BYTES`].
    #[cbor(n(4), with = "minicbor::bytes")]
    pub bytes: Vec<u8>,
}

/// Stores a segment. Revision 0 takes places that no segment of this conversation has ([`crate::ErrorCode::AlreadyExists`]
/// otherwise); a later one takes the place of the segment of the same places whose revision is one less. A repeat changes
/// nothing.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct PutSegment {
    /// Of which conversation.
    #[n(0)]
    pub conversation: ConversationId,
    /// The generation of its log that the places are of.
    #[n(1)]
    pub generation: u32,
    /// The segment, whose day was begun.
    #[n(2)]
    pub segment: Segment,
}

/// Fetches the caller's segments of a conversation, the newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct FetchSegments {
    /// Of which conversation.
    #[n(0)]
    pub conversation: ConversationId,
    /// Only those whose first place is before this one.
    #[n(1)]
    pub before: u64,
}

/// Segments of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Segments {
    /// The newest first, together up to [`crate::limits::SEGMENTS_MAX_BYTES`], at least one if there is one.
    #[n(0)]
    pub segments: Vec<Segment>,
    /// Their days.
    #[n(1)]
    pub days: Vec<ArchiveDay>,
    /// There are earlier ones.
    #[n(2)]
    pub earlier: bool,
}

/// Asks which places of a conversation the caller's archive has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ListSegments {
    /// Of which conversation.
    #[n(0)]
    pub conversation: ConversationId,
    /// Only those after this place.
    #[n(1)]
    pub after: u64,
}

/// From one place of a log to another, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Places {
    /// The first.
    #[n(0)]
    pub first: u64,
    /// The last.
    #[n(1)]
    pub last: u64,
}

/// Which places an archive has.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct SegmentList {
    /// In the order of the log; neighbours are put together. Up to [`crate::limits::SEGMENT_PLACES_MAX`].
    #[n(0)]
    pub places: Vec<Places>,
    /// There are more.
    #[n(1)]
    pub more: bool,
    /// The conversation is kept out of the archive.
    #[n(2)]
    pub kept_out: bool,
}

/// Keeps a conversation out of the caller's archive, and destroys what is there of it; or lets it in again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct KeepOut {
    /// Which conversation.
    #[n(0)]
    pub conversation: ConversationId,
    /// Out of it, or in again.
    #[n(1)]
    pub out: bool,
}
