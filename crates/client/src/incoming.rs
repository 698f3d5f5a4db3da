//! What was opened, taken apart: whether its author may say that, and what it changes here.

use crate::content::{Body, Content, Plaintext, fold};
use crate::database::conversation::{self, ConversationRow};
use crate::database::message::{self, Place};
use crate::database::{MessageRow, MessageState, expiry, raw};
use crate::turn::Turn;
use crate::{Error, Event};
use e2ee::LeafView;
use trust::Aad;
use wire::Entry;
use wire::sabotage::{Defence, stands};

impl Turn<'_> {
    /// Takes a message apart, checks that its author may say that, and stores it either way.
    pub(crate) fn receive(
        &mut self,
        row: &mut ConversationRow,
        entry: &Entry,
        sender: &LeafView,
        aad: &Aad,
        plaintext: &[u8],
    ) -> Result<(), Error> {
        if raw::found_again(self.db, row, entry)? {
            // It was read here before a restore of the server lost it, and its author has sent it again.
            self.tell(Event::ConversationChanged(row.id));
            return Ok(());
        }
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
        let (content, reason) = match Plaintext::unwrap_checked(plaintext, &aad.commitment) {
            Ok(bytes) => match Content::from_bytes(&bytes) {
                Ok(content) => {
                    message.content = bytes;
                    let reason = self.objection(row, &message, &content.body)?;
                    (content, reason)
                }
                Err(malformed) => (unreadable(), Some(malformed.to_string())),
            },
            Err(refused) => (unreadable(), Some(refused.to_string())),
        };
        if let Some(reason) = reason {
            let id =
                if message::find(self.db, row.id, entry.message_id)?.is_some() { None } else { message.message_id };
            message = MessageRow { state: MessageState::Refused, reason: Some(reason), message_id: id, ..message };
            let place = Place { kind: content.body.kind(), line: true, target: None };
            let row_id = message::insert(self.db, row, &message, place)?;
            expiry::set(self.db, row_id, content.expiry, false, self.now)?;
            self.tell(Event::Line { conversation: row.id, line: fold(&message, &[]) });
            return Ok(());
        }
        if let Body::ArchiveKey(key) = &content.body {
            return self.take_shared_key(key);
        }
        if self.is_about_expired(row, &content.body)? {
            return Ok(());
        }
        self.store(row, &message, &content)?;
        self.take_effect(row, &message, &content.body)
    }

    /// Why a message is not what its author may say, if it is not.
    fn objection(&self, row: &ConversationRow, message: &MessageRow, body: &Body) -> Result<Option<String>, Error> {
        let Some(id) = message.message_id else { return Ok(None) };
        if message::find(self.db, row.id, id)?.is_some() && stands(Defence::MessageIdOnce) {
            return Ok(Some("its id is already another message's".into()));
        }
        if let Body::ArchiveKey(_) = body {
            return self.objection_to_key(row.id, message.author);
        }
        if let Body::Edit { target, .. } | Body::Delete { target } = body {
            // A message from before this device joined is not here; then there is nothing that would be changed.
            let target = message::find(self.db, row.id, *target)?;
            if target.is_some_and(|target| target.author != message.author) && stands(Defence::AuthorOfChange) {
                return Ok(Some("it would change a message of somebody else".into()));
            }
        }
        Ok(None)
    }

    /// Whether it would change a message whose time is over: nothing of it is kept.
    pub(crate) fn is_about_expired(&self, row: &ConversationRow, body: &Body) -> Result<bool, Error> {
        let target = body.target().map(|target| message::find(self.db, row.id, target)).transpose()?.flatten();
        Ok(target.is_some_and(|target| target.state == MessageState::Expired))
    }

    fn take_effect(&mut self, row: &mut ConversationRow, message: &MessageRow, body: &Body) -> Result<(), Error> {
        if let (Body::Receipt { read_up_to }, Some(author)) = (body, message.author) {
            let read_up_to = (*read_up_to).min(row.cursor);
            conversation::save_receipt(self.db, row.id, author, read_up_to)?;
            if author == self.account()?.user {
                // Another device of this person: what was read there was read.
                row.read_up_to = row.read_up_to.max(read_up_to);
                expiry::read(self.db, row.id, read_up_to, self.now)?;
            }
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
}

fn unreadable() -> Content {
    Content::new(Body::Unknown(crate::content::Unknown { kind: 0, bytes: Vec::new() }), 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Client;
    use crate::testing::{ALICE, BOB, CONVERSATION, Counter, TENANT, followed};
    use trust::{DevicePublicKey, LeafIdentity};
    use wire::{DeviceId, EntryKind, MessageId, UserId};

    const NOW: u64 = 1_000;

    /// What comes of a content of a user, as the next entry, and what was told.
    fn receive(client: &mut Client, user: UserId, id: u8, body: Body) -> Vec<Event> {
        let plaintext = Plaintext::wrap(&Content::new(body, NOW).to_bytes(), &mut Counter::default());
        receive_raw(client, user, id, &plaintext.to_bytes(), plaintext.commitment())
    }

    fn receive_raw(client: &mut Client, user: UserId, id: u8, plaintext: &[u8], commitment: [u8; 32]) -> Vec<Event> {
        let identity = LeafIdentity { tenant: TENANT, user, device: DeviceId::from_bytes([8; 16]) };
        let sender = LeafView { index: 1, identity, key: DevicePublicKey::from_bytes([0; 32]) };
        let message_id = MessageId::from_bytes([id; 16]);
        client
            .turn(NOW, |turn| {
                let mut row = turn.conversation(CONVERSATION)?;
                let (seq, sender_device) = (row.cursor + 1, identity.device);
                let entry = Entry {
                    seq,
                    kind: EntryKind::Application,
                    epoch: 1,
                    sender: sender_device,
                    message_id,
                    at: NOW,
                    payload: Vec::new(),
                    generation: 0,
                };
                let aad = Aad { version: 1, message_id, commitment, seen_seq: 5, seen_hash: [5; 32] };
                turn.receive(&mut row, &entry, &sender, &aad, plaintext)?;
                row.cursor = seq;
                Ok(conversation::save(turn.db, &row)?)
            })
            .unwrap();
        std::iter::from_fn(|| client.poll_event()).collect()
    }

    fn texts(client: &Client) -> Vec<(MessageState, Option<String>)> {
        let words = |line: &crate::content::MessageView| line.body.as_ref().and_then(Body::words).map(str::to_owned);
        client.lines(CONVERSATION, 100).unwrap().iter().map(|line| (line.state, words(line))).collect()
    }

    fn text(words: &str) -> Body {
        Body::Text(words.into())
    }

    #[test]
    fn a25_an_id_is_not_used_twice() {
        let (_folder, mut client) = followed();
        let mallory = UserId::from_bytes([9; 16]);
        receive(&mut client, BOB, 1, text("mine"));
        receive(&mut client, mallory, 1, text("in its place"));
        receive(&mut client, BOB, 1, text("mine again"));
        let lines = texts(&client);
        assert_eq!(lines[0], (MessageState::Recorded, Some("mine".into())));
        assert_eq!(lines.iter().filter(|(state, _)| *state == MessageState::Refused).count(), 2);
        let kept = client.message(CONVERSATION, MessageId::from_bytes([1; 16])).unwrap().unwrap();
        assert_eq!((kept.author, kept.body), (Some(BOB), Some(text("mine"))));
    }

    #[test]
    fn a25_only_the_author_changes_a_message() {
        let (_folder, mut client) = followed();
        let target = MessageId::from_bytes([1; 16]);
        receive(&mut client, BOB, 1, text("said"));
        receive(&mut client, ALICE, 2, Body::Edit { target, text: "forged".into() });
        receive(&mut client, ALICE, 3, Body::Delete { target });
        let line = client.message(CONVERSATION, target).unwrap().unwrap();
        assert_eq!((line.body, line.deleted, line.history.len()), (Some(text("said")), false, 0));
        assert!(client.search("forged", 10).unwrap().is_empty());
        receive(&mut client, BOB, 4, Body::Edit { target, text: "corrected".into() });
        let line = client.message(CONVERSATION, target).unwrap().unwrap();
        assert_eq!((line.body, line.history), (Some(text("corrected")), vec![String::from("said")]));
        assert_eq!(client.search("corrected", 10).unwrap().len(), 1);
    }

    #[test]
    fn a_change_of_a_message_from_before_the_joining_is_no_line_and_changes_nothing() {
        let (_folder, mut client) = followed();
        let target = MessageId::from_bytes([1; 16]);
        let events = receive(&mut client, BOB, 2, Body::Edit { target, text: "corrected".into() });
        receive(&mut client, BOB, 3, Body::Delete { target });
        assert_eq!((events, texts(&client)), (Vec::new(), Vec::new()));
        // Should a message with that id come yet, only its own author has changed it.
        receive(&mut client, ALICE, 1, text("said"));
        assert_eq!(client.message(CONVERSATION, target).unwrap().unwrap().body, Some(text("said")));
    }

    #[test]
    fn what_is_deleted_is_wiped() {
        let (_folder, mut client) = followed();
        let target = MessageId::from_bytes([1; 16]);
        receive(&mut client, BOB, 1, text("secret"));
        receive(&mut client, BOB, 2, Body::Delete { target });
        let line = client.message(CONVERSATION, target).unwrap().unwrap();
        assert_eq!((line.deleted, line.body), (true, None));
        assert!(client.search("secret", 10).unwrap().is_empty());
        let sql = "SELECT count(*) FROM message WHERE instr(content, CAST('secret' AS BLOB)) > 0";
        let left: u32 = client.reader().query_row(sql, [], |row| row.get(0)).unwrap();
        assert_eq!(left, 0);
    }

    #[test]
    fn a_false_commitment_and_rubbish_are_shown_and_not_believed() {
        let (_folder, mut client) = followed();
        let plaintext = Plaintext::wrap(&Content::text("unreportable", NOW).to_bytes(), &mut Counter::default());
        receive_raw(&mut client, BOB, 1, &plaintext.to_bytes(), [0; 32]);
        receive_raw(&mut client, BOB, 2, b"rubbish", [0; 32]);
        let states: Vec<_> = texts(&client).into_iter().map(|(state, _)| state).collect();
        assert_eq!(states, [MessageState::Refused, MessageState::Refused]);
        assert!(client.search("unreportable", 10).unwrap().is_empty());
    }

    #[test]
    fn an_unknown_kind_is_kept_and_shown_as_such() {
        let (_folder, mut client) = followed();
        let unknown = Body::Unknown(crate::content::Unknown { kind: 777, bytes: vec![0xa0] });
        let events = receive(&mut client, BOB, 1, unknown.clone());
        assert!(matches!(&events[..], [Event::Line { line, .. }] if line.body == Some(unknown.clone())), "{events:?}");
    }
}
