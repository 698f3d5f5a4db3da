//! The kinds of content. On the wire a body is `[kind, map]`; a kind's number is never reused.

use super::Attachment;
use minicbor::data::Type;
use minicbor::{Decode, Decoder, Encode, Encoder, decode, encode};
use vault::ArchiveKey;
use wire::MessageId;
use zeroize::Zeroizing;

const TEXT: u16 = 1;
const MARKDOWN: u16 = 2;
const EDIT: u16 = 3;
const DELETE: u16 = 4;
const REACTION: u16 = 5;
const RECEIPT: u16 = 6;
const NAME: u16 = 7;
const TOPIC: u16 = 8;
// 9 was a file without a place to get it from; nobody has sent one.
const TIMER: u16 = 10;
const FILE: u16 = 11;
const ARCHIVE_KEY: u16 = 12;

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Plain text.
    Text(String),
    /// Markdown source (CommonMark). Shown from its tree, never as HTML.
    Markdown(String),
    /// New words for an earlier message of the same author; the old ones stay in the history.
    Edit {
        /// Which message.
        target: MessageId,
        /// Its words now.
        text: String,
    },
    /// Takes an earlier message of the same author back.
    Delete {
        /// Which message.
        target: MessageId,
    },
    /// A reaction to a message.
    Reaction(Reaction),
    /// Everything up to this place was read. One per reading, not one per message.
    Receipt {
        /// Sequence number in the conversation's log.
        read_up_to: u64,
    },
    /// Names the conversation.
    Name(String),
    /// Says what the conversation is about.
    Topic(String),
    /// A file that travels elsewhere, sealed.
    File(Attachment),
    /// New messages disappear so many seconds after they were read; 0: they stay.
    Timer {
        /// Seconds, or 0.
        seconds: u32,
    },
    /// A new key of the person's archive: said among the person's own devices, and believed nowhere else.
    ArchiveKey(SharedKey),
    /// A kind, or a version of one, that this program does not know.
    Unknown(Unknown),
}

/// A key of the person's archive on its way to their other devices.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct SharedKey {
    #[cbor(n(0), with = "minicbor::bytes")]
    key: [u8; ArchiveKey::SEALED_STORAGE_BYTES],
}

impl SharedKey {
    pub(crate) fn of(key: &ArchiveKey) -> Self {
        Self { key: *key.to_sealed_storage() }
    }

    pub(crate) fn to_key(&self) -> ArchiveKey {
        ArchiveKey::from_sealed_storage(&Zeroizing::new(self.key))
    }
}

impl std::fmt::Debug for SharedKey {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SharedKey(..)")
    }
}

/// A reaction to a message; the same author, target and symbol with `removed` takes it back.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Reaction {
    /// Which message.
    #[n(0)]
    pub target: MessageId,
    /// Usually one emoji.
    #[n(1)]
    pub symbol: String,
    /// It is taken back.
    #[n(2)]
    #[cbor(default)]
    pub removed: bool,
}

/// A body as it came, of a kind that this program does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// The kind's number.
    pub kind: u16,
    /// The encoded map, untouched.
    pub bytes: Vec<u8>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Words {
    #[n(0)]
    text: String,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Edited {
    #[n(0)]
    target: MessageId,
    #[n(1)]
    text: String,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Deleted {
    #[n(0)]
    target: MessageId,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Timed {
    #[n(0)]
    seconds: u32,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Read {
    #[n(0)]
    up_to: u64,
}

impl Body {
    /// The number of the kind.
    pub const fn kind(&self) -> u16 {
        match self {
            Self::Text(_) => TEXT,
            Self::Markdown(_) => MARKDOWN,
            Self::Edit { .. } => EDIT,
            Self::Delete { .. } => DELETE,
            Self::Reaction(_) => REACTION,
            Self::Receipt { .. } => RECEIPT,
            Self::Name(_) => NAME,
            Self::Topic(_) => TOPIC,
            Self::File(_) => FILE,
            Self::Timer { .. } => TIMER,
            Self::ArchiveKey(_) => ARCHIVE_KEY,
            Self::Unknown(unknown) => unknown.kind,
        }
    }

    /// The kind's name for scripts.
    pub const fn kind_name(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Markdown(_) => "markdown",
            Self::Edit { .. } => "edit",
            Self::Delete { .. } => "delete",
            Self::Reaction(_) => "reaction",
            Self::Receipt { .. } => "receipt",
            Self::Name(_) => "name",
            Self::Topic(_) => "topic",
            Self::File(_) => "file",
            Self::Timer { .. } => "timer",
            Self::ArchiveKey(_) => "archive_key",
            Self::Unknown(_) => "unknown",
        }
    }

    /// The words that a person reads and searches, if it has any.
    pub fn words(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Markdown(text) | Self::Edit { text, .. } => Some(text),
            Self::File(file) => Some(&file.name),
            _ => None,
        }
    }

    /// The earlier message that it changes.
    pub const fn target(&self) -> Option<MessageId> {
        match self {
            Self::Edit { target, .. } | Self::Delete { target } => Some(*target),
            Self::Reaction(reaction) => Some(reaction.target),
            _ => None,
        }
    }

    /// Whether it is a line of its own in the conversation, rather than a change to another or a note to the client.
    pub const fn is_line(&self) -> bool {
        matches!(
            self,
            Self::Text(_)
                | Self::Markdown(_)
                | Self::File(_)
                | Self::Unknown(_)
                | Self::Name(_)
                | Self::Topic(_)
                | Self::Timer { .. }
        )
    }

    /// Whether it keeps the limits of its kind.
    pub(crate) fn is_sound(&self) -> bool {
        match self {
            Self::File(attachment) => attachment.is_sound(),
            _ => true,
        }
    }

    /// Whether a conversation's timer applies to it: what people say, not what they say about the conversation.
    pub const fn can_expire(&self) -> bool {
        matches!(self, Self::Text(_) | Self::Markdown(_) | Self::File(_))
    }

    /// The timer that it sets.
    pub(crate) const fn timer(&self) -> Option<u32> {
        match self {
            Self::Timer { seconds } => Some(*seconds),
            _ => None,
        }
    }

    pub(super) fn into_unknown(self) -> Self {
        let bytes = self.map();
        Self::Unknown(Unknown { kind: self.kind(), bytes })
    }

    fn map(&self) -> Vec<u8> {
        match self {
            Self::Text(text) | Self::Markdown(text) | Self::Name(text) | Self::Topic(text) => {
                wire::encode(&Words { text: text.clone() })
            }
            Self::Edit { target, text } => wire::encode(&Edited { target: *target, text: text.clone() }),
            Self::Delete { target } => wire::encode(&Deleted { target: *target }),
            Self::Reaction(reaction) => wire::encode(reaction),
            Self::Receipt { read_up_to } => wire::encode(&Read { up_to: *read_up_to }),
            Self::File(file) => wire::encode(file),
            Self::ArchiveKey(key) => wire::encode(key),
            Self::Timer { seconds } => wire::encode(&Timed { seconds: *seconds }),
            Self::Unknown(unknown) => unknown.bytes.clone(),
        }
    }

    fn read(kind: u16, map: &[u8]) -> Result<Self, wire::Malformed> {
        let words = || wire::decode::<Words>(map).map(|words| words.text);
        Ok(match kind {
            TEXT => Self::Text(words()?),
            MARKDOWN => Self::Markdown(words()?),
            NAME => Self::Name(words()?),
            TOPIC => Self::Topic(words()?),
            EDIT => wire::decode::<Edited>(map).map(|edit| Self::Edit { target: edit.target, text: edit.text })?,
            DELETE => wire::decode::<Deleted>(map).map(|delete| Self::Delete { target: delete.target })?,
            REACTION => Self::Reaction(wire::decode(map)?),
            RECEIPT => wire::decode::<Read>(map).map(|read| Self::Receipt { read_up_to: read.up_to })?,
            FILE => Self::File(wire::decode(map)?),
            ARCHIVE_KEY => Self::ArchiveKey(wire::decode(map)?),
            TIMER => wire::decode::<Timed>(map).map(|timed| Self::Timer { seconds: timed.seconds })?,
            kind => Self::Unknown(Unknown { kind, bytes: map.to_vec() }),
        })
    }
}

impl<C> Encode<C> for Body {
    fn encode<W: encode::Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), encode::Error<W::Error>> {
        e.array(2)?.u16(self.kind())?;
        // The map is an encoded value already; it is written as it stands.
        e.writer_mut().write_all(&self.map()).map_err(encode::Error::write)
    }
}

impl<'b, C> Decode<'b, C> for Body {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        if d.array()? != Some(2) {
            return Err(decode::Error::message("a body is a kind and a map"));
        }
        let kind = d.u16()?;
        if d.datatype()? != Type::Map {
            return Err(decode::Error::message("a body holds a map"));
        }
        let start = d.position();
        d.skip()?;
        let map = d.input().get(start..d.position()).ok_or_else(|| decode::Error::message("a body ends early"))?;
        Self::read(kind, map).map_err(|_| decode::Error::message("the map is not that kind's"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_kind() -> Vec<Body> {
        let target = MessageId::from_bytes([3; 16]);
        vec![
            Body::Text("a".into()),
            Body::Markdown("*a*".into()),
            Body::Edit { target, text: "b".into() },
            Body::Delete { target },
            Body::Reaction(Reaction { target, symbol: "👍".into(), removed: true }),
            Body::Receipt { read_up_to: 9 },
            Body::Name("n".into()),
            Body::Topic("t".into()),
            Body::File(Attachment::sample()),
            Body::Timer { seconds: 86_400 },
            Body::ArchiveKey(SharedKey { key: [7; 40] }),
            Body::Unknown(Unknown { kind: 999, bytes: wire::encode(&Words { text: "x".into() }) }),
        ]
    }

    #[test]
    fn every_kind_returns() {
        for body in every_kind() {
            assert_eq!(wire::decode::<Body>(&wire::encode(&body)), Ok(body));
        }
    }

    #[test]
    fn an_unknown_kind_is_passed_on_unchanged() {
        let mut bytes = Vec::new();
        Encoder::new(&mut bytes).array(2).unwrap().u16(500).unwrap().map(1).unwrap().u8(9).unwrap().str("new").unwrap();
        let body: Body = wire::decode(&bytes).unwrap();
        assert_eq!((body.kind(), wire::encode(&body)), (500, bytes));
    }

    #[test]
    fn truncated_bodies_are_refused() {
        for body in every_kind() {
            let bytes = wire::encode(&body);
            assert!((0..bytes.len()).all(|len| wire::decode::<Body>(&bytes[..len]).is_err()), "{body:?}");
        }
    }

    #[test]
    fn kinds_do_not_share_a_number() {
        let numbers: std::collections::BTreeSet<_> = every_kind().iter().map(Body::kind).collect();
        assert_eq!(numbers.len(), every_kind().len());
    }
}
