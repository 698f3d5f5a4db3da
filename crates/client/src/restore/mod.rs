//! After a restore of the server (`docs/decisions/0070-restored-logs.md`): the log has another generation. This device compares
//! what is there with what it knows, entry by entry, and gives back what is missing while the server takes it. If all of it is
//! there again, it goes on as if nothing had been. If not, the log has branched ([`branch`]).

pub(crate) mod branch;
#[cfg(test)]
mod tests;

use crate::database::conversation::{self, ConversationRow};
use crate::database::{archive, raw};
use crate::session::Work;
use crate::turn::{Turn, is_transient};
use crate::{ConversationState, Error, Event};
use e2ee::WriteSet;
use trust::EntryHash;
use wire::request::{
    Cursor, Fetch, FetchRestored, Fetched, RecordedAt, RenewGroupInfo, Restored, Resupply, Sync, Synced,
};
use wire::{ConversationId, ErrorCode, Refusal, limits};

/// How long until what others may have given back by then is looked at again.
const LOOK_AGAIN_MS: u32 = 3_000;
/// A server that contradicts itself is asked again after so long.
const WAIT_MS: u32 = 300_000;

/// How far the server's log was compared with this device's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Comparison {
    /// Of the log now.
    generation: u32,
    /// Up to here the two are the same.
    same: u64,
    /// Up to here entries were looked at; beyond `same` only where this device remembers nothing to hold them against.
    seen: u64,
    /// The server's hash there.
    hash: EntryHash,
    /// The server's hash where it says that the log survived: of that place alone this device may remember nothing.
    base: EntryHash,
    /// The server's last entry.
    head: u64,
    /// Whether it takes back what is missing.
    held: bool,
    /// Of the last entry when the server was asked: its place and the server's hash.
    there: (u64, EntryHash),
    /// The device may not read the log from where it broke off: what it compares is proved by the server's last hash only.
    is_blind: bool,
}

impl Comparison {
    /// Up to where entries are looked at.
    fn limit(&self, row: &ConversationRow) -> u64 {
        if self.is_blind { self.there.0 } else { self.head.min(row.cursor) }
    }
}

impl Turn<'_> {
    /// Whether the server's log is of another generation than the one that this device follows.
    pub(crate) fn is_of_another_generation(&self, row: &ConversationRow) -> bool {
        use ConversationState::{Active, Claiming, Creating, Leaving, Repairing};
        let follows = matches!(row.state, Active | Claiming | Creating | Leaving | Repairing) && row.cursor > 0;
        follows && self.memory.heads.get(&row.id).is_some_and(|head| head.generation > row.generation)
    }

    /// Does what is next to bring this device and a log of another generation together.
    pub(crate) fn reconcile(&mut self, row: &ConversationRow) -> Result<(), Error> {
        let id = row.id;
        let Some(comparison) = self.memory.comparisons.get(&id).copied() else {
            self.request(Work::Restored(id), &FetchRestored { conversation: id, generation: row.generation });
            return Ok(());
        };
        if comparison.seen < row.begins {
            return self.wait_for_beginning(row, comparison);
        }
        if comparison.seen < comparison.limit(row) {
            let fetch = Fetch { conversation: id, after: comparison.seen, limit: limits::FETCH_MAX_ENTRIES };
            self.request(Work::Compare(id), &fetch);
            return Ok(());
        }
        if comparison.is_blind {
            return self.prove_beginning(row, comparison);
        }
        if comparison.seen == row.cursor && comparison.same == row.cursor {
            return self.all_is_back(row.clone(), comparison.generation);
        }
        if !comparison.held {
            return self.branch(row.clone(), comparison.generation, comparison.same, comparison.base);
        }
        self.supply(id, comparison)
    }

    /// What was before this device came in is not for it, neither to compare nor to give back: others have it.
    fn wait_for_beginning(&mut self, row: &ConversationRow, comparison: Comparison) -> Result<(), Error> {
        let (id, begins) = (row.id, row.begins);
        match raw::hash_at(self.db, id, begins)? {
            Some(hash) if comparison.head >= begins => {
                let comparison = Comparison { seen: begins, hash, is_blind: true, ..comparison };
                self.memory.comparisons.insert(id, comparison);
                self.reconcile(row)
            }
            _ if comparison.held => {
                self.look_again(id, LOOK_AGAIN_MS);
                Ok(())
            }
            _ => self.branch(row.clone(), comparison.generation, comparison.same, comparison.base),
        }
    }

    /// Whether what this device knew before is what the server has before: if so, the last hash is what comes of it.
    fn prove_beginning(&mut self, row: &ConversationRow, comparison: Comparison) -> Result<(), Error> {
        if comparison.hash != comparison.there.1 {
            return self.branch(row.clone(), comparison.generation, comparison.same, comparison.base);
        }
        let seen = comparison.seen.min(row.cursor);
        let hash = raw::hash_at(self.db, row.id, seen)?.unwrap_or(comparison.hash);
        let proved = Comparison { same: seen, seen, hash, is_blind: false, ..comparison };
        self.memory.comparisons.insert(row.id, proved);
        self.reconcile(row)
    }

    /// The server says up to where the log survived.
    pub(crate) fn restored(&mut self, id: ConversationId, restored: &Restored) -> Result<(), Error> {
        let mut row = self.conversation(id)?;
        let head = Cursor { conversation: id, generation: restored.generation, seq: restored.head };
        self.memory.heads.insert(id, head);
        if restored.generation <= row.generation {
            return Ok(());
        }
        self.ask_for_all_changes()?;
        archive::forget_archived(self.db, id)?;
        let (hash, known) = (EntryHash(restored.entry_hash), raw::hash_at(self.db, id, restored.seq)?);
        if known.is_some_and(|known| known != hash) {
            return self.contradicts(row);
        }
        if row.cursor <= restored.seq {
            // All that this device knows is there.
            row.generation = restored.generation;
            conversation::save(self.db, &row)?;
            self.memory.attention.insert(id);
            return Ok(());
        }
        let comparison = Comparison {
            generation: restored.generation,
            same: restored.seq,
            seen: restored.seq,
            hash,
            base: hash,
            head: restored.head,
            held: restored.held_ms.is_some(),
            there: (restored.head, EntryHash(restored.head_hash)),
            is_blind: false,
        };
        self.memory.comparisons.insert(id, comparison);
        self.memory.attention.insert(id);
        Ok(())
    }

    /// Entries of the server's log, to be held against this device's.
    pub(crate) fn compared(&mut self, id: ConversationId, fetched: &Fetched) -> Result<(), Error> {
        let (row, account) = (self.conversation(id)?, self.account()?);
        self.memory.attention.insert(id);
        let Some(mut comparison) = self.memory.comparisons.remove(&id) else { return Ok(()) };
        let (generation, base) = (comparison.generation, comparison.base);
        for entry in &fetched.entries {
            if entry.seq > comparison.limit(&row) {
                break;
            }
            let next = comparison.hash.then(account.tenant, id, entry);
            let known = raw::hash_at(self.db, id, entry.seq)?;
            if entry.seq != comparison.seen + 1 || known.is_some_and(|known| known != next) {
                // From here on it is another log, or its beginning is not to be had.
                return self.branch(row, generation, comparison.same, base);
            }
            (comparison.seen, comparison.hash) = (entry.seq, next);
            if known.is_some() && !comparison.is_blind {
                comparison.same = entry.seq;
            }
        }
        if fetched.entries.is_empty() {
            return self.branch(row, generation, comparison.same, base);
        }
        self.memory.comparisons.insert(id, Comparison { head: fetched.head, ..comparison });
        Ok(())
    }

    /// Gives back the entry after the server's last one, if it is at hand; else others may have it.
    fn supply(&mut self, id: ConversationId, comparison: Comparison) -> Result<(), Error> {
        match raw::find(self.db, id, comparison.seen + 1)? {
            Some((entry, tree)) if comparison.same == comparison.seen => {
                self.request(Work::Supply(id), &Resupply { conversation: id, entry, tree });
            }
            _ => self.look_again(id, LOOK_AGAIN_MS),
        }
        Ok(())
    }

    pub(crate) fn supplied(&mut self, id: ConversationId, at: &RecordedAt) -> Result<(), Error> {
        self.memory.attention.insert(id);
        let Some(mut comparison) = self.memory.comparisons.remove(&id) else { return Ok(()) };
        let hash = raw::hash_at(self.db, id, at.seq)?;
        if let Some(hash) = hash.filter(|_| at.seq == comparison.seen + 1) {
            (comparison.seen, comparison.same, comparison.hash) = (at.seq, at.seq, hash);
            comparison.head = comparison.head.max(at.seq);
            self.memory.comparisons.insert(id, comparison);
        }
        Ok(())
    }

    /// Somebody was faster, or the time is over, or the server does not take it: what is there now, it says itself.
    pub(crate) fn supply_refused(&mut self, id: ConversationId, refusal: &Refusal) {
        self.memory.comparisons.remove(&id);
        self.look_again(id, refusal.retry_after_ms.unwrap_or(LOOK_AGAIN_MS));
    }

    /// The server does not say what survived. It does not for good only when it takes this device for nobody's.
    pub(crate) fn restored_refused(&mut self, id: ConversationId, refusal: &Refusal) -> Result<(), Error> {
        self.memory.comparisons.remove(&id);
        if is_transient(refusal) {
            self.later(Work::Restored(id), refusal);
            return Ok(());
        }
        self.doubt(id);
        Ok(())
    }

    /// The server gives this device nothing of a conversation that it follows. Whether it takes it for a member, it says once
    /// more before that is believed.
    pub(crate) fn doubt(&mut self, id: ConversationId) {
        self.request(Work::Confirm(id), &Sync {});
    }

    pub(crate) fn confirmed(&mut self, id: ConversationId, synced: &Synced) -> Result<(), Error> {
        if synced.heads.iter().any(|head| head.conversation == id) {
            self.later(Work::Fetch(id), &Refusal::retry_after(ErrorCode::Internal, LOOK_AGAIN_MS));
            return Ok(());
        }
        self.not_known_there(id)
    }

    fn look_again(&mut self, id: ConversationId, pause_ms: u32) {
        self.memory.comparisons.remove(&id);
        self.later(Work::Restored(id), &Refusal::retry_after(ErrorCode::Restoring, pause_ms));
    }

    /// What was before the restore is another log than the one that this device has followed: this server has told two
    /// histories. Nothing of it is processed.
    fn contradicts(&mut self, mut row: ConversationRow) -> Result<(), Error> {
        if !row.forked {
            row.forked = true;
            conversation::save(self.db, &row)?;
            self.tell(Event::Forked(row.id));
        }
        self.tell(Event::GenerationChanged(row.id));
        self.look_again(row.id, WAIT_MS);
        Ok(())
    }

    /// Nothing that this device knew is missing any more.
    fn all_is_back(&mut self, row: ConversationRow, generation: u32) -> Result<(), Error> {
        let id = row.id;
        self.memory.comparisons.remove(&id);
        conversation::save(self.db, &ConversationRow { generation, ..row })?;
        self.memory.unacknowledged.insert(id);
        self.memory.attention.insert(id);
        self.request(Work::Missing(id), &FetchRestored { conversation: id, generation });
        Ok(())
    }

    /// The GroupInfo of an epoch that came back did not come back with it: this device makes another, if it is there.
    pub(crate) fn missing(&mut self, id: ConversationId, restored: &Restored) -> Result<(), Error> {
        let mut row = self.conversation(id)?;
        if restored.seq == row.cursor && restored.entry_hash != row.entry_hash.0 && !row.forked {
            // Somebody has given back something else in the place of what this device knows.
            row.forked = true;
            conversation::save(self.db, &row)?;
            self.tell(Event::Forked(id));
        }
        let is_there = row.state == ConversationState::Active && row.cursor == restored.head && row.branched == 0;
        if !restored.wants_group_info || !is_there {
            return Ok(());
        }
        self.epoch(&row)?;
        let Some(group) = self.memory.groups.get(&id) else { return Ok(()) };
        let made = self.rehearse(|device, _| Ok((group.group_info(device)?, WriteSet::default())))?;
        if let Ok((group_info, _)) = made {
            self.request(Work::RenewInfo(id), &RenewGroupInfo { conversation: id, group_info });
        }
        Ok(())
    }
}
