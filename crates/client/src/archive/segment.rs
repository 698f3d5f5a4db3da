//! What a segment holds. The form is inside what is kept for years and read by later versions.

use crate::database::archive::Archivable;
use crate::database::message::Place;
use crate::database::{MessageRow, MessageState};
use minicbor::{Decode, Encode};
use wire::{DeviceId, Malformed, MessageId, UnixMillis, UserId};
use zeroize::Zeroizing;

const VERSION: u8 = 1;
const DAY_MS: u64 = 24 * 3_600_000;

/// A part of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Contents {
    #[n(0)]
    version: u8,
    /// In the order of the log.
    #[n(1)]
    pub(crate) records: Vec<Record>,
}

/// A message as a device has read it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Record {
    #[n(0)]
    pub(crate) seq: u64,
    /// Nobody sent it: a device has noted what a commit did.
    #[n(1)]
    notice: bool,
    #[n(2)]
    pub(crate) message: Option<MessageId>,
    #[n(3)]
    pub(crate) author: Option<UserId>,
    #[n(4)]
    device: DeviceId,
    #[n(5)]
    pub(crate) at: UnixMillis,
    #[n(6)]
    pub(crate) kind: u16,
    #[n(7)]
    line: bool,
    #[n(8)]
    pub(crate) target: Option<MessageId>,
    /// Empty when it was taken back.
    #[cbor(n(9), with = "minicbor::bytes")]
    pub(crate) content: Vec<u8>,
}

impl Contents {
    pub(crate) const fn new(records: Vec<Record>) -> Self {
        Self { version: VERSION, records }
    }

    pub(crate) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(wire::encode(self))
    }

    /// What another device of the person has written; `None` for a version that this one does not know.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let contents: Self = wire::decode(bytes)?;
        if contents.version == VERSION { Ok(contents) } else { Err(Malformed) }
    }
}

impl Record {
    /// `None` for what has no place in a log.
    pub(crate) fn of(message: &Archivable) -> Option<Self> {
        let (row, place) = (&message.row, message.place);
        Some(Self {
            seq: row.seq?,
            notice: row.state == MessageState::Notice,
            message: row.message_id,
            author: row.author,
            device: row.device,
            at: row.at,
            kind: place.kind,
            line: place.line,
            target: place.target,
            content: row.content.clone(),
        })
    }

    /// The day that it belongs to.
    pub(crate) fn day(&self) -> u32 {
        u32::try_from(self.at / DAY_MS).unwrap_or(u32::MAX)
    }

    pub(crate) fn to_message(&self) -> (MessageRow, Place) {
        let state = if self.notice { MessageState::Notice } else { MessageState::Recorded };
        let row = MessageRow {
            seq: Some(self.seq),
            message_id: self.message,
            author: self.author,
            device: self.device,
            at: self.at,
            state,
            content: self.content.clone(),
            reason: None,
        };
        (row, Place { kind: self.kind, line: self.line, target: self.target })
    }
}
