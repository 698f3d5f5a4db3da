//! The terminal while it is ours, and as it was before: after the end, after a panic, after SIGTERM.

use crossterm::event::{DisableBracketedPaste, DisableFocusChange, EnableBracketedPaste, EnableFocusChange};
use crossterm::execute;
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use ratatui::backend::CrosstermBackend;
use std::io::{self, Stdout, stdout};

/// The terminal, taken over. Dropping it gives it back.
pub(super) struct Terminal {
    pub(super) screen: ratatui::Terminal<CrosstermBackend<Stdout>>,
}

impl Terminal {
    /// Takes the terminal over.
    pub(super) fn take() -> io::Result<Self> {
        restore_on_panic();
        enable_raw_mode()?;
        let taken = execute!(stdout(), EnterAlternateScreen, EnableBracketedPaste, EnableFocusChange)
            .and_then(|()| ratatui::Terminal::new(CrosstermBackend::new(stdout())));
        if taken.is_err() {
            restore();
        }
        taken.map(|screen| Self { screen })
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.screen.show_cursor();
        restore();
    }
}

/// What fails here cannot be told anywhere; the rest is done all the same.
fn restore() {
    let _ =
        execute!(stdout(), DisableFocusChange, DisableBracketedPaste, LeaveAlternateScreen, crossterm::cursor::Show);
    let _ = disable_raw_mode();
}

/// The message of a panic is for the screen that stays.
fn restore_on_panic() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        restore();
        before(panic);
    }));
}
