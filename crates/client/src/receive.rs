//! Receiving: entries of a log in order, each once, each checked against what others say that they saw.

use crate::content::fold;
use crate::database::conversation::{self, ConversationRow};
use crate::database::message::{self, Place};
use crate::database::outbox::{self, OutboxKind, OutboxRow};
use crate::database::raw;
use crate::database::{MessageRow, MessageState};
use crate::departure::Departure;
use crate::outcome;
use crate::restore::branch;
use crate::session::Work;
use crate::turn::Turn;
use crate::{ConversationState, Error, Event};
use e2ee::{Committed, Opened};
use trust::{Aad, Committer, EntryHash, Kind, LeafIdentity};
use wire::event::Recorded;
use wire::request::{Cursor, Fetched};
use wire::sabotage::{Defence, stands};
use wire::{ConversationId, Entry, EntryKind, Refusal};

/// A failed message is worth a rejoin only so often: whoever sends rubbish does not decide how busy a device is.
const REPAIR_EVERY_MS: u64 = 10 * 60_000;

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// It is processed, whatever came of it.
    Done,
    /// It has to wait for somebody's device chain.
    Wait,
}

impl Turn<'_> {
    pub(crate) fn recorded(&mut self, recorded: &Recorded) -> Result<(), Error> {
        let (id, entry) = (recorded.conversation, &recorded.entry);
        self.notice_head(Cursor { conversation: id, generation: recorded.generation, seq: entry.seq });
        let Some(mut row) = conversation::find(self.db, id)? else {
            // Either its Welcome is on its way, or nobody has told this device of it.
            self.memory.ask_for_welcomes = true;
            self.memory.unknown.insert(id);
            return Ok(());
        };
        self.come_back(&row)?;
        let in_order = entry.seq == row.cursor + 1 || !stands(Defence::LogOrder);
        let follows = in_order && recorded.generation == row.generation;
        // A fetch on its way brings this entry too: processing it twice is harmless, out of order it is not.
        let follows = follows && row.branched == 0;
        if follows && is_followed(&row) && !self.memory.waiting.contains(&id) && !self.is_unheard_of(&row)? {
            self.process(&mut row, entry)?;
        }
        Ok(())
    }

    pub(crate) fn fetched(&mut self, id: ConversationId, fetched: Fetched) -> Result<(), Error> {
        let mut row = self.conversation(id)?;
        let head = Cursor { conversation: id, generation: fetched.generation, seq: fetched.head };
        self.memory.heads.insert(id, head);
        if self.memory.asked_after.remove(&id).is_some_and(|after| after > row.cursor) {
            // A Welcome has taken this device to an earlier place since: that is no gap.
            return Ok(());
        }
        if row.cursor == 0 {
            row.generation = fetched.generation;
        }
        if fetched.generation > row.generation {
            // What is there now is compared first.
            return Ok(());
        }
        if fetched.generation < row.generation {
            self.tell(Event::GenerationChanged(id));
            self.later(Work::Fetch(id), &Refusal::retry_after(wire::ErrorCode::GenerationChanged, 300_000));
            return Ok(());
        }
        let before = row.cursor;
        for entry in &fetched.entries {
            if entry.seq > row.cursor + 1 {
                self.memory.gaps.insert(id);
                return self.start_repair(row);
            }
            if entry.seq == row.cursor + 1 && self.process(&mut row, entry)? == Step::Wait {
                return Ok(());
            }
            if row.state == ConversationState::Left {
                // What follows belongs to another stay, which begins with its Welcome.
                return Ok(());
            }
        }
        if row.cursor > before {
            self.memory.stale.remove(&id);
        } else if fetched.head > row.cursor && fetched.entries.is_empty() {
            // The log goes further, and nothing of that is left for this device.
            self.memory.gaps.insert(id);
            return self.start_repair(row);
        } else if fetched.head > row.cursor {
            self.later(Work::Fetch(id), &Refusal::retry_after(wire::ErrorCode::Internal, 2_000));
        }
        Ok(())
    }

    /// Processes the entry that follows the cursor. Everything that comes of it is in this transaction.
    pub(crate) fn process(&mut self, row: &mut ConversationRow, entry: &Entry) -> Result<Step, Error> {
        let account = self.account()?;
        let before = if entry.kind == EntryKind::Application { Vec::new() } else { self.identities(row)? };
        let step =
            if entry.sender == account.device { self.process_own(row, entry) } else { self.process_other(row, entry) };
        if step? == Step::Wait {
            return Ok(Step::Wait);
        }
        row.entry_hash = row.entry_hash.then(account.tenant, row.id, entry);
        row.cursor = entry.seq;
        conversation::save(self.db, row)?;
        conversation::remember_hash(self.db, row)?;
        let after = if before.is_empty() { Vec::new() } else { self.identities(row)? };
        raw::note(self.db, row, entry.kind, &self.note_change(row, &before, &after)?)?;
        raw::keep(self.db, row.id, entry, self.now)?;
        self.memory.unacknowledged.insert(row.id);
        self.memory.attention.insert(row.id);
        self.something_to_archive();
        Ok(Step::Done)
    }

    /// An entry of this device: it is recognised by its id, and never decrypted. One that this device did not send means
    /// that its state was copied or restored (or that the server lies): the leaf is replaced.
    fn process_own(&mut self, row: &mut ConversationRow, entry: &Entry) -> Result<Step, Error> {
        let unsent = outbox::find(self.db, row.id, entry.message_id)?;
        let sealed_here = unsent.as_ref().is_some_and(|unsent| outcome::is_sealed_as(unsent, &entry.payload));
        match unsent.as_ref().map(|unsent| unsent.kind) {
            Some(OutboxKind::Message) => {
                self.own_message_recorded(row, entry)?;
                if !sealed_here {
                    // Another copy of this device's state has sealed it: the next message would use its keys again.
                    self.repair_if_followed(row)?;
                }
            }
            Some(OutboxKind::Add | OutboxKind::Wish | OutboxKind::Upkeep) if !sealed_here => {
                outbox::set_sealed(self.db, unsent.as_ref().map_or(0, |unsent| unsent.id), None, None)?;
                self.lost(row, entry, "another copy of this device's state has made it", true)?;
            }
            Some(OutboxKind::Add | OutboxKind::Wish | OutboxKind::Upkeep) => {
                outbox::delete(self.db, row.id, entry.message_id)?;
                self.own_commit_recorded(row, entry, unsent.as_ref())?;
            }
            Some(OutboxKind::Succeed) => {
                let is_own = match &unsent {
                    Some(unsent) => self.own_group_recorded(row, unsent, entry)?,
                    None => false,
                };
                if is_own && row.state == ConversationState::Creating && row.kind == Kind::Direct {
                    self.go_on_claiming(row)?;
                } else if is_own {
                    self.becomes_active(row);
                } else {
                    self.lost(row, entry, "this device has not sent it: its state was copied or restored", true)?;
                }
            }
            Some(OutboxKind::Propose) => {
                outbox::delete(self.db, row.id, entry.message_id)?;
                row.state = ConversationState::Leaving;
                self.tell(Event::ConversationChanged(row.id));
            }
            Some(OutboxKind::Rejoin) => {
                outbox::delete(self.db, row.id, entry.message_id)?;
                self.rejoined(row, unsent.as_ref())?;
                self.goes_on(row)?;
            }
            _ if message::find(self.db, row.id, entry.message_id)?
                .is_some_and(|message| message.seq == Some(entry.seq)) => {}
            _ if !stands(Defence::CopyNoticed) => {}
            _ => self.lost(row, entry, "this device has not sent it: its state was copied or restored", true)?,
        }
        Ok(Step::Done)
    }

    fn own_commit_recorded(
        &mut self,
        row: &mut ConversationRow,
        entry: &Entry,
        unsent: Option<&OutboxRow>,
    ) -> Result<(), Error> {
        let admins = self.admins(row)?;
        match self.change(row, |group, device, _| group.merge_pending(device))? {
            Ok(commit) => {
                row.renew_at = Some(self.some_day());
                self.watch_renewal(row);
                self.becomes_active(row);
                self.note_commit(row, entry, &commit, &admins)?;
                self.bring_back_peer(row)?;
                // Somebody's device may have been revoked while it was being added.
                self.sweep_if_gone(row)?;
                match unsent.filter(|unsent| matches!(unsent.kind, OutboxKind::Wish | OutboxKind::Upkeep)) {
                    Some(wish) => self.wish_recorded(row, wish, &commit),
                    None => Ok(()),
                }
            }
            Err(refused) => self.lost(row, entry, &refused.to_string(), true),
        }
    }

    /// After a rejoin.
    pub(crate) fn goes_on(&mut self, row: &mut ConversationRow) -> Result<(), Error> {
        row.branched = branch::FOLLOWS;
        self.memory.failed_rejoins.remove(&row.id);
        row.renew_at = Some(self.some_day());
        self.watch_renewal(row);
        if row.state == ConversationState::Repairing {
            self.becomes_active(row);
        }
        self.take_over(row)?;
        self.tell(Event::Repaired(row.id));
        Ok(())
    }

    /// The device's copy of the group is not what it should be: its leaf is replaced.
    fn repair_if_followed(&mut self, row: &mut ConversationRow) -> Result<(), Error> {
        if is_followed(row) && row.state != ConversationState::Repairing { self.distrust(row) } else { Ok(()) }
    }

    fn becomes_active(&mut self, row: &mut ConversationRow) {
        if row.state != ConversationState::Active {
            row.state = ConversationState::Active;
            self.tell(Event::ConversationChanged(row.id));
        }
    }

    fn process_other(&mut self, row: &mut ConversationRow, entry: &Entry) -> Result<Step, Error> {
        if entry.kind == EntryKind::Succession {
            return self.succession(row, entry);
        }
        let admins = if entry.kind == EntryKind::Commit { self.admins(row)? } else { Vec::new() };
        match self.change(row, |group, device, vouch| group.open(device, entry, vouch))? {
            Ok(Opened::Message { sender, aad, plaintext }) => {
                self.check_seen(row, &aad)?;
                self.receive(row, entry, &sender, &aad, &plaintext)?;
            }
            Ok(Opened::Commit { commit, aad }) => {
                self.check_seen(row, &aad)?;
                self.note_commit(row, entry, &commit, &admins)?;
                self.follow(row, &commit)?;
            }
            Ok(Opened::Leaving { aad, .. }) => {
                self.check_seen(row, &aad)?;
                self.somebody_leaves(row)?;
            }
            Ok(Opened::Own { .. }) => self.lost(row, entry, "it claims to be this device's own", true)?,
            Err(e2ee::Error::NeedsIdentities(users)) => {
                self.wait_for(row.id, users);
                return Ok(Step::Wait);
            }
            Err(refused) => {
                if let e2ee::Error::Poisoned(LeafIdentity { user, device, .. }) = refused {
                    self.tell(Event::CommitPoisoned { conversation: row.id, seq: entry.seq, user, device });
                }
                self.lost(row, entry, &refused.to_string(), entry.kind == EntryKind::Commit)?;
            }
        }
        Ok(Step::Done)
    }

    fn follow(&mut self, row: &mut ConversationRow, commit: &Committed) -> Result<(), Error> {
        if commit.self_removed {
            let own = self.account()?.user;
            let by_own = matches!(commit.committer, Committer::Member(leaf) if leaf.user == own);
            self.taken_out_by_own(row.id, by_own)?;
            let wished = row.state == ConversationState::Leaving;
            self.depart(row.id, if wished { Departure::Recorded } else { Departure::None })?;
            return self.leave(row);
        }
        if row.state == ConversationState::Leaving {
            // The commit was made before its author saw the proposal, which ended with the epoch.
            row.state = ConversationState::Active;
            self.wish_to_leave(row.id)?;
        }
        commit.gone.iter().try_for_each(|leaf| self.sweep_soon(row, leaf.user))?;
        self.bring_back_peer(row)?;
        self.tell(Event::ConversationChanged(row.id));
        Ok(())
    }

    /// What the sender had seen must be what this device has seen, as far back as it remembers.
    fn check_seen(&mut self, row: &mut ConversationRow, aad: &Aad) -> Result<(), Error> {
        let known = match aad.seen_seq {
            0 if row.begins == 0 => Some(EntryHash::GENESIS),
            seq => raw::hash_at(self.db, row.id, seq)?,
        };
        let differs = known.is_some_and(|known| known.0 != aad.seen_hash) || aad.seen_seq > row.cursor;
        if differs && !row.forked && stands(Defence::SeenHash) {
            row.forked = true;
            self.tell(Event::Forked(row.id));
        }
        Ok(())
    }

    /// An entry that cannot be opened: it is kept as such, told, counted, and worth a repair.
    fn lost(&mut self, row: &mut ConversationRow, entry: &Entry, reason: &str, hard: bool) -> Result<(), Error> {
        if entry.kind == EntryKind::Application {
            let message = MessageRow {
                seq: Some(entry.seq),
                message_id: None,
                author: None,
                device: entry.sender,
                at: entry.at,
                state: MessageState::Undecryptable,
                content: Vec::new(),
                reason: Some(reason.into()),
            };
            message::insert(self.db, row, &message, Place { kind: 0, line: true, target: None })?;
            self.tell(Event::Line { conversation: row.id, line: fold(&message, &[]) });
        }
        self.tell(Event::Undecryptable { conversation: row.id, seq: entry.seq, reason: reason.into() });
        let recently = row.repaired_at.is_some_and(|at| self.now < at.saturating_add(REPAIR_EVERY_MS));
        if (hard || !recently) && stands(Defence::Repair) { self.repair_if_followed(row) } else { Ok(()) }
    }
}

const fn is_followed(row: &ConversationRow) -> bool {
    use ConversationState::{Active, Creating, Leaving, Repairing};
    matches!(row.state, Creating | Active | Repairing | Leaving)
}

#[cfg(test)]
mod tests;
