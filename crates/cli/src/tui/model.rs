//! What the interface shows, as plain values: made from queries of the client ([`super::refresh`]), changed by keys
//! ([`super::update`]), painted by [`super::view`]. It knows no client, no terminal and no clock.

use super::command::Command;
use super::editor::Editor;
use client::content::markdown::Document;
use client::{ConversationState, LinePlace, Verification};
use std::collections::HashMap;
use std::path::PathBuf;
use time::UtcOffset;
use wire::{ConversationId, MessageId, UnixMillis, UserId};

/// Everything that is shown.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) me: Me,
    pub(super) link: Link,
    /// Things that wait to reach the server.
    pub(super) unsent: u64,
    pub(super) chats: Vec<Chat>,
    pub(super) current: Option<ConversationId>,
    pub(super) page: Page,
    /// The line that keys act on, by its place in the page; without one the end is shown.
    pub(super) selected: Option<usize>,
    /// Rows of the selected line above the screen, when it is taller than that.
    pub(super) inner: usize,
    pub(super) focus: Focus,
    pub(super) draft: Editor,
    /// Drafts of the other conversations.
    pub(super) drafts: HashMap<Option<ConversationId>, Editor>,
    pub(super) about: About,
    pub(super) overlay: Option<Overlay>,
    /// Who is writing where, and until when that is believed.
    pub(super) typing: Vec<(ConversationId, String, UnixMillis)>,
    pub(super) notice: Option<Notice>,
    /// Files that are written to the disk when they have come.
    pub(super) saves: Vec<Save>,
    /// Columns and rows.
    pub(super) size: (u16, u16),
    /// The window has the keyboard: what is shown is read.
    pub(super) focused: bool,
    pub(super) now: UnixMillis,
    pub(super) offset: UtcOffset,
}

/// A file that a person wants on the disk.
#[derive(Debug, Clone)]
pub(super) struct Save {
    pub(super) conversation: ConversationId,
    pub(super) message: MessageId,
    /// The folder, or a name in one.
    pub(super) to: Option<PathBuf>,
}

/// Whose device this is.
#[derive(Debug, Clone)]
pub(super) struct Me {
    pub(super) user: UserId,
    pub(super) handle: String,
    pub(super) tenant: String,
}

/// The connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Link {
    /// Everything on the server is here.
    Online,
    /// Logging in, or fetching what was missed.
    CatchingUp,
    /// No connection; the next attempt is made then.
    Offline {
        /// Not before.
        retry_at: UnixMillis,
    },
    /// The server does not let this device in.
    Refused(String),
}

/// A conversation in the list.
#[derive(Debug, Clone)]
pub(super) struct Chat {
    pub(super) id: ConversationId,
    pub(super) title: String,
    pub(super) peer: Option<UserId>,
    pub(super) state: ConversationState,
    pub(super) topic: Option<String>,
    pub(super) timer: u32,
    pub(super) unread: u64,
    pub(super) mentions: u64,
    /// The last line, in one line.
    pub(super) preview: String,
    pub(super) at: Option<UnixMillis>,
    /// What a person must know about its safety.
    pub(super) warnings: Vec<String>,
    /// The other person's, in a direct conversation.
    pub(super) verification: Option<Verification>,
    pub(super) has_draft: bool,
}

/// The part of a conversation that is in memory.
#[derive(Debug, Clone, Default)]
pub(super) struct Page {
    pub(super) lines: Vec<Shown>,
    /// There are no lines before it.
    pub(super) at_start: bool,
    /// There are no lines after it.
    pub(super) at_end: bool,
    /// Where the new lines began when the conversation was opened.
    pub(super) new_after: Option<u64>,
}

/// A line of a conversation.
#[derive(Debug, Clone)]
pub(super) struct Shown {
    pub(super) place: LinePlace,
    pub(super) id: Option<MessageId>,
    pub(super) seq: Option<u64>,
    pub(super) author: String,
    pub(super) own: bool,
    pub(super) at: UnixMillis,
    pub(super) what: What,
    pub(super) mark: Mark,
    pub(super) edited: bool,
    /// Author and words of the message that it answers.
    pub(super) quote: Option<(String, String)>,
    pub(super) reactions: Vec<Reacted>,
    pub(super) expires_at: Option<UnixMillis>,
    pub(super) expires: bool,
    /// It names the person whose device this is.
    pub(super) names_me: bool,
    /// The words as they were written, to be edited and copied.
    pub(super) source: String,
    /// Who has told that they have read it.
    pub(super) readers: Vec<String>,
}

/// What a line is.
#[derive(Debug, Clone)]
pub(super) enum What {
    /// What somebody said.
    Words(Document),
    /// What happened to the conversation.
    System(String),
    /// It was taken back.
    Deleted,
    /// It could not be read, or is not believed.
    Bad(String),
}

/// How far a message of this person has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mark {
    /// Not this person's.
    None,
    /// It waits.
    Pending,
    /// The server has it.
    Sent,
    /// All have read it, of whom it is known.
    Read,
    /// So many have read it.
    ReadBy(usize),
    /// It will not be sent.
    Failed(String),
}

/// A reaction, and how many chose it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reacted {
    pub(super) symbol: String,
    pub(super) count: usize,
    pub(super) mine: bool,
}

/// What the keys go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Focus {
    /// The line that is being written.
    Writing,
    /// The lines of the conversation.
    Reading,
    /// The list of conversations.
    Choosing,
}

/// What is being written is about another message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum About {
    /// No.
    #[default]
    Nothing,
    /// It answers it.
    Reply(MessageId, String),
    /// It replaces its words.
    Edit(MessageId),
}

/// What lies over the conversation.
#[derive(Debug)]
pub(super) enum Overlay {
    Help,
    Search {
        query: Editor,
        found: Vec<Found>,
        chosen: usize,
    },
    /// Something to read.
    Card {
        title: String,
        text: Vec<String>,
    },
    Safety {
        user: UserId,
        handle: String,
        number: String,
        verification: Verification,
        warning: Option<String>,
    },
    /// A reaction is being chosen.
    React {
        target: MessageId,
        symbol: Editor,
        mine: Vec<String>,
    },
    /// It is done when the person says yes.
    Confirm {
        question: String,
        yes: Box<Effect>,
    },
}

/// A line that was found.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) conversation: ConversationId,
    pub(super) title: String,
    pub(super) place: Option<LinePlace>,
    pub(super) author: String,
    pub(super) text: String,
    pub(super) at: UnixMillis,
}

/// A word to the person, for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Notice {
    pub(super) text: String,
    pub(super) is_error: bool,
    pub(super) until: UnixMillis,
}

/// What has to be done with the client; [`super::effect`] does it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    Open(ConversationId),
    /// Opens a conversation at a line.
    Jump(ConversationId, Option<LinePlace>),
    Older,
    Newer,
    Latest,
    Send {
        conversation: ConversationId,
        text: String,
        about: About,
    },
    Typing(ConversationId),
    React {
        conversation: ConversationId,
        target: MessageId,
        symbol: String,
        removed: bool,
    },
    Delete {
        conversation: ConversationId,
        target: MessageId,
    },
    Leave(ConversationId),
    Search(String),
    Verify {
        user: UserId,
        verified: bool,
    },
    Command(Command),
    Quit,
}

/// A word to the person stays so long.
pub(super) const NOTICE_MS: u64 = 8_000;

impl Model {
    pub(super) fn new(me: Me, offset: UtcOffset, size: (u16, u16), now: UnixMillis) -> Self {
        Self {
            me,
            link: Link::CatchingUp,
            unsent: 0,
            chats: Vec::new(),
            current: None,
            page: Page::default(),
            selected: None,
            inner: 0,
            focus: Focus::Writing,
            draft: Editor::default(),
            drafts: HashMap::new(),
            about: About::Nothing,
            overlay: None,
            typing: Vec::new(),
            notice: None,
            saves: Vec::new(),
            size,
            focused: true,
            now,
            offset,
        }
    }

    pub(super) fn chat(&self) -> Option<&Chat> {
        self.chats.iter().find(|chat| Some(chat.id) == self.current)
    }

    pub(super) fn chosen(&self) -> Option<&Shown> {
        self.page.lines.get(self.selected?)
    }

    pub(super) fn tell(&mut self, text: impl Into<String>) {
        self.notice = Some(Notice { text: text.into(), is_error: false, until: self.now.saturating_add(NOTICE_MS) });
    }

    pub(super) fn complain(&mut self, text: impl Into<String>) {
        self.notice = Some(Notice { text: text.into(), is_error: true, until: self.now.saturating_add(NOTICE_MS) });
    }

    /// Time has passed: what was believed for a while is not any more.
    pub(super) fn at(&mut self, now: UnixMillis) {
        self.now = now;
        self.typing.retain(|(_, _, until)| *until > now);
        self.notice = self.notice.take().filter(|notice| notice.until > now);
    }

    /// Who is writing in the conversation that is shown.
    pub(super) fn writers(&self) -> Vec<&str> {
        let here = self.typing.iter().filter(|(id, _, _)| Some(*id) == self.current);
        here.map(|(_, handle, _)| handle.as_str()).collect()
    }

    /// Changes the conversation that is shown; the draft stays with the one before.
    pub(super) fn switch(&mut self, id: Option<ConversationId>) {
        if id == self.current {
            return;
        }
        let draft = self.drafts.remove(&id).unwrap_or_default();
        let before = std::mem::replace(&mut self.draft, draft);
        self.drafts.insert(self.current, before);
        self.current = id;
        (self.selected, self.inner, self.about, self.page) = (None, 0, About::Nothing, Page::default());
    }
}
