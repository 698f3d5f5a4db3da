//! What the operating system, or the browser, gives: time and randomness.

use client::Entropy;
use wire::UnixMillis;

/// The wall clock. A clock before 1970 reads as 1970.
#[cfg(not(target_family = "wasm"))]
pub fn now() -> UnixMillis {
    use std::time::{SystemTime, UNIX_EPOCH};
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The wall clock. A clock before 1970 reads as 1970.
#[cfg(target_family = "wasm")]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates, and a clock is a whole number"
)]
pub fn now() -> UnixMillis {
    js_sys::Date::now() as UnixMillis
}

/// The operating system's randomness; a browser's is that of WebCrypto.
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
