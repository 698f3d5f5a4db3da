//! Painting the model. A frame depends on the model alone, so that a test can look at it.

mod list;
pub(super) mod markdown;
mod messages;
mod overlay;
pub(super) mod theme;
mod writing;

use super::model::{Chat, Focus, Link, Model};
use super::text::{fit, width};
use crate::duration;
use client::{ConversationState, Verification};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph, Wrap};
use theme::Theme;

/// Narrower, and the list and the conversation take turns.
const NARROW: u16 = 60;
const LIST_MAX: u16 = 28;

/// Where everything is.
struct Panes {
    bar: Rect,
    list: Option<Rect>,
    title: Rect,
    messages: Rect,
    rule: Rect,
    writing: Rect,
    hints: Rect,
}

/// Paints a frame.
pub(super) fn draw(frame: &mut Frame<'_>, model: &Model, theme: Theme) {
    let panes = panes(model, frame.area());
    frame.render_widget(bar(model, panes.bar.width, theme), panes.bar);
    if let Some(area) = panes.list {
        let border = Block::new().borders(Borders::RIGHT).border_style(theme.dim());
        let inner = border.inner(area);
        frame.render_widget(border, area);
        list::draw(frame, inner, model, theme);
    }
    if panes.title.width > 0 {
        match model.chat() {
            Some(chat) => {
                let columns = panes.title.width;
                let alerts = alerts(chat)
                    .into_iter()
                    .map(|alert| Line::styled(fit(&format!(" ⚠ {alert}"), columns.into()), theme.bad()));
                let head: Vec<Line<'static>> = std::iter::once(title(chat, columns, theme)).chain(alerts).collect();
                frame.render_widget(Paragraph::new(head), panes.title);
                messages::draw(frame, panes.messages, model, theme);
            }
            None => {
                let words = Paragraph::new(welcome(model, theme)).wrap(Wrap { trim: false });
                frame.render_widget(words, panes.messages);
            }
        }
        frame.render_widget(writing::rule(model, panes.rule.width, theme), panes.rule);
        writing::draw(frame, panes.writing, model, theme);
    }
    frame.render_widget(writing::hints(model, panes.hints.width, theme), panes.hints);
    if let Some(over) = &model.overlay {
        overlay::draw(frame, over, model, theme);
    }
}

/// Rows of the chosen line that do not fit on the screen.
pub(super) fn rows_beyond(model: &Model) -> usize {
    let area = Rect::new(0, 0, model.size.0, model.size.1);
    let messages = panes(model, area).messages;
    messages::rows_beyond(model, messages.width.into(), messages.height.into(), Theme { colour: false })
}

fn panes(model: &Model, area: Rect) -> Panes {
    let row = |area: Rect, y: u16, height: u16| Rect {
        y: area.y + y.min(area.height),
        height: height.min(area.height.saturating_sub(y)),
        ..area
    };
    let (bar, body) = (row(area, 0, 1), row(area, 1, area.height.saturating_sub(2)));
    let hints = row(area, area.height.saturating_sub(1), 1);
    let is_narrow = area.width < NARROW;
    let list_width = match (is_narrow, model.focus) {
        (true, Focus::Choosing) => area.width,
        (true, _) => 0,
        (false, _) => (area.width / 3).min(LIST_MAX),
    };
    let list = (list_width > 0).then_some(Rect { width: list_width, ..body });
    let right = Rect { x: body.x + list_width, width: body.width - list_width, ..body };
    let written = writing::rows(model, right.width).min(right.height / 2).max(1);
    let alerts = model.chat().map_or(0, |chat| alerts(chat).len());
    let head = 1 + u16::try_from(alerts).unwrap_or_default().min(right.height.saturating_sub(6));
    let messages = right.height.saturating_sub(written + 1 + head);
    Panes {
        bar,
        list,
        title: row(right, 0, head),
        messages: row(right, head, messages),
        rule: row(right, head + messages, 1),
        writing: row(right, head + 1 + messages, written),
        hints,
    }
}

/// The uppermost line: who this is, and whether there is a connection.
fn bar(model: &Model, columns: u16, theme: Theme) -> Line<'static> {
    let link = match &model.link {
        Link::Online => Span::styled("● online", theme.good()),
        Link::CatchingUp => Span::styled("◐ catching up", theme.dim()),
        Link::Offline { retry_at } => {
            let seconds = retry_at.saturating_sub(model.now).div_ceil(1_000);
            let when = match seconds {
                0 => String::from("trying"),
                seconds if columns < NARROW => duration::short(seconds),
                seconds => format!("next try in {}", duration::short(seconds)),
            };
            Span::styled(format!("○ offline, {when}"), theme.bad())
        }
        Link::Refused(why) => Span::styled(fit(&format!("✗ {why}"), 50), theme.bad()),
    };
    let waits = match model.unsent {
        0 => String::new(),
        count => format!("{count} to send  "),
    };
    let unread: u64 = model.chats.iter().map(|chat| chat.unread).sum();
    let unread = if unread > 0 { format!("  {unread} unread") } else { String::new() };
    let room = usize::from(columns).saturating_sub(14 + width(&waits) + width(&link.content));
    let who = fit(&format!("{}@{}{unread}", model.me.handle, model.me.tenant), room);
    let used = 12 + width(&who) + width(&waits) + width(&link.content) + 1;
    let space = " ".repeat(usize::from(columns).saturating_sub(used));
    Line::from(vec![
        Span::styled(" Mifeng密封 ", theme.accent()),
        Span::styled(who, theme.dim()),
        Span::raw(space),
        Span::styled(waits, theme.dim()),
        link,
    ])
}

/// The line over a conversation: its name, topic and timer.
fn title(chat: &Chat, columns: u16, theme: Theme) -> Line<'static> {
    let columns = usize::from(columns);
    let sigil = if chat.peer.is_some() { "@" } else { "#" };
    let name = fit(&format!(" {sigil}{}", chat.title), columns);
    let mut spans = vec![Span::styled(name, theme.bold())];
    if let Some(Verification::Verified { .. }) = chat.verification {
        spans.push(Span::styled(" ✔ verified", theme.good()));
    }
    if chat.timer > 0 {
        spans.push(Span::styled(format!(" ⧗{}", duration::in_words(chat.timer)), theme.dim()));
    }
    let state = match chat.state {
        ConversationState::Claiming | ConversationState::Creating | ConversationState::Joining => Some(" being set up"),
        ConversationState::Repairing => Some(" repairing"),
        ConversationState::Left => Some(" left"),
        ConversationState::Leaving => Some(" leaving"),
        ConversationState::Active | ConversationState::Superseded => None,
    };
    spans.extend(state.map(|state| Span::styled(state, theme.dim())));
    let used: usize = spans.iter().map(|span| width(&span.content)).sum();
    if let Some(topic) = chat.topic.as_ref().filter(|_| used + 6 < columns) {
        spans.push(Span::styled(fit(&format!("  {topic}"), columns - used), theme.dim()));
    }
    Line::from(spans)
}

/// What a person must know about a conversation before they write: a line each under its name.
fn alerts(chat: &Chat) -> Vec<String> {
    let changed = match chat.verification {
        Some(Verification::DevicesChanged { .. }) => Some("devices changed since you compared: /safety"),
        Some(Verification::KeyChanged { .. }) => Some("ANOTHER KEY than the one you compared: /safety"),
        Some(Verification::Unverified | Verification::Verified { .. }) | None => None,
    };
    changed.map(str::to_owned).into_iter().chain(chat.warnings.iter().cloned()).collect()
}

fn welcome(model: &Model, theme: Theme) -> Vec<Line<'static>> {
    let words = if model.chats.is_empty() {
        [" Nothing here yet.", " /dm @PERSON to talk to somebody,", " /group NAME @PERSON… to begin a group."]
    } else {
        [" Choose a conversation:", " Ctrl-N and Ctrl-P,", " or Tab and the arrows."]
    };
    words.into_iter().map(|words| Line::styled(words, theme.dim())).collect()
}

#[cfg(test)]
mod tests;
