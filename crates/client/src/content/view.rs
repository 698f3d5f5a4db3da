//! A message as a person sees it: its words after edits, whether it was taken back, and who reacted.

use super::markdown::Document;
use super::{Body, Content, Expiry, Mention};
use crate::database::{MessageRow, MessageState};
use crate::group::Notice;
use std::collections::BTreeMap;
use wire::sabotage::{Defence, stands};
use wire::{DeviceId, MessageId, UnixMillis, UserId};

/// A line of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageView {
    /// Its id; absent when the message could not be read.
    pub id: Option<MessageId>,
    /// Its place in the log; absent until the server has recorded it.
    pub seq: Option<u64>,
    /// Who wrote it, from the MLS leaf; absent when the message could not be read.
    pub author: Option<UserId>,
    /// The device that sent it.
    pub device: DeviceId,
    /// When the server recorded it, or when it was written while it is pending.
    pub at: UnixMillis,
    /// Where it is.
    pub state: MessageState,
    /// What it says now; absent when it was deleted or could not be read.
    pub body: Option<Body>,
    /// It was taken back by its author.
    pub deleted: bool,
    /// The message that it answers.
    pub in_reply_to: Option<MessageId>,
    /// Earlier wordings, oldest first.
    pub history: Vec<String>,
    /// Reactions, by symbol.
    pub reactions: Vec<ReactionView>,
    /// Why it failed, could not be read or was refused.
    pub reason: Option<String>,
    /// What a commit did to the members, if that is what the line is about.
    pub notice: Option<Notice>,
    /// People named in what it says now.
    pub mentions: Vec<Mention>,
    /// How long it is to live.
    pub expiry: Option<Expiry>,
}

/// Who reacted with a symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReactionView {
    /// The symbol.
    pub symbol: String,
    /// The users, in the order of their ids.
    pub users: Vec<UserId>,
}

/// Puts a line and its changes together. `changes` are in the order of the log, own pending ones last. A change by
/// anyone but the author of the line has no effect but for reactions.
pub fn fold(line: &MessageRow, changes: &[MessageRow]) -> MessageView {
    let is_notice = line.state == MessageState::Notice;
    let notice = is_notice.then(|| wire::decode(&line.content).unwrap_or_default());
    let content = Content::from_bytes(&line.content).ok().filter(|_| !is_notice);
    let mut view = MessageView {
        id: line.message_id,
        seq: line.seq,
        author: line.author,
        device: line.device,
        at: line.at,
        state: line.state,
        in_reply_to: content.as_ref().and_then(|content| content.in_reply_to),
        mentions: content.as_ref().map(|content| content.mentions.clone()).unwrap_or_default(),
        expiry: content.as_ref().and_then(|content| content.expiry),
        body: content.map(|content| content.body),
        deleted: false,
        history: Vec::new(),
        reactions: Vec::new(),
        reason: line.reason.clone(),
        notice,
    };
    let mut reactions = BTreeMap::<(String, UserId), bool>::new();
    for change in changes.iter().filter(|change| change.takes_effect()) {
        let Some((author, content)) = change.author.zip(Content::from_bytes(&change.content).ok()) else {
            continue;
        };
        match content.body {
            Body::Edit { text, .. } if may_change(author, line) => view.edit(text, content.mentions),
            Body::Delete { .. } if may_change(author, line) => view.delete(),
            Body::Reaction(reaction) => {
                reactions.insert((reaction.symbol, author), !reaction.removed);
            }
            _ => {}
        }
    }
    if !view.deleted {
        view.react(reactions);
    }
    view
}

fn may_change(author: UserId, line: &MessageRow) -> bool {
    Some(author) == line.author || !stands(Defence::AuthorOfChange)
}

impl MessageView {
    /// What it says, as a tree to be shown; empty when it has no words.
    pub fn document(&self) -> Document {
        match &self.body {
            Some(Body::Markdown(text)) => Document::parse(text, &self.mentions),
            Some(body) => Document::plain(body.words().unwrap_or_default(), &self.mentions),
            None => Document::default(),
        }
    }

    fn edit(&mut self, text: String, mentions: Vec<Mention>) {
        if let Some(Body::Text(words) | Body::Markdown(words)) = &mut self.body {
            self.mentions = mentions;
            self.history.push(std::mem::replace(words, text));
        }
    }

    fn delete(&mut self) {
        self.deleted = true;
        self.body = None;
        self.mentions.clear();
        self.history.clear();
    }

    fn react(&mut self, reactions: BTreeMap<(String, UserId), bool>) {
        for ((symbol, user), _) in reactions.into_iter().filter(|(_, stands)| *stands) {
            match self.reactions.last_mut().filter(|last| last.symbol == symbol) {
                Some(last) => last.users.push(user),
                None => self.reactions.push(ReactionView { symbol, users: vec![user] }),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Reaction;
    use super::*;

    const ALICE: UserId = UserId::from_bytes([1; 16]);
    const MALLORY: UserId = UserId::from_bytes([2; 16]);
    const TARGET: MessageId = MessageId::from_bytes([9; 16]);

    fn row(author: UserId, body: Body) -> MessageRow {
        MessageRow {
            seq: Some(1),
            message_id: Some(TARGET),
            author: Some(author),
            device: DeviceId::from_bytes([4; 16]),
            at: 5,
            state: MessageState::Recorded,
            content: Content::new(body, 5).to_bytes(),
            reason: None,
        }
    }

    fn edit(text: &str) -> Body {
        Body::Edit { target: TARGET, text: text.into() }
    }

    #[test]
    fn edits_keep_their_history() {
        let line = row(ALICE, Body::Text("one".into()));
        let view = fold(&line, &[row(ALICE, edit("two")), row(ALICE, edit("three"))]);
        assert_eq!(view.body, Some(Body::Text("three".into())));
        assert_eq!(view.history, ["one", "two"]);
    }

    #[test]
    fn a25_only_the_author_edits_and_deletes() {
        let line = row(ALICE, Body::Text("one".into()));
        let view = fold(&line, &[row(MALLORY, edit("forged")), row(MALLORY, Body::Delete { target: TARGET })]);
        assert_eq!((view.body, view.deleted), (Some(Body::Text("one".into())), false));
        assert_eq!(view.history, [""; 0]);
    }

    #[test]
    fn a_refused_change_has_no_effect() {
        let line = row(ALICE, Body::Text("one".into()));
        let refused = MessageRow { state: MessageState::Refused, ..row(ALICE, edit("two")) };
        assert_eq!(fold(&line, &[refused]).body, Some(Body::Text("one".into())));
    }

    #[test]
    fn a_deleted_message_says_nothing() {
        let line = row(ALICE, Body::Text("one".into()));
        let reaction = Body::Reaction(Reaction { target: TARGET, symbol: "👍".into(), removed: false });
        let view = fold(
            &line,
            &[row(ALICE, edit("two")), row(ALICE, Body::Delete { target: TARGET }), row(MALLORY, reaction)],
        );
        assert_eq!((view.deleted, view.body, view.history.len(), view.reactions.len()), (true, None, 0, 0));
    }

    #[test]
    fn reactions_gather_and_can_be_taken_back() {
        let react = |author, symbol: &str, removed| {
            row(author, Body::Reaction(Reaction { target: TARGET, symbol: symbol.into(), removed }))
        };
        let changes = [
            react(ALICE, "👍", false),
            react(MALLORY, "👍", false),
            react(ALICE, "🐝", false),
            react(ALICE, "🐝", true),
        ];
        let view = fold(&row(ALICE, Body::Text("one".into())), &changes);
        assert_eq!(view.reactions, [ReactionView { symbol: "👍".into(), users: vec![ALICE, MALLORY] }]);
    }
}
