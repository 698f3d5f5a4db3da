//! What the operating system gives: time and randomness.

use client::Entropy;
use std::time::{SystemTime, UNIX_EPOCH};
use wire::UnixMillis;

/// The wall clock. A clock before 1970 reads as 1970.
pub fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The operating system's randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    /// # Panics
    /// When the operating system has no randomness: there is nothing that a messenger could safely do without.
    #[expect(clippy::panic, reason = "keys made without randomness would be worse than no process")]
    fn fill(&mut self, bytes: &mut [u8]) {
        if let Err(error) = getrandom::fill(bytes) {
            panic!("the operating system gives no randomness: {error}");
        }
    }
}
