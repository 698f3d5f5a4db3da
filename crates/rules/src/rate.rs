//! How much a caller may ask for: token buckets, with the clock as an argument.

use wire::UnixMillis;

/// What a bucket holds and how fast it fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Requests that may come at once.
    pub burst: u32,
    /// Requests per second in the long run.
    pub per_second: u32,
}

/// One caller's bucket. Tokens are counted in thousandths, so that slow rates lose nothing to rounding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    millitokens: u64,
    at: UnixMillis,
}

/// The bucket is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Empty {
    /// When there will be a token again, in milliseconds from now.
    pub retry_after_ms: u32,
}

impl Bucket {
    /// A full bucket.
    pub const fn full(limit: Limit, now: UnixMillis) -> Self {
        Self { millitokens: limit.burst as u64 * 1_000, at: now }
    }

    /// Takes one token.
    ///
    /// # Errors
    /// [`Empty`] says when to come again; nothing was taken.
    pub fn take(&mut self, limit: Limit, now: UnixMillis) -> Result<(), Empty> {
        self.fill(limit, now);
        match self.millitokens.checked_sub(1_000) {
            Some(rest) => {
                self.millitokens = rest;
                Ok(())
            }
            None => Err(Empty { retry_after_ms: self.wait_ms(limit) }),
        }
    }

    /// Whether the bucket is as good as new: its owner can be forgotten.
    pub fn is_full(&mut self, limit: Limit, now: UnixMillis) -> bool {
        self.fill(limit, now);
        self.millitokens >= u64::from(limit.burst) * 1_000
    }

    fn fill(&mut self, limit: Limit, now: UnixMillis) {
        // A token per second is a thousandth per millisecond. A clock that goes back fills nothing, and starts from there.
        let gained = now.saturating_sub(self.at).saturating_mul(u64::from(limit.per_second));
        self.millitokens = self.millitokens.saturating_add(gained).min(u64::from(limit.burst) * 1_000);
        self.at = now;
    }

    fn wait_ms(&self, limit: Limit) -> u32 {
        let missing = 1_000_u64.saturating_sub(self.millitokens);
        u32::try_from(missing.div_ceil(u64::from(limit.per_second.max(1)))).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn nobody_gets_more_than_burst_and_rate(
            burst in 1u32..50, per_second in 1u32..500, gaps in proptest::collection::vec(0u64..40, 1..500),
        ) {
            let limit = Limit { burst, per_second };
            let (mut now, mut taken) = (5_000_u64, 0_u64);
            let mut bucket = Bucket::full(limit, now);
            let start = now;
            for gap in gaps {
                now += gap;
                taken += u64::from(bucket.take(limit, now).is_ok());
            }
            prop_assert!(taken <= u64::from(burst) + (now - start) * u64::from(per_second) / 1_000);
        }

        #[test]
        fn who_waits_as_told_gets_in(burst in 1u32..5, per_second in 1u32..2_000, tries in 1usize..20) {
            let limit = Limit { burst, per_second };
            let mut now = 0;
            let mut bucket = Bucket::full(limit, now);
            for _ in 0..tries {
                while bucket.take(limit, now).is_ok() {}
                let empty = bucket.take(limit, now).unwrap_err();
                now += u64::from(empty.retry_after_ms);
                prop_assert!(bucket.take(limit, now).is_ok());
            }
        }
    }

    #[test]
    fn a_clock_that_goes_back_fills_nothing() {
        let limit = Limit { burst: 1, per_second: 1 };
        let mut bucket = Bucket::full(limit, 10_000);
        assert_eq!(bucket.take(limit, 10_000), Ok(()));
        assert!(bucket.take(limit, 1).is_err());
        assert!(bucket.take(limit, 500).is_err());
        assert_eq!(bucket.take(limit, 1_001), Ok(()));
    }
}
