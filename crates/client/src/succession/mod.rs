//! The chain of groups of a conversation (`docs/decisions/0060-successor-groups.md`): when this device puts another group in
//! the place of the one that is there ([`make`]), and what it makes of one that somebody else has put there ([`follow`]).

mod follow;
mod make;

pub(crate) use follow::{Arrival, was_refused};
pub(crate) use make::Attempt;

use crate::client::Client;
use crate::database::conversation::ConversationRow;
use crate::database::outbox::{self, OutboxKind, OutboxRow};
use crate::session::Work;
use crate::turn::Turn;
use crate::{ConversationState, Error};
use e2ee::{Group, Suite};
use trust::{Kind, registry};
use wire::{ConversationId, GroupId, UnixMillis};

/// Who has the right to do it waits at least so long, and by chance up to three times as long, so that not all do the same.
const FIRST_MS: u64 = 1_000;
/// Everybody else waits at least so long for them, and by chance twice as long.
const OTHERS_MS: u64 = 3_600_000;
/// After so many rejoins in a row that led nowhere, another group is the only way.
const REJOINS_MAX: u32 = 3;

impl Client {
    /// The cipher suite of a conversation's group; `None` while this device is not, or not yet, in one.
    ///
    /// # Errors
    /// [`Error::UnknownConversation`], [`Error::NotJoined`], [`Error::Database`].
    pub fn suite(&mut self, conversation: ConversationId, now: UnixMillis) -> Result<Option<Suite>, Error> {
        self.turn(now, |turn| {
            let row = turn.conversation(conversation)?;
            turn.peek(&row, |group| Ok(group.suite()))
        })
    }
}

impl Turn<'_> {
    /// A group of a weaker suite than the tenant's is moved to it: by the admins, in a direct conversation by both. If none
    /// of them comes, by whoever does.
    pub(crate) fn move_to_suite(&mut self, row: ConversationRow) -> Result<ConversationRow, Error> {
        if self.memory.settled.contains(&row.id) || outbox::find_kind(self.db, row.id, OutboxKind::Succeed)?.is_some() {
            return Ok(row);
        }
        let account = self.account()?;
        let look = |group: &Group| Ok((group.suite().code(), group.policy().admins.contains(&account.user)));
        let Some((suite, is_admin)) = self.peek(&row, look)? else { return Ok(row) };
        if registry::is_as_strong(suite, account.suite) {
            self.memory.settled.insert(row.id);
            return Ok(row);
        }
        match self.memory.attempts.get(&row.id).map(|attempt| attempt.at) {
            None => {
                let pause = if is_admin || row.kind == Kind::Direct { FIRST_MS } else { OTHERS_MS };
                self.attempt(row.id, pause, 0);
            }
            Some(at) if at <= self.now => self.begin_succession(&row, None)?,
            Some(_) => {}
        }
        Ok(row)
    }

    /// A rejoin led nowhere.
    pub(crate) fn rejoin_failed(&mut self, id: ConversationId) {
        *self.memory.failed_rejoins.entry(id).or_default() += 1;
    }

    /// Whether rejoining does not help, so that another group is the way out of a repair. It begins after a pause of chance.
    /// `epoch` is the one in which the group is by the server's word.
    pub(crate) fn replace_group(&mut self, row: &ConversationRow, epoch: u64) -> Result<bool, Error> {
        let failed = self.memory.failed_rejoins.get(&row.id).copied().unwrap_or_default();
        if failed < REJOINS_MAX || row.state != ConversationState::Repairing {
            return Ok(false);
        }
        match self.memory.attempts.get(&row.id).map(|attempt| attempt.at) {
            None => self.attempt(row.id, FIRST_MS, 0),
            Some(at) if at <= self.now => {
                self.memory.failed_rejoins.remove(&row.id);
                self.begin_succession(row, Some(epoch))?;
            }
            Some(_) => return Ok(false),
        }
        Ok(true)
    }

    /// Another group serves the conversation from here on; the caller saves the row. What was sealed for the one before is
    /// sealed anew.
    pub(crate) fn moved_to(&mut self, row: &mut ConversationRow, group: GroupId) -> Result<(), Error> {
        self.memory.groups.remove(&row.id);
        self.memory.attempts.remove(&row.id);
        self.memory.failed_rejoins.remove(&row.id);
        self.memory.left_behind.remove(&row.id);
        self.memory.settled.remove(&row.id);
        self.memory.attention.insert(row.id);
        if let Some(own) = outbox::find_kind(self.db, row.id, OutboxKind::Succeed)? {
            self.drop_candidate(&own)?;
        }
        row.group = Some(group);
        // A way into the group before leads nowhere.
        outbox::delete_kind(self.db, row.id, OutboxKind::Rejoin)?;
        outbox::unseal(self.db, row.id)?;
        self.claim_wishes_anew(row.id)?;
        if row.state == ConversationState::Leaving {
            // What it had said, it had said to the group that is no more.
            row.state = ConversationState::Active;
            self.wish_to_leave(row.id)?;
        }
        Ok(())
    }

    /// Forgets the group that this device wanted to put in the place of another one.
    pub(crate) fn drop_candidate(&mut self, unsent: &OutboxRow) -> Result<(), Error> {
        outbox::delete(self.db, unsent.conversation, unsent.message_id)?;
        match make::candidate(unsent) {
            Some(group) => self.forget_keys(group),
            None => Ok(()),
        }
    }

    fn attempt(&mut self, id: ConversationId, pause: u64, tried: u32) {
        let chance = u64::from(u16::from_le_bytes(self.entropy.array()));
        let at: UnixMillis = self.now.saturating_add(pause + 2 * pause * chance / u64::from(u16::MAX));
        self.memory.attempts.insert(id, Attempt { at, tried });
        self.memory.session.delay(Work::Succession(id), at);
    }
}

#[cfg(test)]
mod tests;
