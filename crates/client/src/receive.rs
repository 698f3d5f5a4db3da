//! Receiving: entries of a log in order, each once, each checked against what others say that they saw.

use crate::content::{Body, Content, Plaintext, fold};
use crate::database::conversation::{self, ConversationRow};
use crate::database::message::{self, Place};
use crate::database::outbox::{self, OutboxKind};
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
        match outbox::find(self.db, row.id, entry.message_id)?.map(|unsent| unsent.kind) {
            Some(OutboxKind::Message) => self.own_message_recorded(row, entry)?,
            Some(OutboxKind::Add) => {
                outbox::delete(self.db, row.id, entry.message_id)?;
                match self.change(row, |group, device, _| group.merge_pending(device))? {
                    Ok(_) => {
                        row.renew_at = Some(self.some_day());
                        self.watch_renewal(row);
                        self.becomes_active(row);
                    }
                    Err(refused) => self.lost(row, entry, &refused.to_string(), true)?,
                }
            }
            Some(OutboxKind::Rejoin) => {
                outbox::delete(self.db, row.id, entry.message_id)?;
                self.memory.gaps.remove(&row.id);
                row.renew_at = Some(self.some_day());
                self.watch_renewal(row);
                self.becomes_active(row);
                self.tell(Event::Repaired(row.id));
            }
            _ if message::find(self.db, row.id, entry.message_id)?
                .is_some_and(|message| message.seq == Some(entry.seq)) => {}
            _ => self.lost(row, entry, "this device has not sent it: its state was copied or restored", true)?,
        }
        Ok(Step::Done)
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
        match self.change(row, |group, device, vouch| group.open(device, entry, vouch))? {
            Ok(Opened::Message { sender, aad, plaintext }) => {
                self.check_seen(row, &aad)?;
                self.receive(row, entry, &sender, &aad, &plaintext)?;
            }
            Ok(Opened::Commit { commit, aad }) => {
                self.check_seen(row, &aad)?;
                self.follow(row, &commit)?;
            }
            Ok(Opened::Leaving { aad, .. }) => self.check_seen(row, &aad)?,
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
        match (body, message.author) {
            (Body::Receipt { read_up_to }, Some(author)) => {
                conversation::save_receipt(self.db, row.id, author, (*read_up_to).min(row.cursor))?;
                self.tell(Event::ConversationChanged(row.id));
            }
            (Body::Name(name), _) => row.name = Some(name.clone()),
            (Body::Topic(topic), _) => row.topic = Some(topic.clone()),
            _ => {}
        }
        if body.is_line() {
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
    matches!(row.state, ConversationState::Creating | ConversationState::Active | ConversationState::Repairing)
}

fn unreadable() -> Body {
    Body::Unknown(crate::content::Unknown { kind: 0, bytes: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Client;
    use crate::testing::{ALICE, BOB, Counter, TENANT, alice};
    use trust::{DevicePublicKey, Kind, LeafIdentity};
    use wire::{DeviceId, MessageId, UserId};

    const CONVERSATION: ConversationId = ConversationId::from_bytes([6; 16]);
    const NOW: u64 = 1_000;

    /// A client in a conversation whose log it has followed up to entry 5.
    fn in_conversation() -> (tempfile::TempDir, Client) {
        let (folder, mut client) = alice();
        client
            .turn(NOW, |turn| {
                let mut row = ConversationRow::new(CONVERSATION, Kind::Direct, ConversationState::Active);
                row.peer = Some(BOB);
                for seq in 1..=5 {
                    (row.cursor, row.entry_hash) = (seq, EntryHash([seq as u8; 32]));
                    conversation::save(turn.db, &row)?;
                    conversation::remember_hash(turn.db, &row)?;
                }
                Ok(())
            })
            .unwrap();
        (folder, client)
    }

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
        let (_folder, mut client) = in_conversation();
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
        let (_folder, mut client) = in_conversation();
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
    fn what_is_deleted_is_wiped() {
        let (_folder, mut client) = in_conversation();
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
        let (_folder, mut client) = in_conversation();
        let plaintext = Plaintext::wrap(&Content::text("unreportable", NOW).to_bytes(), &mut Counter::default());
        receive_raw(&mut client, BOB, 1, &plaintext.to_bytes(), [0; 32]);
        receive_raw(&mut client, BOB, 2, b"rubbish", [0; 32]);
        let states: Vec<_> = texts(&client).into_iter().map(|(state, _)| state).collect();
        assert_eq!(states, [MessageState::Refused, MessageState::Refused]);
        assert!(client.search("unreportable", 10).unwrap().is_empty());
    }

    #[test]
    fn an_unknown_kind_is_kept_and_shown_as_such() {
        let (_folder, mut client) = in_conversation();
        let unknown = Body::Unknown(crate::content::Unknown { kind: 777, bytes: vec![0xa0] });
        let events = receive(&mut client, BOB, 1, unknown.clone());
        assert!(matches!(&events[..], [Event::Line { line, .. }] if line.body == Some(unknown.clone())), "{events:?}");
    }

    #[test]
    fn a13_another_history_is_noticed_and_told_once() {
        let (_folder, mut client) = in_conversation();
        let seen = |seq, byte| Aad {
            version: 1,
            message_id: MessageId::from_bytes([1; 16]),
            commitment: [0; 32],
            seen_seq: seq,
            seen_hash: [byte; 32],
        };
        let forked = |client: &mut Client, aad: Aad| {
            client.turn(NOW, |turn| {
                let mut row = turn.conversation(CONVERSATION)?;
                turn.check_seen(&mut row, &aad)?;
                conversation::save(turn.db, &row)?;
                Ok(row.forked)
            })
        };
        for (seq, byte) in [(5, 5), (1, 1), (0, 0)] {
            assert!(!forked(&mut client, seen(seq, byte)).unwrap(), "{seq} is as it was seen here");
        }
        for (seq, byte) in [(4, 5), (6, 6), (0, 1)] {
            let (_folder, mut client) = in_conversation();
            assert!(forked(&mut client, seen(seq, byte)).unwrap(), "{seq} with another hash");
            assert!(forked(&mut client, seen(5, 5)).unwrap(), "it stays so");
            assert_eq!(std::iter::from_fn(|| client.poll_event()).collect::<Vec<_>>(), [Event::Forked(CONVERSATION)]);
        }
    }

    #[test]
    fn a_call_that_fails_leaves_nothing_behind() {
        let (_folder, mut client) = in_conversation();
        let failed: Result<(), Error> = client.turn(NOW, |turn| {
            let mut row = turn.conversation(CONVERSATION)?;
            row.cursor = 99;
            conversation::save(turn.db, &row)?;
            turn.tell(Event::Forked(CONVERSATION));
            Err(Error::UnknownMessage)
        });
        assert!(failed.is_err());
        assert_eq!(conversation::find(client.reader(), CONVERSATION).unwrap().unwrap().cursor, 5);
        assert_eq!(client.poll_event(), None);
    }
}
