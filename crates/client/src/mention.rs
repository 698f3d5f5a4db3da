//! What people write, made ready to be sent: who is named in it.

use crate::client::Client;
use crate::content::{Body, Content, find_mentions};
use crate::{Error, MemberView};
use wire::{ConversationId, UnixMillis};

impl Client {
    /// The same content with the members of the conversation whom its text names by `@handle`.
    ///
    /// # Errors
    /// [`Error::UnknownConversation`], [`Error::NotJoined`], [`Error::Database`].
    pub fn with_mentions(
        &mut self,
        conversation: ConversationId,
        content: Content,
        now: UnixMillis,
    ) -> Result<Content, Error> {
        let Some(words) = content.body.words().filter(|words| words.contains('@')) else { return Ok(content) };
        let members = self.members(conversation, now)?;
        let who = |handle: &str| {
            let is_called = |member: &&MemberView| member.handle.to_lowercase() == handle.to_lowercase();
            members.iter().find(is_called).map(|member| member.user)
        };
        Ok(Content { mentions: find_mentions(words, who), ..content })
    }

    /// Says what a conversation is about; nothing, if it is empty. A message, which any member may send.
    ///
    /// # Errors
    /// [`Error::InvalidTopic`]; as [`Client::send`].
    pub fn set_topic(
        &mut self,
        conversation: ConversationId,
        topic: &str,
        now: UnixMillis,
    ) -> Result<wire::MessageId, Error> {
        let topic = topic.trim();
        if topic.chars().count() > TOPIC_MAX_CHARS || topic.chars().any(char::is_control) {
            return Err(Error::InvalidTopic);
        }
        self.send(conversation, &Content::new(Body::Topic(topic.into()), now), now)
    }
}

/// The longest topic of a conversation, in characters.
const TOPIC_MAX_CHARS: usize = 300;
