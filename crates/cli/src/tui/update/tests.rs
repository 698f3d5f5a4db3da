use super::*;
use crate::tui::sample::{chat, id, model, said};
use crossterm::event::KeyEventKind;
use wire::MessageId;

fn press(model: &mut Model, code: KeyCode, modifiers: KeyModifiers) -> Vec<Effect> {
    let key = KeyEvent::new_with_kind(code, modifiers, KeyEventKind::Press);
    update(model, Input::Key(key))
}

fn tap(model: &mut Model, code: KeyCode) -> Vec<Effect> {
    press(model, code, KeyModifiers::NONE)
}

fn write(model: &mut Model, text: &str) -> Vec<Effect> {
    text.chars().flat_map(|character| tap(model, KeyCode::Char(character))).collect()
}

#[test]
fn what_is_written_is_sent_and_typing_told() {
    let mut model = model();
    assert_eq!(write(&mut model, "hi"), [Effect::Typing(id(1)), Effect::Typing(id(1))]);
    press(&mut model, KeyCode::Enter, KeyModifiers::ALT);
    write(&mut model, "there");
    let sent = tap(&mut model, KeyCode::Enter);
    assert_eq!(sent, [Effect::Send { conversation: id(1), text: "hi\nthere".into(), about: About::Nothing }]);
    assert!(model.draft.is_empty());
    assert_eq!(tap(&mut model, KeyCode::Enter), [], "nothing is not sent");
}

#[test]
fn a_slash_begins_a_command_two_do_not_and_a_command_is_not_told_as_typing() {
    let mut model = model();
    assert_eq!(write(&mut model, "/dm @bob"), []);
    assert_eq!(tap(&mut model, KeyCode::Enter), [Effect::Command(Command::Direct("bob".into()))]);
    write(&mut model, "//usr/bin");
    let sent = tap(&mut model, KeyCode::Enter);
    assert!(matches!(&sent[..], [Effect::Send { text, .. }] if text == "/usr/bin"), "{sent:?}");
    write(&mut model, "/dance");
    assert_eq!(tap(&mut model, KeyCode::Enter), []);
    assert!(model.notice.as_ref().unwrap().is_error);
    assert_eq!(model.draft.text(), "/dance", "to be corrected");
    model.draft.set("/saf");
    tap(&mut model, KeyCode::Tab);
    assert_eq!(model.draft.text(), "/safety ");
}

#[test]
fn drafts_stay_with_their_conversations() {
    let mut model = model();
    write(&mut model, "for bob");
    assert_eq!(press(&mut model, KeyCode::Char('n'), KeyModifiers::CONTROL), [Effect::Open(id(2))]);
    model.switch(Some(id(2)));
    assert!(model.draft.is_empty());
    write(&mut model, "for the lab");
    model.switch(Some(id(1)));
    assert_eq!(model.draft.text(), "for bob");
    model.switch(Some(id(2)));
    assert_eq!(model.draft.text(), "for the lab");
}

#[test]
fn lines_can_be_answered_edited_deleted_and_reacted_to() {
    let mut model = model();
    tap(&mut model, KeyCode::Up);
    assert_eq!((model.focus, model.selected), (Focus::Reading, Some(5)));
    tap(&mut model, KeyCode::Char('e'));
    assert_eq!(
        (model.about.clone(), model.draft.text()),
        (About::Edit(MessageId::from_bytes([12; 16])), "see you there")
    );
    tap(&mut model, KeyCode::Esc);
    assert!(model.draft.is_empty() && model.about == About::Nothing, "editing is given up whole");

    (model.focus, model.selected) = (Focus::Reading, Some(1));
    tap(&mut model, KeyCode::Char('e'));
    assert!(model.notice.take().is_some(), "bob's words are his");
    tap(&mut model, KeyCode::Char('d'));
    assert!(model.notice.take().is_some() && model.overlay.is_none());
    tap(&mut model, KeyCode::Char('+'));
    let reacted = tap(&mut model, KeyCode::Char('1'));
    let target = MessageId::from_bytes([2; 16]);
    let again = Effect::React { conversation: id(1), target, symbol: "👍".into(), removed: true };
    assert_eq!(reacted, [again], "alice had reacted so: it is taken back");
    tap(&mut model, KeyCode::Char('r'));
    write(&mut model, "so");
    let sent = tap(&mut model, KeyCode::Enter);
    assert!(matches!(&sent[..], [Effect::Send { about: About::Reply(message, _), .. }] if *message == target));

    (model.focus, model.selected) = (Focus::Reading, Some(2));
    tap(&mut model, KeyCode::Char('d'));
    assert_eq!(tap(&mut model, KeyCode::Char('n')), []);
    tap(&mut model, KeyCode::Char('d'));
    let target = MessageId::from_bytes([9; 16]);
    assert_eq!(tap(&mut model, KeyCode::Char('y')), [Effect::Delete { conversation: id(1), target }]);
}

#[test]
fn reading_up_and_down_asks_for_more_before_the_end_is_reached() {
    let mut model = model();
    model.page.lines = (0..60).map(|number| said(number, "bob", "x")).collect();
    (model.page.at_start, model.page.at_end) = (false, true);
    tap(&mut model, KeyCode::PageUp);
    assert_eq!(model.selected, Some(59 - PAGE_LINES));
    let asked: Vec<Vec<Effect>> = (0..4).map(|_| tap(&mut model, KeyCode::PageUp)).collect();
    assert_eq!(asked, [vec![], vec![], vec![], vec![Effect::Older]], "{:?}", model.selected);
    assert_eq!(tap(&mut model, KeyCode::Home), [Effect::Older]);
    assert_eq!(tap(&mut model, KeyCode::End), []);
    assert_eq!((model.focus, model.selected), (Focus::Writing, None));
    model.page.at_end = false;
    tap(&mut model, KeyCode::Up);
    assert_eq!(tap(&mut model, KeyCode::Down), [Effect::Latest]);
}

#[test]
fn a_line_taller_than_the_screen_is_read_to_its_end() {
    let mut model = model();
    model.page.lines = vec![said(1, "bob", &"word ".repeat(2_000)), said(2, "bob", "short")];
    (model.focus, model.selected) = (Focus::Reading, Some(0));
    let mut presses = 0;
    while model.selected == Some(0) {
        tap(&mut model, KeyCode::Down);
        presses += 1;
        assert!(presses < 1_000);
    }
    assert!(presses > 10, "{presses}");
}

#[test]
fn ctrl_c_takes_back_one_thing_at_a_time() {
    let mut model = model();
    write(&mut model, "half a thought");
    assert_eq!(press(&mut model, KeyCode::Char('c'), KeyModifiers::CONTROL), []);
    assert!(model.draft.is_empty());
    model.overlay = Some(Overlay::Help);
    assert_eq!(press(&mut model, KeyCode::Char('c'), KeyModifiers::CONTROL), []);
    assert!(model.overlay.is_none());
    assert_eq!(press(&mut model, KeyCode::Char('c'), KeyModifiers::CONTROL), [Effect::Quit]);
}

#[test]
fn what_is_pasted_is_written_and_not_done() {
    let mut model = model();
    let effects = update(&mut model, Input::Paste("/quit\nrm -rf /\u{1b}[201~".into()));
    assert_eq!(effects, []);
    assert_eq!(model.draft.text(), "/quit\nrm -rf /[201~");
}

#[test]
fn search_asks_as_it_is_written_and_goes_there() {
    let mut model = model();
    press(&mut model, KeyCode::Char('f'), KeyModifiers::CONTROL);
    assert_eq!(write(&mut model, "北京").last(), Some(&Effect::Search("北京".into())));
    let found = crate::tui::model::Found {
        conversation: id(2),
        title: "lab".into(),
        place: None,
        author: "carol".into(),
        text: "北京".into(),
        at: 0,
    };
    if let Some(Overlay::Search { found: results, .. }) = &mut model.overlay {
        results.push(found);
    }
    assert_eq!(tap(&mut model, KeyCode::Enter), [Effect::Jump(id(2), None)]);
    assert!(model.overlay.is_none());
}

#[test]
fn the_list_is_walked_and_its_ends_hold() {
    let mut model = model();
    model.chats.push(chat(9, "last", ""));
    tap(&mut model, KeyCode::Tab);
    assert_eq!(model.focus, Focus::Choosing);
    assert_eq!(tap(&mut model, KeyCode::Up), []);
    assert_eq!(tap(&mut model, KeyCode::Down), [Effect::Open(id(2))]);
    assert_eq!(tap(&mut model, KeyCode::End), [Effect::Open(id(9))]);
    tap(&mut model, KeyCode::Char('n'));
    assert_eq!((model.focus, model.draft.text()), (Focus::Writing, "/dm @"));
}
