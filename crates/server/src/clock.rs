//! The wall clock, for people and for expiry. It never orders anything.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};
use wire::UnixMillis;

/// Now. A clock before 1970 reads as 1970.
pub fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The clock that a node serves by: the system's, or one that somebody sets. Clones are the same clock.
#[derive(Debug, Clone, Default)]
pub struct Clock(Option<Arc<AtomicU64>>);

impl Clock {
    /// The system's.
    pub const SYSTEM: Self = Self(None);

    /// One that stands still until it is set.
    pub fn standing_at(now: UnixMillis) -> Self {
        Self(Some(Arc::new(AtomicU64::new(now))))
    }

    /// Moves a clock that stands still; the system's is left alone.
    pub fn set(&self, now: UnixMillis) {
        if let Some(clock) = &self.0 {
            clock.store(now, Ordering::Relaxed);
        }
    }

    /// Now.
    pub fn now(&self) -> UnixMillis {
        self.0.as_ref().map_or_else(now, |clock| clock.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_standing_clock_is_set_and_its_clones_with_it() {
        let clock = Clock::standing_at(5);
        clock.clone().set(7);
        assert_eq!(clock.now(), 7);
        let system = Clock::SYSTEM;
        system.set(7);
        assert!(system.now() > 1_700_000_000_000);
    }
}
