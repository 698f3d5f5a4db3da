//! The line that a person writes in: several lines, a cursor between characters as people see them, and what was written
//! before.

use unicode_segmentation::UnicodeSegmentation;

/// So much fits into a message anyway.
const TEXT_MAX_BYTES: usize = 48 << 10;
const HISTORY_MAX: usize = 50;

/// What is being written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Editor {
    text: String,
    /// A byte, at the border of a character.
    cursor: usize,
    /// What was sent before, the oldest first, and how far back the person has gone.
    history: Vec<String>,
    back: usize,
    set_aside: String,
}

impl Editor {
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    pub(super) const fn cursor(&self) -> usize {
        self.cursor
    }

    /// Replaces everything; the cursor stands at the end.
    pub(super) fn set(&mut self, text: &str) {
        self.text = text.to_owned();
        self.cursor = self.text.len();
        self.back = 0;
    }

    /// Takes what was written, and remembers it.
    pub(super) fn take(&mut self) -> String {
        let text = std::mem::take(&mut self.text);
        (self.cursor, self.back) = (0, 0);
        if !text.trim().is_empty() && self.history.last() != Some(&text) {
            self.history.push(text.clone());
            let surplus = self.history.len().saturating_sub(HISTORY_MAX);
            self.history.drain(..surplus);
        }
        text
    }

    /// Puts a text in at the cursor. Tabs become spaces, other control characters but newlines are left out.
    pub(super) fn insert(&mut self, text: &str) {
        let text: String = text
            .replace("\r\n", "\n")
            .chars()
            .map(|c| match c {
                '\r' => '\n',
                '\t' => ' ',
                c => c,
            })
            .filter(|c| *c == '\n' || !c.is_control())
            .collect();
        let room = TEXT_MAX_BYTES.saturating_sub(self.text.len());
        let text = &text[..text.floor_char_boundary(room)];
        self.text.insert_str(self.cursor, text);
        self.cursor += text.len();
    }

    pub(super) fn backspace(&mut self) {
        let start = self.before();
        self.text.replace_range(start..self.cursor, "");
        self.cursor = start;
    }

    pub(super) fn delete(&mut self) {
        self.text.replace_range(self.cursor..self.after(), "");
    }

    /// Deletes the word before the cursor.
    pub(super) fn delete_word(&mut self) {
        let start = self.word_start();
        self.text.replace_range(start..self.cursor, "");
        self.cursor = start;
    }

    /// Deletes from the beginning of the line to the cursor.
    pub(super) fn delete_to_start(&mut self) {
        let start = self.line_start();
        self.text.replace_range(start..self.cursor, "");
        self.cursor = start;
    }

    /// Deletes from the cursor to the end of the line.
    pub(super) fn delete_to_end(&mut self) {
        self.text.replace_range(self.cursor..self.line_end(), "");
    }

    pub(super) fn left(&mut self) {
        self.cursor = self.before();
    }

    pub(super) fn right(&mut self) {
        self.cursor = self.after();
    }

    pub(super) fn word_left(&mut self) {
        self.cursor = self.word_start();
    }

    pub(super) fn word_right(&mut self) {
        let rest = &self.text[self.cursor..];
        let skipped = rest.len() - rest.trim_start().len();
        let word = rest[skipped..].find(char::is_whitespace).unwrap_or(rest.len() - skipped);
        self.cursor += skipped + word;
    }

    pub(super) fn home(&mut self) {
        self.cursor = self.line_start();
    }

    pub(super) fn end(&mut self) {
        self.cursor = self.line_end();
    }

    /// A line up; on the first, what was written before. `false`: there is neither.
    pub(super) fn up(&mut self) -> bool {
        let start = self.line_start();
        if start == 0 {
            return self.older();
        }
        let column = self.text[start..self.cursor].graphemes(true).count();
        let above = self.text[..start - 1].rfind('\n').map_or(0, |newline| newline + 1);
        self.cursor = self.at_column(above, column);
        true
    }

    /// A line down; on the last, what was written later. `false`: there is neither.
    pub(super) fn down(&mut self) -> bool {
        let end = self.line_end();
        if end == self.text.len() {
            return self.newer();
        }
        let column = self.text[self.line_start()..self.cursor].graphemes(true).count();
        self.cursor = self.at_column(end + 1, column);
        true
    }

    fn older(&mut self) -> bool {
        let Some(at) = self.history.len().checked_sub(self.back + 1) else { return false };
        if self.back == 0 {
            self.set_aside = self.text.clone();
        }
        let (back, text) = (self.back + 1, self.history[at].clone());
        self.set(&text);
        self.back = back;
        true
    }

    fn newer(&mut self) -> bool {
        let Some(back) = self.back.checked_sub(1) else { return false };
        let text = match back {
            0 => self.set_aside.clone(),
            back => self.history[self.history.len() - back].clone(),
        };
        self.set(&text);
        self.back = back;
        true
    }

    fn before(&self) -> usize {
        self.text[..self.cursor].grapheme_indices(true).next_back().map_or(0, |(at, _)| at)
    }

    fn after(&self) -> usize {
        self.cursor + self.text[self.cursor..].graphemes(true).next().map_or(0, str::len)
    }

    fn word_start(&self) -> usize {
        let before = self.text[..self.cursor].trim_end();
        before
            .rfind(char::is_whitespace)
            .map_or(0, |space| space + before[space..].chars().next().map_or(0, char::len_utf8))
    }

    fn line_start(&self) -> usize {
        self.text[..self.cursor].rfind('\n').map_or(0, |newline| newline + 1)
    }

    fn line_end(&self) -> usize {
        self.text[self.cursor..].find('\n').map_or(self.text.len(), |newline| self.cursor + newline)
    }

    fn at_column(&self, start: usize, column: usize) -> usize {
        let end = self.text[start..].find('\n').map_or(self.text.len(), |newline| start + newline);
        let line = &self.text[start..end];
        start + line.grapheme_indices(true).nth(column).map_or(line.len(), |(at, _)| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(text: &str) -> Editor {
        let mut editor = Editor::default();
        editor.insert(text);
        editor
    }

    #[test]
    fn characters_are_what_people_see() {
        let mut editor = written("a👩‍👩‍👧e\u{301}");
        editor.backspace();
        assert_eq!(editor.text(), "a👩‍👩‍👧");
        editor.left();
        editor.insert("b");
        assert_eq!(editor.text(), "ab👩‍👩‍👧");
        editor.delete();
        assert_eq!(editor.text(), "ab");
    }

    #[test]
    fn lines_and_words_can_be_walked_and_deleted() {
        let mut editor = written("one two\n三四 five");
        assert!(editor.up());
        editor.insert("|");
        assert_eq!(editor.text(), "one two|\n三四 five");
        assert!(editor.down());
        editor.delete_word();
        assert_eq!(editor.text(), "one two|\n三四 ");
        editor.delete_to_start();
        assert_eq!(editor.text(), "one two|\n");
        editor.home();
        editor.up();
        editor.word_right();
        editor.delete_to_end();
        assert_eq!(editor.text(), "one\n");
    }

    #[test]
    fn what_was_sent_comes_back_and_the_draft_is_kept() {
        let mut editor = written("first");
        editor.take();
        editor.insert("second");
        editor.take();
        editor.insert("draft");
        assert!(editor.up() && editor.text() == "second");
        assert!(editor.up() && editor.text() == "first");
        assert!(!editor.up());
        assert!(editor.down() && editor.down() && editor.text() == "draft");
        assert!(!editor.down());
    }

    #[test]
    fn what_is_pasted_holds_no_control_characters() {
        assert_eq!(written("a\u{1b}[2J\tb\r\nc\rd\u{7}").text(), "a[2J b\nc\nd");
        assert_eq!(written(&"蜂".repeat(TEXT_MAX_BYTES)).text().len(), TEXT_MAX_BYTES / 3 * 3);
    }

    proptest! {
        #[test]
        fn the_cursor_stays_on_a_character(steps in prop::collection::vec((0_u8..16, "[a 蜂\n👩\u{200d}é]{0,3}"), 0..60)) {
            let mut editor = Editor::default();
            for (step, text) in steps {
                match step {
                    0 => editor.backspace(),
                    1 => editor.delete(),
                    2 => editor.left(),
                    3 => editor.right(),
                    4 => drop(editor.up()),
                    5 => drop(editor.down()),
                    6 => editor.delete_word(),
                    7 => editor.word_left(),
                    8 => editor.word_right(),
                    9 => editor.home(),
                    10 => editor.end(),
                    11 => drop(editor.take()),
                    12 => editor.delete_to_end(),
                    _ => editor.insert(&text),
                }
                prop_assert!(editor.text().is_char_boundary(editor.cursor()));
            }
        }
    }
}
