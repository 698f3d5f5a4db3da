//! How much a person may keep in blobs, and for how long.

use wire::{ErrorCode, Parts, UnixMillis, limits};

/// What the operator allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Bytes that the blobs of one user may have together.
    pub user_bytes: u64,
    /// Bytes of one file.
    pub file_bytes: u64,
    /// Days for which a finished blob is kept.
    pub days: u16,
}

/// A blob that was begun and does not end is given up after so long.
pub const UNFINISHED_LIFE_MS: u64 = 7 * DAY_MS;
const DAY_MS: u64 = 24 * 3_600_000;
/// What sealing and padding add to a file of the greatest size.
const ROOM: u64 = limits::BLOB_MAX_BYTES - limits::FILE_MAX_BYTES;

impl Terms {
    /// Whether a blob of so many bytes may be begun by a user whose others have so many.
    ///
    /// # Errors
    /// [`ErrorCode::Malformed`], [`ErrorCode::TooLarge`], [`ErrorCode::QuotaExceeded`].
    pub fn admit(&self, bytes: u64, used: u64) -> Result<Parts, ErrorCode> {
        if bytes > self.file_bytes.saturating_add(ROOM) {
            return Err(ErrorCode::TooLarge);
        }
        let parts = Parts::of(bytes).ok_or(if bytes == 0 { ErrorCode::Malformed } else { ErrorCode::TooLarge })?;
        if used.saturating_add(bytes) > self.user_bytes { Err(ErrorCode::QuotaExceeded) } else { Ok(parts) }
    }

    /// When a blob that is finished now expires, if its sender wants it for so many days.
    pub fn end(&self, wanted_days: Option<u16>, now: UnixMillis) -> UnixMillis {
        let days = wanted_days.unwrap_or(self.days).min(self.days);
        now.saturating_add(u64::from(days) * DAY_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms { user_bytes: 1_000_000_000, file_bytes: 100_000_000, days: 30 };

    #[test]
    fn size_and_quota_are_held() {
        assert!(TERMS.admit(100_000_000, 0).is_ok());
        assert_eq!(TERMS.admit(0, 0), Err(ErrorCode::Malformed));
        assert_eq!(TERMS.admit(102_000_000, 0), Err(ErrorCode::TooLarge));
        assert_eq!(TERMS.admit(u64::MAX, 0), Err(ErrorCode::TooLarge));
        assert_eq!(TERMS.admit(2, 999_999_999), Err(ErrorCode::QuotaExceeded));
        assert!(TERMS.admit(1, 999_999_999).is_ok());
        let boundless = Terms { file_bytes: u64::MAX, user_bytes: u64::MAX, ..TERMS };
        assert_eq!(boundless.admit(limits::BLOB_MAX_BYTES + 1, 0), Err(ErrorCode::TooLarge));
    }

    #[test]
    fn a_sender_can_shorten_the_time_and_not_lengthen_it() {
        assert_eq!(TERMS.end(None, 5), 5 + 30 * DAY_MS);
        assert_eq!(TERMS.end(Some(2), 5), 5 + 2 * DAY_MS);
        assert_eq!(TERMS.end(Some(365), 5), 5 + 30 * DAY_MS);
    }
}
