//! What became of what was sent: it is recorded, or refused, for now or for good.

use crate::content::{Body, Content};
use crate::database::conversation::{self, ConversationRow};
use crate::database::outbox::{self, OutboxKind, OutboxRow};
use crate::database::{expiry, message};
use crate::session::Work;
use crate::turn::{Turn, is_transient};
use crate::{ConversationState, Error, Event};
use wire::request::{Commit, Cursor, Propose, RecordedAt, Send, Succeed};
use wire::{ConversationId, Entry, EntryKind, ErrorCode, MessageId, Refusal};

/// After so many refusals for a stale epoch without news, the group here is not the group there.
const STALE_MAX: u32 = 3;

impl Turn<'_> {
    /// The server has it. What was recorded is known to the last byte, so that it is processed as if it had come back.
    pub(crate) fn delivered(&mut self, id: ConversationId, message_id: MessageId, body: &[u8]) -> Result<(), Error> {
        let Some(unsent) = outbox::find(self.db, id, message_id)? else { return Ok(()) };
        if unsent.kind == OutboxKind::Rejoin && self.conversation(id)?.state == ConversationState::Joining {
            return self.entered(&unsent);
        }
        let (kind, payload) = match unsent.kind {
            OutboxKind::Accept | OutboxKind::Create => {
                outbox::delete(self.db, id, message_id)?;
                return Ok(());
            }
            OutboxKind::Propose => {
                (EntryKind::Proposal, parameters::<Propose>(&unsent).map(|propose| propose.payload)?)
            }
            OutboxKind::Add | OutboxKind::Rejoin | OutboxKind::Wish | OutboxKind::Upkeep => {
                (EntryKind::Commit, parameters::<Commit>(&unsent).map(|commit| commit.commit)?)
            }
            OutboxKind::Succeed => {
                (EntryKind::Succession, parameters::<Succeed>(&unsent).map(|succeed| succeed.group_info)?)
            }
            OutboxKind::Message => (EntryKind::Application, parameters::<Send>(&unsent).map(|send| send.payload)?),
        };
        let recorded: RecordedAt = Self::decoded::<Send>(body)?;
        let (account, mut row) = (self.account()?, self.conversation(id)?);
        self.memory.stale.remove(&id);
        self.notice_head(Cursor { conversation: id, generation: recorded.generation, seq: recorded.seq });
        if recorded.generation <= row.generation && recorded.seq <= row.cursor {
            return self.contradicted(row, &unsent);
        }
        let has_gap = row.branched != 0 || self.memory.gaps.contains(&id);
        let is_after_gap = recorded.seq > row.cursor + 1 && has_gap;
        if unsent.kind == OutboxKind::Rejoin && is_after_gap {
            return self.rejoined_after_gap(row, &unsent);
        }
        let is_next = recorded.seq == row.cursor + 1 && (row.cursor == 0 || recorded.generation == row.generation);
        if is_next {
            row.generation = recorded.generation;
            let (epoch, sender) = (unsent.epoch.unwrap_or_default(), account.device);
            let (seq, at, generation) = (recorded.seq, recorded.at, recorded.generation);
            let entry = Entry { seq, kind, epoch, sender, message_id, at, payload, generation };
            self.process(&mut row, &entry)?;
        }
        Ok(())
    }

    /// The server says that it recorded something at a place where this device has seen another entry. It has told two
    /// histories; asking again would go on for ever.
    fn contradicted(&mut self, mut row: ConversationRow, unsent: &OutboxRow) -> Result<(), Error> {
        if !row.forked {
            row.forked = true;
            self.tell(Event::Forked(row.id));
        }
        outbox::delete(self.db, row.id, unsent.message_id)?;
        match unsent.kind {
            OutboxKind::Message => {
                self.fail(row.id, unsent.message_id, "the server puts it where another entry is")?;
                conversation::save(self.db, &row)?;
                self.memory.attention.insert(row.id);
                Ok(())
            }
            OutboxKind::Rejoin => {
                self.rejoined(&mut row, Some(unsent))?;
                self.goes_on(&mut row)?;
                conversation::save(self.db, &row)?;
                self.memory.attention.insert(row.id);
                Ok(())
            }
            _ => self.start_repair(row),
        }
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
        if code == Some(ErrorCode::Restoring) {
            // Nothing is wrong with it: it waits, as it is.
            self.later(Work::Outbox(id, message_id), refusal);
            return Ok(());
        }
        if unsent.kind == OutboxKind::Rejoin && row.state == ConversationState::Joining {
            return self.enter_again(row, &unsent, refusal);
        }
        if unsent.kind == OutboxKind::Succeed {
            return self.group_refused(&row, &unsent, refusal);
        }
        if matches!(code, Some(ErrorCode::StaleEpoch | ErrorCode::EpochTaken)) {
            return self.catch_up_first(row, &unsent);
        }
        match unsent.kind {
            OutboxKind::Rejoin => {
                outbox::delete(self.db, id, message_id)?;
                self.rejoin_failed(id);
                self.later(Work::GroupInfo(id), refusal);
                Ok(())
            }
            _ if is_transient(refusal) => {
                self.later(Work::Outbox(id, message_id), refusal);
                Ok(())
            }
            OutboxKind::Create if code == Some(ErrorCode::AlreadyExists) => match taken_by(refusal) {
                Some(other) if other != id => self.supersede(row, other),
                _ => self.reclaim(row),
            },
            OutboxKind::Create if code == Some(ErrorCode::UnsupportedSuite) => self.create_anew(row),
            OutboxKind::Add if is_about_packages(&row, refusal) => {
                self.change(&row, |group, device, _| group.discard_pending(device))??;
                self.claim_again(row)
            }
            // Claiming again and again would use up the other person's packages for nothing.
            OutboxKind::Create | OutboxKind::Add if row.state == ConversationState::Creating => {
                let mut row = row;
                self.leave(&mut row)?;
                Ok(conversation::save(self.db, &row)?)
            }
            OutboxKind::Message => {
                outbox::delete(self.db, id, message_id)?;
                self.fail(id, message_id, &refusal.to_string())
            }
            OutboxKind::Add => {
                outbox::delete(self.db, id, message_id)?;
                self.start_repair(row)
            }
            OutboxKind::Wish | OutboxKind::Propose | OutboxKind::Upkeep => {
                self.give_up(row, &unsent, &refusal.to_string())
            }
            OutboxKind::Succeed => Ok(()),
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
        let Some(message) = message::find(self.db, row.id, entry.message_id)? else { return Ok(()) };
        let Ok(content) = Content::from_bytes(&message.content) else { return Ok(()) };
        row.take_title(&content.body);
        expiry::recorded(self.db, row.id, entry.message_id, self.now)?;
        if let Some(target) = content.body.target()
            && self.is_about_expired(row, &content.body).is_ok_and(|is| is)
        {
            expiry::wipe_changes(self.db, row.id, target)?;
        }
        match content.body {
            Body::ArchiveKey(key) if row.id == self.own_group()? => self.take_shared_key(&key),
            Body::Delete { target } => self.wipe(row, &message, target),
            _ => Ok(()),
        }
    }
}

fn is_about_packages(row: &ConversationRow, refusal: &Refusal) -> bool {
    let packages = [ErrorCode::InvalidKeyPackage, ErrorCode::InvalidCommit];
    row.state == ConversationState::Creating && refusal.code().is_some_and(|code| packages.contains(&code))
}

/// The direct conversation that the two have already, if that is why there cannot be another.
fn taken_by(refusal: &Refusal) -> Option<ConversationId> {
    refusal.detail.as_deref().and_then(|detail| detail.parse().ok())
}

/// Whether what was recorded is, to the last byte, what this device has sealed.
pub(crate) fn is_sealed_as(unsent: &OutboxRow, payload: &[u8]) -> bool {
    let sealed = match unsent.kind {
        OutboxKind::Message => parameters::<Send>(unsent).map(|send| send.payload),
        OutboxKind::Propose => parameters::<Propose>(unsent).map(|propose| propose.payload),
        _ => parameters::<Commit>(unsent).map(|commit| commit.commit),
    };
    sealed.is_ok_and(|sealed| sealed == payload)
}

fn parameters<O: wire::Operation>(unsent: &OutboxRow) -> Result<O, Error> {
    wire::decode(unsent.parameters.as_deref().unwrap_or_default())
        .map_err(|_| Error::Protocol("an answer to what was not sent"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Content;
    use crate::testing::{CONVERSATION, live_in_conversation, reconnect, request};
    use crate::{Client, MessageState};
    use wire::frame;
    use wire::request::{Acknowledge, Fetch, FetchGroupInfo, Fetched};

    fn say(client: &mut Client, words: &str, now: u64) -> (MessageId, u32, Send) {
        let id = client.send(CONVERSATION, &Content::text(words, now), now).unwrap();
        let (request, send) = request::<Send>(client);
        assert_eq!((send.message_id, send.conversation), (id, CONVERSATION));
        (id, request, send)
    }

    fn refuse(client: &mut Client, id: u32, refusal: &Refusal, now: u64) {
        client.handle_frame(&frame::refused(id, refusal), now).unwrap();
    }

    fn events(client: &mut Client) -> Vec<Event> {
        std::iter::from_fn(|| client.poll_event()).filter(|event| *event != Event::CaughtUp).collect()
    }

    #[test]
    fn a_recorded_message_is_sent_once_and_moves_the_cursor() {
        let (_folder, mut client) = live_in_conversation();
        let (message, id, _) = say(&mut client, "hello", 2_000);
        assert_eq!(client.unsent().unwrap(), 1);
        let recorded = frame::answer(id, &RecordedAt { seq: 1, at: 2_001, generation: 0 });
        client.handle_frame(&recorded, 2_002).unwrap();
        assert_eq!(events(&mut client), [Event::Sent { conversation: CONVERSATION, message, seq: 1 }]);
        assert_eq!(client.unsent().unwrap(), 0);
        let (_, acknowledge) = request::<Acknowledge>(&mut client);
        assert_eq!(acknowledge.cursors, [Cursor { conversation: CONVERSATION, generation: 0, seq: 1 }]);
        assert!(matches!(client.handle_frame(&recorded, 2_003), Err(Error::Protocol(_))), "an answer counts once");
        assert!(!client.wants_connection(2_003), "such a server is left");
    }

    #[test]
    fn messages_of_a_conversation_go_one_after_the_other() {
        let (_folder, mut client) = live_in_conversation();
        let (_, id, _) = say(&mut client, "one", 2_000);
        let second = client.send(CONVERSATION, &Content::text("two", 2_000), 2_000).unwrap();
        assert_eq!(client.poll_transmit(), None);
        client.handle_frame(&frame::answer(id, &RecordedAt { seq: 1, at: 2_001, generation: 0 }), 2_001).unwrap();
        assert_eq!(request::<Send>(&mut client).1.message_id, second);
    }

    #[test]
    fn an_unanswered_message_is_repeated_byte_for_byte_after_a_reconnect() {
        let (_folder, mut client) = live_in_conversation();
        let (_, _, before) = say(&mut client, "hello", 2_000);
        client.handle_disconnected(3_000);
        reconnect(&mut client, 4_000);
        assert_eq!(request::<Send>(&mut client).1, before);
    }

    #[test]
    fn after_a_stale_epoch_it_catches_up_and_seals_anew_under_the_same_id() {
        let (_folder, mut client) = live_in_conversation();
        let (message, mut id, mut sealed) = say(&mut client, "hello", 2_000);
        for _ in 0..STALE_MAX {
            refuse(&mut client, id, &ErrorCode::StaleEpoch.into(), 2_001);
            let (fetch, _) = request::<Fetch>(&mut client);
            let nothing = Fetched { entries: Vec::new(), head: 0, generation: 0 };
            client.handle_frame(&frame::answer(fetch, &nothing), 2_002).unwrap();
            let (next, again) = request::<Send>(&mut client);
            assert_eq!(again.message_id, message);
            assert_ne!(again.payload, sealed.payload, "no ciphertext is made twice with one key");
            (id, sealed) = (next, again);
        }
        refuse(&mut client, id, &ErrorCode::StaleEpoch.into(), 2_003);
        request::<FetchGroupInfo>(&mut client);
        assert_eq!(events(&mut client), [Event::ConversationChanged(CONVERSATION)]);
        assert_eq!(client.unsent().unwrap(), 1, "the message waits for the repair");
    }

    #[test]
    fn a13_a_place_that_is_taken_is_a_fork_and_not_asked_for_again() {
        let (_folder, mut client) = live_in_conversation();
        let (_, id, _) = say(&mut client, "one", 2_000);
        let recorded = RecordedAt { seq: 1, at: 2_001, generation: 0 };
        client.handle_frame(&frame::answer(id, &recorded), 2_001).unwrap();
        request::<Acknowledge>(&mut client);
        let (message, id, _) = say(&mut client, "two", 2_002);
        client.handle_frame(&frame::answer(id, &recorded), 2_003).unwrap();
        assert_eq!(client.poll_transmit(), None, "it is not repeated for ever");
        assert!(client.conversation(CONVERSATION).unwrap().unwrap().forked);
        assert_eq!(client.message(CONVERSATION, message).unwrap().unwrap().state, MessageState::Failed);
    }

    #[test]
    fn a_busy_server_is_left_alone_for_as_long_as_it_asks() {
        let (_folder, mut client) = live_in_conversation();
        let (_, id, sealed) = say(&mut client, "hello", 2_000);
        refuse(&mut client, id, &Refusal::retry_after(ErrorCode::RateLimited, 400), 2_000);
        client.handle_timeout(2_399).unwrap();
        assert_eq!(client.poll_transmit(), None);
        let due = client.poll_timeout().unwrap();
        assert!((2_400..=2_500).contains(&due), "{due}");
        client.handle_timeout(due).unwrap();
        assert_eq!(request::<Send>(&mut client).1, sealed);
    }

    #[test]
    fn what_is_refused_for_good_fails_and_the_next_goes_on() {
        let (_folder, mut client) = live_in_conversation();
        let (message, id, _) = say(&mut client, "one", 2_000);
        let next = client.send(CONVERSATION, &Content::text("two", 2_000), 2_000).unwrap();
        refuse(&mut client, id, &ErrorCode::Forbidden.into(), 2_001);
        let [Event::Failed { message: failed, .. }] = events(&mut client)[..] else { panic!("no failure was told") };
        assert_eq!(failed, message);
        assert_eq!(client.message(CONVERSATION, message).unwrap().unwrap().state, MessageState::Failed);
        assert_eq!(request::<Send>(&mut client).1.message_id, next);
    }

    #[test]
    fn a_silent_server_is_left_after_the_deadline() {
        let (_folder, mut client) = live_in_conversation();
        say(&mut client, "hello", 2_000);
        let erase_at = client.poll_timeout().unwrap();
        client.handle_timeout(erase_at).unwrap();
        let due = client.poll_timeout().unwrap();
        client.handle_timeout(due - 1).unwrap();
        assert!(erase_at < due && client.wants_connection(due - 1));
        client.handle_timeout(due).unwrap();
        assert!(!client.wants_connection(due));
        client.handle_disconnected(due);
        let retry_at = client.poll_timeout().unwrap();
        assert!(!client.wants_connection(retry_at - 1) && client.wants_connection(retry_at));
        client.handle_disconnected(4_000_000);
        assert!(client.wants_connection(1_000), "a clock that was set back delays it only so far");
    }
}
