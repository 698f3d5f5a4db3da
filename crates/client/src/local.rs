//! What a person wants of a conversation on this device: pinned, muted, and what they have begun to write. Local: nobody else
//! learns it, not even the person's other devices.

use crate::client::Client;
use crate::compose::CONTENT_MAX_BYTES;
use crate::database::local::{self, Local};
use crate::{Error, Event};
use wire::{ConversationId, UnixMillis};

impl Client {
    /// Keeps a conversation above those that are not pinned, or no longer.
    ///
    /// # Errors
    /// [`Error::UnknownConversation`], [`Error::NotJoined`], [`Error::Database`].
    pub fn set_pinned(&mut self, id: ConversationId, pinned: bool, now: UnixMillis) -> Result<(), Error> {
        self.change_local(id, now, |local| local.pinned = pinned)
    }

    /// Has a conversation ask for attention only where it names the person, or always again.
    ///
    /// # Errors
    /// As [`Client::set_pinned`].
    pub fn set_muted(&mut self, id: ConversationId, muted: bool, now: UnixMillis) -> Result<(), Error> {
        self.change_local(id, now, |local| local.muted = muted)
    }

    /// Keeps what was begun to be written; nothing, if it is empty. It is durable when this returns. No event tells of it.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for more than could be sent; as [`Client::set_pinned`].
    pub fn set_draft(&mut self, id: ConversationId, draft: &str, now: UnixMillis) -> Result<(), Error> {
        if draft.len() > CONTENT_MAX_BYTES {
            return Err(Error::TooLarge);
        }
        self.change_local(id, now, |local| draft.clone_into(&mut local.draft))
    }

    fn change_local(
        &mut self,
        id: ConversationId,
        now: UnixMillis,
        change: impl FnOnce(&mut Local),
    ) -> Result<(), Error> {
        self.account()?;
        let before = local::find(self.reader(), id)?;
        let mut after = before.clone();
        change(&mut after);
        if after == before {
            // A commit costs a flush of the disk.
            return Ok(());
        }
        self.turn(now, |turn| {
            turn.conversation(id)?;
            local::save(turn.db, id, &after)?;
            if (after.pinned, after.muted) != (before.pinned, before.muted) {
                turn.tell(Event::ConversationChanged(id));
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Content;
    use crate::database::conversation::{self, ConversationRow};
    use crate::database::message::{self, Place};
    use crate::testing::{BOB, CONVERSATION, Counter, followed};
    use crate::{ConversationState, ConversationView, Database, DatabaseKey, MessageRow, MessageState};
    use trust::Kind;
    use wire::{DeviceId, MessageId};

    const OTHER: ConversationId = ConversationId::from_bytes([9; 16]);
    const NOW: UnixMillis = 1_000;

    /// A second conversation, which is a group.
    fn with_another() -> (tempfile::TempDir, Client) {
        let (folder, mut client) = followed();
        client
            .turn(NOW, |turn| {
                let row = ConversationRow::new(OTHER, Kind::Group, ConversationState::Active);
                Ok(conversation::save(turn.db, &ConversationRow { name: Some("bees".into()), ..row })?)
            })
            .unwrap();
        (folder, client)
    }

    /// A line of somebody else that was not read.
    fn receive(client: &mut Client, id: ConversationId, seq: u64, names_me: bool) {
        client
            .turn(NOW, |turn| {
                let line = MessageRow {
                    seq: Some(seq),
                    message_id: Some(MessageId::from_bytes([seq as u8; 16])),
                    author: Some(BOB),
                    device: DeviceId::from_bytes([8; 16]),
                    at: seq,
                    state: MessageState::Recorded,
                    content: Content::text("words", NOW).to_bytes(),
                    reason: None,
                };
                let row = turn.conversation(id)?;
                let place = message::insert(turn.db, &row, &line, Place { kind: 1, line: true, target: None })?;
                if names_me {
                    message::set_naming(turn.db, place)?;
                }
                Ok(())
            })
            .unwrap();
    }

    fn view(client: &Client, id: ConversationId) -> ConversationView {
        client.conversation(id).unwrap().unwrap()
    }

    fn order(client: &Client) -> Vec<ConversationId> {
        client.conversations().unwrap().into_iter().map(|view| view.id).collect()
    }

    #[test]
    fn what_is_pinned_comes_first_however_old() {
        let (_folder, mut client) = with_another();
        receive(&mut client, CONVERSATION, 10, false);
        receive(&mut client, OTHER, 20, false);
        assert_eq!(order(&client), [OTHER, CONVERSATION]);
        client.set_pinned(CONVERSATION, true, NOW).unwrap();
        assert_eq!(order(&client), [CONVERSATION, OTHER]);
        assert_eq!(client.poll_event(), Some(Event::ConversationChanged(CONVERSATION)));
        client.set_pinned(CONVERSATION, true, NOW).unwrap();
        assert_eq!(client.poll_event(), None, "nothing has changed");
        client.set_pinned(CONVERSATION, false, NOW).unwrap();
        assert_eq!(order(&client), [OTHER, CONVERSATION]);
    }

    #[test]
    fn a_muted_conversation_is_loud_only_where_it_names_the_person() {
        let (_folder, mut client) = with_another();
        receive(&mut client, OTHER, 10, false);
        receive(&mut client, OTHER, 11, true);
        assert_eq!((view(&client, OTHER).unread, view(&client, OTHER).loud()), (2, 2));
        client.set_muted(OTHER, true, NOW).unwrap();
        assert_eq!((view(&client, OTHER).unread, view(&client, OTHER).loud()), (2, 1));
        assert!(!view(&client, CONVERSATION).muted);
    }

    #[test]
    fn a_draft_survives_and_moves_to_the_conversation_that_comes_first() {
        let (folder, mut client) = with_another();
        client.set_draft(CONVERSATION, "half a sent", NOW).unwrap();
        client.set_draft(CONVERSATION, "half a sentence 半句话", NOW).unwrap();
        assert_eq!(client.poll_event(), None);
        drop(client);
        let key = DatabaseKey::generate(&mut Counter(7));
        let database = Database::open(&folder.path().join("device.db"), &key).unwrap();
        let mut client = Client::open(database, Box::new(Counter(500))).unwrap();
        assert_eq!(view(&client, CONVERSATION).draft, "half a sentence 半句话");
        client.set_muted(CONVERSATION, true, NOW).unwrap();
        client.turn(NOW, |turn| turn.replace(CONVERSATION, OTHER)).unwrap();
        let ConversationView { draft, muted, pinned, .. } = view(&client, OTHER);
        assert_eq!((draft.as_str(), muted, pinned), ("half a sentence 半句话", true, false));
        let left: i64 = client.reader().query_row("SELECT count(*) FROM local", [], |row| row.get(0)).unwrap();
        assert_eq!(left, 1, "nothing of the old one stays");
    }

    #[test]
    fn what_cannot_be_kept_is_refused() {
        let (_folder, mut client) = followed();
        assert!(matches!(client.set_draft(OTHER, "x", NOW), Err(Error::UnknownConversation)));
        assert!(matches!(client.set_pinned(OTHER, true, NOW), Err(Error::UnknownConversation)));
        let draft = "x".repeat(CONTENT_MAX_BYTES + 1);
        assert!(matches!(client.set_draft(CONVERSATION, &draft, NOW), Err(Error::TooLarge)));
        client.set_draft(CONVERSATION, &draft[1..], NOW).unwrap();
    }
}
