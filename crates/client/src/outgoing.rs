//! Sending: a message is durable in the outbox first, is sealed when its turn comes, and stays until its outcome is known.

use crate::content::Plaintext;
use crate::database::conversation::ConversationRow;
use crate::database::message;
use crate::database::outbox::{self, OutboxKind, OutboxRow};
use crate::session::Work;
use crate::turn::Turn;
use crate::{ConversationState, Error, Event};
use e2ee::Proposed;
use trust::Kind;
use wire::request::{AcceptWelcome, ClaimedKeyPackages, Commit, CreateConversation, Cursor, Send};
use wire::{ConversationId, MessageId};

impl Turn<'_> {
    /// Sends what is first in a conversation's outbox.
    pub(crate) fn deliver(&mut self, row: ConversationRow) -> Result<(), Error> {
        let Some(unsent) = outbox::first(self.db, row.id)? else { return Ok(()) };
        if !self.may_deliver(&row, &unsent)? {
            return Ok(());
        }
        match unsent.kind {
            OutboxKind::Accept => self.transmit::<AcceptWelcome>(&unsent),
            OutboxKind::Create => self.transmit::<CreateConversation>(&unsent),
            OutboxKind::Rejoin => self.transmit::<Commit>(&unsent),
            OutboxKind::Add => self.deliver_commit(row, unsent),
            OutboxKind::Message => self.deliver_message(row, unsent),
            OutboxKind::Wish | OutboxKind::Upkeep => self.deliver_wish(row, unsent),
            OutboxKind::Propose => self.deliver_proposal(row, &unsent),
            OutboxKind::Succeed => self.deliver_succession(row, unsent),
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
        if message.content.is_empty() {
            // Another device of this person was faster with taking it back: it is wiped here, and there is nothing to send.
            outbox::delete(self.db, row.id, unsent.message_id)?;
            self.fail(row.id, unsent.message_id, "it was taken back before it was sent")?;
            return self.deliver(row);
        }
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
        if unsent.input.is_none() && row.renew_at.is_some() && !self.has_leavers(&row)? {
            // No renewal is due, and another member has carried out what the leavers proposed.
            outbox::delete(self.db, row.id, unsent.message_id)?;
            return self.deliver(row);
        }
        let is_claim = row.state == ConversationState::Creating && row.kind == Kind::Direct && row.cursor > 0;
        if is_claim && self.is_complete(&row)? {
            return self.is_claimed(row);
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
