//! Renewal: a device that was added by others replaces the keys of its leaf soon, because the key package that let it in
//! may have been a last resort; after that once a week, so that stolen keys go stale.

use crate::Error;
use crate::database::conversation::{self, ConversationRow};
use crate::database::outbox::{self, OutboxKind};
use crate::session::Work;
use crate::turn::Turn;
use wire::{MessageId, UnixMillis};

/// After joining: not at once, because many may have joined together.
const SOON_MS: u64 = 2_000;
const WEEK_MS: u64 = 7 * 24 * 3_600_000;

impl Turn<'_> {
    /// A moment within the next seconds.
    pub(crate) fn soon(&mut self) -> UnixMillis {
        self.now.saturating_add(SOON_MS + self.chance(2 * SOON_MS))
    }

    /// A moment within the week after the next six days.
    pub(crate) fn some_day(&mut self) -> UnixMillis {
        self.now.saturating_add(WEEK_MS - WEEK_MS / 7 + self.chance(WEEK_MS))
    }

    /// Comes back to the conversation when it is time.
    pub(crate) fn watch_renewal(&mut self, row: &ConversationRow) {
        if let Some(at) = row.renew_at {
            self.memory.session.delay(Work::Renew(row.id), at);
        }
    }

    /// Puts an empty commit into the outbox when it is time: it goes before messages, and makes the next time when it is
    /// merged.
    pub(crate) fn renew(&mut self, row: ConversationRow) -> Result<ConversationRow, Error> {
        if row.renew_at.is_none_or(|at| at > self.now) {
            return Ok(row);
        }
        if outbox::find_kind(self.db, row.id, OutboxKind::Add)?.is_none() {
            let commit = MessageId::from_bytes(self.entropy.array());
            outbox::insert(self.db, row.id, OutboxKind::Add, commit, None, None)?;
        }
        let row = ConversationRow { renew_at: None, ..row };
        conversation::save(self.db, &row)?;
        Ok(row)
    }

    fn chance(&mut self, below: u64) -> u64 {
        u64::from(u32::from_le_bytes(self.entropy.array())) * below / u64::from(u32::MAX)
    }
}
