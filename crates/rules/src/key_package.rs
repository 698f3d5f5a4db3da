//! Which key packages may be handed out, and to whom how many.

use trust::registry;
use wire::UnixMillis;

/// Claims that one user may make of another's packages in a day: emptying somebody's store has to take many users
/// (ATTACKS A8), while groups and rejoins need only a few.
pub const CLAIMS_PER_PAIR_PER_DAY: u32 = 50;
/// The length of that day.
pub const QUOTA_WINDOW_MS: u64 = 24 * 3_600_000;

/// Whether a package uploaded then may be handed out now. The window is much narrower than the MLS lifetime, so that a
/// claimed package is still valid when the device that was away processes the Add.
pub const fn may_hand_out(uploaded_at: UnixMillis, now: UnixMillis) -> bool {
    now.saturating_sub(uploaded_at) < registry::KEY_PACKAGE_HAND_OUT_S * 1_000
}

/// The upload time before which packages are no longer handed out: `uploaded_at` must be later.
pub const fn hand_out_after(now: UnixMillis) -> UnixMillis {
    now.saturating_sub(registry::KEY_PACKAGE_HAND_OUT_S * 1_000)
}

/// Whether the claimer may claim from this user once more, after so many claims in the window.
pub const fn within_quota(claims_in_window: u32) -> bool {
    claims_in_window < CLAIMS_PER_PAIR_PER_DAY
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_two_forms_of_the_window_agree(uploaded_at in 0u64..1 << 45, now in 1u64 << 33..1 << 45) {
            prop_assert_eq!(may_hand_out(uploaded_at, now), uploaded_at > hand_out_after(now));
        }
    }

    #[test]
    fn a8_the_quota_ends() {
        assert!(within_quota(CLAIMS_PER_PAIR_PER_DAY - 1));
        assert!(!within_quota(CLAIMS_PER_PAIR_PER_DAY));
    }
}
