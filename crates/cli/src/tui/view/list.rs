//! The list of conversations.

use super::messages::{clock, day_name};
use super::theme::Theme;
use crate::tui::model::{Chat, Focus, Model};
use crate::tui::text::{fit, width};
use client::Verification;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

const ROWS_EACH: usize = 2;

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, model: &Model, theme: Theme) {
    let room = (usize::from(area.height) / ROWS_EACH).max(1);
    let current = model.chats.iter().position(|chat| Some(chat.id) == model.current).unwrap_or_default();
    // The chosen one stays on the screen, the list's head as long as it can.
    let first = (current + 1).saturating_sub(room);
    let mut rows = Vec::new();
    for chat in model.chats.iter().skip(first).take(room) {
        rows.extend(entry(chat, model, area.width.into(), theme));
    }
    frame.render_widget(Paragraph::new(rows), area);
}

fn entry(chat: &Chat, model: &Model, columns: usize, theme: Theme) -> [Line<'static>; ROWS_EACH] {
    let is_current = Some(chat.id) == model.current;
    let is_focused = is_current && model.focus == Focus::Choosing;
    let badge = match (chat.mentions, chat.unread) {
        (0, 0) => String::new(),
        (0, unread) => format!(" {} ", unread.min(999)),
        (_, unread) => format!(" @{} ", unread.min(999)),
    };
    let when = chat.at.map(|at| short_time(at, model)).unwrap_or_default();
    let right = if badge.is_empty() { when } else { badge.clone() };
    let sigil = if chat.peer.is_some() { "@" } else { "#" };
    let bad = !chat.warnings.is_empty()
        || matches!(chat.verification, Some(Verification::DevicesChanged { .. } | Verification::KeyChanged { .. }));
    let warning = if bad { "⚠ " } else { "" };
    let room = columns.saturating_sub(width(&right) + 2);
    let title = fit(&format!("{warning}{sigil}{}", chat.title), room);
    let space = " ".repeat(columns.saturating_sub(width(&title) + width(&right) + 1));
    let style = match (is_focused, is_current || chat.unread > 0) {
        (true, _) => theme.chosen().patch(theme.bold()),
        (false, true) => theme.bold(),
        (false, false) => theme.plain(),
    };
    let bar = if is_current { Span::styled("▌", theme.accent()) } else { Span::raw(" ") };
    let right_style = if badge.is_empty() { theme.dim() } else { theme.badge() };
    let writers: Vec<&str> =
        model.typing.iter().filter(|(id, _, _)| *id == chat.id).map(|(_, handle, _)| handle.as_str()).collect();
    let second = match (writers.first(), chat.has_draft && !is_current) {
        (Some(handle), _) => {
            Span::styled(fit(&format!("{handle} is typing…"), columns.saturating_sub(2)), theme.good())
        }
        (None, true) => {
            Span::styled(fit(&format!("draft: {}", chat.preview), columns.saturating_sub(2)), theme.accent())
        }
        (None, false) => Span::styled(fit(&chat.preview, columns.saturating_sub(2)), theme.dim()),
    };
    [
        Line::from(vec![bar.clone(), Span::styled(title, style), Span::raw(space), Span::styled(right, right_style)]),
        Line::from(vec![bar, Span::raw(" "), second]),
    ]
}

/// The time of today, else the day.
fn short_time(at: u64, model: &Model) -> String {
    match day_name(at, model.now, model.offset).as_str() {
        "today" => clock(at, model.offset),
        "yesterday" => "yday".into(),
        day => day.split(' ').skip(1).take(2).collect::<Vec<_>>().join(" "),
    }
}
