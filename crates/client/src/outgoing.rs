//! Sending: a message is durable in the outbox first, is sealed when its turn comes, and stays until its outcome is known.

use crate::client::Client;
use crate::content::{Body, Content, Plaintext};
use crate::database::conversation::{self, ConversationRow};
use crate::database::message::{self, Place};
use crate::database::outbox::{self, OutboxKind, OutboxRow};
use crate::database::{MessageRow, MessageState, search};
use crate::session::Work;
use crate::turn::{Turn, is_transient};
use crate::{ConversationState, Error, Event};
use e2ee::Proposed;
use wire::request::{AcceptWelcome, ClaimedKeyPackages, Commit, CreateConversation, Cursor, Propose, RecordedAt, Send};
use wire::{ConversationId, Entry, EntryKind, ErrorCode, MessageId, Refusal, UnixMillis, limits};

/// Room for padding, framing and signature around a content.
const CONTENT_MAX_BYTES: usize = limits::PAYLOAD_MAX_BYTES - 4_096;
/// After so many refusals for a stale epoch without news, the group here is not the group there.
const STALE_MAX: u32 = 3;

impl Client {
    /// Puts a message into the outbox, and sends it when that is possible. It is durable when this returns.
    ///
    /// # Errors
    /// [`Error::UnknownConversation`], [`Error::NotMember`], [`Error::TooLarge`]; for a change to an earlier message
    /// [`Error::UnknownMessage`], [`Error::NotAuthor`].
    pub fn send(
        &mut self,
        conversation: ConversationId,
        content: &Content,
        now: UnixMillis,
    ) -> Result<MessageId, Error> {
        self.account()?;
        self.turn(now, |turn| turn.enqueue(conversation, content))
    }

    /// Everything in the conversation was read. The others are told up to where.
    ///
    /// # Errors
    /// [`Error::UnknownConversation`], [`Error::Database`].
    pub fn mark_read(&mut self, conversation: ConversationId, now: UnixMillis) -> Result<(), Error> {
        self.account()?;
        self.turn(now, |turn| {
            let row = turn.conversation(conversation)?;
            if row.read_up_to < row.cursor {
                let unread = message::unread(turn.db, &row, turn.account()?.user)?;
                let read_up_to = row.cursor;
                let is_member = !matches!(row.state, ConversationState::Left | ConversationState::Leaving);
                conversation::save(turn.db, &ConversationRow { read_up_to, ..row })?;
                if unread > 0 && is_member {
                    turn.enqueue(conversation, &Content::new(Body::Receipt { read_up_to }, now))?;
                }
            }
            Ok(())
        })
    }
}

impl Turn<'_> {
    pub(crate) fn enqueue(&mut self, id: ConversationId, content: &Content) -> Result<MessageId, Error> {
        let (account, row) = (self.account()?, self.conversation(id)?);
        if matches!(row.state, ConversationState::Left | ConversationState::Leaving) {
            return Err(Error::NotMember);
        }
        let bytes = content.to_bytes();
        if bytes.len() > CONTENT_MAX_BYTES {
            return Err(Error::TooLarge);
        }
        if let Some(target) = content.body.target() {
            let target = message::find(self.db, id, target)?.ok_or(Error::UnknownMessage)?;
            let is_change = matches!(content.body, Body::Edit { .. } | Body::Delete { .. });
            if is_change && target.author != Some(account.user) {
                return Err(Error::NotAuthor);
            }
        }
        let message_id = MessageId::from_bytes(self.entropy.array());
        let message = MessageRow {
            seq: None,
            message_id: Some(message_id),
            author: Some(account.user),
            device: account.device,
            at: self.now,
            state: MessageState::Pending,
            content: bytes,
            reason: None,
        };
        self.store(&row, &message, &content.body)?;
        outbox::insert(self.db, id, OutboxKind::Message, message_id, None, None)?;
        self.memory.attention.insert(id);
        Ok(message_id)
    }

    /// Stores a message of this device or another, makes it searchable, and carries out a deletion.
    pub(crate) fn store(&mut self, row: &ConversationRow, message: &MessageRow, body: &Body) -> Result<(), Error> {
        let line = body.is_line() && !row.says_already(body);
        let place = Place { kind: body.kind(), line, target: body.target() };
        let id = message::insert(self.db, row, message, place)?;
        if let Some(words) = body.words() {
            search::index(self.db, id, words)?;
        }
        if let (Body::Delete { target }, Some(author)) = (body, message.author) {
            for wiped in message::wipe(self.db, row.id, *target, author)? {
                search::remove(self.db, wiped)?;
            }
        }
        Ok(())
    }

    /// Sends what is first in a conversation's outbox.
    pub(crate) fn deliver(&mut self, row: ConversationRow) -> Result<(), Error> {
        let Some(unsent) = outbox::first(self.db, row.id)? else { return Ok(()) };
        match unsent.kind {
            OutboxKind::Accept => self.transmit::<AcceptWelcome>(&unsent),
            OutboxKind::Create => self.transmit::<CreateConversation>(&unsent),
            OutboxKind::Rejoin => self.transmit::<Commit>(&unsent),
            OutboxKind::Add => self.deliver_commit(row, unsent),
            OutboxKind::Message => self.deliver_message(row, unsent),
            OutboxKind::Wish => self.deliver_wish(row, unsent),
            OutboxKind::Propose => self.deliver_proposal(row, &unsent),
        }
    }

    pub(crate) fn transmit<O: wire::Operation>(&mut self, unsent: &OutboxRow) -> Result<(), Error> {
        let parameters = unsent.parameters.as_deref().unwrap_or_default();
        let operation: O = wire::decode(parameters).map_err(|_| Error::Database(crate::DatabaseError::Damaged))?;
        self.request(Work::Outbox(unsent.conversation, unsent.message_id), &operation);
        Ok(())
    }

    /// Sealed for the current epoch, it is sent as it is; else it is sealed now, under the same message id.
    fn deliver_message(&mut self, row: ConversationRow, unsent: OutboxRow) -> Result<(), Error> {
        let epoch = self.epoch(&row)?;
        if unsent.parameters.is_some() && unsent.epoch == epoch {
            return self.transmit::<Send>(&unsent);
        }
        let message = message::find(self.db, row.id, unsent.message_id)?.ok_or(Error::UnknownMessage)?;
        let plaintext = Plaintext::wrap(&message.content, self.entropy);
        let aad = Self::aad(&row, unsent.message_id, plaintext.commitment());
        let sealed = self.change(&row, |group, device, _| group.seal(device, &aad, &plaintext.to_bytes()))?;
        match (sealed, epoch) {
            (Ok(payload), Some(epoch)) => {
                let send = Send { conversation: row.id, epoch, message_id: unsent.message_id, payload };
                outbox::set_sealed(self.db, unsent.id, Some(&wire::encode(&send)), Some(epoch))?;
                self.request(Work::Outbox(row.id, unsent.message_id), &send);
                Ok(())
            }
            (Err(e2ee::Error::ProposalsPending), _) => {
                self.carry_out_leaving(row.id)?;
                self.deliver(row)
            }
            (Err(e2ee::Error::TooLarge), _) => {
                outbox::delete(self.db, row.id, unsent.message_id)?;
                self.memory.attention.insert(row.id);
                self.fail(row.id, unsent.message_id, "the message is too large")
            }
            _ => self.start_repair(row),
        }
    }

    fn deliver_commit(&mut self, row: ConversationRow, unsent: OutboxRow) -> Result<(), Error> {
        let epoch = self.epoch(&row)?;
        if unsent.parameters.is_some() && unsent.epoch == epoch {
            return self.transmit::<Commit>(&unsent);
        }
        if unsent.input.is_none() && !self.has_leavers(&row)? {
            // Another member has carried it out.
            outbox::delete(self.db, row.id, unsent.message_id)?;
            return self.deliver(row);
        }
        let claimed = unsent.input.as_deref().map(wire::decode::<ClaimedKeyPackages>).transpose();
        let claimed = claimed.map_err(|_| Error::Database(crate::DatabaseError::Damaged))?;
        let add = claimed.map_or_else(Vec::new, |claimed| claimed.packages.into_iter().map(|p| p.bytes).collect());
        match self.make_commit(&row, &unsent, &Proposed { add, ..Proposed::default() })? {
            Ok(()) => Ok(()),
            Err(e2ee::Error::NeedsIdentities(users)) => {
                self.wait_for(row.id, users);
                Ok(())
            }
            Err(e2ee::Error::Refused(_)) if row.state == ConversationState::Creating => self.claim_again(row),
            Err(_) => self.start_repair(row),
        }
    }

    /// Makes the commit of an outbox row in the current epoch, keeps it and sends it. What MLS refuses is the inner error.
    pub(crate) fn make_commit(
        &mut self,
        row: &ConversationRow,
        unsent: &OutboxRow,
        proposed: &Proposed,
    ) -> Result<Result<(), e2ee::Error>, Error> {
        let (aad, now) = (Self::aad(row, unsent.message_id, [0; 32]), self.now);
        let Some(epoch) = self.epoch(row)? else { return Ok(Err(e2ee::Error::NotMember)) };
        self.change(row, |group, device, _| group.discard_pending(device))??;
        let pending = self.change(row, |group, device, vouch| group.commit(device, proposed, &aad, now, vouch))?;
        Ok(match pending {
            Ok(e2ee::Pending { commit, group_info, welcome }) => {
                let (conversation, message_id) = (row.id, unsent.message_id);
                let commit = Commit { conversation, message_id, commit, group_info, welcome };
                outbox::set_sealed(self.db, unsent.id, Some(&wire::encode(&commit)), Some(epoch))?;
                self.request(Work::Outbox(conversation, message_id), &commit);
                Ok(())
            }
            Err(refused) => Err(refused),
        })
    }

    /// The server has it. What was recorded is known to the last byte, so that it is processed as if it had come back.
    pub(crate) fn delivered(&mut self, id: ConversationId, message_id: MessageId, body: &[u8]) -> Result<(), Error> {
        let Some(unsent) = outbox::find(self.db, id, message_id)? else { return Ok(()) };
        let (kind, payload) = match unsent.kind {
            OutboxKind::Accept | OutboxKind::Create => {
                outbox::delete(self.db, id, message_id)?;
                return Ok(());
            }
            OutboxKind::Propose => {
                (EntryKind::Proposal, parameters::<Propose>(&unsent).map(|propose| propose.payload)?)
            }
            OutboxKind::Add | OutboxKind::Rejoin | OutboxKind::Wish => {
                (EntryKind::Commit, parameters::<Commit>(&unsent).map(|commit| commit.commit)?)
            }
            OutboxKind::Message => (EntryKind::Application, parameters::<Send>(&unsent).map(|send| send.payload)?),
        };
        let recorded: RecordedAt = Self::decoded::<Send>(body)?;
        let (account, mut row) = (self.account()?, self.conversation(id)?);
        self.memory.stale.remove(&id);
        self.notice_head(Cursor { conversation: id, generation: recorded.generation, seq: recorded.seq });
        let is_next = recorded.seq == row.cursor + 1 && (row.cursor == 0 || recorded.generation == row.generation);
        if is_next {
            row.generation = recorded.generation;
            let (epoch, sender) = (unsent.epoch.unwrap_or_default(), account.device);
            let entry = Entry { seq: recorded.seq, kind, epoch, sender, message_id, at: recorded.at, payload };
            self.process(&mut row, &entry)?;
        }
        Ok(())
    }

    /// The server has it not.
    pub(crate) fn undelivered(
        &mut self,
        id: ConversationId,
        message_id: MessageId,
        refusal: &Refusal,
    ) -> Result<(), Error> {
        let Some(unsent) = outbox::find(self.db, id, message_id)? else { return Ok(()) };
        let row = self.conversation(id)?;
        let code = refusal.code();
        if matches!(code, Some(ErrorCode::StaleEpoch | ErrorCode::EpochTaken)) {
            return self.catch_up_first(row, &unsent);
        }
        match unsent.kind {
            OutboxKind::Rejoin => {
                outbox::delete(self.db, id, message_id)?;
                self.later(Work::GroupInfo(id), refusal);
                Ok(())
            }
            _ if is_transient(refusal) => {
                self.later(Work::Outbox(id, message_id), refusal);
                Ok(())
            }
            OutboxKind::Create if code == Some(ErrorCode::AlreadyExists) => self.supersede(row),
            OutboxKind::Add if row.state == ConversationState::Creating => {
                self.change(&row, |group, device, _| group.discard_pending(device))??;
                self.claim_again(row)
            }
            OutboxKind::Message => {
                outbox::delete(self.db, id, message_id)?;
                self.fail(id, message_id, &refusal.to_string())
            }
            OutboxKind::Add => {
                outbox::delete(self.db, id, message_id)?;
                self.start_repair(row)
            }
            OutboxKind::Wish | OutboxKind::Propose => self.give_up(row, &unsent, &refusal.to_string()),
            // The Welcome is gone, or the conversation cannot be made here: what waits behind it says so in time.
            OutboxKind::Accept | OutboxKind::Create => {
                outbox::delete(self.db, id, message_id)?;
                Ok(())
            }
        }
    }

    /// Another commit came first: it is processed, then this is made again under the same id.
    fn catch_up_first(&mut self, row: ConversationRow, unsent: &OutboxRow) -> Result<(), Error> {
        if unsent.kind == OutboxKind::Rejoin {
            outbox::delete(self.db, row.id, unsent.message_id)?;
        } else {
            outbox::set_sealed(self.db, unsent.id, None, None)?;
        }
        let stale = self.memory.stale.entry(row.id).or_default();
        *stale += 1;
        if *stale > STALE_MAX && row.state != ConversationState::Repairing {
            self.memory.stale.remove(&row.id);
            return self.start_repair(row);
        }
        self.notice_head(Cursor { conversation: row.id, generation: row.generation, seq: row.cursor + 1 });
        Ok(())
    }

    /// The message of this device with this id is in the log.
    pub(crate) fn own_message_recorded(&mut self, row: &mut ConversationRow, entry: &Entry) -> Result<(), Error> {
        outbox::delete(self.db, row.id, entry.message_id)?;
        if message::set_recorded(self.db, row, entry.message_id, entry.seq, entry.at)? {
            self.tell(Event::Sent { conversation: row.id, message: entry.message_id, seq: entry.seq });
        }
        let message = message::find(self.db, row.id, entry.message_id)?;
        if let Some(content) = message.and_then(|message| Content::from_bytes(&message.content).ok()) {
            row.take_title(&content.body);
        }
        Ok(())
    }

    /// The log goes at least this far.
    pub(crate) fn notice_head(&mut self, head: Cursor) {
        let known = self.memory.heads.entry(head.conversation).or_insert(head);
        if (head.generation, head.seq) > (known.generation, known.seq) {
            *known = head;
        }
        self.memory.attention.insert(head.conversation);
    }

    /// Tells what a line says now.
    pub(crate) fn tell_line(&mut self, id: ConversationId, line: MessageId) -> Result<(), Error> {
        if let Some(message) = message::find(self.db, id, line)? {
            let line = crate::content::fold(&message, &message::changes(self.db, id, line)?);
            self.tell(Event::LineChanged { conversation: id, line });
        }
        Ok(())
    }
}

fn parameters<O: wire::Operation>(unsent: &OutboxRow) -> Result<O, Error> {
    wire::decode(unsent.parameters.as_deref().unwrap_or_default())
        .map_err(|_| Error::Protocol("an answer to what was not sent"))
}
