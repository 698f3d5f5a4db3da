//! How long a message is to live (`docs/decisions/0050-expiry-and-whispers.md`): MIMI's pair of a flag and seconds.

use minicbor::{Decode, Encode};
use wire::UnixMillis;

/// How long a message is to live on the devices that have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Expiry {
    /// `seconds` count from when a device's person has read the message (its author: from when it was recorded); else since
    /// the Unix epoch.
    #[n(0)]
    pub relative: bool,
    /// Zero, if relative: for ever.
    #[n(1)]
    pub seconds: u32,
}

impl Expiry {
    /// So long after it was read.
    pub const fn after_reading(seconds: u32) -> Self {
        Self { relative: true, seconds }
    }

    /// At this time, to the second. Beyond the year 2106: then.
    pub fn at_time(at: UnixMillis) -> Self {
        Self { relative: false, seconds: u32::try_from(at / 1_000).unwrap_or(u32::MAX) }
    }

    /// Whether it says nothing.
    pub const fn is_never(&self) -> bool {
        self.relative && self.seconds == 0
    }

    /// When a message that is read now expires.
    pub(crate) fn at(&self, now: UnixMillis) -> UnixMillis {
        let since = if self.relative { now } else { 0 };
        since.saturating_add(u64::from(self.seconds) * 1_000)
    }
}
