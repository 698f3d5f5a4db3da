//! Repair: a device that cannot follow its group fetches the current one and rejoins by an external commit, which
//! replaces its own leaf. Until that commit is in the log, the group as the device has it opens what it can: only what it
//! cannot open is counted as lost, in the open.

use crate::database::conversation::{self, ConversationRow};
use crate::database::message::{self, Place};
use crate::database::outbox::{self, OutboxKind, OutboxRow};
use crate::database::raw::{self, Removed};
use crate::database::{MessageRow, MessageState};
use crate::restore::branch::{may_send_away, returned_in};
use crate::session::Work;
use crate::succession::was_refused;
use crate::turn::{Turn, is_transient};
use crate::welcome::{is_shadow, peer};
use crate::{ConversationState, Error, Event};
use e2ee::{Group, Invitation, WriteSet};
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use rusqlite::Connection;
use trust::{EntryHash, Kind};
use wire::request::{Commit, CurrentGroup, Cursor, FetchGroupInfo, FetchTree, Tree};
use wire::{ConversationId, ErrorCode, GroupId, MessageId, Refusal};
use zeroize::Zeroizing;

const AGAIN_MS: u32 = 10_000;
/// While somebody is in a group who was removed, it is looked at again after so long.
const RETURNED_MS: u32 = 30_000;

/// The group after a rejoin, kept beside its commit until that is recorded.
#[derive(Encode, Decode)]
struct Prepared {
    #[n(0)]
    group: GroupId,
    #[n(1)]
    writes: Vec<Write>,
}

/// A change of what MLS keeps: a value, or none.
#[derive(Encode, Decode)]
struct Write {
    #[n(0)]
    key: ByteVec,
    #[n(1)]
    value: Option<ByteVec>,
}

impl Turn<'_> {
    /// From here on the device does not trust its copy of the group.
    pub(crate) fn start_repair(&mut self, mut row: ConversationRow) -> Result<(), Error> {
        self.distrust(&mut row)?;
        conversation::save(self.db, &row)?;
        self.memory.attention.insert(row.id);
        Ok(())
    }

    /// As [`Turn::start_repair`], for a caller that saves the row.
    pub(crate) fn distrust(&mut self, row: &mut ConversationRow) -> Result<(), Error> {
        if row.state == ConversationState::Leaving {
            // Who rejoins has a new leaf, of which nobody has heard that it leaves.
            self.wish_to_leave(row.id)?;
        }
        row.state = ConversationState::Repairing;
        row.repaired_at = Some(self.now);
        self.tell(Event::ConversationChanged(row.id));
        Ok(())
    }

    /// The server counts this device among the members of conversations that it does not know: it was put back to an old
    /// copy, or a Welcome is for a key package that it does not have. It rejoins them, when no Welcome is left to be tried.
    pub(crate) fn adopt(&mut self) -> Result<(), Error> {
        if self.may_be_welcomed() {
            return Ok(());
        }
        while let Some(id) = self.memory.unknown.pop_first() {
            let known = conversation::find(self.db, id)?;
            if known.as_ref().is_some_and(|row| row.state != ConversationState::Left) || self.has_left_alone(id)? {
                continue;
            }
            let row = known.unwrap_or_else(|| ConversationRow::new(id, Kind::Group, ConversationState::Repairing));
            self.memory.gaps.insert(id);
            self.start_repair(ConversationRow { group: None, ..row })?;
        }
        Ok(())
    }

    pub(crate) fn repair(&mut self, row: &ConversationRow) -> Result<(), Error> {
        if let Some(unsent) = outbox::find_kind(self.db, row.id, OutboxKind::Rejoin)? {
            return self.transmit::<Commit>(&unsent);
        }
        if let Some(unsent) = outbox::find_kind(self.db, row.id, OutboxKind::Succeed)? {
            return self.deliver_succession(row.clone(), unsent);
        }
        if row.group.is_some() && outbox::find_kind(self.db, row.id, OutboxKind::Create)?.is_some() {
            return self.reclaim(row.clone());
        }
        if self.memory.left_behind.contains(&row.id) && self.may_be_welcomed() {
            self.memory.attention.insert(row.id);
            return Ok(());
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
        // Of every Welcome into an epoch up to this one the server tells when it is asked now.
        self.memory.ask_for_welcomes |= self.conversation(id)?.state == ConversationState::Joining;
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
        if current.generation > row.generation && row.group.is_some() {
            // What this device knows is compared with what the server has first.
            self.notice_head(Cursor { conversation: id, generation: current.generation, seq: current.seq });
            return Ok(());
        }
        if self.replace_group(&row, current.epoch)? {
            return Ok(());
        }
        if crosses(&row, &current) {
            // What is in the log up to there is told as lost first.
            return if self.is_behind(&row) { Ok(()) } else { self.rejoin(row, &current, &tree.tree) };
        }
        let has_gap = row.branched != 0 || self.memory.gaps.contains(&id);
        if current.seq > row.cursor && has_gap {
            self.skip_to(&mut row, &current)?;
        } else if current.seq > row.cursor {
            self.notice_head(Cursor { conversation: id, generation: current.generation, seq: current.seq });
            return Ok(());
        }
        self.memory.gaps.remove(&id);
        self.rejoin(row, &current, &tree.tree)
    }

    fn rejoin(&mut self, row: ConversationRow, current: &CurrentGroup, tree: &[u8]) -> Result<(), Error> {
        let account = self.account()?;
        let (id, epoch) = (row.id, current.epoch);
        let invitation =
            Invitation { tenant: account.tenant, conversation: id, epoch, message: &current.group_info, tree };
        let message_id = MessageId::from_bytes(self.entropy.array());
        let aad = Self::aad(&row, message_id, [0; 32]);
        let (db, followed) = (self.db, row.group);
        let rejoined = self.rehearse(|device, vouch| {
            let load = || followed.map(|id| Group::load(device, id)).transpose();
            let (before, known) = (load()?.flatten(), load()?.flatten());
            let changed = device.rejoin(&invitation, before, &aad, vouch)?;
            match &changed.group {
                Some(group) if is_refused(db, group)? => Err(e2ee::Error::Envelope),
                Some(group) if !is_shadow(db, group, account.user)? => {
                    let back = returned_in(db, &row, known.as_ref(), group)?;
                    let may = may_send_away(&row, group, account.user, &back);
                    Ok(((changed.output, group.id(), (back, may)), changed.writes))
                }
                _ => Err(e2ee::Error::AlreadyMember),
            }
        })?;
        match rejoined {
            Ok(((_, _, (back, false)), _)) if !back.is_empty() => {
                self.tell_returned(id, &back);
                self.later(Work::GroupInfo(id), &Refusal::retry_after(ErrorCode::InvalidCommit, RETURNED_MS));
            }
            Ok(((rejoined, group, (back, _)), writes)) => {
                let e2ee::Rejoined { commit, group_info, gone } = rejoined;
                let commit = wire::encode(&Commit { conversation: id, message_id, commit, group_info, welcome: None });
                let prepared = Zeroizing::new(wire::encode(&Prepared::new(group, &writes)));
                outbox::insert_rejoin(self.db, (id, message_id), &prepared, (&commit, epoch), self.entropy)?;
                if !back.is_empty() {
                    self.tell_returned(id, &back);
                    raw::add_returned(self.db, id, &back.iter().map(Removed::from).collect::<Vec<_>>())?;
                    self.send_away(id, &back)?;
                }
                let mut row = row;
                if row.state == ConversationState::Repairing && row.group.is_some_and(|before| before != group) {
                    // Where its part of the log goes on, the server says when it is in.
                    row.state = ConversationState::Joining;
                }
                gone.iter().try_for_each(|leaf| self.sweep_soon(&mut row, leaf.user))?;
                conversation::save(self.db, &row)?;
            }
            Err(e2ee::Error::NeedsIdentities(users)) => self.wait_for(id, users),
            Err(refused) if row.group.is_none() && row.state != ConversationState::Joining => {
                self.renounce(&row, &refused.to_string())?
            }
            Err(_) => {
                self.rejoin_failed(id);
                self.later(Work::GroupInfo(id), &Refusal::retry_after(ErrorCode::InvalidCommit, AGAIN_MS));
            }
        }
        Ok(())
    }

    /// The rejoining is in the log: from here on its group is the conversation's.
    pub(crate) fn rejoined(&mut self, row: &mut ConversationRow, unsent: Option<&OutboxRow>) -> Result<(), Error> {
        if row.group.is_none() && row.begins > 0 {
            self.mark_gap(row, row.begins, "this device has joined anew: it cannot read what was said before")?;
        }
        self.take_prepared(row, unsent)?;
        self.claim_if_incomplete(row)
    }

    /// What this device wanted to add or renew before it came in has had its time; but a direct conversation whose other half
    /// was never added goes on with that.
    pub(crate) fn claim_if_incomplete(&mut self, row: &mut ConversationRow) -> Result<(), Error> {
        outbox::delete_kind(self.db, row.id, OutboxKind::Add)?;
        if self.is_complete(row)? { Ok(()) } else { self.go_on_claiming(row) }
    }

    /// The rejoining is in the log, and what was recorded before it is not to be had: where this device's part of the log goes
    /// on, the server says next.
    pub(crate) fn rejoined_after_gap(&mut self, mut row: ConversationRow, unsent: &OutboxRow) -> Result<(), Error> {
        row.state = ConversationState::Joining;
        conversation::save(self.db, &row)?;
        self.entered(unsent)
    }

    /// Puts the group that was prepared in the place of the one before, with what it says of its conversation.
    pub(crate) fn take_prepared(&mut self, row: &mut ConversationRow, unsent: Option<&OutboxRow>) -> Result<(), Error> {
        let prepared = unsent.and_then(|unsent| unsent.input.as_deref()).map(wire::decode::<Prepared>);
        let Some(Ok(prepared)) = prepared else { return Err(Error::Database(crate::DatabaseError::Damaged)) };
        let before = row.group;
        self.forget_group(row)?;
        for Write { key, value } in &prepared.writes {
            self.put(key, value.as_ref().map(|value| value.as_slice()))?;
        }
        if before.is_some_and(|before| before != prepared.group) {
            self.moved_to(row, prepared.group)?;
        }
        row.group = Some(prepared.group);
        self.memory.gaps.remove(&row.id);
        let own = self.account()?.user;
        if let Some(seen) = self.peek(row, |group| Ok((group.policy().kind, peer(group, own))))? {
            (row.kind, row.peer) = seen;
        }
        Ok(())
    }

    /// Whether the other half of a direct conversation is in its group.
    pub(crate) fn is_complete(&mut self, row: &ConversationRow) -> Result<bool, Error> {
        let Some(peer) = row.peer.filter(|_| row.kind == Kind::Direct) else { return Ok(true) };
        let members = self.peek(row, Group::members)?.unwrap_or_default();
        Ok(members.is_empty() || members.iter().any(|leaf| leaf.identity.user == peer))
    }

    /// The server has this very conversation, with a group that this device does not know: it was put back to a copy from
    /// before it made that known. It rejoins.
    pub(crate) fn reclaim(&mut self, row: ConversationRow) -> Result<(), Error> {
        self.forget_group(&row)?;
        outbox::delete_kind(self.db, row.id, OutboxKind::Create)?;
        outbox::delete_kind(self.db, row.id, OutboxKind::Add)?;
        self.memory.gaps.insert(row.id);
        self.start_repair(ConversationRow { group: None, ..row })
    }

    /// A commit came between, or the server cannot give it: the group is asked for again, and that answer decides.
    pub(crate) fn rejoin_tree_refused(&mut self, id: ConversationId, refusal: &Refusal) {
        self.memory.repairs.remove(&id);
        self.later(Work::GroupInfo(id), refusal);
    }

    pub(crate) fn repair_refused(&mut self, id: ConversationId, refusal: &Refusal) -> Result<(), Error> {
        self.memory.repairs.remove(&id);
        if !is_transient(refusal) && refusal.code() != Some(ErrorCode::StaleEpoch) {
            let mut row = self.conversation(id)?;
            if row.group.is_none() {
                return self.renounce(&row, &refusal.to_string());
            }
            self.leave(&mut row)?;
            conversation::save(self.db, &row)?;
            return Ok(());
        }
        self.later(Work::GroupInfo(id), refusal);
        Ok(())
    }

    /// A conversation of which only the server has spoken turns out to be none.
    fn renounce(&mut self, row: &ConversationRow, reason: &str) -> Result<(), Error> {
        if message::is_empty(self.db, row.id)? {
            self.drop_unsent(row.id)?;
            conversation::delete(self.db, row.id)?;
        } else {
            let mut row = row.clone();
            self.leave(&mut row)?;
            conversation::save(self.db, &row)?;
        }
        self.tell(Event::WelcomeRefused { conversation: row.id, reason: reason.into() });
        Ok(())
    }

    /// The server no longer has what this device missed. The place is marked, and the log goes on after it. Where a
    /// conversation is new here, that is marked when it turns out to be one.
    fn skip_to(&mut self, row: &mut ConversationRow, current: &CurrentGroup) -> Result<(), Error> {
        if row.group.is_some() {
            let missed = current.seq - row.cursor;
            let reason = format!("{missed} entries were deleted from the server before this device saw them");
            self.mark_gap(row, current.seq, &reason)?;
        }
        row.generation = current.generation;
        row.cursor = current.seq;
        row.begins = current.seq;
        row.entry_hash = EntryHash(current.entry_hash);
        conversation::save(self.db, row)?;
        conversation::remember_hash(self.db, row)?;
        self.memory.gaps.remove(&row.id);
        Ok(())
    }

    /// What is not for this device is marked once, where it goes on.
    pub(crate) fn mark_gap(&mut self, row: &ConversationRow, seq: u64, reason: &str) -> Result<(), Error> {
        if message::is_at(self.db, row, seq)? {
            return Ok(());
        }
        let marker = MessageRow {
            seq: Some(seq),
            message_id: None,
            author: None,
            device: self.account()?.device,
            at: self.now,
            state: MessageState::Undecryptable,
            content: Vec::new(),
            reason: Some(reason.into()),
        };
        message::insert(self.db, row, &marker, Place { kind: 0, line: true, target: None })?;
        self.tell(Event::Undecryptable { conversation: row.id, seq, reason: reason.into() });
        Ok(())
    }
}

/// Whether the conversation's group is another one than the one that this device followed.
fn crosses(row: &ConversationRow, current: &CurrentGroup) -> bool {
    row.group.is_some_and(|group| e2ee::group_of(&current.group_info).is_ok_and(|now| now != group))
}

/// [`was_refused`], where MLS reads.
pub(crate) fn is_refused(db: &Connection, group: &Group) -> Result<bool, e2ee::StorageFailure> {
    was_refused(db, group).map_err(|error| e2ee::StorageFailure::Read(Box::new(error)))
}

impl Prepared {
    fn new(group: GroupId, writes: &WriteSet) -> Self {
        let write = |(key, value): (&[u8], Option<&[u8]>)| Write {
            key: key.to_vec().into(),
            value: value.map(|value| value.to_vec().into()),
        };
        Self { group, writes: writes.iter().map(write).collect() }
    }
}
