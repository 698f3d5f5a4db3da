//! What a command says: for people, or one JSON object per line for scripts.

use serde_json::Value;
use std::fmt::Display;
use std::io::{self, Write};

/// Where results go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    /// One JSON object per line instead of text.
    pub(crate) json: bool,
}

impl Output {
    /// One result. A reader that went away (`mifeng tail | head`) is no error of the command's.
    pub(crate) fn line(self, text: impl Display, value: &Value) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let written = if self.json { writeln!(out, "{value}") } else { writeln!(out, "{text}") };
        match written.and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }
}

/// Text from outside for a terminal: control characters could move the cursor, rename the window or worse; marks of direction
/// could show a text in another order than it has; what cannot be seen could hide in a name.
pub(crate) fn for_terminal(text: &str) -> String {
    let mut marks = 0;
    let shown = |c: char| {
        marks = if is_combining(c) { marks + 1 } else { 0 };
        match c {
            '\n' => Some('\n'),
            '\t' => Some(' '),
            _ if c.is_control() || is_hidden(c) => Some('\u{fffd}'),
            // A tower of accents would cover the lines above and below.
            _ if marks > MARKS_MAX => None,
            _ => Some(c),
        }
    };
    text.chars().filter_map(shown).collect()
}

/// The same for what has to fit into a line: names, handles, titles.
pub(crate) fn in_one_line(text: &str) -> String {
    for_terminal(text).replace('\n', " ")
}

/// So many marks one character may carry.
const MARKS_MAX: usize = 6;

const fn is_combining(c: char) -> bool {
    matches!(c, '\u{0300}'..='\u{036f}' | '\u{0483}'..='\u{0489}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}'
        | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}')
}

/// Directions, separators, tags and other characters without a form. Joiners stay: emoji and scripts need them.
const fn is_hidden(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{180e}' | '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c2_escape_sequences_do_not_reach_the_terminal() {
        for (hostile, shown) in [
            ("a\u{1b}[2Jb\nc\u{9b}1m", "a\u{fffd}[2Jb\nc\u{fffd}1m"),
            ("\u{1b}]0;title\u{7}", "\u{fffd}]0;title\u{fffd}"),
            ("over\rwritten", "over\u{fffd}written"),
            ("\u{8}\u{7f}", "\u{fffd}\u{fffd}"),
        ] {
            assert_eq!(for_terminal(hostile), shown);
        }
        let every: String = (0..=0x1f_u8).chain(0x7f..=0x9f).map(char::from).collect();
        assert!(for_terminal(&every).chars().all(|c| c == '\n' || !c.is_control()));
    }

    #[test]
    fn c2_directions_and_hidden_characters_are_shown() {
        assert_eq!(for_terminal("gnp.\u{202e}exe"), "gnp.\u{fffd}exe");
        assert_eq!(for_terminal("\u{2066}a\u{2069}\u{200f}\u{feff}"), "\u{fffd}a\u{fffd}\u{fffd}\u{fffd}");
        assert_eq!(in_one_line("bob\n#9 alice: forged"), "bob #9 alice: forged");
        let family = "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}";
        assert_eq!(for_terminal(family), family, "joiners stay");
        let tower = format!("a{}", "\u{0301}".repeat(100));
        assert_eq!(for_terminal(&tower).chars().count(), 1 + MARKS_MAX);
    }
}
