//! What is shown, as JavaScript takes it: ids as text, times in milliseconds.

use crate::content::{Block, blocks};
use crate::file::Attached;
use crate::standing::{State, Trust};
use client::content::{Body, MessageView};
use client::{Client, ConversationView, LinePlace, MessageState, Notice, PageLine};
use serde::Serialize;
use tsify::Tsify;
use wire::{ConversationId, MessageId, UserId};

/// How things stand.
#[derive(Debug, Serialize, Tsify)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Who this device is; absent before it has joined.
    pub account: Option<Account>,
    /// Logged in.
    pub live: bool,
    /// Logged in, and everything that the server has for this device is here.
    pub caught_up: bool,
    /// Things that wait to reach the server.
    pub unsent: f64,
}

/// Who this device is.
#[derive(Debug, Serialize, Tsify)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// The tenant's name.
    pub tenant: String,
    /// The person.
    pub user: String,
    /// The person's handle.
    pub handle: String,
    /// This device.
    pub device: String,
}

/// Where an invite leads, without its code.
#[derive(Debug, Serialize, Tsify)]
pub struct Invitation {
    /// Name or address of the server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The tenant's name.
    pub tenant: String,
}

/// A conversation in the list.
#[derive(Debug, Serialize, Tsify)]
#[serde(rename_all = "camelCase")]
pub struct Conversation {
    /// Its id.
    pub id: String,
    /// A group rather than two people.
    pub group: bool,
    /// The other person of a direct conversation.
    pub peer: Option<String>,
    /// What to call it.
    pub title: String,
    /// What it is about.
    pub topic: Option<String>,
    /// Where it stands.
    pub state: State,
    /// Lines of others that were not read.
    pub unread: f64,
    /// Those of them that name this person.
    pub unread_mentions: f64,
    /// Seconds after reading that new messages live; 0: for ever.
    pub timer: u32,
    /// Entries that could not be decrypted.
    pub undecryptable: f64,
    /// The server showed this device and another different histories.
    pub forked: bool,
    /// What is known of the other person's keys.
    pub verification: Option<Trust>,
    /// It stands above those that are not.
    pub pinned: bool,
    /// It asks for attention only where it names the person.
    pub muted: bool,
    /// Unread lines that ask for attention.
    pub loud: f64,
    /// What was begun to be written; empty: nothing.
    pub draft: String,
    /// It is kept out of the person's archive.
    pub kept_out: bool,
    /// The last line.
    pub last: Option<Line>,
}

/// All conversations: those that are pinned, then the others, the one with the newest line first.
#[derive(Debug, Serialize, Tsify)]
pub struct Conversations(pub Vec<Conversation>);

/// A line of a conversation.
#[derive(Debug, Serialize, Tsify)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// Its id; absent when the message could not be read.
    pub id: Option<String>,
    /// Where it stands, if it stands by itself; another line that was sent has another one, once recorded.
    pub place: Option<String>,
    /// The author's handle, if it is known.
    pub author: Option<String>,
    /// This person wrote it.
    pub own: bool,
    /// When, in milliseconds.
    pub at: f64,
    /// Where it is.
    pub state: LineState,
    /// What it is.
    pub what: What,
    /// It was changed after it was sent.
    pub edited: bool,
    /// The message that it answers.
    pub reply_to: Option<Quoted>,
    /// Reactions.
    pub reactions: Vec<Reacted>,
    /// How many others have told that they have read it.
    pub readers: u32,
    /// It names this person.
    pub names_me: bool,
    /// It is to disappear.
    pub expires: bool,
    /// Its words as they were written, for editing.
    pub source: String,
}

/// A part of a conversation.
#[derive(Debug, Serialize, Tsify)]
pub struct Window {
    /// Its lines, oldest first.
    pub lines: Vec<Line>,
    /// There are lines before it.
    pub earlier: bool,
    /// There are lines after it.
    pub later: bool,
    /// The archive may have lines from before all that are here.
    pub archived: bool,
}

/// A line that was searched for.
#[derive(Debug, Serialize, Tsify)]
pub struct Found {
    /// Where it is.
    pub conversation: String,
    /// What to call that.
    pub title: String,
    /// That is a group.
    pub group: bool,
    /// The line.
    pub line: Line,
}

/// Lines that were searched for, newest first.
#[derive(Debug, Serialize, Tsify)]
pub struct Findings(pub Vec<Found>);

/// Where a line is.
#[derive(Debug, Serialize, Tsify)]
#[serde(rename_all = "snake_case")]
pub enum LineState {
    /// Not yet known to be recorded by the server.
    Pending,
    /// In the conversation's log.
    Recorded,
    /// The server refused it for good.
    Failed,
}

/// What a line is.
#[derive(Debug, Serialize, Tsify)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum What {
    /// Words.
    Words {
        /// As a tree.
        blocks: Vec<Block>,
        /// It was larger than a tree may be; the rest is left out.
        truncated: bool,
    },
    /// It was taken back.
    Deleted,
    /// Its time is over.
    Expired,
    /// It could not be decrypted, or breaks a rule.
    Bad {
        /// Why, for people, in English.
        reason: String,
    },
    /// The conversation was named.
    Name {
        /// So.
        name: String,
    },
    /// The topic was set; empty: removed.
    Topic {
        /// So.
        topic: String,
    },
    /// The timer was set; 0: removed.
    Timer {
        /// So.
        seconds: u32,
    },
    /// A file.
    File {
        /// It.
        file: Attached,
    },
    /// What a commit did to the members, by handle.
    Members {
        /// Who came in.
        added: Vec<String>,
        /// Who was removed.
        removed: Vec<String>,
        /// Who left.
        left: Vec<String>,
        /// Who became an admin.
        promoted: Vec<String>,
        /// Who is an admin no longer.
        demoted: Vec<String>,
    },
    /// Something that this version does not know.
    Unknown,
}

/// The message that a line answers.
#[derive(Debug, Serialize, Tsify)]
pub struct Quoted {
    /// Its id.
    pub id: String,
    /// Its author's handle, if it is here.
    pub author: Option<String>,
    /// What it is, if it is here.
    pub what: Option<What>,
}

/// A reaction.
#[derive(Debug, Serialize, Tsify)]
pub struct Reacted {
    /// The symbol.
    pub symbol: String,
    /// Who, by handle.
    pub handles: Vec<String>,
    /// This person among them.
    pub mine: bool,
}

/// Whose words are shown to whom: what every line is looked at with.
pub(crate) struct Reader<'a> {
    pub(crate) client: &'a Client,
    own: Option<UserId>,
}

#[expect(clippy::cast_precision_loss, reason = "JavaScript's numbers hold 53 bits: enough for counts and times")]
pub(crate) const fn number(count: u64) -> f64 {
    count as f64
}

impl<'a> Reader<'a> {
    pub(crate) fn new(client: &'a Client) -> Self {
        Self { client, own: client.account_view().map(|account| account.user) }
    }

    pub(crate) fn status(&self) -> Result<Status, client::Error> {
        let account = self.client.account_view().map(|account| Account {
            tenant: account.tenant_name,
            user: account.user.to_string(),
            handle: account.handle,
            device: account.device.to_string(),
        });
        let (live, caught_up) = (self.client.is_live(), self.client.is_caught_up());
        Ok(Status { account, live, caught_up, unsent: number(self.client.unsent()?) })
    }

    pub(crate) fn conversations(&self) -> Result<Vec<Conversation>, client::Error> {
        self.client.conversations()?.into_iter().map(|view| self.conversation(view)).collect()
    }

    fn conversation(&self, view: ConversationView) -> Result<Conversation, client::Error> {
        let contact = view.peer.map(|peer| self.client.contact_of(peer)).transpose()?.flatten();
        let loud = number(view.loud());
        let last = view.last.as_ref().map(|line| self.line(&view, line)).transpose()?;
        Ok(Conversation {
            id: view.id.to_string(),
            group: view.peer.is_none(),
            peer: view.peer.map(|peer| peer.to_string()),
            title: view.title,
            topic: view.topic,
            state: State::from(view.state),
            unread: number(view.unread),
            loud,
            pinned: view.pinned,
            muted: view.muted,
            draft: view.draft,
            kept_out: view.kept_out,
            unread_mentions: number(view.unread_mentions),
            timer: view.timer,
            undecryptable: number(view.undecryptable),
            forked: view.forked,
            verification: contact.map(|contact| Trust::from(contact.verification)),
            last,
        })
    }

    pub(crate) fn window(
        &self,
        id: ConversationId,
        at: Option<LinePlace>,
        before: u32,
        after: u32,
    ) -> Result<Option<Window>, client::Error> {
        let Some(view) = self.client.conversation(id)? else { return Ok(None) };
        let client::Window { lines, earlier, later } = self.client.window(id, at, before, after)?;
        let placed = |line: PageLine| {
            Ok::<_, client::Error>(Line { place: Some(line.place.to_string()), ..self.line(&view, &line.line)? })
        };
        let lines = lines.into_iter().map(placed).collect::<Result<_, _>>()?;
        let archived = self.client.has_earlier_history(id)?;
        Ok(Some(Window { lines, earlier, later, archived }))
    }

    pub(crate) fn search(&self, query: &str, limit: u32) -> Result<Vec<Found>, client::Error> {
        let mut findings = Vec::new();
        for (id, found) in self.client.search(query, limit)? {
            let Some(view) = self.client.conversation(id)? else { continue };
            let place = found.id.map(|message| self.client.place_of(id, message)).transpose()?.flatten();
            let line = Line { place: place.map(|place| place.to_string()), ..self.line(&view, &found)? };
            findings.push(Found { conversation: id.to_string(), group: view.peer.is_none(), title: view.title, line });
        }
        Ok(findings)
    }

    fn line(&self, view: &ConversationView, line: &MessageView) -> Result<Line, client::Error> {
        let own = line.author.is_some() && line.author == self.own;
        let readers = line.seq.filter(|_| own).map_or(0, |seq| view.readers(seq).count());
        let reactions = line.reactions.iter().map(|reaction| {
            let mine = self.own.is_some_and(|own| reaction.users.contains(&own));
            Ok(Reacted { symbol: reaction.symbol.clone(), handles: self.handles(&reaction.users)?, mine })
        });
        Ok(Line {
            id: line.id.map(|id| id.to_string()),
            place: None,
            author: line.author.map(|author| self.client.handle_of(author)).transpose()?,
            own,
            at: number(line.at),
            state: match line.state {
                MessageState::Pending => LineState::Pending,
                MessageState::Failed => LineState::Failed,
                _ => LineState::Recorded,
            },
            what: self.what(line)?,
            edited: !line.history.is_empty(),
            reply_to: line.in_reply_to.map(|id| self.quoted(view.id, id)).transpose()?,
            reactions: reactions.collect::<Result<_, client::Error>>()?,
            readers: u32::try_from(readers).unwrap_or(u32::MAX),
            names_me: !own && line.mentions.iter().any(|mention| Some(mention.user) == self.own),
            expires: line.expiry.is_some_and(|expiry| !expiry.is_never()),
            source: line.body.as_ref().and_then(Body::words).unwrap_or_default().to_owned(),
        })
    }

    fn what(&self, line: &MessageView) -> Result<What, client::Error> {
        if let Some(notice) = &line.notice {
            return self.notice(notice);
        }
        let reason = || line.reason.clone().unwrap_or_default();
        Ok(match (&line.body, line.state) {
            _ if line.deleted => What::Deleted,
            (_, MessageState::Expired) => What::Expired,
            (_, MessageState::Undecryptable | MessageState::Refused) => What::Bad { reason: reason() },
            (Some(Body::Name(name)), _) => What::Name { name: name.clone() },
            (Some(Body::Topic(topic)), _) => What::Topic { topic: topic.clone() },
            (Some(Body::Timer { seconds }), _) => What::Timer { seconds: *seconds },
            (Some(Body::File(file)), _) => What::File { file: Attached::from(file) },
            (Some(Body::Unknown(_)) | None, _) => What::Unknown,
            (Some(_), _) => {
                let document = line.document();
                What::Words { blocks: blocks(&document.blocks, self.client)?, truncated: document.truncated }
            }
        })
    }

    fn notice(&self, notice: &Notice) -> Result<What, client::Error> {
        Ok(What::Members {
            added: self.handles(&notice.added)?,
            removed: self.handles(&notice.removed)?,
            left: self.handles(&notice.left)?,
            promoted: self.handles(&notice.promoted)?,
            demoted: self.handles(&notice.demoted)?,
        })
    }

    fn quoted(&self, conversation: ConversationId, id: MessageId) -> Result<Quoted, client::Error> {
        let Some(line) = self.client.message(conversation, id)? else {
            return Ok(Quoted { id: id.to_string(), author: None, what: None });
        };
        let author = line.author.map(|author| self.client.handle_of(author)).transpose()?;
        Ok(Quoted { id: id.to_string(), author, what: Some(self.what(&line)?) })
    }

    fn handles(&self, users: &[UserId]) -> Result<Vec<String>, client::Error> {
        users.iter().map(|user| self.client.handle_of(*user)).collect()
    }
}
