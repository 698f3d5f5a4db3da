//! How often a password may be guessed. The counter belongs to the handle, whether anybody has it or not, and is moved
//! *before* the guess is answered, in the same transaction that reads it: parallel guesses cannot share one attempt.

use wire::UnixMillis;
use wire::sabotage::{Defence, stands};

/// Guesses before the first wait.
pub const FREE: u32 = 10;
/// The first wait; each further guess doubles it.
pub const FIRST_WAIT_MS: u64 = 60_000;
/// The longest wait.
pub const LONGEST_WAIT_MS: u64 = 3_600_000;
/// After so long without a guess, counting begins anew.
pub const FORGOTTEN_AFTER_MS: u64 = 24 * 3_600_000;

/// The guesses at one handle since the last success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attempts {
    /// Guesses that did not prove right, those still open included.
    pub count: u32,
    /// When the last of them was allowed.
    pub last: UnixMillis,
}

/// What becomes of a guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Answer it; this is the counter from now on, to be stored first.
    Allowed(Attempts),
    /// Do not; the counter stays.
    Wait {
        /// How long to wait.
        ms: u64,
    },
}

/// Decides on a guess. A success clears the counter, nothing else does but time.
pub fn guess(attempts: Attempts, now: UnixMillis) -> Verdict {
    let quiet_ms = now.saturating_sub(attempts.last);
    if attempts.count == 0 || quiet_ms >= FORGOTTEN_AFTER_MS {
        return Verdict::Allowed(Attempts { count: 1, last: now });
    }
    let wait_ms = wait_ms(attempts.count);
    if quiet_ms < wait_ms && stands(Defence::GuessesCounted) {
        return Verdict::Wait { ms: wait_ms - quiet_ms };
    }
    // A clock that went back must not shorten a wait, hence the maximum.
    Verdict::Allowed(Attempts { count: attempts.count.saturating_add(1), last: now.max(attempts.last) })
}

/// How long the guess after `count` guesses has to wait since the last one.
pub const fn wait_ms(count: u32) -> u64 {
    if count < FREE {
        return 0;
    }
    let doublings = count - FREE;
    if doublings >= 16 {
        return LONGEST_WAIT_MS;
    }
    let ms = FIRST_WAIT_MS << doublings;
    if ms > LONGEST_WAIT_MS { LONGEST_WAIT_MS } else { ms }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ten_are_free_and_the_eleventh_waits() {
        let mut attempts = Attempts::default();
        for _ in 0..FREE {
            let Verdict::Allowed(next) = guess(attempts, 1_000) else { panic!("{attempts:?}") };
            attempts = next;
        }
        assert_eq!(guess(attempts, 1_000), Verdict::Wait { ms: FIRST_WAIT_MS });
        assert!(matches!(guess(attempts, 1_000 + FIRST_WAIT_MS), Verdict::Allowed(_)));
    }

    proptest! {
        #[test]
        fn b1_no_timing_beats_the_limit(gaps in proptest::collection::vec(0u64..7_200_000, 1..400)) {
            let (mut attempts, mut now, mut allowed) = (Attempts::default(), 1_700_000_000_000, 0u64);
            let start = now;
            for gap in gaps {
                now += gap;
                if let Verdict::Allowed(next) = guess(attempts, now) {
                    attempts = next;
                    allowed += 1;
                }
            }
            prop_assert!(allowed <= u64::from(FREE) + 7 + (now - start) / LONGEST_WAIT_MS);
        }

        #[test]
        fn waiting_never_gets_shorter(count in 0u32..1_000_000) {
            prop_assert!(wait_ms(count) <= wait_ms(count + 1));
            prop_assert!(wait_ms(count) <= LONGEST_WAIT_MS);
        }

        #[test]
        fn a_clock_that_goes_back_opens_nothing(count in FREE..100, last in 1u64..u64::MAX, now: u64) {
            prop_assume!(now < last);
            let waits = matches!(guess(Attempts { count, last }, now), Verdict::Wait { .. });
            prop_assert!(waits);
        }
    }
}
