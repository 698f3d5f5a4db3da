//! What lies over the conversation, and what keys do there.

use super::editor::Editor;
use super::model::{Effect, Mark, Model, Overlay, Shown, What};
use client::Verification;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Reactions that are one key away.
pub(super) const SYMBOLS: &[&str] = &["👍", "❤️", "😂", "🎉", "😮", "😢", "🙏", "✅"];

impl Overlay {
    pub(super) fn search(query: &str) -> Self {
        let mut editor = Editor::default();
        editor.set(query);
        Self::Search { query: editor, found: Vec::new(), chosen: 0 }
    }
}

/// Takes a key while something lies over the conversation.
pub(super) fn key(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let Some(mut overlay) = model.overlay.take() else { return Vec::new() };
    if key.code == KeyCode::Esc || is_interrupt(key) {
        return Vec::new();
    }
    let conversation = model.current;
    let (stays, effect) = match &mut overlay {
        Overlay::Help | Overlay::Card { .. } => (false, None),
        Overlay::Confirm { yes, .. } => match key.code {
            KeyCode::Char('y' | 'Y') | KeyCode::Enter => (false, Some((**yes).clone())),
            KeyCode::Char('n' | 'N') => (false, None),
            _ => (true, None),
        },
        Overlay::Safety { user, verification, .. } => match key.code {
            KeyCode::Char('v') => {
                let verified = !matches!(verification, Verification::Verified { .. });
                (false, Some(Effect::Verify { user: *user, verified }))
            }
            KeyCode::Enter | KeyCode::Char('q') => (false, None),
            _ => (true, None),
        },
        Overlay::React { target, symbol, mine } => {
            let digit = match key.code {
                KeyCode::Char(digit) if symbol.is_empty() => digit.to_digit(10),
                _ => None,
            };
            let quick = digit.and_then(|digit| SYMBOLS.get((digit as usize).checked_sub(1)?));
            let chosen = match (quick, key.code) {
                (Some(symbol), _) => Some((*symbol).to_owned()),
                (None, KeyCode::Enter) => Some(symbol.text().trim().to_owned()).filter(|symbol| !symbol.is_empty()),
                _ => {
                    edit(symbol, key);
                    None
                }
            };
            let effect = chosen.zip(conversation).map(|(symbol, conversation)| Effect::React {
                conversation,
                target: *target,
                removed: mine.contains(&symbol),
                symbol,
            });
            (effect.is_none(), effect)
        }
        Overlay::Search { query, found, chosen } => match key.code {
            KeyCode::Up => {
                *chosen = chosen.saturating_sub(1);
                (true, None)
            }
            KeyCode::Down => {
                *chosen = (*chosen + 1).min(found.len().saturating_sub(1));
                (true, None)
            }
            KeyCode::Enter => {
                let effect = found.get(*chosen).map(|found| Effect::Jump(found.conversation, found.place));
                (effect.is_none(), effect)
            }
            _ if edit(query, key) => {
                *chosen = 0;
                (true, Some(Effect::Search(query.text().to_owned())))
            }
            _ => (true, None),
        },
    };
    if stays {
        model.overlay = Some(overlay);
    }
    effect.into_iter().collect()
}

fn is_interrupt(key: KeyEvent) -> bool {
    key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c')
}

/// A key in a line of its own. Whether the text changed.
fn edit(editor: &mut Editor, key: KeyEvent) -> bool {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Char('u') if control => editor.delete_to_start(),
        KeyCode::Char('w') if control => editor.delete_word(),
        KeyCode::Char(character) if !control => editor.insert(character.encode_utf8(&mut [0; 4])),
        KeyCode::Backspace => editor.backspace(),
        KeyCode::Delete => editor.delete(),
        KeyCode::Left => {
            editor.left();
            return false;
        }
        KeyCode::Right => {
            editor.right();
            return false;
        }
        _ => return false,
    }
    true
}

/// Everything that is known about a line.
pub(super) fn details(line: &Shown) -> Overlay {
    let mut text = vec![format!("from       {}", line.author)];
    text.extend(line.seq.map(|seq| format!("place      #{seq} in the log")));
    text.extend(line.id.map(|id| format!("id         {id}")));
    text.push(format!(
        "state      {}",
        match &line.mark {
            _ if matches!(line.what, What::Deleted) => "taken back",
            Mark::Pending => "waits to be sent",
            Mark::Failed(why) => why,
            _ => "recorded by the server",
        }
    ));
    if line.own && line.seq.is_some() {
        let readers = if line.readers.is_empty() { "nobody has said so".into() } else { line.readers.join(", ") };
        text.push(format!("read by    {readers}"));
    }
    Overlay::Card { title: "This message".into(), text }
}
