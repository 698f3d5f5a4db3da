//! Repair: a device that cannot follow its group fetches the current one and rejoins by an external commit, which
//! replaces its own leaf. What was sent in between is counted as lost, in the open.

use crate::database::conversation::{self, ConversationRow};
use crate::database::outbox::{self, OutboxKind};
use crate::session::Work;
use crate::succession::was_refused;
use crate::turn::{Turn, is_transient};
use crate::welcome::peer;
use crate::{ConversationState, Error, Event};
use e2ee::Invitation;
use rusqlite::Connection;
use trust::EntryHash;
use wire::request::{Commit, CurrentGroup, Cursor, FetchGroupInfo, FetchTree, Tree};
use wire::{ConversationId, ErrorCode, MessageId, Refusal};

const AGAIN_MS: u32 = 10_000;

impl Turn<'_> {
    /// From here on the device does not trust its copy of the group.
    pub(crate) fn start_repair(&mut self, row: ConversationRow) -> Result<(), Error> {
        let row = ConversationRow { state: ConversationState::Repairing, repaired_at: Some(self.now), ..row };
        conversation::save(self.db, &row)?;
        self.memory.attention.insert(row.id);
        self.tell(Event::ConversationChanged(row.id));
        Ok(())
    }

    pub(crate) fn repair(&mut self, row: &ConversationRow) -> Result<(), Error> {
        if let Some(unsent) = outbox::find_kind(self.db, row.id, OutboxKind::Rejoin)? {
            return self.transmit::<Commit>(&unsent);
        }
        if let Some(unsent) = outbox::find_kind(self.db, row.id, OutboxKind::Succeed)? {
            return self.deliver_succession(row.clone(), unsent);
        }
        match self.memory.repairs.get(&row.id) {
            Some(current) => {
                let group = e2ee::group_of(&current.group_info).ok();
                let tree = FetchTree { conversation: row.id, epoch: current.epoch, group };
                self.request(Work::RejoinTree(row.id), &tree);
            }
            None => self.request(Work::GroupInfo(row.id), &FetchGroupInfo { conversation: row.id }),
        }
        Ok(())
    }

    pub(crate) fn fetched_group(&mut self, id: ConversationId, current: CurrentGroup) -> Result<(), Error> {
        self.memory.repairs.insert(id, current);
        Ok(())
    }

    pub(crate) fn fetched_rejoin_tree(&mut self, id: ConversationId, tree: &Tree) -> Result<(), Error> {
        let Some(current) = self.memory.repairs.remove(&id) else { return Ok(()) };
        let mut row = self.conversation(id)?;
        if row.state == ConversationState::Joining {
            // What it has seen is what it was told: members say whether it is what they saw.
            let (cursor, entry_hash) = (current.seq, EntryHash(current.entry_hash));
            return self.rejoin(ConversationRow { cursor, entry_hash, ..row }, &current, &tree.tree);
        }
        if row.state != ConversationState::Repairing {
            return Ok(());
        }
        if self.replace_group(&row, current.epoch)? {
            return Ok(());
        }
        if crosses(&row, &current) {
            // What is in the log up to there is told as lost first.
            return if self.is_behind(&row) { Ok(()) } else { self.rejoin(row, &current, &tree.tree) };
        }
        if current.seq > row.cursor && self.memory.gaps.contains(&id) {
            self.skip_to(&mut row, &current)?;
        } else if current.seq > row.cursor {
            self.notice_head(Cursor { conversation: id, generation: current.generation, seq: current.seq });
            return Ok(());
        }
        self.rejoin(row, &current, &tree.tree)
    }

    fn rejoin(&mut self, row: ConversationRow, current: &CurrentGroup, tree: &[u8]) -> Result<(), Error> {
        let account = self.account()?;
        let (id, epoch) = (row.id, current.epoch);
        let invitation =
            Invitation { tenant: account.tenant, conversation: id, epoch, message: &current.group_info, tree };
        let message_id = MessageId::from_bytes(self.entropy.array());
        let aad = Self::aad(&row, message_id, [0; 32]);
        self.memory.groups.remove(&id);
        let (db, followed) = (self.db, row.group);
        let rejoined = self.act(|device, vouch| {
            let before = followed.map(|id| e2ee::Group::load(device, id)).transpose()?.flatten();
            let changed = device.rejoin(&invitation, before, &aad, vouch)?;
            match &changed.group {
                Some(group) if is_refused(db, group)? => Err(e2ee::Error::Envelope),
                _ => Ok(((changed.output, changed.group), changed.writes)),
            }
        })?;
        match rejoined {
            Ok((rejoined, group)) => {
                let mut row = row;
                if let Some(group) = &group {
                    if row.state == ConversationState::Repairing && row.group != Some(group.id()) {
                        // Where its part of the log goes on, the server says when it is in.
                        self.moved_to(&mut row, group.id())?;
                        row.state = ConversationState::Joining;
                    }
                    row.group = Some(group.id());
                    row.kind = group.policy().kind;
                    row.peer = peer(group, account.user);
                }
                let e2ee::Rejoined { commit, group_info, gone } = rejoined;
                gone.iter().try_for_each(|leaf| self.sweep_soon(&mut row, leaf.user))?;
                let commit = Commit { conversation: id, message_id, commit, group_info, welcome: None };
                outbox::insert(self.db, id, OutboxKind::Rejoin, message_id, None, Some(&wire::encode(&commit)))?;
                if let Some(unsent) = outbox::find(self.db, id, message_id)? {
                    outbox::set_sealed(self.db, unsent.id, unsent.parameters.as_deref(), Some(epoch))?;
                }
                conversation::save(self.db, &row)?;
                self.keep(id, group);
            }
            Err(e2ee::Error::NeedsIdentities(users)) => self.wait_for(id, users),
            Err(_) => {
                self.rejoin_failed(id);
                self.later(Work::GroupInfo(id), &Refusal::retry_after(ErrorCode::InvalidCommit, AGAIN_MS));
            }
        }
        Ok(())
    }

    pub(crate) fn repair_refused(&mut self, id: ConversationId, refusal: &Refusal) -> Result<(), Error> {
        self.memory.repairs.remove(&id);
        if !is_transient(refusal) && refusal.code() != Some(ErrorCode::StaleEpoch) {
            let mut row = self.conversation(id)?;
            self.leave(&mut row)?;
            conversation::save(self.db, &row)?;
            return Ok(());
        }
        self.later(Work::GroupInfo(id), refusal);
        Ok(())
    }

    /// The server no longer has what this device missed. The place is marked, and the log goes on after it.
    fn skip_to(&mut self, row: &mut ConversationRow, current: &CurrentGroup) -> Result<(), Error> {
        let missed = current.seq - row.cursor;
        let reason = format!("{missed} entries were deleted from the server before this device saw them");
        self.mark_missed(row, current.seq, &reason)?;
        row.cursor = current.seq;
        row.begins = current.seq;
        row.entry_hash = EntryHash(current.entry_hash);
        conversation::save(self.db, row)?;
        conversation::remember_hash(self.db, row)?;
        self.memory.gaps.remove(&row.id);
        Ok(())
    }
}

/// Whether the conversation's group is another one than the one that this device followed.
fn crosses(row: &ConversationRow, current: &CurrentGroup) -> bool {
    row.group.is_some_and(|group| e2ee::group_of(&current.group_info).is_ok_and(|now| now != group))
}

fn is_refused(db: &Connection, group: &e2ee::Group) -> Result<bool, e2ee::StorageFailure> {
    was_refused(db, group).map_err(|error| e2ee::StorageFailure::Read(Box::new(error)))
}
