//! Styles. Only the sixteen colours that every terminal has, of them those that can be read on dark and on light; without
//! colour, bold, dim and reversed say the same.

use ratatui::style::{Color, Modifier, Style};

/// How things look.
#[derive(Debug, Clone, Copy)]
pub(in crate::tui) struct Theme {
    /// `NO_COLOR` is not set.
    pub(in crate::tui) colour: bool,
}

impl Theme {
    const fn ink(self, colour: Color) -> Style {
        if self.colour { Style::new().fg(colour) } else { Style::new() }
    }

    pub(super) const fn plain(self) -> Style {
        Style::new()
    }

    pub(super) const fn dim(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    pub(super) const fn bold(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    pub(super) const fn accent(self) -> Style {
        self.ink(Color::Cyan).add_modifier(Modifier::BOLD)
    }

    pub(super) const fn good(self) -> Style {
        self.ink(Color::Green)
    }

    pub(super) const fn bad(self) -> Style {
        self.ink(Color::Red).add_modifier(Modifier::BOLD)
    }

    pub(super) const fn chosen(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// A number that wants to be seen.
    pub(super) const fn badge(self) -> Style {
        self.accent().add_modifier(Modifier::REVERSED)
    }

    pub(super) const fn code(self) -> Style {
        self.ink(Color::Magenta)
    }

    pub(super) const fn link(self) -> Style {
        self.ink(Color::Cyan).add_modifier(Modifier::UNDERLINED)
    }

    /// A person's name, in a colour that stays theirs.
    pub(super) fn name(self, handle: &str, own: bool) -> Style {
        let colours = [Color::Cyan, Color::Magenta, Color::Blue];
        let number: usize = handle.bytes().map(usize::from).sum();
        let colour = if own { Color::Green } else { colours[number % colours.len()] };
        self.ink(colour).add_modifier(Modifier::BOLD)
    }
}
