//! What has become possible. It looks at the state, not at what led to it, so that after a crash or a lost answer the same
//! look finds the same things to do.

use crate::database::conversation;
use crate::database::conversation::ConversationRow;
use crate::session::{Phase, Work};
use crate::turn::Turn;
use crate::{ConversationState, Error, Event};
use std::collections::BTreeSet;
use wire::request::{Acknowledge, Cursor, Fetch};
use wire::{ConversationId, limits};

/// Cursors are written by the server at most so often.
const ACKNOWLEDGE_EVERY_MS: u64 = 1_000;

impl Turn<'_> {
    pub(crate) fn pump(&mut self) -> Result<(), Error> {
        match self.memory.session.phase {
            Phase::Live => {}
            Phase::Linking => return self.collect_link(),
            _ => return Ok(()),
        }
        self.publish()?;
        self.fetch_welcomes();
        self.ask_for_changes()?;
        self.ask_for_joinable();
        self.find_users();
        if self.memory.behind_on.as_ref().is_some_and(BTreeSet::is_empty) {
            self.adopt()?;
            for id in std::mem::take(&mut self.memory.attention) {
                self.attend(id)?;
            }
        }
        self.fetch_chains()?;
        self.revoke_wanted()?;
        self.move_files()?;
        self.keep_archive()?;
        self.confirm_link()?;
        self.acknowledge()?;
        self.tell_caught_up();
        Ok(())
    }

    /// One request at a time for each conversation: what its answer brings decides what comes next, and messages of one
    /// sender cannot overtake each other.
    pub(crate) fn attend(&mut self, id: ConversationId) -> Result<(), Error> {
        if self.memory.waiting.contains(&id) || self.memory.session.is_conversation_busy(id, self.now) {
            return Ok(());
        }
        let Some(row) = conversation::find(self.db, id)? else { return Ok(()) };
        if self.is_of_another_generation(&row) {
            self.reconcile(&row)?;
            // What comes of it can be gone on with at once.
            return if self.memory.attention.remove(&id) { self.attend(id) } else { Ok(()) };
        }
        if self.fetch_succession(id) {
            return Ok(());
        }
        match row.state {
            ConversationState::Claiming if row.cursor > 0 && self.is_behind(&row) => {
                self.fetch(&row);
                Ok(())
            }
            ConversationState::Claiming => self.claim(row),
            ConversationState::Superseded => self.settle_superseded(&row),
            ConversationState::Left => Ok(()),
            ConversationState::Joining => self.join_from_outside(&row),
            // Whether the log is one of the group that is here, the answer to that says.
            ConversationState::Creating if self.is_unheard_of(&row)? => self.deliver(row),
            _ if self.is_behind(&row) => {
                self.fetch(&row);
                Ok(())
            }
            ConversationState::Leaving => Ok(()),
            ConversationState::Repairing => self.repair(&row),
            ConversationState::Creating => self.deliver(row),
            ConversationState::Active => {
                let row = self.renew(row).and_then(|row| self.sweep(row)).and_then(|row| self.move_to_suite(row))?;
                self.deliver(row)
            }
        }
    }

    /// Whether the log goes further than this device has processed it.
    pub(crate) fn is_behind(&self, row: &ConversationRow) -> bool {
        let ahead = |head: &Cursor| head.seq > row.cursor || (row.cursor > 0 && head.generation != row.generation);
        row.branched == 0 && !self.memory.gaps.contains(&row.id) && self.memory.heads.get(&row.id).is_some_and(ahead)
    }

    fn fetch(&mut self, row: &ConversationRow) {
        let fetch = Fetch { conversation: row.id, after: row.cursor, limit: limits::FETCH_MAX_ENTRIES };
        self.memory.asked_after.insert(row.id, row.cursor);
        self.request(Work::Fetch(row.id), &fetch);
    }

    fn acknowledge(&mut self) -> Result<(), Error> {
        if self.memory.unacknowledged.is_empty() || self.now < self.memory.acknowledge_at {
            return Ok(());
        }
        let mut cursors = Vec::new();
        while let Some(id) = self.memory.unacknowledged.pop_first() {
            cursors.extend(conversation::find(self.db, id)?.map(|row| Cursor {
                conversation: id,
                generation: row.generation,
                seq: row.cursor,
            }));
            if cursors.len() == limits::ACKNOWLEDGE_MAX_CURSORS {
                break;
            }
        }
        self.memory.acknowledge_at = self.now.saturating_add(ACKNOWLEDGE_EVERY_MS);
        self.request(Work::acknowledge(&cursors), &Acknowledge { cursors });
        Ok(())
    }

    pub(crate) fn acknowledged(&mut self, cursors: &[(ConversationId, u32, u64)]) -> Result<(), Error> {
        for (id, generation, seq) in cursors {
            if let Some(row) = conversation::find(self.db, *id)?.filter(|row| row.generation == *generation) {
                conversation::save(self.db, &ConversationRow { acknowledged: row.acknowledged.max(*seq), ..row })?;
            }
        }
        Ok(())
    }

    fn tell_caught_up(&mut self) {
        let memory = &*self.memory;
        let joinable = memory.ask_for_joinable && !memory.asked_for_joinable_again;
        let asks = memory.ask_for_welcomes || joinable || memory.ask_for_changes;
        let caught_up = !memory.session.is_fetching() && !asks && memory.welcomes.is_empty();
        if caught_up && !memory.caught_up {
            self.tell(Event::CaughtUp);
        }
        self.memory.caught_up = caught_up;
    }
}
