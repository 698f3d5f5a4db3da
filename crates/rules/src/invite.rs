//! Whether an invite may still be redeemed.

use wire::UnixMillis;

/// The longest life of an invite.
pub const LIFE_MAX_MS: u64 = 90 * 24 * 3_600_000;
/// The most people that one invite lets in.
pub const USES_MAX: u32 = 1_000;

/// An invite as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invite {
    /// Not good from this moment on.
    pub expires_at: UnixMillis,
    /// How many people it lets in.
    pub uses: u32,
    /// How many it has let in.
    pub used: u32,
}

/// Whether the invite lets one more person in. The caller counts the use in the same transaction.
pub const fn redeemable(invite: Invite, now: UnixMillis) -> bool {
    now < invite.expires_at && invite.used < invite.uses
}

/// The terms of a new invite, if they are fair.
pub fn terms(now: UnixMillis, life_ms: u64, uses: u32) -> Option<Invite> {
    let fair = (1..=LIFE_MAX_MS).contains(&life_ms) && (1..=USES_MAX).contains(&uses);
    fair.then_some(Invite { expires_at: now.saturating_add(life_ms), uses, used: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_invite_lets_in_as_many_as_it_says_and_not_later(now in 0u64..1 << 50, life in 1..=LIFE_MAX_MS, uses in 1u32..=USES_MAX) {
            let mut invite = terms(now, life, uses).unwrap();
            prop_assert!(!redeemable(invite, now + life));
            prop_assert!(redeemable(invite, now + life - 1));
            while redeemable(invite, now) {
                invite.used += 1;
            }
            prop_assert_eq!(invite.used, uses);
        }
    }

    #[test]
    fn unfair_terms_are_refused() {
        assert!(terms(0, 0, 1).is_none() && terms(0, LIFE_MAX_MS + 1, 1).is_none());
        assert!(terms(0, 1, 0).is_none() && terms(0, 1, USES_MAX + 1).is_none());
    }
}
