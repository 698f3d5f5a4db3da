//! Text in columns: how wide it is, and where it breaks. A Chinese character takes two, a mark none.

use ratatui::style::Style;
use ratatui::text::{Line, Span};
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// How many columns a text takes.
pub(super) fn width(text: &str) -> usize {
    text.graphemes(true).map(grapheme_width).sum()
}

/// A terminal gives no character more than two columns, whatever it is joined from.
pub(super) fn grapheme_width(grapheme: &str) -> usize {
    grapheme.width().min(2)
}

/// The beginning of a text that fits, with an ellipsis if that is not all.
pub(super) fn fit(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut fitting = String::new();
    let mut used = 1;
    for grapheme in text.graphemes(true) {
        used += grapheme_width(grapheme);
        if used > columns {
            break;
        }
        fitting.push_str(grapheme);
    }
    if columns > 0 {
        fitting.push('…');
    }
    fitting
}

/// A piece of a line in one style.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) text: String,
    pub(super) style: Style,
}

impl Piece {
    pub(super) fn new(text: impl Into<String>, style: Style) -> Self {
        Self { text: text.into(), style }
    }
}

/// Lays pieces out in lines of so many columns. Breaks come at spaces, between wide characters, and where nothing else
/// helps, inside a word. `\n` begins a line. The first line begins with `first`, the others with `rest`.
pub(super) fn wrap(pieces: &[Piece], columns: usize, first: &[Piece], rest: &[Piece]) -> Vec<Line<'static>> {
    let mut wrapper = Wrapper { lines: Vec::new(), line: Vec::new(), used: 0, columns: columns.max(4), rest };
    wrapper.begin(first);
    for word in words(pieces) {
        wrapper.word(&word);
    }
    wrapper.lines.push(wrapper.line);
    wrapper.lines.into_iter().map(line).collect()
}

struct Wrapper<'a> {
    lines: Vec<Vec<Piece>>,
    line: Vec<Piece>,
    used: usize,
    columns: usize,
    rest: &'a [Piece],
}

impl Wrapper<'_> {
    fn begin(&mut self, indent: &[Piece]) {
        self.line = indent.to_vec();
        self.used = indent.iter().map(|piece| width(&piece.text)).sum();
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        self.lines.push(line);
        let rest = self.rest;
        self.begin(rest);
    }

    fn indent(&self) -> usize {
        self.rest.iter().map(|piece| width(&piece.text)).sum()
    }

    fn word(&mut self, word: &[Piece]) {
        if word.iter().any(|piece| piece.text == "\n") {
            return self.end_line();
        }
        let needs: usize = word.iter().map(|piece| width(&piece.text)).sum();
        let is_space = word.iter().all(|piece| piece.text == " ");
        if self.used + needs > self.columns && self.used > self.indent() {
            self.end_line();
            if is_space {
                return;
            }
        }
        for piece in word {
            for grapheme in piece.text.graphemes(true) {
                let wide = grapheme_width(grapheme);
                if self.used + wide > self.columns && self.used > self.indent() {
                    self.end_line();
                }
                self.used += wide;
                match self.line.last_mut().filter(|last| last.style == piece.style) {
                    Some(last) => last.text.push_str(grapheme),
                    None => self.line.push(Piece::new(grapheme, piece.style)),
                }
            }
        }
    }
}

/// What must not be broken: runs without spaces and without wide characters. A space, a wide character and a newline stand
/// for themselves.
fn words(pieces: &[Piece]) -> Vec<Vec<Piece>> {
    let mut words: Vec<Vec<Piece>> = Vec::new();
    let mut open = false;
    for piece in pieces {
        for grapheme in piece.text.graphemes(true) {
            let stands_alone = matches!(grapheme, " " | "\n" | "\r\n") || grapheme_width(grapheme) > 1;
            let text = if grapheme == "\r\n" { "\n" } else { grapheme };
            match words.last_mut().filter(|_| open && !stands_alone) {
                Some(word) => match word.last_mut().filter(|last| last.style == piece.style) {
                    Some(last) => last.text.push_str(text),
                    None => word.push(Piece::new(text, piece.style)),
                },
                None => words.push(vec![Piece::new(text, piece.style)]),
            }
            open = !stands_alone;
        }
    }
    words
}

fn line(pieces: Vec<Piece>) -> Line<'static> {
    Line::from(pieces.into_iter().map(|piece| Span::styled(piece.text, piece.style)).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wrapped(text: &str, columns: usize) -> Vec<String> {
        let lines = wrap(&[Piece::new(text, Style::new())], columns, &[], &[]);
        lines.iter().map(|line| line.spans.iter().map(|span| span.content.as_ref()).collect()).collect()
    }

    #[test]
    fn words_stay_whole_and_wide_characters_count_twice() {
        assert_eq!(wrapped("one two three", 8), ["one two ", "three"]);
        assert_eq!(wrapped("我们明天去北京", 6), ["我们明", "天去北", "京"]);
        assert_eq!(wrapped("我们明天", 7), ["我们明", "天"]);
        assert_eq!(wrapped("abcdefghij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(wrapped("a\n\nb", 9), ["a", "", "b"]);
        assert_eq!((width("蜜蜂"), width("e\u{301}"), width("👩‍👩‍👧")), (4, 1, 2));
        assert_eq!((fit("我们明天", 5), fit("abc", 3), fit("abcd", 3)), ("我们…".into(), "abc".into(), "ab…".into()));
    }

    #[test]
    fn what_is_quoted_keeps_its_bar() {
        let bar = [Piece::new("│ ", Style::new())];
        let lines = wrap(&[Piece::new("one two three", Style::new())], 8, &bar, &bar);
        let text: Vec<String> = lines.iter().map(|line| line.to_string()).collect();
        assert_eq!(text, ["│ one ", "│ two ", "│ three"]);
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_it_may_be(text in "[a-c 蜂é\n👩]{0,80}", columns in 4_usize..20) {
            for line in wrapped(&text, columns) {
                prop_assert!(width(&line) <= columns, "{line:?}");
            }
        }
    }
}
