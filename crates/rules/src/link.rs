//! How long linking a device may take, and how many may be tried at once.

use wire::UnixMillis;

/// An offer that nobody has confirmed is good for so long.
pub const OFFER_LIFE_MS: u64 = 10 * 60_000;
/// What a confirmation left for the new device waits for so long: the device may have crashed in between.
pub const ANSWER_LIFE_MS: u64 = 24 * 3_600_000;
/// Offers that wait for one user at once.
pub const OFFERS_PER_USER: u32 = 3;

/// Whether what ends at this time is still good.
pub const fn is_good(expires_at: UnixMillis, now: UnixMillis) -> bool {
    now < expires_at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a22_an_offer_ends_on_time() {
        let made = 1_000;
        assert!(is_good(made + OFFER_LIFE_MS, made + OFFER_LIFE_MS - 1));
        assert!(!is_good(made + OFFER_LIFE_MS, made + OFFER_LIFE_MS));
    }
}
