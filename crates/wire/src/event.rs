//! What the server tells without being asked. An event holds nothing that differs between its receivers.

use crate::{ConversationId, DeviceId, Entry, Malformed, UserId, decode};
use minicbor::{Decode, Encode};

pub(crate) const RECORDED: u16 = 1;
pub(crate) const WELCOME_WAITING: u16 = 2;
pub(crate) const CHAIN_CHANGED: u16 = 3;
pub(crate) const WHISPERED: u16 = 4;
pub(crate) const DRAINING: u16 = 5;
pub(crate) const ARCHIVED: u16 = 6;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// An entry was recorded in a conversation of the receiver's. The device that sent it learns it by the answer instead.
    Recorded(Recorded),
    /// A Welcome waits for the receiver: fetch it.
    WelcomeWaiting(WelcomeWaiting),
    /// The device chain of a user whom the receiver shares a conversation with has grown.
    ChainChanged(ChainChanged),
    /// A typing or presence signal; not stored.
    Whispered(Whispered),
    /// The server is about to stop: connect again in a moment.
    Draining,
    /// Another device of the receiver's user has put a part of a conversation into their archive.
    Archived(Archived),
}

/// An entry was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Recorded {
    /// Where.
    #[n(0)]
    pub conversation: ConversationId,
    /// The generation of the log.
    #[n(1)]
    pub generation: u32,
    /// The entry.
    #[n(2)]
    pub entry: Entry,
}

/// A Welcome waits.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct WelcomeWaiting {
    /// The conversation that it leads into.
    #[n(0)]
    pub conversation: ConversationId,
}

/// A device chain has grown.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ChainChanged {
    /// Whose.
    #[n(0)]
    pub user: UserId,
    /// Its number of entries now.
    #[n(1)]
    pub len: u32,
}

/// A signal that is not stored, sealed under a key of the epoch.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Whispered {
    /// Where.
    #[n(0)]
    pub conversation: ConversationId,
    /// The epoch whose key seals it.
    #[n(1)]
    pub epoch: u64,
    /// The device that sent it.
    #[n(2)]
    pub sender: DeviceId,
    /// Sealed.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub payload: Vec<u8>,
}

/// A part of a conversation is in the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Archived {
    /// Which conversation.
    #[n(0)]
    pub conversation: ConversationId,
    /// The first place of its log.
    #[n(1)]
    pub first: u64,
    /// The last one.
    #[n(2)]
    pub last: u64,
}

/// An event's body that says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Nothing {}

impl Event {
    /// Decodes an event's body. `None` is a kind that this version does not know: skip it.
    ///
    /// # Errors
    /// [`Malformed`] when the body is not that event.
    pub fn decode(kind: u16, body: &[u8]) -> Result<Option<Self>, Malformed> {
        Ok(Some(match kind {
            RECORDED => Self::Recorded(decode(body)?),
            WELCOME_WAITING => Self::WelcomeWaiting(decode(body)?),
            CHAIN_CHANGED => Self::ChainChanged(decode(body)?),
            WHISPERED => Self::Whispered(decode(body)?),
            ARCHIVED => Self::Archived(decode(body)?),
            DRAINING => decode::<Nothing>(body).map(|Nothing {}| Self::Draining)?,
            _ => return Ok(None),
        }))
    }
}
