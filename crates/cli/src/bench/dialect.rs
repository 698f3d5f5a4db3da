//! What the load generator says to a server and hears from it: to mifengd, and to the bare relay.

use super::relay::STORED;
use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use wire::event::Recorded;
use wire::frame::{self, ServerFrame};
use wire::request::{Acknowledge, Cursor, Send};
use wire::{ConversationId, Event, MessageId, Operation, Refusal};

/// One sender's way of sending, and its receivers' way of understanding. Messages are numbered from 0.
pub(super) trait Dialect: 'static {
    /// The frame that sends message `number`.
    fn message(&self, number: u64) -> Bytes;
    /// What a frame from the server says.
    fn heard(&self, frame: &[u8]) -> Result<Heard>;
    /// The frame by which a receiver says that it has everything up to a place, if there is such a thing.
    fn acknowledge(&self, seq: u64) -> Option<Bytes>;
}

/// What a frame from the server says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// A message came, at this place of its conversation's log.
    Message {
        /// Its number.
        number: u64,
        /// Its place.
        seq: u64,
    },
    /// So many messages more are durable.
    Stored(u64),
    /// Nothing that counts.
    Other,
}

/// Mifeng's own protocol. One really sealed message is sent again and again, each time under a new message id, which stands
/// in the request and in the message's authenticated data: the server does all that it does for any message.
pub(super) struct Mifeng {
    frame: Vec<u8>,
    places: [usize; 2],
    conversation: ConversationId,
    salt: [u8; 8],
}

/// From here on a request's number has its longest encoding, and no client has come so far.
const REQUEST_ID: u32 = 1 << 24;
/// Where the request's number stands in a frame (docs/decisions/0001).
const ID_AT: std::ops::Range<usize> = 2..6;

impl Mifeng {
    /// Sends what a client sealed and would have sent.
    pub(super) fn replaying(sealed: &Send) -> Result<Self> {
        let frame = frame::request(REQUEST_ID, sealed);
        let id = sealed.message_id.as_bytes();
        let found: Vec<usize> =
            frame.windows(id.len()).enumerate().filter(|(_, window)| window == id).map(|(at, _)| at).collect();
        let places = <[usize; 2]>::try_from(found);
        let places = places.map_err(|found| anyhow::anyhow!("the message id stands {} times in it", found.len()))?;
        ensure!(frame.get(ID_AT) == Some(&REQUEST_ID.to_be_bytes()), "the frame's number is elsewhere");
        let mut salt = [0; 8];
        getrandom::fill(&mut salt).context("the system gives no random bytes")?;
        Ok(Self { frame, places, conversation: sealed.conversation, salt })
    }

    /// How long its frames are.
    pub(super) fn frame_bytes(&self) -> usize {
        self.frame.len()
    }

    /// The number of a message of the load; the clients that prepared it have sent others.
    fn number(&self, id: MessageId) -> Option<u64> {
        let number = id.as_bytes().strip_prefix(&self.salt)?;
        Some(u64::from_be_bytes(*number.first_chunk()?))
    }
}

impl Dialect for Mifeng {
    fn message(&self, number: u64) -> Bytes {
        let mut frame = self.frame.clone();
        let id = [self.salt, number.to_be_bytes()].concat();
        for at in self.places {
            frame.iter_mut().skip(at).zip(&id).for_each(|(byte, new)| *byte = *new);
        }
        let request = REQUEST_ID | (number as u32 & (REQUEST_ID - 1));
        frame.iter_mut().skip(ID_AT.start).zip(request.to_be_bytes()).for_each(|(byte, new)| *byte = new);
        frame.into()
    }

    fn heard(&self, frame: &[u8]) -> Result<Heard> {
        match frame::read_server(frame)? {
            ServerFrame::Event { kind, body } => match Event::decode(kind, body)? {
                Some(Event::Recorded(Recorded { entry, .. })) => {
                    let number = self.number(entry.message_id);
                    Ok(number.map_or(Heard::Other, |number| Heard::Message { number, seq: entry.seq }))
                }
                _ => Ok(Heard::Other),
            },
            // To what a client asked before, or to an acknowledgement.
            ServerFrame::Answer { id, .. } | ServerFrame::Refused { id, .. } if id < REQUEST_ID => Ok(Heard::Other),
            ServerFrame::Answer { body, .. } => {
                let _: <Send as Operation>::Answer = wire::decode(body)?;
                Ok(Heard::Stored(1))
            }
            ServerFrame::Refused { body, .. } => {
                let refusal: Refusal = wire::decode(body)?;
                bail!("the server refused: {refusal}")
            }
        }
    }

    fn acknowledge(&self, seq: u64) -> Option<Bytes> {
        let cursors = vec![Cursor { conversation: self.conversation, generation: 0, seq }];
        Some(frame::request(1, &Acknowledge { cursors }).into())
    }
}

/// The bare relay's protocol.
pub(super) struct Bare {
    to: u32,
    bytes: usize,
}

impl Bare {
    /// Sends frames of this length to a number.
    pub(super) fn sending(to: u32, bytes: usize) -> Self {
        Self { to, bytes }
    }
}

impl Dialect for Bare {
    fn message(&self, number: u64) -> Bytes {
        let mut frame = [&self.to.to_be_bytes()[..], &number.to_be_bytes()].concat();
        frame.resize(self.bytes.max(frame.len()), 0x5a);
        frame.into()
    }

    fn heard(&self, frame: &[u8]) -> Result<Heard> {
        let (to, rest) = frame.split_first_chunk().context("a frame of the relay is too short")?;
        if u32::from_be_bytes(*to) == STORED {
            let stored = rest.first_chunk().context("a frame of the relay is too short")?;
            return Ok(Heard::Stored(u32::from_be_bytes(*stored).into()));
        }
        let number = u64::from_be_bytes(*rest.first_chunk().context("a frame of the relay is too short")?);
        Ok(Heard::Message { number, seq: number })
    }

    fn acknowledge(&self, _: u64) -> Option<Bytes> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::{DeviceId, Entry, EntryKind};

    fn sealed() -> Send {
        let message_id = MessageId::from_bytes([0x77; 16]);
        let payload = [b"outside ".as_slice(), message_id.as_bytes(), b" inside"].concat();
        Send { conversation: ConversationId::from_bytes([1; 16]), epoch: 1, message_id, payload }
    }

    #[test]
    fn a_replayed_message_has_its_own_id_everywhere() {
        let mifeng = Mifeng::replaying(&sealed()).unwrap();
        let (first, second) = (mifeng.message(0), mifeng.message(1));
        let read = |bytes: &Bytes| -> (u32, Send) {
            let frame = frame::read_request(bytes).unwrap();
            (frame.id, wire::decode(frame.body).unwrap())
        };
        let ((id, send), (other_id, other)) = (read(&first), read(&second));
        assert_ne!((id, send.message_id), (other_id, other.message_id));
        assert_eq!(send.payload.get(8..24), Some(send.message_id.as_bytes().as_slice()));
        assert_eq!((mifeng.number(other.message_id), mifeng.number(sealed().message_id)), (Some(1), None));
    }

    #[test]
    fn a_message_that_does_not_carry_its_id_cannot_be_replayed() {
        let bare = Send { payload: b"nothing".to_vec(), ..sealed() };
        assert!(Mifeng::replaying(&bare).is_err());
    }

    #[test]
    fn what_mifengd_says_is_understood() {
        let mifeng = Mifeng::replaying(&sealed()).unwrap();
        let sent: Send = wire::decode(frame::read_request(&mifeng.message(9)).unwrap().body).unwrap();
        let entry = Entry {
            seq: 4,
            kind: EntryKind::Application,
            epoch: 1,
            sender: DeviceId::from_bytes([2; 16]),
            message_id: sent.message_id,
            at: 0,
            payload: sent.payload,
            generation: 0,
        };
        let event = Event::Recorded(Recorded { conversation: sent.conversation, generation: 0, entry });
        assert_eq!(mifeng.heard(&frame::event(&event)).unwrap(), Heard::Message { number: 9, seq: 4 });
        assert!(mifeng.heard(&frame::refused(REQUEST_ID, &wire::ErrorCode::Forbidden.into())).is_err());
        assert_eq!(mifeng.heard(&frame::answer(7, &wire::request::Done {})).unwrap(), Heard::Other);
    }

    #[test]
    fn what_the_relay_says_is_understood() {
        let bare = Bare::sending(3, 100);
        let frame = bare.message(5);
        assert_eq!(frame.len(), 100);
        assert_eq!(bare.heard(&frame).unwrap(), Heard::Message { number: 5, seq: 5 });
        let told = [STORED.to_be_bytes(), 12_u32.to_be_bytes()].concat();
        assert_eq!(bare.heard(&told).unwrap(), Heard::Stored(12));
    }
}
