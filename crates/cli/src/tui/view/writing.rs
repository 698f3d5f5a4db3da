//! The lines below a conversation: who is typing, what is being written, and what the keys do.

use super::theme::Theme;
use crate::tui::command;
use crate::tui::model::{About, Focus, Model};
use crate::tui::text::{fit, grapheme_width, width};
use crate::tui::update::slash;
use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use unicode_segmentation::UnicodeSegmentation;

const PROMPT: &str = "❯ ";

/// The line between the conversation and what is being written.
pub(super) fn rule(model: &Model, columns: u16, theme: Theme) -> Line<'static> {
    let columns = usize::from(columns);
    let writers = model.writers();
    let typing = match writers.as_slice() {
        [] => None,
        [one] => Some(format!("{one} is typing…")),
        [one, other] => Some(format!("{one} and {other} are typing…")),
        [one, rest @ ..] => Some(format!("{one} and {} others are typing…", rest.len())),
    };
    let about = match &model.about {
        About::Nothing => None,
        About::Reply(_, author) => Some(format!("answering {author} (Esc: do not)")),
        About::Edit(_) => Some("editing (Esc: leave it as it was)".into()),
    };
    let above = (!model.page.at_end && model.current.is_some() && !model.page.lines.is_empty())
        .then(|| String::from("↓ newer lines below: End"));
    let text = about.or(typing).or(above).map(|text| fit(&text, columns.saturating_sub(4)));
    let Some(text) = text else { return Line::styled("─".repeat(columns), theme.dim()) };
    let rest = columns.saturating_sub(width(&text) + 4);
    Line::from(vec![
        Span::styled("─ ", theme.dim()),
        Span::styled(text, theme.good()),
        Span::styled(format!(" {}", "─".repeat(rest + 1)), theme.dim()),
    ])
}

/// How many rows what is being written takes.
pub(super) fn rows(model: &Model, columns: u16) -> u16 {
    u16::try_from(laid_out(model, columns).0.len()).unwrap_or(u16::MAX)
}

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, model: &Model, theme: Theme) {
    let (rows, (cursor_row, cursor_column)) = laid_out(model, area.width);
    let first = (cursor_row + 1).saturating_sub(area.height.into());
    let is_command = slash(model.draft.text()).is_some();
    let style = if is_command { theme.accent() } else { theme.plain() };
    let prompt = if model.focus == Focus::Writing { theme.accent() } else { theme.dim() };
    let shown: Vec<Line<'static>> = rows
        .into_iter()
        .enumerate()
        .skip(first)
        .take(area.height.into())
        .map(|(number, row)| {
            let lead = if number == 0 { PROMPT } else { "  " };
            Line::from(vec![Span::styled(lead, prompt), Span::styled(row, style)])
        })
        .collect();
    frame.render_widget(Paragraph::new(shown), area);
    if model.focus == Focus::Writing && model.overlay.is_none() && area.height > 0 {
        let x = area.x.saturating_add(u16::try_from(cursor_column + PROMPT.chars().count()).unwrap_or(u16::MAX));
        let y = area.y.saturating_add(u16::try_from(cursor_row - first).unwrap_or_default());
        frame.set_cursor_position(Position::new(x.min(area.right().saturating_sub(1)), y));
    }
}

/// The rows of what is being written, and the cursor's row and column in them.
fn laid_out(model: &Model, columns: u16) -> (Vec<String>, (usize, usize)) {
    let room = usize::from(columns).saturating_sub(width(PROMPT) + 1).max(4);
    let (text, at) = (model.draft.text(), model.draft.cursor());
    let mut rows = vec![String::new()];
    let (mut used, mut cursor) = (0, (0, 0));
    for (start, grapheme) in text.grapheme_indices(true) {
        if start == at {
            cursor = (rows.len() - 1, used);
        }
        let wide = grapheme_width(grapheme);
        if grapheme == "\n" || used + wide > room {
            rows.push(String::new());
            used = 0;
            if start == at && grapheme != "\n" {
                cursor = (rows.len() - 1, 0);
            }
        }
        if grapheme != "\n"
            && let Some(row) = rows.last_mut()
        {
            row.push_str(grapheme);
            used += wide;
        }
    }
    if at == text.len() {
        cursor = (rows.len() - 1, used);
    }
    (rows, cursor)
}

/// The last line: a word to the person, commands that begin like this, or what the keys do.
pub(super) fn hints(model: &Model, columns: u16, theme: Theme) -> Line<'static> {
    let columns = usize::from(columns).saturating_sub(1);
    if let Some(notice) = &model.notice {
        let style = if notice.is_error { theme.bad() } else { theme.good() };
        return Line::styled(fit(&format!(" {}", notice.text.replace('\n', " ")), columns), style);
    }
    if model.focus == Focus::Writing
        && let Some(line) = slash(model.draft.text())
    {
        return commands(line, columns, theme);
    }
    let keys = match model.focus {
        Focus::Writing => " Enter send  Alt-Enter line  ↑ read  Tab list  Ctrl-N next  / command  F1 help",
        Focus::Reading => " r reply  e edit  d delete  + react  v details  / search  Esc write  ? help",
        Focus::Choosing => " ↑↓ choose  Enter write  n person  N group  / search  ? help  Ctrl-Q quit",
    };
    Line::styled(fit(keys, columns), theme.dim())
}

fn commands(line: &str, columns: usize, theme: Theme) -> Line<'static> {
    let found = command::completions(line);
    match found.as_slice() {
        [] => Line::styled(fit(" there is no such command: F1 shows them", columns), theme.bad()),
        [(name, arguments, meaning)] => {
            Line::styled(fit(&format!(" /{name} {arguments}  {meaning}"), columns), theme.plain())
        }
        several => {
            let names: Vec<String> = several.iter().map(|(name, _, _)| format!("/{name}")).collect();
            Line::styled(fit(&format!(" {}", names.join(" ")), columns), theme.dim())
        }
    }
}
