//! Receiving: entries of a log in order, each once, each checked against what others say that they saw.

use crate::content::{Body, Content, Plaintext, fold};
use crate::database::conversation::{self, ConversationRow};
use crate::database::message::{self, Place};
use crate::database::outbox::{self, OutboxKind, OutboxRow};
use crate::database::{MessageRow, MessageState};
use crate::session::Work;
use crate::turn::Turn;
use crate::{ConversationState, Error, Event};
use e2ee::{Committed, LeafView, Opened};
use trust::{Aad, EntryHash};
use wire::event::Recorded;
use wire::request::{Cursor, Fetched};
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
        let Some(mut row) = conversation::find(self.db, id)? else { return Ok(()) };
        let follows = entry.seq == row.cursor + 1 && recorded.generation == row.generation;
        // A fetch on its way brings this entry too: processing it twice is harmless, out of order it is not.
        if follows && is_followed(&row) && !self.memory.waiting.contains(&id) {
            self.process(&mut row, entry)?;
        }
        Ok(())
    }

    pub(crate) fn fetched(&mut self, id: ConversationId, fetched: Fetched) -> Result<(), Error> {
        let mut row = self.conversation(id)?;
        let head = Cursor { conversation: id, generation: fetched.generation, seq: fetched.head };
        self.memory.heads.insert(id, head);
        if row.cursor == 0 {
            row.generation = fetched.generation;
        }
        if fetched.generation != row.generation {
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
        } else if fetched.head > row.cursor {
            self.later(Work::Fetch(id), &Refusal::retry_after(wire::ErrorCode::Internal, 2_000));
        }
        Ok(())
    }

    /// Processes the entry that follows the cursor. Everything that comes of it is in this transaction.
    pub(crate) fn process(&mut self, row: &mut ConversationRow, entry: &Entry) -> Result<Step, Error> {
        let account = self.account()?;
        let step =
            if entry.sender == account.device { self.process_own(row, entry) } else { self.process_other(row, entry) };
        if step? == Step::Wait {
            return Ok(Step::Wait);
        }
        row.entry_hash = row.entry_hash.then(account.tenant, row.id, row.generation, entry);
        row.cursor = entry.seq;
        conversation::save(self.db, row)?;
        conversation::remember_hash(self.db, row)?;
        self.memory.unacknowledged.insert(row.id);
        self.memory.attention.insert(row.id);
        Ok(Step::Done)
    }

    /// An entry of this device: it is recognised by its id, and never decrypted. One that this device did not send means
    /// that its state was copied or restored (or that the server lies): the leaf is replaced.
    fn process_own(&mut self, row: &mut ConversationRow, entry: &Entry) -> Result<Step, Error> {
        let unsent = outbox::find(self.db, row.id, entry.message_id)?;
        match unsent.as_ref().map(|unsent| unsent.kind) {
            Some(OutboxKind::Message) => self.own_message_recorded(row, entry)?,
            Some(OutboxKind::Add | OutboxKind::Wish) => {
                outbox::delete(self.db, row.id, entry.message_id)?;
                self.own_commit_recorded(row, entry, unsent.as_ref())?;
            }
            Some(OutboxKind::Propose) => {
                outbox::delete(self.db, row.id, entry.message_id)?;
                row.state = ConversationState::Leaving;
                self.tell(Event::ConversationChanged(row.id));
            }
            Some(OutboxKind::Rejoin) => {
                outbox::delete(self.db, row.id, entry.message_id)?;
                self.memory.gaps.remove(&row.id);
                self.becomes_active(row);
                self.tell(Event::Repaired(row.id));
            }
            _ if message::find(self.db, row.id, entry.message_id)?
                .is_some_and(|message| message.seq == Some(entry.seq)) => {}
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
                self.becomes_active(row);
                self.note_commit(row, entry, &commit, &admins)?;
                match unsent.filter(|unsent| unsent.kind == OutboxKind::Wish) {
                    Some(wish) => self.wish_recorded(row, wish, &commit),
                    None => Ok(()),
                }
            }
            Err(refused) => self.lost(row, entry, &refused.to_string(), true),
        }
    }

    fn becomes_active(&mut self, row: &mut ConversationRow) {
        if row.state != ConversationState::Active {
            row.state = ConversationState::Active;
            self.tell(Event::ConversationChanged(row.id));
        }
    }

    fn process_other(&mut self, row: &mut ConversationRow, entry: &Entry) -> Result<Step, Error> {
        if outbox::find_kind(self.db, row.id, OutboxKind::Rejoin)?.is_some() {
            // The stored group is already the one after the rejoin; this entry is from before it.
            self.lost(row, entry, "it was sent while this device was rejoining", false)?;
            return Ok(Step::Done);
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
            Err(refused) => self.lost(row, entry, &refused.to_string(), entry.kind == EntryKind::Commit)?,
        }
        Ok(Step::Done)
    }

    fn follow(&mut self, row: &mut ConversationRow, commit: &Committed) -> Result<(), Error> {
        if commit.self_removed {
            return self.leave(row);
        }
        if row.state == ConversationState::Leaving {
            // The commit was made before its author saw the proposal, which ended with the epoch.
            row.state = ConversationState::Active;
            self.wish_to_leave(row.id)?;
        }
        self.tell(Event::ConversationChanged(row.id));
        Ok(())
    }

    /// What the sender had seen must be what this device has seen, as far back as it remembers.
    fn check_seen(&mut self, row: &mut ConversationRow, aad: &Aad) -> Result<(), Error> {
        let known = match aad.seen_seq {
            0 if row.begins == 0 => Some(EntryHash::GENESIS),
            seq => conversation::hash_at(self.db, row, seq)?,
        };
        let differs = known.is_some_and(|known| known.0 != aad.seen_hash) || aad.seen_seq > row.cursor;
        if differs && !row.forked {
            row.forked = true;
            self.tell(Event::Forked(row.id));
        }
        Ok(())
    }

    /// Takes a message apart, checks that its author may say that, and stores it either way.
    fn receive(
        &mut self,
        row: &mut ConversationRow,
        entry: &Entry,
        sender: &LeafView,
        aad: &Aad,
        plaintext: &[u8],
    ) -> Result<(), Error> {
        let mut message = MessageRow {
            seq: Some(entry.seq),
            message_id: Some(entry.message_id),
            author: Some(sender.identity.user),
            device: sender.identity.device,
            at: entry.at,
            state: MessageState::Recorded,
            content: Vec::new(),
            reason: None,
        };
        let (body, reason) = match Plaintext::unwrap_checked(plaintext, &aad.commitment) {
            Ok(bytes) => match Content::from_bytes(&bytes) {
                Ok(content) => {
                    message.content = bytes;
                    let reason = self.objection(row, &message, &content.body)?;
                    (content.body, reason)
                }
                Err(malformed) => (unreadable(), Some(malformed.to_string())),
            },
            Err(refused) => (unreadable(), Some(refused.to_string())),
        };
        if let Some(reason) = reason {
            let id =
                if message::find(self.db, row.id, entry.message_id)?.is_some() { None } else { message.message_id };
            message = MessageRow { state: MessageState::Refused, reason: Some(reason), message_id: id, ..message };
            let place = Place { kind: body.kind(), line: true, target: None };
            message::insert(self.db, row, &message, place)?;
            self.tell(Event::Line { conversation: row.id, line: fold(&message, &[]) });
            return Ok(());
        }
        self.store(row, &message, &body)?;
        self.take_effect(row, &message, &body)
    }

    /// Why a message is not what its author may say, if it is not.
    fn objection(&self, row: &ConversationRow, message: &MessageRow, body: &Body) -> Result<Option<String>, Error> {
        let Some(id) = message.message_id else { return Ok(None) };
        if message::find(self.db, row.id, id)?.is_some() {
            return Ok(Some("its id is already another message's".into()));
        }
        if let Body::Edit { target, .. } | Body::Delete { target } = body {
            let author = message::find(self.db, row.id, *target)?.and_then(|target| target.author);
            if author != message.author {
                return Ok(Some("it would change a message of somebody else".into()));
            }
        }
        Ok(None)
    }

    fn take_effect(&mut self, row: &mut ConversationRow, message: &MessageRow, body: &Body) -> Result<(), Error> {
        if let (Body::Receipt { read_up_to }, Some(author)) = (body, message.author) {
            conversation::save_receipt(self.db, row.id, author, (*read_up_to).min(row.cursor))?;
            self.tell(Event::ConversationChanged(row.id));
        }
        let repeated = row.says_already(body);
        row.take_title(body);
        if body.is_line() && !repeated {
            self.tell(Event::Line { conversation: row.id, line: fold(message, &[]) });
        } else if let Some(target) = body.target() {
            self.tell_line(row.id, target)?;
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
        if row.state == ConversationState::Active && (hard || !recently) {
            row.state = ConversationState::Repairing;
            row.repaired_at = Some(self.now);
            self.tell(Event::ConversationChanged(row.id));
        }
        Ok(())
    }
}

const fn is_followed(row: &ConversationRow) -> bool {
    use ConversationState::{Active, Creating, Leaving, Repairing};
    matches!(row.state, Creating | Active | Repairing | Leaving)
}

fn unreadable() -> Body {
    Body::Unknown(crate::content::Unknown { kind: 0, bytes: Vec::new() })
}
