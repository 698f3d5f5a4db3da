//! Composing: what a person says goes into the outbox, with everything that it changes here, before anything leaves.

use crate::client::Client;
use crate::content::{Body, Content};
use crate::database::conversation::{self, ConversationRow};
use crate::database::message::{self, Place};
use crate::database::outbox::{self, OutboxKind};
use crate::database::{MessageRow, MessageState, archive, expiry, search};
use crate::settings;
use crate::turn::Turn;
use crate::{ConversationState, Error};
use wire::{ConversationId, MessageId, UnixMillis, limits};

/// Room for padding, framing and signature around a content.
pub(crate) const CONTENT_MAX_BYTES: usize = limits::PAYLOAD_MAX_BYTES - 4_096;

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

    /// Everything in the conversation was read. The others are told up to where, unless the person does not want it or they
    /// are more than a hundred. What expires after reading begins to.
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
                expiry::read(turn.db, row.id, read_up_to, now)?;
                let told = unread > 0 && settings::load(turn.db)?.receipts && !turn.is_large(&row)?;
                let is_member = !matches!(row.state, ConversationState::Left | ConversationState::Leaving);
                conversation::save(turn.db, &ConversationRow { read_up_to, ..row })?;
                if told && is_member {
                    turn.enqueue(conversation, &Content::new(Body::Receipt { read_up_to }, now))?;
                }
            }
            Ok(())
        })
    }
}

impl Turn<'_> {
    pub(crate) fn enqueue(&mut self, id: ConversationId, content: &Content) -> Result<MessageId, Error> {
        if let Body::Delete { target } = content.body
            && self.take_back_unsent(id, target)?
        {
            return Ok(target);
        }
        let message_id = self.compose(id, content)?;
        outbox::insert(self.db, id, OutboxKind::Message, message_id, None, None)?;
        self.memory.attention.insert(id);
        Ok(message_id)
    }

    /// Stores what a person says, as their own message that is not sent yet.
    pub(crate) fn compose(&mut self, id: ConversationId, content: &Content) -> Result<MessageId, Error> {
        let (account, row) = (self.account()?, self.conversation(id)?);
        if matches!(row.state, ConversationState::Left | ConversationState::Leaving) {
            return Err(Error::NotMember);
        }
        let content = &*self.timed(&row, content)?;
        let bytes = content.to_bytes();
        if bytes.len() > CONTENT_MAX_BYTES {
            return Err(Error::TooLarge);
        }
        if let Some(target) = content.body.target() {
            let target = message::find(self.db, id, target)?.filter(|target| target.state != MessageState::Expired);
            let target = target.ok_or(Error::UnknownMessage)?;
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
        self.store(&row, &message, content)?;
        self.memory.typing.ended(id);
        Ok(message_id)
    }

    /// Stores a message of this device or another, makes it searchable, notes when it expires, and carries out a deletion.
    pub(crate) fn store(
        &mut self,
        row: &ConversationRow,
        message: &MessageRow,
        content: &Content,
    ) -> Result<(), Error> {
        let (own, body) = (self.account()?.user, &content.body);
        let line = body.is_line() && !row.says_already(body);
        let place = Place { kind: body.kind(), line, target: body.target() };
        let id = message::insert(self.db, row, message, place)?;
        if let Some(words) = body.words() {
            search::index(self.db, id, words)?;
        }
        let is_own = message.author == Some(own);
        expiry::set(self.db, id, content.expiry, is_own && message.seq.is_some(), self.now)?;
        if !is_own && line && content.mentions.iter().any(|mention| mention.user == own) {
            message::set_naming(self.db, id)?;
        }
        match body {
            // What may still have to be sealed is wiped when the deletion, which goes after it, is recorded.
            Body::Delete { target } if message.state != MessageState::Pending => self.wipe(row, message, *target),
            _ => Ok(()),
        }
    }

    /// Wipes what a deletion takes back.
    pub(crate) fn wipe(
        &mut self,
        row: &ConversationRow,
        deletion: &MessageRow,
        target: MessageId,
    ) -> Result<(), Error> {
        if let Some(author) = deletion.author {
            self.unwant_file(row.id, deletion, target)?;
            archive::blank(self.db, row.id, target, author)?;
            self.memory.wiped |= expiry::wipe_deleted(self.db, row.id, target, author)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{CONVERSATION, live_in_conversation, reconnect, request};
    use wire::request::Send;

    #[test]
    fn what_is_too_large_or_unknown_is_not_queued() {
        let (_folder, mut client) = live_in_conversation();
        let target = MessageId::from_bytes([9; 16]);
        let large = Content::text("x".repeat(CONTENT_MAX_BYTES), 1);
        let blind = Content::new(Body::Delete { target }, 1);
        assert!(matches!(client.send(CONVERSATION, &large, 1), Err(Error::TooLarge)));
        assert!(matches!(client.send(CONVERSATION, &blind, 1), Err(Error::UnknownMessage)));
        let nowhere = ConversationId::from_bytes([9; 16]);
        assert!(matches!(client.send(nowhere, &Content::text("x", 1), 1), Err(Error::UnknownConversation)));
        assert_eq!(client.unsent().unwrap(), 0);
    }

    #[test]
    fn what_is_taken_back_before_it_was_sealed_still_goes_whole_and_is_wiped_then() {
        let (_folder, mut client) = live_in_conversation();
        client.handle_disconnected(2_000);
        let target = client.send(CONVERSATION, &Content::text("secret", 2_000), 2_000).unwrap();
        let deletion = Content::new(Body::Delete { target }, 2_000);
        client.send(CONVERSATION, &deletion, 2_000).unwrap();
        assert!(client.message(CONVERSATION, target).unwrap().unwrap().deleted);
        assert!(client.search("secret", 10).unwrap().is_empty());
        reconnect(&mut client, 3_000);
        for seq in 1..=2 {
            let kept = message::find(client.reader(), CONVERSATION, target).unwrap().unwrap().content;
            assert!(Content::from_bytes(&kept).is_ok(), "it can be sealed again until the deletion is recorded");
            let (id, _) = request::<Send>(&mut client);
            let recorded = wire::frame::answer(id, &wire::request::RecordedAt { seq, at: 3_000, generation: 0 });
            client.handle_frame(&recorded, 3_000).unwrap();
        }
        let kept = message::find(client.reader(), CONVERSATION, target).unwrap().unwrap().content;
        assert!(kept.is_empty());
    }

    #[test]
    fn what_another_device_has_taken_back_before_it_was_sealed_does_not_go() {
        let (_folder, mut client) = live_in_conversation();
        client.handle_disconnected(2_000);
        let target = client.send(CONVERSATION, &Content::text("secret", 2_000), 2_000).unwrap();
        client.send(CONVERSATION, &Content::text("next", 2_000), 2_000).unwrap();
        let own = client.account().unwrap().user;
        client
            .turn(2_500, |turn| Ok(crate::database::expiry::wipe_deleted(turn.db, CONVERSATION, target, own)?))
            .unwrap();
        reconnect(&mut client, 3_000);
        let (_, sent) = request::<Send>(&mut client);
        assert_ne!(sent.message_id, target);
        assert_eq!(client.unsent().unwrap(), 1);
        let state = message::find(client.reader(), CONVERSATION, target).unwrap().unwrap().state;
        assert_eq!(state, MessageState::Failed);
    }

    #[test]
    fn what_is_said_offline_is_durable_and_sealed_when_it_goes() {
        let (_folder, mut client) = live_in_conversation();
        client.handle_disconnected(2_000);
        client.send(CONVERSATION, &Content::text("later", 2_000), 2_000).unwrap();
        assert_eq!((client.poll_transmit(), client.unsent().unwrap()), (None, 1));
        let row = outbox::first(client.reader(), CONVERSATION).unwrap().unwrap();
        assert_eq!((row.parameters, row.epoch), (None, None));
        reconnect(&mut client, 3_000);
        request::<Send>(&mut client);
    }
}
