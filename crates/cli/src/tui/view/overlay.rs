//! What lies over the conversation.

use super::messages::{clock, day_name};
use super::theme::Theme;
use crate::output::in_one_line;
use crate::tui::command;
use crate::tui::model::{Found, Model, Overlay};
use crate::tui::overlay::SYMBOLS;
use crate::tui::text::{Piece, fit, wrap};
use client::Verification;
use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Clear, Padding, Paragraph};

const KEYS: &[(&str, &str)] = &[
    ("Enter / Alt-Enter", "send / new line"),
    ("Ctrl-N, Ctrl-P, Alt-↑↓", "next, previous conversation"),
    ("Tab", "list of conversations: n person, N group"),
    ("↑, PageUp, Esc", "read: r reply, e edit, d delete, + react, v view"),
    ("g, G, Home, End", "first, last line"),
    ("/ or Ctrl-F", "search everything on this device"),
    ("Ctrl-A E U K W", "begin, end, delete before, after, a word"),
    ("Ctrl-Q", "quit"),
];

pub(super) fn draw(frame: &mut Frame<'_>, overlay: &Overlay, model: &Model, theme: Theme) {
    match overlay {
        Overlay::Help => {
            card(frame, "Help", help(theme), 78, theme);
        }
        Overlay::Card { title, text } => {
            let lines = text.iter().map(|line| Line::raw(line.clone())).collect();
            card(frame, title, lines, 70, theme);
        }
        Overlay::Safety { .. } => safety(frame, overlay, theme),
        Overlay::Confirm { question, .. } => {
            let mut lines = wrap(&[Piece::new(question.clone(), theme.plain())], 50, &[], &[]);
            lines.extend([Line::default(), Line::styled("y yes   n no", theme.dim())]);
            card(frame, "Really?", lines, 56, theme);
        }
        Overlay::React { symbol, mine, .. } => {
            let quick = SYMBOLS.iter().enumerate().flat_map(|(number, symbol)| {
                let style = if mine.iter().any(|own| own == symbol) { theme.chosen() } else { theme.plain() };
                [
                    Span::styled(format!("{} ", number + 1), theme.dim()),
                    Span::styled(format!("{symbol} "), style),
                    Span::raw(" "),
                ]
            });
            let typed =
                Line::from(vec![Span::styled("or type one: ", theme.dim()), Span::raw(symbol.text().to_owned())]);
            card(
                frame,
                "React (again: take back)",
                vec![Line::from(quick.collect::<Vec<_>>()), Line::default(), typed],
                56,
                theme,
            );
        }
        Overlay::Search { query, found, chosen } => {
            let lines = results(query.text(), found, *chosen, model, theme);
            let inner = card(frame, "Search this device", lines, 76, theme);
            let before = crate::tui::text::width(&query.text()[..query.cursor()]);
            let x = inner.x + 2 + u16::try_from(before).unwrap_or(u16::MAX).min(inner.width.saturating_sub(3));
            frame.set_cursor_position(Position::new(x, inner.y));
        }
    }
}

/// A box in the middle, as high as what is in it. Returns where that is.
fn card(frame: &mut Frame<'_>, title: &str, lines: Vec<Line<'static>>, columns: u16, theme: Theme) -> Rect {
    let screen = frame.area();
    let width = columns.min(screen.width);
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX).min(screen.height);
    let area = Rect::new((screen.width - width) / 2, (screen.height - height) / 2, width, height);
    let block = Block::new()
        .borders(Borders::ALL)
        .border_style(theme.accent())
        .title(Span::styled(format!(" {title} "), theme.accent()))
        .padding(Padding::horizontal(1));
    let inner = block.inner(area);
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(lines).block(block), area);
    inner
}

fn help(theme: Theme) -> Vec<Line<'static>> {
    let row = |left: &str, right: &str| {
        Line::from(vec![Span::styled(format!("{left:<26}"), theme.bold()), Span::raw(right.to_owned())])
    };
    let mut lines: Vec<Line<'static>> = KEYS.iter().map(|(keys, meaning)| row(keys, meaning)).collect();
    let shown =
        ["dm", "group", "add", "remove", "promote", "rename", "topic", "timer", "members", "safety", "typing", "leave"];
    for (name, arguments, meaning) in command::ALL.iter().filter(|(name, _, _)| shown.contains(name)) {
        lines.push(row(&format!("/{name} {arguments}"), meaning));
    }
    lines.push(Line::styled("**bold** *italic* `code` > quote, - list, @name tells a person", theme.dim()));
    lines
}

fn safety(frame: &mut Frame<'_>, overlay: &Overlay, theme: Theme) {
    let Overlay::Safety { handle, number, verification, warning, .. } = overlay else { return };
    let groups: Vec<&str> = number.split(' ').collect();
    let mut lines: Vec<Line<'static>> =
        groups.chunks(4).map(|row| Line::styled(format!("      {}", row.join("  ")), theme.bold())).collect();
    let words = format!(
        "Read this to @{handle} by voice or in person. If both see the same number, nobody stands between you."
    );
    lines.push(Line::default());
    lines.extend(wrap(&[Piece::new(words, theme.plain())], 50, &[], &[]));
    lines.push(Line::default());
    lines.push(match verification {
        Verification::Unverified => Line::styled("You have not compared it.", theme.dim()),
        Verification::Verified { .. } => Line::styled("✔ You have compared it.", theme.good()),
        Verification::DevicesChanged { changes, .. } => {
            Line::styled(format!("⚠ Since you compared it, the devices changed {changes}×."), theme.bad())
        }
        Verification::KeyChanged { .. } => {
            Line::styled("⚠ THE NUMBER IS ANOTHER than the one you compared.", theme.bad())
        }
    });
    if let Some(warning) = warning {
        lines.extend(wrap(&[Piece::new(format!("⚠ {warning}"), theme.bad())], 50, &[], &[]));
    }
    let key = if matches!(verification, Verification::Verified { .. }) { "v take it back" } else { "v it is the same" };
    lines.extend([Line::default(), Line::styled(format!("{key}   Esc close"), theme.dim())]);
    card(frame, &format!("Safety number with @{handle}"), lines, 56, theme);
}

fn results(query: &str, found: &[Found], chosen: usize, model: &Model, theme: Theme) -> Vec<Line<'static>> {
    const SHOWN: usize = 8;
    const COLUMNS: usize = 72;
    let mut lines =
        vec![Line::from(vec![Span::styled("❯ ", theme.accent()), Span::raw(query.to_owned())]), Line::default()];
    let first = (chosen + 1).saturating_sub(SHOWN);
    for (number, found) in found.iter().enumerate().skip(first).take(SHOWN) {
        let style = if number == chosen { theme.chosen() } else { theme.plain() };
        let when = format!("{} {}", day_name(found.at, model.now, model.offset), clock(found.at, model.offset));
        let head = format!("{} · {} · {when}", found.title, found.author);
        lines.push(Line::styled(fit(&head, COLUMNS), theme.dim()));
        lines.push(Line::styled(fit(&format!("  {}", in_one_line(&found.text)), COLUMNS), style));
    }
    lines.push(match (found.len(), query.is_empty()) {
        (_, true) => Line::styled("Words, or a part of a text in a script without spaces.", theme.dim()),
        (0, false) => Line::styled("nothing", theme.dim()),
        (count, false) => Line::styled(format!("{count} found   ↑↓ choose   Enter go there"), theme.dim()),
    });
    lines
}
