//! Whose writers are to be woken when a batch of the store is done.
//!
//! A batch is told on the store's thread, message by message, and each message has two or more queues to fill. Waking a task
//! from another thread is a system call and often a switch of threads. So the queues are noted while the batch is told, and
//! one task, woken once, wakes their writers from within the runtime, where that costs next to nothing.

use crate::gateway::queue::Queue;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Queues that wait for the end of a batch.
#[derive(Default)]
pub struct Wakes {
    noted: Mutex<Vec<Arc<Queue>>>,
    batch_is_done: Notify,
}

impl Wakes {
    /// Wakes this queue's writer when the batch is done.
    pub fn note(&self, queue: &Arc<Queue>) {
        self.lock().push(Arc::clone(queue));
    }

    /// The batch is done.
    pub fn batch_is_done(&self) {
        if !self.lock().is_empty() {
            self.batch_is_done.notify_one();
        }
    }

    /// Wakes writers, for as long as it is polled.
    pub async fn run(&self) {
        loop {
            self.batch_is_done.notified().await;
            let noted = std::mem::take(&mut *self.lock());
            noted.iter().for_each(|queue| queue.wake());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Queue>>> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::queue::Waiting;
    use bytes::Bytes;

    #[tokio::test]
    async fn a_writer_is_woken_when_the_batch_is_done_and_not_before() {
        let (wakes, queue) = (Arc::new(Wakes::default()), Arc::new(Queue::new(9, 99)));
        let writer = tokio::spawn({
            let queue = Arc::clone(&queue);
            async move { matches!(queue.wait().await, Waiting::Frames(frames) if frames.len() == 2) }
        });
        let waker = tokio::spawn({
            let wakes = Arc::clone(&wakes);
            async move { wakes.run().await }
        });
        tokio::task::yield_now().await;
        assert!(queue.put(Bytes::from_static(b"a")));
        wakes.note(&queue);
        assert!(!queue.put(Bytes::from_static(b"b")), "it is noted already");
        tokio::task::yield_now().await;
        assert!(!writer.is_finished());
        wakes.batch_is_done();
        assert!(writer.await.unwrap());
        waker.abort();
    }
}
