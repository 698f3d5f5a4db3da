use super::*;
use crate::tui::model::{About, Found, Mark, Notice, Overlay, Shown, What};
use crate::tui::sample::{NOW, chat, id, model, said};
use client::content::markdown::Document;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use wire::{MessageId, UserId};

fn screen(model: &Model, columns: u16, rows: u16) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    terminal.draw(|frame| draw(frame, model, Theme { colour: true })).unwrap();
    terminal
}

fn painted(model: &Model, columns: u16, rows: u16) -> String {
    screen(model, columns, rows).backend().to_string()
}

#[test]
fn a_direct_conversation() {
    let mut model = model();
    model.typing.push((id(1), "bob".into(), NOW + 1_000));
    model.draft.insert("What about the\npress?");
    insta::assert_snapshot!(painted(&model, 80, 24));
}

#[test]
fn reading_with_a_line_chosen() {
    let mut model = model();
    (model.focus, model.selected) = (Focus::Reading, Some(1));
    insta::assert_snapshot!(painted(&model, 80, 24));
}

#[test]
fn a_narrow_terminal_shows_one_thing_at_a_time() {
    let mut model = model();
    insta::assert_snapshot!("narrow_conversation", painted(&model, 44, 14));
    model.focus = Focus::Choosing;
    insta::assert_snapshot!("narrow_list", painted(&model, 44, 14));
}

#[test]
fn offline_with_a_command_half_written() {
    let mut model = model();
    model.link = Link::Offline { retry_at: NOW + 12_000 };
    model.unsent = 3;
    model.draft.insert("/ti");
    insta::assert_snapshot!(painted(&model, 80, 24));
}

#[test]
fn nothing_yet() {
    let mut model = model();
    (model.chats, model.current) = (Vec::new(), None);
    model.link = Link::CatchingUp;
    insta::assert_snapshot!(painted(&model, 80, 12));
}

#[test]
fn what_lies_over_it() {
    let mut model = model();
    model.overlay = Some(Overlay::Help);
    insta::assert_snapshot!("help", painted(&model, 80, 24));
    model.overlay = Some(Overlay::Safety {
        user: UserId::from_bytes([2; 16]),
        handle: "bob".into(),
        number: ["12345"; 12].join(" "),
        verification: Verification::DevicesChanged { at: NOW, changes: 1 },
        warning: None,
    });
    insta::assert_snapshot!("safety", painted(&model, 80, 24));
    let mut overlay = Overlay::search("北京");
    if let Overlay::Search { found, .. } = &mut overlay {
        let text = "我们明天去北京开会".into();
        found.push(Found {
            conversation: id(2),
            title: "实验室".into(),
            place: None,
            author: "carol".into(),
            text,
            at: NOW,
        });
    }
    model.overlay = Some(overlay);
    insta::assert_snapshot!("search", painted(&model, 80, 24));
}

#[test]
fn a_notice_and_a_failed_message() {
    let mut model = model();
    model.about = About::Reply(MessageId::from_bytes([2; 16]), "bob".into());
    model.notice = Some(Notice { text: "error: nobody here is called dave".into(), is_error: true, until: NOW + 1 });
    model.page.lines.push(Shown { mark: Mark::Failed("you are no member".into()), ..said(13, "alice", "lost words") });
    model.page.lines.push(Shown { what: What::Bad("cannot be decrypted: x".into()), ..said(14, "bob", "") });
    insta::assert_snapshot!(painted(&model, 80, 24));
}

#[test]
fn c2_nothing_that_others_write_controls_the_screen() {
    let hostile = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m \u{202e}evil\u{2066} \u{8}\u{7f}\rover";
    let cleaned = crate::output::in_one_line(hostile);
    let mut model = model();
    let words = What::Words(Document::parse(
        &format!("{hostile} `{hostile}` [x{hostile}](y{hostile})\n\n```\n{hostile}\n```"),
        &[],
    ));
    model.page.lines = vec![Shown { what: words, author: cleaned.clone(), ..said(1, "mallory", "") }];
    model.chats[0].title = cleaned;
    for columns in [80, 44] {
        let terminal = screen(&model, columns, 24);
        for cell in terminal.backend().buffer().content() {
            let is_hostile = |c: char| {
                c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c) || ('\u{2066}'..='\u{2069}').contains(&c)
            };
            assert!(!cell.symbol().chars().any(is_hostile), "{:?}", cell.symbol());
        }
    }
}

#[test]
fn without_colour_there_is_none() {
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
    let coloured = |terminal: &Terminal<TestBackend>| {
        let cells = terminal.backend().buffer().content();
        cells.iter().any(|cell| cell.fg != ratatui::style::Color::Reset || cell.bg != ratatui::style::Color::Reset)
    };
    terminal.draw(|frame| draw(frame, &model(), Theme { colour: false })).unwrap();
    assert!(!coloured(&terminal));
    terminal.draw(|frame| draw(frame, &model(), Theme { colour: true })).unwrap();
    assert!(coloured(&terminal), "the control");
}

#[test]
fn every_size_can_be_painted() {
    let mut model = model();
    model.draft.insert(&"蜂".repeat(500));
    for focus in [Focus::Writing, Focus::Reading, Focus::Choosing] {
        model.focus = focus;
        for overlay in [None, Some(Overlay::Help), Some(Overlay::search("x"))] {
            model.overlay = overlay;
            for columns in (1..100).step_by(7) {
                for rows in (1..40).step_by(5) {
                    model.size = (columns, rows);
                    painted(&model, columns, rows);
                    rows_beyond(&model);
                }
            }
        }
    }
}

#[test]
fn the_chosen_line_is_always_on_the_screen() {
    let mut model = model();
    model.page.lines = (0..200)
        .map(|number| said(number, "bob", &format!("line-{number}-{}", "x ".repeat(usize::from(number) % 90))))
        .collect();
    for at in 0..200 {
        model.selected = Some(at);
        model.focus = Focus::Reading;
        assert!(painted(&model, 60, 20).contains(&format!("line-{at}-")), "{at}");
    }
    model.selected = None;
    assert!(painted(&model, 60, 20).contains("line-199-"));
}

#[test]
fn what_a_person_must_know_stands_under_the_name() {
    let mut model = model();
    model.chats[0].verification = Some(Verification::DevicesChanged { at: NOW, changes: 1 });
    model.chats[0].warnings = vec!["members were shown different histories".into()];
    insta::assert_snapshot!(painted(&model, 80, 24));
}

#[test]
fn many_conversations_scroll_with_the_chosen_one() {
    let mut model = model();
    model.chats = (1..100).map(|number| chat(number, &format!("chat{number}"), "x")).collect();
    for number in [1, 50, 99] {
        model.current = Some(id(number));
        assert!(painted(&model, 80, 24).contains(&format!("chat{number} ")));
    }
}
