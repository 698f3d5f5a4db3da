//! Limits that both sides know. They are checked before anything is allocated.

/// The largest frame that a device which has authenticated may send, in bytes. A group of 1,000 post-quantum devices has
/// a ratchet tree of about 2.7 MB, which the creator of a group uploads once.
pub const FRAME_MAX_BYTES: usize = 4 << 20;
/// The largest frame before authentication, in bytes.
pub const ANONYMOUS_FRAME_MAX_BYTES: usize = 16 << 10;
/// The largest sealed application message, in bytes. Files travel as blobs.
pub const PAYLOAD_MAX_BYTES: usize = 64 << 10;
/// Devices in one end-to-end encrypted conversation.
pub const GROUP_MAX_DEVICES: usize = 1_000;
/// Devices of one user.
pub const USER_MAX_DEVICES: usize = 16;
/// Characters of a device's name.
pub const DEVICE_NAME_MAX_CHARS: usize = 64;
/// What a new device leaves for the person's other devices, sealed, in bytes.
pub const LINK_OFFER_MAX_BYTES: usize = 4 << 10;
/// What the other device leaves for the new one, sealed, in bytes: mostly the device chains of contacts.
pub const LINK_ANSWER_MAX_BYTES: usize = 3 << 20;
/// Conversations in one answer to `FetchJoinable`.
pub const JOINABLE_MAX: u32 = 1_000;
/// Changes of chains looked at for one answer to `FetchChainChanges`.
pub const CHAIN_CHANGES_MAX: u32 = 1_000;
/// Entries in the device chain of one user, over its life.
pub const CHAIN_MAX_ENTRIES: usize = 1_024;
/// One-time key packages that the server keeps for a device.
pub const KEY_PACKAGES_MAX: usize = 200;
/// A handle's length in characters, after normalisation.
pub const HANDLE_MAX_CHARS: usize = 64;
/// Entries in one answer to `Fetch`.
pub const FETCH_MAX_ENTRIES: u32 = 500;
/// Bytes of entries in one answer to `Fetch`; at least one entry is always returned.
pub const FETCH_MAX_BYTES: usize = 1 << 20;
/// Cursors in one `Acknowledge`.
pub const ACKNOWLEDGE_MAX_CURSORS: usize = 1_000;
/// A part of a blob as its sender has sealed it, in bytes; only the last may be shorter.
pub const BLOB_PART_BYTES: usize = 256 << 10;
/// The largest file, in bytes.
pub const FILE_MAX_BYTES: u64 = 2 << 30;
/// The largest blob, in bytes: a file of [`FILE_MAX_BYTES`], and what sealing adds to each part.
pub const BLOB_MAX_BYTES: u64 = FILE_MAX_BYTES + (1 << 20);
/// The key of a day of an archive, sealed, in bytes.
pub const DAY_KEY_MAX_BYTES: usize = 256;
/// Days in one request or answer about the days of an archive.
pub const ARCHIVE_DAYS_MAX: usize = 1_000;
/// A segment of an archive, sealed, in bytes.
pub const SEGMENT_MAX_BYTES: usize = 128 << 10;
/// Bytes of segments in one answer to `FetchSegments`; at least one segment is always returned.
pub const SEGMENTS_MAX_BYTES: usize = 512 << 10;
/// Pairs of places in one answer to `ListSegments`.
pub const SEGMENT_PLACES_MAX: usize = 1_000;
/// Requests of one connection that may wait for their answers at once.
pub const REQUESTS_IN_FLIGHT_MAX: usize = 64;
