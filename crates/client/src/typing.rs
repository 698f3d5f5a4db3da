//! Typing: a signal to whoever is online, sealed under a key of the epoch, stored nowhere. Presence is not sent.

use crate::client::Client;
use crate::database::conversation::ConversationRow;
use crate::database::{conversation, message};
use crate::session::{Phase, Work};
use crate::turn::Turn;
use crate::{ConversationState, Error, Event};
use e2ee::WriteSet;
use std::collections::HashMap;
use vault::{Signal, WhisperKey, WhisperPlace};
use wire::event::Whispered;
use wire::request::Whisper;
use wire::{ConversationId, DeviceId, UnixMillis};

/// A person who goes on writing says so again after this.
const AGAIN_AFTER_MS: u64 = 4_000;
/// Who is not heard of again has stopped.
const LASTS_MS: u64 = 8_000;
/// Devices whose last signal is remembered.
const HEARD_MAX: usize = 4_096;
const TYPING: u8 = 1;

/// What was said and heard lately.
#[derive(Debug, Default)]
pub(crate) struct Typing {
    said: HashMap<ConversationId, UnixMillis>,
    /// Epoch and number of the last signal of a device: an older one is a repeat.
    heard: HashMap<(ConversationId, DeviceId), (u64, u64)>,
}

/// A typing signal: what is inside the seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TypingSignal {
    /// Grows with every signal of a device.
    number: u64,
    /// How far the sender had read the log. What it recorded after that ended the typing.
    seen: u64,
}

impl Client {
    /// The person is writing. The others who are online learn it, at most every few seconds; without a connection, in a
    /// large conversation, or if the person does not want it, nobody does.
    ///
    /// # Errors
    /// [`Error::UnknownConversation`], [`Error::Database`].
    pub fn typing(&mut self, conversation: ConversationId, now: UnixMillis) -> Result<(), Error> {
        if !self.is_live() || !self.may_say(conversation, now) || !self.settings()?.typing {
            return Ok(());
        }
        self.turn(now, |turn| turn.say_typing(conversation))
    }
}

impl Turn<'_> {
    fn say_typing(&mut self, id: ConversationId) -> Result<(), Error> {
        let row = self.conversation(id)?;
        if row.state != ConversationState::Active || self.is_large(&row)? || self.has_returned(&row)? {
            return Ok(());
        }
        let (Some(epoch), sender) = (self.epoch(&row)?, self.account()?.device) else { return Ok(()) };
        let Some(key) = self.whisper_key(&row)? else { return Ok(()) };
        let place = WhisperPlace { conversation: id, epoch, sender };
        let payload = key.seal(&place, &TypingSignal { number: self.now, seen: row.cursor }.to_bytes(), self.entropy);
        self.memory.typing.said.insert(id, self.now);
        self.request(Work::Whisper, &Whisper { conversation: id, epoch, payload });
        Ok(())
    }

    /// A signal came. What is of another epoch, repeated, older than the sender's last words or not from a member is
    /// dropped without a word.
    pub(crate) fn whispered(&mut self, whispered: &Whispered) -> Result<(), Error> {
        let (id, device) = (whispered.conversation, whispered.sender);
        let Some(row) = conversation::find(self.db, id)? else { return Ok(()) };
        if self.memory.session.phase != Phase::Live || self.epoch(&row)? != Some(whispered.epoch) {
            return Ok(());
        }
        let leaves = self.peek(&row, |group| group.members())?.unwrap_or_default();
        let Some(sender) = leaves.iter().map(|leaf| leaf.identity).find(|leaf| leaf.device == device) else {
            return Ok(());
        };
        let Some(key) = self.whisper_key(&row)? else { return Ok(()) };
        let place = WhisperPlace { conversation: id, epoch: whispered.epoch, sender: device };
        let Some(signal) = key.open(&place, &whispered.payload).and_then(|bytes| TypingSignal::from_bytes(&bytes))
        else {
            return Ok(());
        };
        let is_over = message::last_of(self.db, id, sender.user)? > signal.seen;
        if self.memory.typing.is_repeat(id, device, (whispered.epoch, signal.number)) || is_over {
            return Ok(());
        }
        if sender.user != self.account()?.user && crate::settings::load(self.db)?.typing {
            self.tell(Event::Typing { conversation: id, user: sender.user, until: self.now.saturating_add(LASTS_MS) });
        }
        Ok(())
    }

    fn whisper_key(&self, row: &ConversationRow) -> Result<Option<WhisperKey>, Error> {
        let Some(group) = self.memory.groups.get(&row.id) else { return Ok(None) };
        let (secret, _) = self.rehearse(|device, _| Ok((group.ephemeral_key(device)?, WriteSet::default())))??;
        Ok(Some(WhisperKey::from_exporter(secret)))
    }
}

impl Typing {
    pub(crate) fn may_say(&self, id: ConversationId, now: UnixMillis) -> bool {
        self.said.get(&id).is_none_or(|at| now >= at.saturating_add(AGAIN_AFTER_MS) || now < *at)
    }

    /// What was written is sent: the next signal need not wait.
    pub(crate) fn ended(&mut self, id: ConversationId) {
        self.said.remove(&id);
    }

    fn is_repeat(&mut self, id: ConversationId, device: DeviceId, signal: (u64, u64)) -> bool {
        if self.heard.len() >= HEARD_MAX {
            self.heard.clear();
        }
        let last = self.heard.entry((id, device)).or_default();
        let is_repeat = *last >= signal;
        *last = signal.max(*last);
        is_repeat
    }
}

impl TypingSignal {
    fn to_bytes(self) -> Signal {
        let mut bytes = Signal::default();
        bytes[0] = TYPING;
        bytes[1..9].copy_from_slice(&self.number.to_be_bytes());
        bytes[9..17].copy_from_slice(&self.seen.to_be_bytes());
        bytes
    }

    /// `None` for a kind that this version does not know.
    fn from_bytes(bytes: &Signal) -> Option<Self> {
        let number = |from: usize| bytes.get(from..from + 8)?.try_into().ok().map(u64::from_be_bytes);
        (bytes[0] == TYPING).then_some(Self { number: number(1)?, seen: number(9)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;
    use crate::content::Content;
    use crate::testing::{CONVERSATION, live_in_conversation, request};
    use wire::UserId;

    const NOW: u64 = 100_000;

    /// What comes of a whisper of this device itself, as if it were another's: the group has one leaf only.
    fn hear(client: &mut Client, whisper: &Whisper, sender: DeviceId, now: u64) -> Vec<Event> {
        let Whisper { conversation, epoch, payload } = whisper.clone();
        let event = wire::Event::Whispered(Whispered { conversation, epoch, sender, payload });
        client.handle_frame(&wire::frame::event(&event), now).unwrap();
        std::iter::from_fn(|| client.poll_event()).filter(|event| matches!(event, Event::Typing { .. })).collect()
    }

    fn typed(client: &mut Client, now: u64) -> Whisper {
        client.typing(CONVERSATION, now).unwrap();
        request::<Whisper>(client).1
    }

    /// The account is another person's than the leaf's: what the leaf sends is heard as somebody else's.
    fn as_bob(client: &mut Client) -> DeviceId {
        let mut account = crate::database::account::load(client.reader()).unwrap().unwrap();
        account.user = UserId::from_bytes([99; 16]);
        let device = account.device;
        client.memory_mut().account = Some(std::sync::Arc::new(account));
        device
    }

    #[test]
    fn it_is_said_every_few_seconds_and_never_stored() {
        let (_folder, mut client) = live_in_conversation();
        typed(&mut client, NOW);
        client.typing(CONVERSATION, NOW + AGAIN_AFTER_MS - 1).unwrap();
        assert_eq!(client.poll_transmit(), None);
        typed(&mut client, NOW + AGAIN_AFTER_MS);
        assert_eq!((client.unsent().unwrap(), client.lines(CONVERSATION, 9).unwrap().len()), (0, 0));
        // What was written was sent: the next signal does not wait.
        client.send(CONVERSATION, &Content::text("x", NOW), NOW + AGAIN_AFTER_MS + 1).unwrap();
        client.poll_transmit().unwrap();
        typed(&mut client, NOW + AGAIN_AFTER_MS + 2);
    }

    #[test]
    fn who_does_not_want_it_says_nothing_and_offline_nobody_does() {
        let (_folder, mut client) = live_in_conversation();
        client.set_settings(Settings { typing: false, ..client.settings().unwrap() }, NOW).unwrap();
        client.typing(CONVERSATION, NOW).unwrap();
        assert_eq!(client.poll_transmit(), None);
        client.set_settings(Settings { typing: true, ..client.settings().unwrap() }, NOW).unwrap();
        client.handle_disconnected(NOW);
        client.typing(CONVERSATION, NOW).unwrap();
        assert_eq!(client.poll_transmit(), None);
    }

    #[test]
    fn a13_a_signal_is_heard_once_and_a_stale_one_not_at_all() {
        let (_folder, mut client) = live_in_conversation();
        let (first, second) = (typed(&mut client, NOW), typed(&mut client, NOW + 5_000));
        let sender = as_bob(&mut client);
        assert_eq!(hear(&mut client, &second, sender, NOW).len(), 1);
        assert_eq!(hear(&mut client, &second, sender, NOW), [], "a repeat");
        assert_eq!(hear(&mut client, &first, sender, NOW), [], "an older one");
        let other_epoch = Whisper { epoch: second.epoch + 1, ..second };
        assert_eq!(hear(&mut client, &other_epoch, sender, NOW), []);
    }

    #[test]
    fn a3_a_signal_is_not_believed_to_be_another_devices() {
        let (_folder, mut client) = live_in_conversation();
        let whisper = typed(&mut client, NOW);
        let sender = as_bob(&mut client);
        assert_eq!(hear(&mut client, &whisper, DeviceId::from_bytes([77; 16]), NOW), []);
        let changed = Whisper { payload: [whisper.payload.clone(), vec![0]].concat(), ..whisper.clone() };
        assert_eq!(hear(&mut client, &changed, sender, NOW), []);
        let told = hear(&mut client, &whisper, sender, NOW);
        assert!(
            matches!(told[..], [Event::Typing { conversation: CONVERSATION, until, .. }] if until == NOW + LASTS_MS)
        );
    }

    #[test]
    fn own_devices_are_not_told_of() {
        let (_folder, mut client) = live_in_conversation();
        let whisper = typed(&mut client, NOW);
        let sender = client.account_view().unwrap().device;
        assert_eq!(hear(&mut client, &whisper, sender, NOW), []);
    }

    #[test]
    fn a_signal_from_before_the_senders_last_words_is_over() {
        let (_folder, mut client) = live_in_conversation();
        let whisper = typed(&mut client, NOW);
        let author = client.account_view().unwrap().user;
        let sender = as_bob(&mut client);
        client
            .turn(NOW, |turn| {
                let row = turn.conversation(CONVERSATION)?;
                let said = crate::MessageRow {
                    seq: Some(1),
                    message_id: Some(wire::MessageId::from_bytes([1; 16])),
                    author: Some(author),
                    device: sender,
                    at: NOW,
                    state: crate::MessageState::Recorded,
                    content: Vec::new(),
                    reason: None,
                };
                turn.store(&row, &said, &Content::text("said", NOW)).map(|_| ())
            })
            .unwrap();
        assert_eq!(hear(&mut client, &whisper, sender, NOW), []);
    }

    #[test]
    fn the_form_is_pinned() {
        let signal = TypingSignal { number: 0x0102, seen: 0x0304 };
        let bytes = signal.to_bytes();
        assert_eq!(bytes[..17], [1, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 3, 4]);
        assert_eq!(bytes[17..], [0; 15]);
        assert_eq!(TypingSignal::from_bytes(&bytes), Some(signal));
        assert_eq!(TypingSignal::from_bytes(&[2; 32]), None);
    }

    #[test]
    fn so_many_devices_are_remembered_and_no_more() {
        let mut typing = Typing::default();
        for number in 0..2 * HEARD_MAX as u64 {
            let device = DeviceId::from_bytes([number.to_be_bytes(), [0; 8]].concat().try_into().unwrap());
            assert!(!typing.is_repeat(CONVERSATION, device, (1, 1)));
        }
        assert!(typing.heard.len() <= HEARD_MAX);
    }
}
