//! The wall clock, for people and for expiry. It never orders anything.

use std::time::{SystemTime, UNIX_EPOCH};
use wire::UnixMillis;

/// Now. A clock before 1970 reads as 1970.
pub fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
