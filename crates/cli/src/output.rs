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

/// Text from outside for a terminal: control characters could move the cursor, rename the window or worse.
pub(crate) fn for_terminal(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_do_not_reach_the_terminal() {
        assert_eq!(for_terminal("a\u{1b}[2Jb\nc\u{9b}1m"), "a\u{fffd}[2Jb\nc\u{fffd}1m");
    }
}
