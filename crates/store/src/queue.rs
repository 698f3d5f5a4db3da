//! A bounded queue from which one wake-up takes everything that waits.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    filled: Condvar,
    limit: usize,
}

struct State<T> {
    waiting: VecDeque<T>,
    sleepers: usize,
    closed: bool,
}

/// Why something was not queued; it is given back.
pub(crate) enum Refused<T> {
    Full(T),
    Closed(T),
}

/// What a taker got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// At least one.
    Some,
    /// Nothing came in time.
    Nothing,
    /// Nothing waits and nothing will come.
    Closed,
}

impl<T> Queue<T> {
    pub(crate) fn new(limit: usize) -> Self {
        let state = State { waiting: VecDeque::new(), sleepers: 0, closed: false };
        Self { state: Mutex::new(state), filled: Condvar::new(), limit }
    }

    pub(crate) fn put(&self, item: T) -> Result<(), Refused<T>> {
        let mut state = self.lock();
        if state.closed {
            return Err(Refused::Closed(item));
        }
        if state.waiting.len() >= self.limit {
            return Err(Refused::Full(item));
        }
        state.waiting.push_back(item);
        let wake = state.sleepers > 0;
        drop(state);
        // A wake-up is a system call; a busy taker needs none.
        if wake {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Moves up to `max` items over, waiting for the first.
    pub(crate) fn take(&self, into: &mut Vec<T>, max: usize, patience: Option<Duration>) -> Taken {
        let mut state = self.lock();
        while state.waiting.is_empty() {
            if state.closed {
                return Taken::Closed;
            }
            state.sleepers += 1;
            let timed_out;
            (state, timed_out) = self.wait(state, patience);
            state.sleepers -= 1;
            if timed_out && state.waiting.is_empty() && !state.closed {
                return Taken::Nothing;
            }
        }
        move_over(&mut state.waiting, into, max);
        Taken::Some
    }

    /// Moves over what has come since, until there are `max`, without waiting.
    pub(crate) fn top_up(&self, into: &mut Vec<T>, max: usize) {
        move_over(&mut self.lock().waiting, into, max);
    }

    /// Nothing can be put any more; what waits can still be taken.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().waiting.len()
    }

    fn wait<'a>(
        &self,
        state: MutexGuard<'a, State<T>>,
        patience: Option<Duration>,
    ) -> (MutexGuard<'a, State<T>>, bool) {
        match patience {
            None => (self.filled.wait(state).unwrap_or_else(PoisonError::into_inner), false),
            Some(patience) => {
                let (state, waited) = self.filled.wait_timeout(state, patience).unwrap_or_else(PoisonError::into_inner);
                (state, waited.timed_out())
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn move_over<T>(waiting: &mut VecDeque<T>, into: &mut Vec<T>, max: usize) {
    let len = waiting.len().min(max.saturating_sub(into.len()));
    into.extend(waiting.drain(..len));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_topped_up_to_its_size_in_order() {
        let queue = Queue::new(9);
        let mut batch = Vec::new();
        assert!((1..=2).all(|item| queue.put(item).is_ok()));
        assert_eq!(queue.take(&mut batch, 4, None), Taken::Some);
        assert!((3..=6).all(|item| queue.put(item).is_ok()));
        queue.top_up(&mut batch, 4);
        assert_eq!((batch, queue.len()), (vec![1, 2, 3, 4], 2));
    }
}
