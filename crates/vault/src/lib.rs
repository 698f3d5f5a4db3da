//! Secret keys of a device: create, use, seal; zeroized, never serialised in the clear, never shown by `Debug`.
//!
//! Randomness comes in as an argument ([`Entropy`]), so that a simulation can replay; the shell hands in the operating
//! system's.

mod archive;
mod database_key;
mod entropy;
mod file;
mod franking;
mod keys;
pub mod link;
pub mod password;
mod row_key;
mod whisper;

pub use archive::{ArchiveError, ArchiveKey, ArchiveOwner, DayKey, SegmentPlace};
pub use database_key::{DatabaseKey, UnsealError};
pub use entropy::Entropy;
pub use file::{FILE_PART_BYTES, FileKey, FilePart, file_digest, padded_bytes, part_digest, sealed_parts};
pub use franking::FrankingKey;
pub use keys::{AccountKey, DeviceKey, NotMls, OfferedEntry};
pub use row_key::RowKey;
pub use whisper::{Signal, WhisperKey, WhisperPlace};
