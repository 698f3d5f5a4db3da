//! Messages that expire. The content says how long it is to live; every device keeps the time for itself, by its own clock.

use crate::client::Client;
use crate::content::{Body, Content, Expiry};
use crate::database::conversation::ConversationRow;
use crate::database::expiry;
use crate::turn::Turn;
use crate::{Error, Event};
use std::borrow::Cow;
use wire::{ConversationId, MessageId, UnixMillis};

impl Client {
    /// Sets after how many seconds new messages of a conversation disappear, counted on every device from reading; 0: never.
    /// It is a message that every member sees, and any may send.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub fn set_timer(
        &mut self,
        conversation: ConversationId,
        seconds: u32,
        now: UnixMillis,
    ) -> Result<MessageId, Error> {
        self.send(conversation, &Content::new(Body::Timer { seconds }, now), now)
    }
}

impl Turn<'_> {
    /// What is to be sent, with the conversation's timer if it says nothing itself.
    pub(crate) fn timed<'c>(&self, row: &ConversationRow, content: &'c Content) -> Result<Cow<'c, Content>, Error> {
        if content.expiry.is_some() || !content.body.can_expire() {
            return Ok(Cow::Borrowed(content));
        }
        let expiry = Some(expiry::timer(self.db, row)?).filter(|seconds| *seconds > 0).map(Expiry::after_reading);
        Ok(Cow::Owned(Content { expiry, ..content.clone() }))
    }

    /// Wipes what has expired, also what did while nobody looked.
    pub(crate) fn expire(&mut self) -> Result<(), Error> {
        for conversation in expiry::wipe_expired(self.db, self.now)? {
            self.memory.wiped = true;
            self.tell(Event::Expired(conversation));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
