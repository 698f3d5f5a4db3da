//! A log that has branched: after the last entry that both know, the server's goes on in another way. What this device said in
//! the lost part goes into the outbox again, under the same ids. If the group changed in the lost part, this device's group is
//! of an epoch that nobody else will be in: it comes in again from outside.
//!
//! A server that lies could call anything lost, to bring back somebody whom this device saw removed. So nothing is ever sealed
//! to them: either this device may remove them, and does so before anything else leaves; or it stays in repair, in the open,
//! until they are gone.

use crate::database::conversation::{self, ConversationRow};
use crate::database::outbox::{self, OutboxKind, OutboxRow};
use crate::database::raw::{self, Removed};
use crate::group::{Wish, is_leave};
use crate::turn::Turn;
use crate::{ConversationState, Error, Event};
use e2ee::Group;
use rusqlite::Connection;
use trust::{EntryHash, Kind, LeafIdentity};
use wire::sabotage::{Defence, stands};
use wire::{ConversationId, DeviceId, MessageId, UserId};

/// The device's group is of an epoch of the log.
pub(crate) const FOLLOWS: u8 = 0;
/// It is of one that did not come back, and everybody who was removed in the lost part is known.
const LOST: u8 = 1;
/// The same, but not all of the lost part is remembered: whoever is not in this device's group may have been removed in it.
const LOST_IN_PART: u8 = 2;

impl Turn<'_> {
    /// From `seq` on, where the hash is this, the log is the server's and not the one that this device knew.
    pub(super) fn branch(
        &mut self,
        mut row: ConversationRow,
        generation: u32,
        seq: u64,
        hash: EntryHash,
    ) -> Result<(), Error> {
        let (id, device) = (row.id, self.account()?.device);
        self.memory.comparisons.remove(&id);
        let part = raw::part_after(self.db, &row, seq)?;
        let entries = row.cursor.saturating_sub(seq);
        let again = raw::take_back(self.db, id, device, seq)?;
        raw::mark_lost(self.db, id, seq)?;
        raw::forget_after(self.db, id, seq)?;
        self.make_anew(&row, &again)?;
        row.generation = generation;
        (row.cursor, row.entry_hash) = (seq, raw::hash_at(self.db, id, seq)?.unwrap_or(hash));
        row.acknowledged = row.acknowledged.min(seq);
        row.read_up_to = row.read_up_to.min(seq);
        row.begins = row.begins.min(seq);
        if part.has_handshakes {
            let leaves = self.identities(&row)?;
            let is_out = |leaf: &Removed| leaves.iter().all(|other| other.device != leaf.device);
            row.branched = if part.removed.is_some() { LOST } else { LOST_IN_PART };
            let removed: Vec<Removed> = part.removed.unwrap_or_default().into_iter().filter(is_out).collect();
            raw::add_returned(self.db, id, &removed)?;
            self.distrust(&mut row)?;
        }
        conversation::save(self.db, &row)?;
        conversation::remember_hash(self.db, &row)?;
        self.memory.gaps.remove(&id);
        self.memory.asked_after.remove(&id);
        self.memory.attention.insert(id);
        self.tell(Event::LogBranched { conversation: id, entries, again: again.len() as u64 });
        self.tell(Event::ConversationChanged(id));
        Ok(())
    }

    /// What was made on what did not come back is made anew, and what this device had said there is said again, first.
    fn make_anew(&mut self, row: &ConversationRow, again: &[MessageId]) -> Result<(), Error> {
        outbox::delete_kind(self.db, row.id, OutboxKind::Rejoin)?;
        outbox::delete_kind(self.db, row.id, OutboxKind::Accept)?;
        if let Some(own) = outbox::find_kind(self.db, row.id, OutboxKind::Succeed)? {
            self.drop_candidate(&own)?;
        }
        outbox::unseal(self.db, row.id)?;
        self.claim_wishes_anew(row.id)?;
        let again = self.send_files_again(row.id, again)?;
        outbox::insert_first(self.db, row.id, &again)?;
        Ok(())
    }

    /// The server takes this device for no member of a conversation that it follows: it was added in a part of the log that a
    /// restore has lost, or the conversation itself was lost. What was said stays readable.
    pub(crate) fn not_known_there(&mut self, id: ConversationId) -> Result<(), Error> {
        let mut row = self.conversation(id)?;
        if matches!(row.state, ConversationState::Left) {
            return Ok(());
        }
        let leaves = self.identities(&row)?;
        let removed = raw::part_after(self.db, &row, 0)?.removed.unwrap_or_default();
        let is_out = |leaf: &Removed| leaves.iter().all(|other| other.device != leaf.device);
        raw::add_returned(self.db, id, &removed.into_iter().filter(is_out).collect::<Vec<_>>())?;
        self.forget_group(&row)?;
        self.leave(&mut row)?;
        self.memory.ask_for_joinable = true;
        Ok(conversation::save(self.db, &row)?)
    }

    /// The leaves of the group that this device is in.
    pub(crate) fn identities(&mut self, row: &ConversationRow) -> Result<Vec<LeafIdentity>, Error> {
        let leaves = self.peek(row, Group::members)?.unwrap_or_default();
        Ok(leaves.into_iter().map(|leaf| leaf.identity).collect())
    }

    /// Members of the group whom this device knows to have been removed, in a part of the log that did not come back.
    fn returned_here(&mut self, row: &ConversationRow) -> Result<Vec<LeafIdentity>, Error> {
        let known = raw::returned(self.db, row.id)?;
        if known.is_empty() {
            return Ok(Vec::new());
        }
        let leaves = self.identities(row)?;
        Ok(leaves.into_iter().filter(|leaf| known.iter().any(|gone| gone.device == leaf.device)).collect())
    }

    /// Whether what is next in the outbox may go: nothing is sealed to somebody who is back although they were removed. Their
    /// removal goes first, or this device falls back into repair.
    pub(crate) fn may_deliver(&mut self, row: &ConversationRow, unsent: &OutboxRow) -> Result<bool, Error> {
        use OutboxKind::{Message, Succeed, Wish as Wanted};
        let seals = matches!(unsent.kind, Message | Succeed) || (unsent.kind == Wanted && !is_leave(unsent));
        if !seals || !stands(Defence::ReturnedNotTrusted) {
            return Ok(true);
        }
        let back = self.returned_here(row)?;
        if back.is_empty() {
            return Ok(true);
        }
        let own = self.account()?.user;
        let may = self.peek(row, |group| Ok(may_remove(group, own, &back)))?.unwrap_or_default();
        if may {
            self.send_away(row.id, &back)?;
            self.deliver(row.clone())?;
        } else {
            let mut row = row.clone();
            self.tell_returned(row.id, &back);
            self.distrust(&mut row)?;
            conversation::save(self.db, &row)?;
            self.repair(&row)?;
        }
        Ok(false)
    }

    /// Whether somebody is in the group to whom nothing is sealed.
    pub(crate) fn has_returned(&mut self, row: &ConversationRow) -> Result<bool, Error> {
        Ok(!self.returned_here(row)?.is_empty())
    }

    /// Queues the commit that removes them, before everything that is to be said.
    pub(crate) fn send_away(&mut self, id: ConversationId, back: &[LeafIdentity]) -> Result<(), Error> {
        let key = MessageId::from_bytes(self.entropy.array());
        let wish = wire::encode(&Wish::Expel { devices: back.iter().map(|leaf| leaf.device).collect() });
        Ok(outbox::insert(self.db, id, OutboxKind::Upkeep, key, Some(&wish), None)?)
    }

    /// Names those because of whom the device stays away, once on a connection.
    pub(crate) fn tell_returned(&mut self, id: ConversationId, back: &[LeafIdentity]) {
        let mut users: Vec<UserId> = back.iter().map(|leaf| leaf.user).collect();
        users.sort_unstable();
        users.dedup();
        if self.memory.told_returned.insert(id) {
            self.tell(Event::Returned { conversation: id, users });
        }
    }

    /// Notes whom a commit has removed, and who was let in again.
    pub(crate) fn note_change(
        &self,
        row: &ConversationRow,
        before: &[LeafIdentity],
        after: &[LeafIdentity],
    ) -> Result<Vec<Removed>, Error> {
        let is_in = |leaves: &[LeafIdentity], device: DeviceId| leaves.iter().any(|leaf| leaf.device == device);
        for leaf in after.iter().filter(|leaf| !is_in(before, leaf.device)) {
            raw::forget_returned(self.db, row.id, leaf.device)?;
        }
        let gone = before.iter().filter(|leaf| !after.is_empty() && !is_in(after, leaf.device));
        Ok(gone.map(Removed::from).collect())
    }
}

/// Members of a group that this device is about to come into again, of whom it knows, or must fear, that they were removed in
/// a part of the log that did not come back.
pub(crate) fn returned_in(
    db: &Connection,
    row: &ConversationRow,
    before: Option<&Group>,
    group: &Group,
) -> Result<Vec<LeafIdentity>, e2ee::Error> {
    if !stands(Defence::ReturnedNotTrusted) {
        return Ok(Vec::new());
    }
    let known = raw::returned(db, row.id).map_err(|error| e2ee::StorageFailure::Read(Box::new(error)))?;
    let followed = before.filter(|_| row.branched == LOST_IN_PART).map(Group::members).transpose()?;
    let is_back = |leaf: &LeafIdentity| {
        let is_new =
            followed.as_ref().is_some_and(|leaves| leaves.iter().all(|other| other.identity.device != leaf.device));
        is_new || known.iter().any(|gone| gone.device == leaf.device)
    };
    Ok(group.members()?.into_iter().map(|leaf| leaf.identity).filter(is_back).collect())
}

/// Whether this device removes them when it comes in again: it knows that they were removed, and the policy lets it.
pub(crate) fn may_send_away(row: &ConversationRow, group: &Group, own: UserId, back: &[LeafIdentity]) -> bool {
    row.branched != LOST_IN_PART && may_remove(group, own, back)
}

/// Whether the group's policy lets this person remove them.
fn may_remove(group: &Group, own: UserId, back: &[LeafIdentity]) -> bool {
    let is_admin = group.policy().kind == Kind::Group && group.policy().admins.contains(&own);
    is_admin || back.iter().all(|leaf| leaf.user == own)
}
