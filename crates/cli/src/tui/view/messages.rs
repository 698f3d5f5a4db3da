//! The lines of a conversation.

use super::markdown;
use super::theme::Theme;
use crate::duration;
use crate::output::for_terminal;
use crate::tui::model::{Mark, Model, Reacted, Shown, What};
use crate::tui::text::{Piece, fit, wrap};
use client::content::markdown::Document;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use time::{Duration, OffsetDateTime, UtcOffset};
use wire::UnixMillis;

/// What one person says within so long stands under one name.
const TOGETHER_MS: u64 = 5 * 60_000;
const INDENT: &str = "  ";

/// Paints as many lines as fit: those around the chosen one, else the last.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, model: &Model, theme: Theme) {
    let (columns, height) = (usize::from(area.width), usize::from(area.height));
    let mut rows: Vec<Line<'static>> = Vec::new();
    let mut chosen = None;
    for at in visible(model, columns, height, theme) {
        let Painted { gap, line } = paint(model, at, columns, theme);
        rows.extend(gap);
        let is_chosen = Some(at) == model.selected;
        if is_chosen {
            chosen = Some((rows.len(), line.len()));
        }
        rows.extend(line.into_iter().map(|row| if is_chosen { mark_chosen(row, theme) } else { row }));
    }
    let skip = skip(rows.len(), height, chosen, model.inner);
    let shown: Vec<Line<'static>> = rows.into_iter().skip(skip).take(height).collect();
    let top = height.saturating_sub(shown.len());
    let space = Rect { y: area.y + u16::try_from(top).unwrap_or_default(), ..area };
    let space = Rect { height: area.height.saturating_sub(space.y - area.y), ..space };
    frame.render_widget(ratatui::widgets::Paragraph::new(shown), space);
}

/// Rows of the chosen line that do not fit on the screen.
pub(super) fn rows_beyond(model: &Model, columns: usize, height: usize, theme: Theme) -> usize {
    model.selected.map_or(0, |at| paint(model, at, columns, theme).line.len().saturating_sub(height))
}

/// Lines that can be on the screen: no more are laid out, however long the conversation is.
fn visible(model: &Model, columns: usize, height: usize, theme: Theme) -> std::ops::Range<usize> {
    let count = model.page.lines.len();
    let around = model.selected.unwrap_or(count.saturating_sub(1)).min(count);
    let reach = |range: &mut dyn Iterator<Item = usize>| {
        let mut rows = 0;
        range
            .take_while(|at| {
                let before = rows;
                rows += paint(model, *at, columns, theme).rows();
                before < height
            })
            .count()
    };
    let (above, below) = (reach(&mut (0..around).rev()), reach(&mut (around..count)));
    around - above..around + below
}

/// Rows to leave out at the top, so that the chosen line is near the middle, and its head on the screen.
fn skip(rows: usize, height: usize, chosen: Option<(usize, usize)>, inner: usize) -> usize {
    let most = rows.saturating_sub(height);
    match chosen {
        None => most,
        Some((start, len)) if len > height => start + inner.min(len - height),
        Some((start, len)) => (start + len / 2).saturating_sub(height / 2).min(most),
    }
}

fn mark_chosen(line: Line<'static>, theme: Theme) -> Line<'static> {
    let mut spans = line.spans;
    if let Some(first) = spans.first_mut()
        && let Some(rest) = first.content.strip_prefix(' ').map(str::to_owned)
    {
        first.content = rest.into();
        spans.insert(0, Span::styled("▌", theme.accent()));
    } else {
        spans.insert(0, Span::styled("▌", theme.accent()));
    }
    Line::from(spans)
}

/// One line with all that belongs to it, and what stands between it and the one before.
#[derive(Default)]
struct Painted {
    gap: Vec<Line<'static>>,
    line: Vec<Line<'static>>,
}

impl Painted {
    const fn rows(&self) -> usize {
        self.gap.len() + self.line.len()
    }
}

fn paint(model: &Model, at: usize, columns: usize, theme: Theme) -> Painted {
    let Some(line) = model.page.lines.get(at) else { return Painted::default() };
    let before = at.checked_sub(1).and_then(|before| model.page.lines.get(before));
    let mut gap = between(model, before, line, columns, theme);
    if let What::System(text) = &line.what {
        return Painted { gap, line: system(text, columns, theme) };
    }
    let mut rows = Vec::new();
    let continues = before.is_some_and(|before| {
        before.author == line.author
            && !matches!(before.what, What::System(_))
            && line.at.abs_diff(before.at) < TOGETHER_MS
            && gap.is_empty()
    });
    if !continues {
        if gap.is_empty() && before.is_some() {
            gap.push(Line::default());
        }
        rows.push(head(model, line, columns, theme));
    }
    if let Some((author, text)) = &line.quote {
        let quoted = fit(&format!("{author}: {text}"), columns.saturating_sub(6));
        rows.push(Line::from(vec![Span::styled("  ╭ ", theme.dim()), Span::styled(quoted, theme.dim())]));
    }
    rows.extend(body(model, line, columns, theme));
    if !line.reactions.is_empty() {
        rows.push(reactions(&line.reactions, theme));
    }
    Painted { gap, line: rows }
}

/// A day's name, and where the new lines begin.
fn between(model: &Model, before: Option<&Shown>, line: &Shown, columns: usize, theme: Theme) -> Vec<Line<'static>> {
    let mut rows = Vec::new();
    let day = local(line.at, model.offset).date();
    if before.is_none_or(|before| local(before.at, model.offset).date() != day) {
        rows.push(ruled(&day_name(line.at, model.now, model.offset), columns, theme.dim()));
    }
    let is_new = |line: &Shown| model.page.new_after.zip(line.seq).is_some_and(|(after, seq)| seq > after && !line.own);
    let was_new =
        before.is_some_and(|before| model.page.new_after.zip(before.seq).is_some_and(|(after, seq)| seq > after));
    if is_new(line) && !was_new {
        rows.push(ruled("new", columns, theme.accent()));
    }
    rows
}

fn ruled(text: &str, columns: usize, style: ratatui::style::Style) -> Line<'static> {
    let side = columns.saturating_sub(text.chars().count() + 2) / 2;
    Line::styled(format!("{} {text} {}", "─".repeat(side), "─".repeat(side)), style)
}

fn head(model: &Model, line: &Shown, columns: usize, theme: Theme) -> Line<'static> {
    let name = if line.own { format!(" {} (you)", line.author) } else { format!(" {}", line.author) };
    let mut spans = vec![
        Span::styled(fit(&name, columns.saturating_sub(16)), theme.name(&line.author, line.own)),
        Span::styled(format!("  {}", clock(line.at, model.offset)), theme.dim()),
    ];
    if line.names_me {
        spans.push(Span::styled("  names you", theme.accent()));
    }
    Line::from(spans)
}

fn body(model: &Model, line: &Shown, columns: usize, theme: Theme) -> Vec<Line<'static>> {
    let inner = columns.saturating_sub(INDENT.len() + 4);
    let one = |text: &str, style| {
        let indent = [Piece::new(INDENT, theme.plain())];
        wrap(&[Piece::new(text, style)], columns.saturating_sub(4), &indent, &indent)
    };
    let mut rows = match &line.what {
        What::Words(document) => indented(document, inner, theme),
        What::Deleted => one("(taken back)", theme.dim()),
        What::Bad(why) => one(&for_terminal(why), theme.bad()),
        What::System(text) => one(text, theme.dim()),
    };
    let tail = tail(model, line, theme);
    if let Some(last) = rows.last_mut() {
        last.spans.extend(tail);
    }
    if let Mark::Failed(why) = &line.mark {
        rows.extend(one(&format!("✗ not sent: {}", for_terminal(why)), theme.bad()));
    }
    rows
}

fn indented(document: &Document, columns: usize, theme: Theme) -> Vec<Line<'static>> {
    let mut rows = markdown::lines(document, columns, theme);
    if rows.is_empty() {
        rows.push(Line::default());
    }
    for row in &mut rows {
        row.spans.insert(0, Span::raw(INDENT));
    }
    rows
}

/// How far the message has come, whether it was edited, how long it lives.
fn tail(model: &Model, line: &Shown, theme: Theme) -> Vec<Span<'static>> {
    let mut spans = Vec::new();
    if line.edited {
        spans.push(Span::styled(" (edited)", theme.dim()));
    }
    if let Some(at) = line.expires_at {
        let left = duration::short(at.saturating_sub(model.now).div_ceil(1_000));
        spans.push(Span::styled(format!(" ⧗{left}"), theme.dim()));
    } else if line.expires {
        spans.push(Span::styled(" ⧗", theme.dim()));
    }
    spans.extend(match &line.mark {
        Mark::None | Mark::Failed(_) => None,
        Mark::Pending => Some(Span::styled(" …", theme.dim())),
        Mark::Sent => Some(Span::styled(" ✓", theme.dim())),
        Mark::Read => Some(Span::styled(" ✓✓", theme.good())),
        Mark::ReadBy(count) => Some(Span::styled(format!(" ✓{count}"), theme.good())),
    });
    spans
}

fn reactions(reactions: &[Reacted], theme: Theme) -> Line<'static> {
    let mut spans = vec![Span::raw(INDENT)];
    for Reacted { symbol, count, mine } in reactions {
        let count = if *count > 1 { format!(" {count}") } else { String::new() };
        let style = if *mine { theme.accent() } else { theme.dim() };
        spans.push(Span::styled(format!("{symbol}{count}  "), style));
    }
    Line::from(spans)
}

fn system(text: &str, columns: usize, theme: Theme) -> Vec<Line<'static>> {
    let star = [Piece::new(" ∗ ", theme.dim())];
    let rest = [Piece::new("   ", theme.dim())];
    wrap(&[Piece::new(text, theme.dim())], columns, &star, &rest)
}

fn local(at: UnixMillis, offset: UtcOffset) -> OffsetDateTime {
    let seconds = i64::try_from(at / 1_000).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH).to_offset(offset)
}

/// `09:05`.
pub(super) fn clock(at: UnixMillis, offset: UtcOffset) -> String {
    let time = local(at, offset).time();
    format!("{:02}:{:02}", time.hour(), time.minute())
}

/// `today`, `yesterday`, `Tue 24 Nov 2026`.
pub(super) fn day_name(at: UnixMillis, now: UnixMillis, offset: UtcOffset) -> String {
    let (day, today) = (local(at, offset).date(), local(now, offset).date());
    if day == today {
        return "today".into();
    }
    if today.checked_sub(Duration::DAY) == Some(day) {
        return "yesterday".into();
    }
    let (weekday, month) = (day.weekday().to_string(), day.month().to_string());
    let short = |name: &str| name.chars().take(3).collect::<String>();
    format!("{} {} {} {}", short(&weekday), day.day(), short(&month), day.year())
}
