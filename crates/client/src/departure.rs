//! After leaving: a conversation that a person has left may come back to their device, which then leaves it again, or stays.

use crate::database::conversation::{self, ConversationRow};
use crate::database::meta;
use crate::turn::Turn;
use crate::{ConversationState, Error};
use wire::ConversationId;

/// How a person has left a conversation of their own will.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Departure {
    /// They have not, or what they had left has them again.
    None = 0,
    /// The log said so.
    Recorded = 1,
    /// Nobody else was in it who could have removed this device: it has forgotten the group, and its leaf is still there.
    Alone = 2,
}

impl Turn<'_> {
    pub(crate) fn depart(&self, id: ConversationId, departure: Departure) -> Result<(), Error> {
        Ok(meta::set_number(self.db, &name(id), departure as u64)?)
    }

    /// Whether it has left as the last one: what it had forgotten only [`Turn::come_back`] takes up again.
    pub(crate) fn has_left_alone(&self, id: ConversationId) -> Result<bool, Error> {
        Ok(self.departure(id)? == Departure::Alone)
    }

    fn departure(&self, id: ConversationId) -> Result<Departure, Error> {
        Ok(match meta::number(self.db, &name(id))? {
            0 => Departure::None,
            2 => Departure::Alone,
            _ => Departure::Recorded,
        })
    }

    /// The server has this device in a conversation that it has left: it comes in once more when the server says that it was
    /// restored, to leave again, for nobody else may be able to remove it; and when a further device of this person, which did
    /// not know that they had left, goes on where nobody was.
    pub(crate) fn come_back(&mut self, row: &ConversationRow) -> Result<(), Error> {
        let Some(head) = self.memory.heads.get(&row.id).filter(|_| row.state == ConversationState::Left) else {
            return Ok(());
        };
        let is_restored = head.generation > row.generation;
        let comes = match self.departure(row.id)? {
            Departure::None => false,
            Departure::Recorded => is_restored,
            Departure::Alone => is_restored || head.seq > row.cursor,
        };
        if comes {
            if is_restored {
                self.depart(row.id, Departure::Recorded)?;
            }
            let row =
                ConversationRow { state: ConversationState::Joining, group: None, repaired_at: None, ..row.clone() };
            conversation::save(self.db, &row)?;
        }
        Ok(())
    }

    /// It has come in. Where a further device of this person has brought others in meanwhile, it stays: that was their last word.
    pub(crate) fn leave_again(&mut self, row: &ConversationRow) -> Result<(), Error> {
        let own = self.account()?.user;
        let leaves = match self.departure(row.id)? {
            Departure::None => return Ok(()),
            Departure::Recorded => true,
            Departure::Alone => self.identities(row)?.iter().all(|leaf| leaf.user == own),
        };
        self.depart(row.id, Departure::None)?;
        if leaves { self.wish_to_leave(row.id) } else { Ok(()) }
    }
}

fn name(id: ConversationId) -> String {
    format!("left {id}")
}
