//! What waits for one reader: frames, bounded by count and by bytes. Whoever does not read fast enough is dropped, and
//! fetches what it missed when it is back; the log is the truth, the queue is only speed.

use bytes::Bytes;
use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;
use wire::sabotage::{Defence, stands};

/// A socket's queue.
pub struct Queue {
    max_frames: usize,
    max_bytes: usize,
    inner: Mutex<Inner>,
    filled: Notify,
    closed: Notify,
}

#[derive(Default)]
struct Inner {
    frames: VecDeque<Bytes>,
    bytes: usize,
    closed: Option<Closed>,
}

/// Why a queue takes no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// The other side has gone.
    Gone,
    /// Its reader is too slow.
    Slow,
    /// It was silent for too long.
    Silent,
    /// It broke the protocol.
    Misbehaved,
    /// A newer connection of the same device has taken its place.
    Displaced,
    /// The device was revoked.
    Revoked,
    /// The server stops.
    Draining,
}

impl Closed {
    /// The WebSocket close code (RFC 6455 §7.4) and a word for people.
    pub const fn code(self) -> (u16, &'static str) {
        match self {
            Self::Gone => (1000, "bye"),
            Self::Slow => (1013, "too slow"),
            Self::Silent => (1001, "silent"),
            Self::Misbehaved => (1002, "protocol"),
            Self::Displaced => (4001, "displaced by a newer connection"),
            Self::Revoked => (4003, "revoked"),
            Self::Draining => (1012, "draining"),
        }
    }
}

/// What the writer finds.
pub enum Waiting {
    /// Frames to write, oldest first.
    Frames(VecDeque<Bytes>),
    /// Nothing more will come.
    Closed(Closed),
}

impl Queue {
    /// An empty queue with these bounds.
    pub fn new(max_frames: usize, max_bytes: usize) -> Self {
        Self { max_frames, max_bytes, inner: Mutex::default(), filled: Notify::new(), closed: Notify::new() }
    }

    /// Adds a frame and wakes the writer. A full queue closes itself; a closed one drops the frame.
    pub fn push(&self, frame: Bytes) {
        if self.put(frame) {
            self.wake();
        }
    }

    /// As [`Queue::push`], but leaves waking the writer to the caller: whether that is needed is returned.
    pub fn put(&self, frame: Bytes) -> bool {
        let mut inner = self.lock();
        if inner.closed.is_some() {
            return false;
        }
        let full = inner.frames.len() >= self.max_frames || inner.bytes + frame.len() > self.max_bytes;
        if full && stands(Defence::QueueBound) {
            inner.frames = VecDeque::new();
            inner.bytes = 0;
            inner.closed = Some(Closed::Slow);
            drop(inner);
            self.filled.notify_one();
            self.closed.notify_waiters();
            return false;
        }
        let was_empty = inner.frames.is_empty();
        inner.bytes += frame.len();
        inner.frames.push_back(frame);
        was_empty
    }

    /// Wakes the writer.
    pub fn wake(&self) {
        self.filled.notify_one();
    }

    /// Takes no more from here on; what waits is still written. The first reason stays.
    pub fn close(&self, reason: Closed) {
        self.lock().closed.get_or_insert(reason);
        self.filled.notify_one();
        self.closed.notify_waiters();
    }

    /// Why it is closed, if it is.
    pub fn closed(&self) -> Option<Closed> {
        self.lock().closed
    }

    /// Waits until it is closed.
    pub async fn until_closed(&self) -> Closed {
        loop {
            let notified = self.closed.notified();
            if let Some(reason) = self.closed() {
                return reason;
            }
            notified.await;
        }
    }

    /// Waits for frames and takes all of them. For one writer.
    pub async fn wait(&self) -> Waiting {
        loop {
            if let Some(waiting) = self.take() {
                return waiting;
            }
            self.filled.notified().await;
        }
    }

    /// Takes what waits, without waiting.
    pub fn take(&self) -> Option<Waiting> {
        let mut inner = self.lock();
        if !inner.frames.is_empty() {
            inner.bytes = 0;
            return Some(Waiting::Frames(std::mem::take(&mut inner.frames)));
        }
        inner.closed.map(Waiting::Closed)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(waiting: Option<Waiting>) -> Vec<Bytes> {
        match waiting {
            Some(Waiting::Frames(frames)) => frames.into(),
            _ => panic!("no frames"),
        }
    }

    #[test]
    fn c10_a_queue_is_bounded_by_count_and_by_bytes() {
        let by_count = Queue::new(2, 1_000);
        (0..3).for_each(|_| by_count.push(Bytes::from_static(b"x")));
        assert_eq!(by_count.closed(), Some(Closed::Slow));
        let by_bytes = Queue::new(100, 3);
        by_bytes.push(Bytes::from_static(b"ab"));
        assert_eq!(by_bytes.closed(), None);
        by_bytes.push(Bytes::from_static(b"cd"));
        assert!(matches!(by_bytes.take(), Some(Waiting::Closed(Closed::Slow))));
    }

    #[test]
    fn what_waits_when_it_closes_is_still_written() {
        let queue = Queue::new(9, 99);
        queue.push(Bytes::from_static(b"a"));
        queue.close(Closed::Draining);
        queue.close(Closed::Gone);
        queue.push(Bytes::from_static(b"b"));
        assert_eq!(frames(queue.take()), ["a"]);
        assert!(matches!(queue.take(), Some(Waiting::Closed(Closed::Draining))));
    }

    #[tokio::test]
    async fn a_waiting_writer_is_woken() {
        let queue = std::sync::Arc::new(Queue::new(9, 99));
        let writer = tokio::spawn({
            let queue = std::sync::Arc::clone(&queue);
            async move { frames(Some(queue.wait().await)).len() }
        });
        tokio::task::yield_now().await;
        queue.push(Bytes::from_static(b"a"));
        assert_eq!(writer.await.unwrap(), 1);
    }
}
