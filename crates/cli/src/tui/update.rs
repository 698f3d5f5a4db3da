//! What keys do: the model changes, and what has to be done with the client comes back.

use super::command::{self, Command};
use super::editor::Editor;
use super::model::{About, Effect, Focus, Model, Overlay, What};
use super::overlay;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Lines that a page key moves by.
const PAGE_LINES: usize = 8;
/// So near to the end of what is in memory, more is asked for.
const NEAR: usize = 20;

/// Something that the person does to the window.
#[derive(Debug, Clone)]
pub(super) enum Input {
    Key(KeyEvent),
    Paste(String),
    Resize(u16, u16),
    Focus(bool),
}

/// Takes an input.
pub(super) fn update(model: &mut Model, input: Input) -> Vec<Effect> {
    match input {
        Input::Key(key) => self::key(model, key),
        Input::Paste(text) => match &mut model.overlay {
            None => {
                model.focus = Focus::Writing;
                model.draft.insert(&text);
                Vec::new()
            }
            Some(_) => Vec::new(),
        },
        Input::Resize(columns, rows) => {
            model.size = (columns, rows);
            Vec::new()
        }
        Input::Focus(focused) => {
            model.focused = focused;
            Vec::new()
        }
    }
}

fn key(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let (control, alt) = (key.modifiers.contains(KeyModifiers::CONTROL), key.modifiers.contains(KeyModifiers::ALT));
    if control && key.code == KeyCode::Char('q') {
        return vec![Effect::Quit];
    }
    if model.overlay.is_some() {
        return overlay::key(model, key);
    }
    match key.code {
        KeyCode::Char('c') if control => return interrupt(model),
        KeyCode::F(1) => model.overlay = Some(Overlay::Help),
        KeyCode::Char('f') if control => model.overlay = Some(Overlay::search("")),
        KeyCode::Char('n') if control => return neighbour(model, 1),
        KeyCode::Char('p') if control => return neighbour(model, -1),
        KeyCode::Down if alt => return neighbour(model, 1),
        KeyCode::Up if alt => return neighbour(model, -1),
        KeyCode::Tab | KeyCode::BackTab if !is_completing(model) => {
            model.focus = if model.focus == Focus::Choosing { Focus::Writing } else { Focus::Choosing };
        }
        _ => {
            return match model.focus {
                Focus::Writing => writing(model, key, control, alt),
                Focus::Reading => reading(model, key),
                Focus::Choosing => choosing(model, key),
            };
        }
    }
    Vec::new()
}

/// Ctrl-C takes back one thing at a time, the program last.
fn interrupt(model: &mut Model) -> Vec<Effect> {
    if !model.draft.is_empty() {
        model.draft.set("");
        model.about = About::Nothing;
    } else if model.about != About::Nothing {
        model.about = About::Nothing;
    } else {
        return vec![Effect::Quit];
    }
    Vec::new()
}

fn is_completing(model: &Model) -> bool {
    model.focus == Focus::Writing && slash(model.draft.text()).is_some()
}

/// The command that is being written, without its slash. Two slashes begin a text with one.
pub(super) fn slash(text: &str) -> Option<&str> {
    text.strip_prefix('/').filter(|rest| !rest.starts_with('/') && !rest.contains('\n'))
}

fn writing(model: &mut Model, key: KeyEvent, control: bool, alt: bool) -> Vec<Effect> {
    let draft = &mut model.draft;
    match key.code {
        KeyCode::Enter if alt || key.modifiers.contains(KeyModifiers::SHIFT) => draft.insert("\n"),
        KeyCode::Char('j') if control => draft.insert("\n"),
        KeyCode::Enter => return submit(model),
        KeyCode::Char('a') if control => draft.home(),
        KeyCode::Char('e') if control => draft.end(),
        KeyCode::Char('u') if control => draft.delete_to_start(),
        KeyCode::Char('k') if control => draft.delete_to_end(),
        KeyCode::Char('w') if control => draft.delete_word(),
        KeyCode::Backspace if alt || control => draft.delete_word(),
        KeyCode::Left if control || alt => draft.word_left(),
        KeyCode::Right if control || alt => draft.word_right(),
        KeyCode::Char(character) if !control && !alt => {
            draft.insert(character.encode_utf8(&mut [0; 4]));
            let is_message = slash(draft.text()).is_none();
            return model.current.filter(|_| is_message).map(Effect::Typing).into_iter().collect();
        }
        KeyCode::Backspace => draft.backspace(),
        KeyCode::Delete => draft.delete(),
        KeyCode::Left => draft.left(),
        KeyCode::Right => draft.right(),
        KeyCode::Home => draft.home(),
        KeyCode::End => draft.end(),
        KeyCode::Tab => complete(model),
        KeyCode::Up if draft.is_empty() => return read_on(model, Step::Up(1)),
        KeyCode::Up => drop(draft.up()),
        KeyCode::Down => drop(draft.down()),
        KeyCode::PageUp => return read_on(model, Step::Up(PAGE_LINES)),
        KeyCode::PageDown => return read_on(model, Step::Down(PAGE_LINES)),
        KeyCode::Esc if model.about != About::Nothing => {
            if matches!(model.about, About::Edit(_)) {
                model.draft.set("");
            }
            model.about = About::Nothing;
        }
        KeyCode::Esc => return read_on(model, Step::Up(1)),
        _ => {}
    }
    Vec::new()
}

fn complete(model: &mut Model) {
    let Some(line) = slash(model.draft.text()) else { return };
    let found = command::completions(line);
    if let [(name, _, _)] = found.as_slice()
        && !line.contains(' ')
    {
        model.draft.set(&format!("/{name} "));
    }
}

fn submit(model: &mut Model) -> Vec<Effect> {
    if let Some(line) = slash(model.draft.text()) {
        return match command::parse(line) {
            Ok(command) => {
                model.draft.take();
                run(model, command)
            }
            Err(usage) => {
                model.complain(usage);
                Vec::new()
            }
        };
    }
    if model.draft.text().trim().is_empty() {
        return Vec::new();
    }
    let Some(conversation) = model.current else {
        model.complain("there is no conversation yet: /dm @PERSON begins one");
        return Vec::new();
    };
    let written = model.draft.take();
    let text = written.strip_prefix('/').filter(|rest| rest.starts_with('/')).unwrap_or(&written).trim_end().to_owned();
    let about = std::mem::take(&mut model.about);
    (model.selected, model.inner) = (None, 0);
    vec![Effect::Send { conversation, text, about }]
}

fn run(model: &mut Model, command: Command) -> Vec<Effect> {
    match command {
        Command::Help => model.overlay = Some(Overlay::Help),
        Command::Quit => return vec![Effect::Quit],
        Command::Search(query) => {
            model.overlay = Some(Overlay::search(&query));
            return vec![Effect::Search(query)];
        }
        Command::Leave => {
            if let Some(chat) = model.chat() {
                let question = format!("Leave {}? You keep what was said, and read nothing new.", chat.title);
                model.overlay = Some(Overlay::Confirm { question, yes: Box::new(Effect::Leave(chat.id)) });
            }
        }
        command => return vec![Effect::Command(command)],
    }
    Vec::new()
}

/// How the choice among the lines moves.
#[derive(Debug, Clone, Copy)]
enum Step {
    Up(usize),
    Down(usize),
    First,
    Last,
}

/// Moves among the lines of the conversation; beyond the last one, writing goes on.
fn read_on(model: &mut Model, step: Step) -> Vec<Effect> {
    let count = model.page.lines.len();
    if count == 0 {
        model.focus = Focus::Writing;
        return Vec::new();
    }
    let taller = super::view::rows_beyond(model);
    match step {
        // A line that is taller than the screen is read to its end first.
        Step::Down(_) if model.selected.is_some() && model.inner < taller => {
            model.inner = (model.inner + 5).min(taller);
            return Vec::new();
        }
        Step::Up(_) if model.inner > 0 => {
            model.inner = model.inner.saturating_sub(5);
            return Vec::new();
        }
        _ => {}
    }
    model.inner = 0;
    let last = count - 1;
    let selected = match (step, model.selected) {
        (Step::Up(1), None) => Some(last),
        (Step::Up(lines), None) => Some(last.saturating_sub(lines)),
        (Step::Up(lines), Some(at)) => Some(at.saturating_sub(lines)),
        (Step::Down(_), None) => None,
        (Step::Down(lines), Some(at)) => Some(at + lines).filter(|at| *at <= last),
        (Step::First, _) => Some(0),
        (Step::Last, _) => None,
    };
    model.selected = selected;
    model.focus = if selected.is_some() { Focus::Reading } else { Focus::Writing };
    match selected {
        None if !model.page.at_end => vec![Effect::Latest],
        Some(at) if at < NEAR && !model.page.at_start => vec![Effect::Older],
        Some(at) if at + NEAR > last && !model.page.at_end => vec![Effect::Newer],
        _ => Vec::new(),
    }
}

fn reading(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    match key.code {
        KeyCode::Up | KeyCode::Char('k') => return read_on(model, Step::Up(1)),
        KeyCode::Down | KeyCode::Char('j') => return read_on(model, Step::Down(1)),
        KeyCode::PageUp => return read_on(model, Step::Up(PAGE_LINES)),
        KeyCode::PageDown => return read_on(model, Step::Down(PAGE_LINES)),
        KeyCode::Home | KeyCode::Char('g') => return read_on(model, Step::First),
        KeyCode::End | KeyCode::Char('G') => return read_on(model, Step::Last),
        KeyCode::Esc | KeyCode::Char('i') => return read_on(model, Step::Last),
        KeyCode::Char('?') => model.overlay = Some(Overlay::Help),
        KeyCode::Char('/') => model.overlay = Some(Overlay::search("")),
        KeyCode::Char('r') | KeyCode::Enter => reply(model),
        KeyCode::Char('e') => edit(model),
        KeyCode::Char('d') => ask_to_delete(model),
        KeyCode::Char('+') | KeyCode::Char('a') => react(model),
        KeyCode::Char('v') => model.overlay = model.chosen().map(overlay::details),
        _ => {}
    }
    Vec::new()
}

fn reply(model: &mut Model) {
    if let Some((id, author)) = model.chosen().and_then(|line| Some((line.id?, line.author.clone()))) {
        model.about = About::Reply(id, author);
        (model.focus, model.selected) = (Focus::Writing, None);
    }
}

fn edit(model: &mut Model) {
    let chosen = model.chosen().filter(|line| line.own && matches!(line.what, What::Words(_)));
    match chosen.and_then(|line| Some((line.id?, line.source.clone()))) {
        Some((id, source)) => {
            model.about = About::Edit(id);
            model.draft.set(&source);
            (model.focus, model.selected) = (Focus::Writing, None);
        }
        None => model.complain("only words of your own can be edited"),
    }
}

fn ask_to_delete(model: &mut Model) {
    let own = model.chosen().filter(|line| line.own && matches!(line.what, What::Words(_)));
    match (own.and_then(|line| line.id), model.current) {
        (Some(target), Some(conversation)) => {
            let question = "Take this message back? Devices that have it are asked to forget it.".into();
            let yes = Box::new(Effect::Delete { conversation, target });
            model.overlay = Some(Overlay::Confirm { question, yes });
        }
        _ => model.complain("only your own messages can be taken back"),
    }
}

fn react(model: &mut Model) {
    let Some((target, line)) = model.chosen().and_then(|line| Some((line.id?, line))) else { return };
    let mine = line.reactions.iter().filter(|reacted| reacted.mine).map(|reacted| reacted.symbol.clone()).collect();
    model.overlay = Some(Overlay::React { target, symbol: Editor::default(), mine });
}

fn choosing(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    match key.code {
        KeyCode::Up | KeyCode::Char('k') => return neighbour(model, -1),
        KeyCode::Down | KeyCode::Char('j') => return neighbour(model, 1),
        KeyCode::Home | KeyCode::Char('g') => return neighbour(model, isize::MIN),
        KeyCode::End | KeyCode::Char('G') => return neighbour(model, isize::MAX),
        KeyCode::Enter | KeyCode::Esc | KeyCode::Right | KeyCode::Char('i') => model.focus = Focus::Writing,
        KeyCode::Char('?') => model.overlay = Some(Overlay::Help),
        KeyCode::Char('/') => model.overlay = Some(Overlay::search("")),
        KeyCode::Char('n') => begin(model, "/dm @"),
        KeyCode::Char('N') => begin(model, "/group "),
        _ => {}
    }
    Vec::new()
}

fn begin(model: &mut Model, command: &str) {
    model.focus = Focus::Writing;
    model.draft.set(command);
}

/// Opens the conversation so many places below or above in the list.
fn neighbour(model: &mut Model, by: isize) -> Vec<Effect> {
    let Some(last) = model.chats.len().checked_sub(1) else { return Vec::new() };
    let at = model.chats.iter().position(|chat| Some(chat.id) == model.current);
    let next = at.map_or(0, |at| at.saturating_add_signed(by).min(last));
    match model.chats.get(next).map(|chat| chat.id).filter(|id| Some(*id) != model.current) {
        Some(id) => vec![Effect::Open(id)],
        None => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
