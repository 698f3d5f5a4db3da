//! How long ciphertext is kept: until every device has it, or until its time is over.

use wire::UnixMillis;

/// An entry that every device has acknowledged is kept so long nevertheless, so that a device restored from an old copy
/// of itself, or a server from a backup, can still be helped.
pub const GRACE_MS: u64 = 7 * 24 * 3_600_000;

/// How long a tenant keeps what some device has not fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// The longest that an entry is kept.
    pub keep_ms: u64,
}

impl Retention {
    /// 90 days.
    pub const DEFAULT: Self = Self { keep_ms: 90 * 24 * 3_600_000 };
}

/// What is known of an entry that might be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Its place.
    pub seq: u64,
    /// When it was recorded.
    pub at: UnixMillis,
    /// The lowest cursor of the conversation's devices: everything up to it has reached all of them.
    pub acknowledged: u64,
}

/// Whether the entry may be deleted.
pub const fn may_delete(entry: Kept, retention: Retention, now: UnixMillis) -> bool {
    let age_ms = now.saturating_sub(entry.at);
    (entry.seq <= entry.acknowledged && age_ms >= GRACE_MS) || age_ms >= retention.keep_ms
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_a_device_misses_stays_until_its_time(seq in 1u64..100, acknowledged in 0u64..100, age in 0u64..Retention::DEFAULT.keep_ms * 2) {
            let entry = Kept { seq, at: 1_000, acknowledged };
            let gone = may_delete(entry, Retention::DEFAULT, 1_000 + age);
            if age < GRACE_MS { prop_assert!(!gone); }
            if seq > acknowledged && age < Retention::DEFAULT.keep_ms { prop_assert!(!gone); }
            if age >= Retention::DEFAULT.keep_ms { prop_assert!(gone); }
        }
    }
}
