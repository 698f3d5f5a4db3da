//! `acknowledge`: how far a device has read. Kept in memory and written at most once a second: what a crash loses is only
//! delivered again.

use crate::gateway::{failure::Failure, state::Session};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use store::{Store, Tx};
use wire::{
    ConversationId, DeviceId, ErrorCode, limits,
    request::{Acknowledge, Cursor, Done},
};

const WRITE_EVERY: Duration = Duration::from_secs(1);

/// The cursors of a session that are not written yet.
#[derive(Default)]
pub struct Acknowledgements(Mutex<Pending>);

#[derive(Default)]
struct Pending {
    cursors: HashMap<ConversationId, Cursor>,
    written: Option<Instant>,
    is_scheduled: bool,
}

pub(crate) async fn handle(session: &Arc<Session>, acknowledge: Acknowledge) -> Result<Done, Failure> {
    if acknowledge.cursors.len() > limits::ACKNOWLEDGE_MAX_CURSORS {
        return Err(ErrorCode::TooLarge.into());
    }
    if let Some(wait) = session.acknowledgements.merge(acknowledge.cursors)? {
        let session = Arc::clone(session);
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            session.acknowledgements.flush(&session.tenant.store, session.device).await;
        });
    }
    Ok(Done {})
}

impl Acknowledgements {
    /// Returns how long to wait before [`flush`](Self::flush), if nobody waits for that yet.
    fn merge(&self, cursors: Vec<Cursor>) -> Result<Option<Duration>, Failure> {
        let mut pending = self.lock();
        if pending.cursors.len() + cursors.len() > 2 * limits::ACKNOWLEDGE_MAX_CURSORS {
            return Err(ErrorCode::RateLimited.into());
        }
        for cursor in cursors {
            let kept = pending.cursors.entry(cursor.conversation).or_insert(cursor);
            if (cursor.generation, cursor.seq) > (kept.generation, kept.seq) {
                *kept = cursor;
            }
        }
        if std::mem::replace(&mut pending.is_scheduled, true) {
            return Ok(None);
        }
        let since = pending.written.map_or(WRITE_EVERY, |written| written.elapsed());
        Ok(Some(WRITE_EVERY.saturating_sub(since)))
    }

    /// Writes what is pending.
    pub(crate) async fn flush(&self, store: &Store, device: DeviceId) {
        let cursors: Vec<_> = {
            let mut pending = self.lock();
            pending.is_scheduled = false;
            pending.written = Some(Instant::now());
            pending.cursors.drain().map(|(_, cursor)| cursor).collect()
        };
        if cursors.is_empty() {
            return;
        }
        let written = store.write(move |tx: &mut Tx<'_>| tx.acknowledge(device, &cursors)).await;
        if let Err(error) = written {
            tracing::warn!(%error, %device, "cursors were not written; what they cover is delivered again");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(generation: u32, seq: u64) -> Cursor {
        Cursor { conversation: ConversationId::from_bytes([1; 16]), generation, seq }
    }

    #[test]
    fn the_furthest_cursor_stays_and_one_write_is_scheduled() {
        let pending = Acknowledgements::default();
        assert_eq!(pending.merge(vec![cursor(0, 5)]).unwrap(), Some(Duration::ZERO));
        assert_eq!(pending.merge(vec![cursor(0, 4), cursor(1, 1), cursor(0, 9)]).unwrap(), None);
        assert_eq!(pending.lock().cursors.values().copied().collect::<Vec<_>>(), [cursor(1, 1)]);
    }

    #[test]
    fn what_is_pending_is_bounded() {
        let pending = Acknowledgements::default();
        let many = |first: u16| {
            (first..first + 1_000).map(|n| {
                let mut id = [0; 16];
                id[..2].copy_from_slice(&n.to_be_bytes());
                Cursor { conversation: ConversationId::from_bytes(id), generation: 0, seq: 1 }
            })
        };
        assert!(pending.merge(many(0).collect()).is_ok());
        assert!(pending.merge(many(1_000).collect()).is_ok());
        assert!(pending.merge(many(2_000).collect()).is_err());
    }
}
