//! A document's tree in styles.

use super::theme::Theme;
use crate::output::{for_terminal, in_one_line};
use crate::tui::text::{Piece, width, wrap};
use client::content::markdown::{Block, Document, Inline};
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;

/// The lines of a document, so many columns wide.
pub(super) fn lines(document: &Document, columns: usize, theme: Theme) -> Vec<Line<'static>> {
    let mut painter = Painter { theme, columns, lines: Vec::new() };
    painter.blocks(&document.blocks, &[]);
    if document.truncated {
        let words = [Piece::new("… (the rest is left out)", theme.dim())];
        painter.lines.extend(wrap(&words, columns, &[], &[]));
    }
    painter.lines
}

/// A document in one line, without styles.
pub(in crate::tui) fn summary(document: &Document) -> String {
    let theme = Theme { colour: false };
    let lines = lines(document, usize::from(u16::MAX), theme);
    let texts: Vec<String> = lines.iter().map(ToString::to_string).filter(|line| !line.trim().is_empty()).collect();
    in_one_line(&texts.join(" "))
}

struct Painter {
    theme: Theme,
    columns: usize,
    lines: Vec<Line<'static>>,
}

impl Painter {
    fn blocks(&mut self, blocks: &[Block], indent: &[Piece]) {
        for (number, block) in blocks.iter().enumerate() {
            let before = number.checked_sub(1).and_then(|before| blocks.get(before));
            // A list stands close to the words that introduce it.
            let is_tight = matches!((before, block), (Some(Block::Paragraph(_)), Block::List { .. }));
            if before.is_some() && !is_tight {
                self.lines.extend(wrap(&[], self.columns, indent, indent));
            }
            self.block(block, indent, indent);
        }
    }

    /// A block whose first line begins otherwise than the rest: with the mark of a list item.
    fn block(&mut self, block: &Block, first: &[Piece], rest: &[Piece]) {
        let theme = self.theme;
        match block {
            Block::Paragraph(words) => self.words(words, theme.plain(), first, rest),
            Block::Heading { words, .. } => {
                self.words(words, theme.bold().add_modifier(Modifier::UNDERLINED), first, rest)
            }
            Block::Code { text, .. } => {
                let bar = |indent: &[Piece]| with(indent, "▏ ", theme.dim());
                let text = [Piece::new(for_terminal(text), theme.code())];
                self.lines.extend(wrap(&text, self.columns, &bar(first), &bar(rest)));
            }
            Block::Quote(blocks) => {
                for (number, block) in blocks.iter().enumerate() {
                    let begin = if number == 0 { first } else { rest };
                    self.block(block, &with(begin, "┃ ", theme.dim()), &with(rest, "┃ ", theme.dim()));
                }
            }
            Block::List { start, items } => self.list(*start, items, first, rest),
            Block::Rule => {
                let room = self.columns.saturating_sub(rest.iter().map(|piece| width(&piece.text)).sum());
                self.lines.extend(wrap(
                    &[Piece::new("─".repeat(room.min(24)), theme.dim())],
                    self.columns,
                    first,
                    rest,
                ));
            }
        }
    }

    fn list(&mut self, start: Option<u64>, items: &[Vec<Block>], first: &[Piece], rest: &[Piece]) {
        for (number, item) in items.iter().enumerate() {
            let mark = match start {
                Some(start) => format!("{}. ", start.saturating_add(number as u64)),
                None => String::from("• "),
            };
            let begin = with(if number == 0 { first } else { rest }, &mark, self.theme.dim());
            let inner = with(rest, &" ".repeat(width(&mark)), self.theme.plain());
            match item.split_first() {
                Some((head, tail)) => {
                    self.block(head, &begin, &inner);
                    tail.iter().for_each(|block| self.block(block, &inner, &inner));
                }
                None => self.lines.extend(wrap(&[], self.columns, &begin, &inner)),
            }
        }
    }

    fn words(&mut self, words: &[Inline], style: Style, first: &[Piece], rest: &[Piece]) {
        let mut pieces = Vec::new();
        words.iter().for_each(|inline| self.inline(inline, style, &mut pieces));
        self.lines.extend(wrap(&pieces, self.columns, first, rest));
    }

    fn inline(&self, inline: &Inline, style: Style, pieces: &mut Vec<Piece>) {
        let mut inner = |words: &[Inline], style| words.iter().for_each(|inline| self.inline(inline, style, pieces));
        match inline {
            Inline::Emphasis(words) => inner(words, style.add_modifier(Modifier::ITALIC)),
            Inline::Strong(words) => inner(words, style.add_modifier(Modifier::BOLD)),
            Inline::Strikethrough(words) => inner(words, style.add_modifier(Modifier::CROSSED_OUT)),
            Inline::Text(text) => pieces.push(Piece::new(for_terminal(text), style)),
            Inline::Code(text) => pieces.push(Piece::new(in_one_line(text), style.patch(self.theme.code()))),
            Inline::Mention { words, .. } => {
                pieces.push(Piece::new(in_one_line(words), style.patch(self.theme.accent())))
            }
            Inline::Link { target, words } => {
                inner(words, style.patch(self.theme.link()));
                let (shown, target) = (plain(words), in_one_line(target));
                // The words may say another place than where the link leads.
                if shown.is_empty() {
                    pieces.push(Piece::new(target, style.patch(self.theme.link())));
                } else if shown != target && format!("mailto:{shown}") != target {
                    pieces.push(Piece::new(format!(" <{target}>"), style.patch(self.theme.dim())));
                }
            }
            Inline::Break => pieces.push(Piece::new("\n", style)),
        }
    }
}

/// The words of a link as they are shown.
fn plain(words: &[Inline]) -> String {
    let text = |inline: &Inline| match inline {
        Inline::Text(text) | Inline::Code(text) | Inline::Mention { words: text, .. } => in_one_line(text),
        Inline::Emphasis(words) | Inline::Strong(words) | Inline::Strikethrough(words) | Inline::Link { words, .. } => {
            plain(words)
        }
        Inline::Break => " ".into(),
    };
    words.iter().map(text).collect()
}

fn with(indent: &[Piece], mark: &str, style: Style) -> Vec<Piece> {
    [indent, &[Piece::new(mark, style)]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, columns: usize) -> Vec<String> {
        let document = Document::parse(text, &[]);
        lines(&document, columns, Theme { colour: true }).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn blocks_have_their_forms() {
        let text = "# Plan\n\n> said *so*\n\n1. one\n2. two\n   - inner\n\n```rust\nfn a() {}\n```\n\n---";
        insta::assert_snapshot!(shown(text, 30).join("\n"));
    }

    #[test]
    fn a_link_shows_where_it_leads() {
        assert_eq!(shown("[bank](https://thief.example)", 60), ["bank <https://thief.example>"]);
        assert_eq!(shown("<https://a.example>", 60), ["https://a.example"]);
        assert_eq!(shown("![](https://a.example/x.png)", 60), ["https://a.example/x.png"]);
    }

    #[test]
    fn c2_markup_brings_no_control_character() {
        let hostile =
            "a\u{1b}[2J `b\u{9b}` [c\u{7}](x\u{1b}y)\n\n```\u{1b}\nd\u{1b}]0;t\u{7}\n```\n\n<e\u{1b}> \u{202e}";
        assert!(shown(hostile, 40).concat().chars().all(|c| !c.is_control() && c != '\u{202e}'));
        assert!(hostile.chars().any(char::is_control), "the control");
    }
}
