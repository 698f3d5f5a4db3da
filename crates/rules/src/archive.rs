//! How much of what they have read a person may keep on the server, sealed, and for how long.

use wire::request::{ArchiveDay, Segment};
use wire::{ErrorCode, UnixMillis, limits};

/// What the operator allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Bytes that the segments of one user may have together.
    pub user_bytes: u64,
    /// Days for which a day is kept; 0: for as long as the account is.
    pub days: u16,
}

const DAY_MS: u64 = 24 * 3_600_000;

impl Terms {
    /// Whether a day may be begun now. The day after this one may: a device's clock need not be the server's.
    ///
    /// # Errors
    /// [`ErrorCode::Malformed`] for a day that is yet to come, [`ErrorCode::QuotaExceeded`] for one that is not kept any more.
    pub fn admit_day(&self, day: u32, now: UnixMillis) -> Result<(), ErrorCode> {
        if day > day_of(now).saturating_add(1) {
            return Err(ErrorCode::Malformed);
        }
        let is_over = self.first_day(now).is_some_and(|first| day < first);
        if is_over { Err(ErrorCode::QuotaExceeded) } else { Ok(()) }
    }

    /// The first day that is still kept, if not all are.
    pub fn first_day(&self, now: UnixMillis) -> Option<u32> {
        (self.days > 0).then(|| day_of(now).saturating_sub(self.days.into()))
    }

    /// Whether a user may put so many bytes more, whose archive has so many without them.
    ///
    /// # Errors
    /// [`ErrorCode::QuotaExceeded`].
    pub fn admit_bytes(&self, bytes: u64, used: u64) -> Result<(), ErrorCode> {
        if used.saturating_add(bytes) > self.user_bytes { Err(ErrorCode::QuotaExceeded) } else { Ok(()) }
    }
}

/// Whether a segment can be one of a log that goes up to `head`.
///
/// # Errors
/// [`ErrorCode::Malformed`], [`ErrorCode::TooLarge`].
pub const fn admit_segment(segment: &Segment, head: u64) -> Result<(), ErrorCode> {
    if segment.bytes.len() > limits::SEGMENT_MAX_BYTES {
        return Err(ErrorCode::TooLarge);
    }
    let is_one = segment.first >= 1 && segment.first <= segment.last && segment.last <= head;
    if is_one && !segment.bytes.is_empty() { Ok(()) } else { Err(ErrorCode::Malformed) }
}

/// Whether this can be the key of a day.
///
/// # Errors
/// [`ErrorCode::TooLarge`], [`ErrorCode::Malformed`].
pub const fn admit_key(day: &ArchiveDay) -> Result<(), ErrorCode> {
    if day.wrapped.len() > limits::DAY_KEY_MAX_BYTES {
        return Err(ErrorCode::TooLarge);
    }
    if day.version >= 1 && !day.wrapped.is_empty() { Ok(()) } else { Err(ErrorCode::Malformed) }
}

/// Days since 1 January 1970, UTC.
fn day_of(now: UnixMillis) -> u32 {
    u32::try_from(now / DAY_MS).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TODAY: u32 = 20_000;
    const NOW: UnixMillis = TODAY as u64 * DAY_MS + 7;
    const FOREVER: Terms = Terms { user_bytes: 1_000, days: 0 };
    const MONTH: Terms = Terms { days: 30, ..FOREVER };

    fn segment(first: u64, last: u64, bytes: usize) -> Segment {
        Segment { first, last, day: TODAY, revision: 0, bytes: vec![1; bytes] }
    }

    #[test]
    fn a_day_may_be_begun_from_the_first_that_is_kept_to_tomorrow() {
        for (terms, first) in [(FOREVER, 0), (MONTH, TODAY - 30)] {
            for day in [first, TODAY, TODAY + 1] {
                assert_eq!(terms.admit_day(day, NOW), Ok(()), "{terms:?} {day}");
            }
            for day in [TODAY + 2, u32::MAX] {
                assert_eq!(terms.admit_day(day, NOW), Err(ErrorCode::Malformed), "{terms:?} {day}");
            }
        }
        assert_eq!(MONTH.admit_day(TODAY - 31, NOW), Err(ErrorCode::QuotaExceeded));
        assert_eq!(MONTH.admit_day(0, u64::MAX), Err(ErrorCode::QuotaExceeded));
        assert_eq!(MONTH.admit_day(0, 0), Ok(()), "the first day of all");
    }

    #[test]
    fn what_is_kept_moves_on_by_a_day_at_midnight() {
        assert_eq!(FOREVER.first_day(NOW), None);
        assert_eq!(MONTH.first_day(NOW), Some(TODAY - 30));
        assert_eq!(MONTH.first_day(NOW - NOW % DAY_MS - 1), Some(TODAY - 31));
        assert_eq!(MONTH.first_day(3), Some(0));
    }

    #[test]
    fn the_places_of_a_segment_are_of_the_log() {
        for good in [segment(1, 1, 1), segment(1, 9, limits::SEGMENT_MAX_BYTES), segment(9, 9, 5)] {
            assert_eq!(admit_segment(&good, 9), Ok(()));
        }
        for bad in [segment(0, 3, 1), segment(4, 3, 1), segment(9, 10, 1), segment(1, u64::MAX, 1), segment(1, 1, 0)] {
            assert_eq!(admit_segment(&bad, 9), Err(ErrorCode::Malformed), "{bad:?}");
        }
        assert_eq!(admit_segment(&segment(1, 1, 1), 0), Err(ErrorCode::Malformed), "of an empty log");
        assert_eq!(admit_segment(&segment(1, 1, limits::SEGMENT_MAX_BYTES + 1), 9), Err(ErrorCode::TooLarge));
    }

    #[test]
    fn the_key_of_a_day_has_a_version_and_a_length() {
        let key = |version, bytes| ArchiveDay { day: TODAY, version, wrapped: vec![1; bytes] };
        assert_eq!(admit_key(&key(1, limits::DAY_KEY_MAX_BYTES)), Ok(()));
        assert_eq!(admit_key(&key(u32::MAX, 1)), Ok(()));
        assert_eq!(admit_key(&key(0, 1)), Err(ErrorCode::Malformed));
        assert_eq!(admit_key(&key(1, 0)), Err(ErrorCode::Malformed));
        assert_eq!(admit_key(&key(1, limits::DAY_KEY_MAX_BYTES + 1)), Err(ErrorCode::TooLarge));
    }

    #[test]
    fn nobody_keeps_more_than_their_share() {
        assert_eq!(FOREVER.admit_bytes(1_000, 0), Ok(()));
        assert_eq!(FOREVER.admit_bytes(1, 999), Ok(()));
        for (bytes, used) in [(1_001, 0), (1, 1_000), (1, u64::MAX), (u64::MAX, 1)] {
            assert_eq!(FOREVER.admit_bytes(bytes, used), Err(ErrorCode::QuotaExceeded), "{bytes} {used}");
        }
    }

    proptest! {
        #[test]
        fn what_may_be_begun_is_not_destroyed_at_once(day: u32, now: u64, days: u16) {
            let terms = Terms { days, ..FOREVER };
            if terms.admit_day(day, now).is_ok() {
                prop_assert!(terms.first_day(now).is_none_or(|first| first <= day));
            }
        }
    }
}
