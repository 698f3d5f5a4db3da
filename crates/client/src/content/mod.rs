//! What people say to each other: the plaintext inside an MLS application message.
//!
//! The outer layer ([`Plaintext`]) holds a franking key and the exact bytes of the content; the message's authenticated
//! data commits to those bytes under that key, so that a receiver can later prove to a moderator what was said. The inner
//! layer ([`Content`]) follows the model of MIMI content: one structure, a registry of kinds, and a rule for the unknown:
//! a kind that this version does not know is kept as it came and shown as such, never dropped.

mod attachment;
mod body;
mod expiry;
pub mod markdown;
mod mention;
mod view;

pub use attachment::{Attachment, FileDetails, Preview, Voice};
pub use body::{Body, Reaction, SharedKey, Unknown};
pub use expiry::Expiry;
pub(crate) use mention::find_mentions;
pub use view::{MessageView, ReactionView, fold};

use minicbor::{Decode, Encode};
use vault::{Entropy, FrankingKey};
use wire::{Malformed, MessageId, UnixMillis, UserId};

/// One message, edit, reaction, receipt…: what a person's client sends, sealed.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Content {
    /// 1. A content of a later version is kept and shown as unknown.
    #[n(0)]
    pub version: u8,
    /// The sender's clock, for people only.
    #[n(1)]
    pub sent_at: UnixMillis,
    /// What it says.
    #[n(2)]
    pub body: Body,
    /// The message that it answers.
    #[n(3)]
    pub in_reply_to: Option<MessageId>,
    /// People named in the text.
    #[n(4)]
    #[cbor(default)]
    pub mentions: Vec<Mention>,
    /// How long it is to live.
    #[n(5)]
    pub expiry: Option<Expiry>,
}

/// A person named in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Mention {
    /// First byte of the range in the UTF-8 text.
    #[n(0)]
    pub start: u32,
    /// The byte after it.
    #[n(1)]
    pub end: u32,
    /// Who.
    #[n(2)]
    pub user: UserId,
}

/// What MLS encrypts.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Plaintext {
    /// Opens the commitment in the authenticated data.
    #[cbor(n(0), with = "minicbor::bytes")]
    franking_key: [u8; 32],
    /// The encoded [`Content`], exactly as committed to.
    #[cbor(n(1), with = "minicbor::bytes")]
    content: Vec<u8>,
}

/// Why a received plaintext is not shown as its sender's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// The bytes are not a plaintext.
    #[error("the message's content is malformed")]
    Malformed,
    /// The authenticated data commits to something else: the message could be reported as what it is not.
    #[error("the message does not match what it commits to")]
    Commitment,
}

const VERSION: u8 = 1;

impl Content {
    /// A content of this version without reply and mentions.
    pub const fn new(body: Body, sent_at: UnixMillis) -> Self {
        Self { version: VERSION, sent_at, body, in_reply_to: None, mentions: Vec::new(), expiry: None }
    }

    /// A text.
    pub fn text(text: impl Into<String>, sent_at: UnixMillis) -> Self {
        Self::new(Body::Text(text.into()), sent_at)
    }

    /// The same as an answer to a message.
    #[must_use]
    pub fn replying_to(self, message: MessageId) -> Self {
        Self { in_reply_to: Some(message), ..self }
    }

    /// The same with a time to live.
    #[must_use]
    pub fn expiring(self, expiry: Expiry) -> Self {
        Self { expiry: Some(expiry), ..self }
    }

    /// The encoded content.
    pub fn to_bytes(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// Reads a content. One of a later version, or beyond the limits of its kind, becomes [`Body::Unknown`].
    ///
    /// # Errors
    /// [`Malformed`] when the bytes are no content of any version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        match wire::decode::<Self>(bytes) {
            Ok(content) if content.version == VERSION && content.body.is_sound() => Ok(content.with_valid_mentions()),
            Ok(content) => Ok(Self { body: content.body.into_unknown(), ..content }),
            Err(malformed) => Err(malformed),
        }
    }

    /// A range that does not lie on the text's characters is not one that anybody can show.
    fn with_valid_mentions(mut self) -> Self {
        let text = self.body.words().unwrap_or_default().to_owned();
        self.mentions
            .retain(|mention| text.get(mention.start as usize..mention.end as usize).is_some_and(|s| !s.is_empty()));
        self
    }
}

impl Plaintext {
    /// Wraps a content under a new franking key.
    pub fn wrap(content: &[u8], entropy: &mut dyn Entropy) -> Self {
        Self { franking_key: *FrankingKey::generate(entropy).as_bytes(), content: content.to_vec() }
    }

    /// What the authenticated data of the message has to hold.
    pub fn commitment(&self) -> [u8; 32] {
        FrankingKey::from_bytes(self.franking_key).commit(&self.content)
    }

    /// The bytes to encrypt.
    pub fn to_bytes(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// Takes a decrypted plaintext apart and checks the commitment.
    ///
    /// # Errors
    /// [`ContentError`].
    pub fn unwrap_checked(bytes: &[u8], commitment: &[u8; 32]) -> Result<Vec<u8>, ContentError> {
        let plaintext: Self = wire::decode(bytes).map_err(|_| ContentError::Malformed)?;
        if FrankingKey::from_bytes(plaintext.franking_key).opens(commitment, &plaintext.content) {
            Ok(plaintext.content)
        } else {
            Err(ContentError::Commitment)
        }
    }
}

impl std::fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plaintext").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Counter;
    use proptest::prelude::*;

    #[test]
    fn a_text_returns() {
        let mentions = vec![Mention { start: 0, end: 6, user: UserId::from_bytes([7; 16]) }];
        let content =
            Content { mentions, ..Content::text("蜜蜂 hello", 5).replying_to(MessageId::from_bytes([1; 16])) };
        assert_eq!(Content::from_bytes(&content.to_bytes()), Ok(content));
    }

    #[test]
    fn mentions_off_the_characters_are_left_out() {
        let user = UserId::from_bytes([7; 16]);
        let mentions =
            [(1, 3), (0, 99), (3, 3), (6, 3), (0, 3)].map(|(start, end)| Mention { start, end, user }).to_vec();
        let content = Content { mentions, ..Content::text("蜜蜂", 5) };
        assert_eq!(Content::from_bytes(&content.to_bytes()).unwrap().mentions, [Mention { start: 0, end: 3, user }]);
    }

    #[test]
    fn a_later_version_is_kept_as_unknown() {
        let content = Content { version: 2, ..Content::text("from the future", 5) };
        let read = Content::from_bytes(&content.to_bytes()).unwrap();
        assert!(matches!(read.body, Body::Unknown(Unknown { kind: 1, .. })), "{read:?}");
    }

    #[test]
    fn a_commitment_to_other_words_is_refused() {
        let plaintext = Plaintext::wrap(b"said", &mut Counter::default());
        let other = Plaintext { content: b"never said".to_vec(), ..plaintext.clone() };
        assert_eq!(Plaintext::unwrap_checked(&plaintext.to_bytes(), &plaintext.commitment()), Ok(b"said".to_vec()));
        assert_eq!(
            Plaintext::unwrap_checked(&other.to_bytes(), &plaintext.commitment()),
            Err(ContentError::Commitment)
        );
    }

    #[test]
    fn c6_debug_shows_no_franking_key() {
        assert_eq!(format!("{:?}", Plaintext::wrap(b"said", &mut Counter::default())), "Plaintext { .. }");
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_content_or_an_error(bytes: Vec<u8>) {
            let _ = Content::from_bytes(&bytes);
            let _ = Plaintext::unwrap_checked(&bytes, &[0; 32]);
        }

        #[test]
        fn any_text_returns(text: String, sent_at: u64) {
            let content = Content::text(text, sent_at);
            prop_assert_eq!(Content::from_bytes(&content.to_bytes()), Ok(content));
        }
    }
}
