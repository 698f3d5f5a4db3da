//! Joining from outside: a device of a person who is a member already comes in by an external commit, which every member
//! checks. What was said before it came in is not for it.

use crate::database::conversation::{self, ConversationRow};
use crate::database::meta;
use crate::database::outbox::{self, OutboxKind, OutboxRow};
use crate::restore::branch;
use crate::session::Work;
use crate::turn::{Turn, is_transient};
use crate::{ConversationState, Error, Event};
use trust::{EntryHash, Kind};
use wire::request::{Commit, FetchGroupInfo, FetchJoinable, FetchStay, FetchTree, Joinable, Stay};
use wire::{ConversationId, ErrorCode, Refusal};

/// A conversation may have been begun while this device was being linked: so much later it is asked for again.
const ASK_AGAIN_MS: u64 = 60_000;

impl Turn<'_> {
    pub(crate) fn ask_for_joinable(&mut self) {
        if self.memory.ask_for_joinable && !self.memory.session.is_busy(&Work::Joinable, self.now) {
            self.memory.ask_for_joinable = false;
            self.request(Work::Joinable, &FetchJoinable {});
        }
    }

    /// Conversations of the person's other devices, in which this one has no leaf.
    pub(crate) fn joinable(&mut self, joinable: Joinable) -> Result<(), Error> {
        let complete = joinable.conversations.len() < wire::limits::JOINABLE_MAX as usize;
        for id in joinable.conversations {
            let row = match conversation::find(self.db, id)? {
                // What kind it is stands in its policy.
                None => ConversationRow::new(id, Kind::Group, ConversationState::Joining),
                // Another device of this person has taken it out: they are leaving.
                Some(row) if meta::number(self.db, &taken_out(row.id))? != 0 => continue,
                Some(row) if row.state == ConversationState::Left => {
                    ConversationRow { state: ConversationState::Joining, group: None, repaired_at: None, ..row }
                }
                Some(_) => continue,
            };
            conversation::save(self.db, &row)?;
            self.memory.attention.insert(id);
        }
        if !complete || !self.memory.asked_for_joinable_again {
            self.memory.asked_for_joinable_again = true;
            self.memory.ask_for_joinable = true;
            self.memory.session.delay(Work::Joinable, self.now.saturating_add(ASK_AGAIN_MS));
        }
        Ok(())
    }

    /// Whether another device of this person has taken this one out of a conversation: then it does not come back by itself.
    pub(crate) fn taken_out_by_own(&self, id: ConversationId, is_so: bool) -> Result<(), Error> {
        Ok(meta::set_number(self.db, &taken_out(id), u64::from(is_so))?)
    }

    /// Does what is next: the current group, its tree, the commit, and where this device's part of the log begins.
    pub(crate) fn join_from_outside(&mut self, row: &ConversationRow) -> Result<(), Error> {
        if let Some(unsent) = outbox::find_kind(self.db, row.id, OutboxKind::Rejoin)? {
            return self.transmit::<Commit>(&unsent);
        }
        match self.memory.repairs.get(&row.id) {
            _ if row.group.is_some() => self.request(Work::Stay(row.id), &FetchStay { conversation: row.id }),
            // It may have been added meanwhile: what its Welcome opens need not be lost.
            Some(_) if self.may_be_welcomed() => {
                self.memory.attention.insert(row.id);
            }
            Some(current) => {
                let group = e2ee::group_of(&current.group_info).ok();
                let tree = FetchTree { conversation: row.id, epoch: current.epoch, group };
                self.request(Work::RejoinTree(row.id), &tree);
            }
            None => self.request(Work::GroupInfo(row.id), &FetchGroupInfo { conversation: row.id }),
        }
        Ok(())
    }

    /// The commit is in the log; where, the server says next.
    pub(crate) fn entered(&mut self, unsent: &OutboxRow) -> Result<(), Error> {
        let mut row = self.conversation(unsent.conversation)?;
        outbox::delete(self.db, row.id, unsent.message_id)?;
        self.take_prepared(&mut row, Some(unsent))?;
        conversation::save(self.db, &row)?;
        self.memory.attention.insert(row.id);
        Ok(())
    }

    /// Another commit came first, or the server wants it otherwise: from the beginning.
    pub(crate) fn enter_again(
        &mut self,
        row: ConversationRow,
        unsent: &OutboxRow,
        refusal: &Refusal,
    ) -> Result<(), Error> {
        outbox::delete(self.db, row.id, unsent.message_id)?;
        self.memory.groups.remove(&row.id);
        self.memory.repairs.remove(&row.id);
        let row = match row.repaired_at {
            // It was in the group before, and holds the next one against that.
            Some(_) => ConversationRow { state: ConversationState::Repairing, ..row },
            None => ConversationRow { group: None, ..row },
        };
        conversation::save(self.db, &row)?;
        if matches!(refusal.code(), Some(ErrorCode::StaleEpoch | ErrorCode::EpochTaken)) {
            self.memory.attention.insert(unsent.conversation);
        } else {
            self.later(Work::GroupInfo(unsent.conversation), refusal);
        }
        Ok(())
    }

    /// From here on this device follows the log. The hash is the server's word; the first message of a member confirms it.
    pub(crate) fn stays(&mut self, id: ConversationId, stay: Stay) -> Result<(), Error> {
        let row = self.conversation(id)?;
        if row.state != ConversationState::Joining {
            return Ok(());
        }
        let is_repair = row.repaired_at.is_some();
        if is_repair && stay.seq > row.cursor + 1 {
            let missed = stay.seq - row.cursor - 1;
            let reason = format!("{missed} entries were recorded while this device had no place in the group");
            self.mark_gap(&row, stay.seq, &reason)?;
        }
        let mut row = ConversationRow {
            state: ConversationState::Active,
            generation: stay.generation,
            cursor: stay.seq,
            begins: stay.seq,
            acknowledged: stay.seq,
            read_up_to: stay.seq,
            entry_hash: EntryHash(stay.entry_hash),
            renew_at: Some(self.some_day()),
            branched: branch::FOLLOWS,
            ..row
        };
        self.sweep_if_gone(&mut row)?;
        self.claim_if_incomplete(&mut row)?;
        conversation::save(self.db, &row)?;
        conversation::remember_hash(self.db, &row)?;
        self.memory.gaps.remove(&id);
        self.want_history(id, stay.seq.saturating_add(1));
        self.memory.attention.insert(id);
        self.watch_renewal(&row);
        self.memory.failed_rejoins.remove(&id);
        self.tell(if is_repair { Event::Repaired(id) } else { Event::ConversationAdded(id) });
        self.leave_again(&row)?;
        self.take_over(&row)
    }

    /// The server does not know of this device's commit any more: it was restored, or the device removed.
    pub(crate) fn stay_refused(&mut self, id: ConversationId, refusal: &Refusal) -> Result<(), Error> {
        if !is_transient(refusal) {
            let row = self.conversation(id)?;
            self.memory.groups.remove(&id);
            conversation::save(self.db, &ConversationRow { group: None, ..row })?;
        }
        self.later(Work::Stay(id), refusal);
        Ok(())
    }
}

fn taken_out(id: ConversationId) -> String {
    format!("taken out of {id}")
}
