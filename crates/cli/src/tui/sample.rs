//! A model as tests of the interface want it.

use super::model::{Chat, Link, Mark, Me, Model, Page, Reacted, Shown, What};
use client::content::markdown::Document;
use client::{ConversationState, LinePlace};
use time::UtcOffset;
use wire::{ConversationId, MessageId, UserId};

/// 2026-11-24 10:30 UTC.
pub(super) const NOW: u64 = 1_795_516_200_000;

pub(super) fn id(number: u8) -> ConversationId {
    ConversationId::from_bytes([number; 16])
}

pub(super) fn chat(number: u8, title: &str, preview: &str) -> Chat {
    Chat {
        id: id(number),
        title: title.into(),
        peer: None,
        state: ConversationState::Active,
        topic: None,
        timer: 0,
        unread: 0,
        mentions: 0,
        preview: preview.into(),
        at: Some(NOW - u64::from(number) * 3_600_000),
        warnings: Vec::new(),
        verification: None,
        has_draft: false,
    }
}

pub(super) fn said(number: u8, author: &str, markdown: &str) -> Shown {
    Shown {
        place: LinePlace::default(),
        id: Some(MessageId::from_bytes([number; 16])),
        seq: Some(number.into()),
        author: author.into(),
        own: author == "alice",
        at: NOW - 3_600_000 + u64::from(number) * 60_000,
        what: What::Words(Document::parse(markdown, &[])),
        mark: if author == "alice" { Mark::Sent } else { Mark::None },
        edited: false,
        quote: None,
        reactions: Vec::new(),
        expires_at: None,
        expires: false,
        names_me: false,
        source: markdown.into(),
        readers: Vec::new(),
    }
}

/// Alice, in a direct conversation with Bob, a group beside it.
pub(super) fn model() -> Model {
    let me = Me { user: UserId::from_bytes([1; 16]), handle: "alice".into(), tenant: "acme".into() };
    let mut model = Model::new(me, UtcOffset::UTC, (80, 24), NOW);
    model.link = Link::Online;
    let bob = Chat {
        peer: Some(UserId::from_bytes([2; 16])),
        timer: 86_400,
        topic: Some("the launch".into()),
        ..chat(1, "bob", "you: see you there")
    };
    let lab = Chat {
        unread: 12, mentions: 1, ..chat(2, "实验室", "carol: 我们明天去北京开会，你们来吗？")
    };
    let ops =
        Chat { warnings: vec!["members were shown different histories".into()], ..chat(30, "ops", "nothing yet") };
    model.chats = vec![bob, lab, ops];
    model.current = Some(id(1));
    let system = |text: &str| Shown { what: What::System(text.into()), ..said(1, "alice", "") };
    let lines = vec![
        system("alice set messages to disappear 1 day after reading"),
        Shown {
            reactions: vec![Reacted { symbol: "👍".into(), count: 2, mine: true }],
            ..said(
                2,
                "bob",
                "Is the **launch** still on? I *really* need to know.\n\n- `cargo build` is green\n- docs are [here](https://docs.example/launch)",
            )
        },
        Shown {
            quote: Some(("bob".into(), "Is the launch still on?".into())),
            mark: Mark::Read,
            edited: true,
            ..said(9, "alice", "Yes: Thursday.")
        },
        Shown { what: What::Deleted, ..said(10, "bob", "") },
        Shown { names_me: true, expires_at: Some(NOW + 7_200_000), ..said(11, "bob", "那我们北京见 @alice") },
        Shown { mark: Mark::Pending, seq: None, ..said(12, "alice", "see you there") },
    ];
    model.page = Page { lines, at_start: true, at_end: true, new_after: Some(10) };
    model
}
