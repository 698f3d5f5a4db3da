//! What may be a person's handle, and which spellings are the same one.
//!
//! A handle is normalised as PRECIS does with user names (RFC 8265, UsernameCaseMapped): compatibility forms are folded
//! (full-width letters become plain ones), letters become lower case, the result is in NFC. What is left must be letters
//! and digits that Unicode recommends for identifiers (UTS 39, Identifier_Status) of one script, with `.`, `_` and `-`
//! between them. So `Alice`, `ALICE` and `Ａｌｉｃｅ` are one handle, and `аlice` with a Cyrillic `а` is none.

use unicode_normalization::UnicodeNormalization;
use unicode_security::{GeneralSecurityProfile, MixedScript};
use wire::limits;
use wire::sabotage::{Defence, stands};

/// A handle in the one form that is compared, stored and shown.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Handle(String);

/// The text cannot be a handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHandle {
    /// Nothing is left of it, or too much.
    #[error("a handle has 1 to {} characters", limits::HANDLE_MAX_CHARS)]
    Length,
    /// It holds something that is no letter, digit, `.`, `_` or `-`, or begins or ends with a mark of punctuation.
    #[error("a handle has letters and digits, with `.`, `_` and `-` between them")]
    Character,
    /// It mixes scripts that no language writes together.
    #[error("a handle is written in one script")]
    MixedScripts,
}

impl Handle {
    /// Normalises a spelling.
    ///
    /// # Errors
    /// [`InvalidHandle`].
    pub fn parse(spelling: &str) -> Result<Self, InvalidHandle> {
        // Before any work: a character has at most four bytes, and folding never needs more than this of them.
        if spelling.len() > limits::HANDLE_MAX_CHARS * 4 {
            return Err(InvalidHandle::Length);
        }
        if spelling.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(InvalidHandle::Character);
        }
        let folded = fold(spelling);
        if folded.is_empty() || folded.chars().count() > limits::HANDLE_MAX_CHARS {
            return Err(InvalidHandle::Length);
        }
        if !folded.chars().all(allowed) || edge_is_punctuation(&folded) {
            return Err(InvalidHandle::Character);
        }
        if !folded.as_str().is_single_script() {
            return Err(InvalidHandle::MixedScripts);
        }
        Ok(Self(folded))
    }

    /// The normalised text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Handles are personal: they are not for logs.
impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

/// Compatibility forms, case, composition. Twice, because lower case of one can be decomposable again.
fn fold(spelling: &str) -> String {
    if !stands(Defence::HandleFolding) {
        return spelling.to_owned();
    }
    let once = |text: &str| text.nfkc().flat_map(char::to_lowercase).nfkc().collect::<String>();
    once(&once(spelling))
}

fn allowed(c: char) -> bool {
    matches!(c, '.' | '_' | '-') || (c.is_alphanumeric() || is_mark(c)) && c.identifier_allowed()
}

/// Combining marks that the script needs (Indic vowels and their like) are no letters for `char`, but UTS 39 allows them.
fn is_mark(c: char) -> bool {
    unicode_normalization::char::is_combining_mark(c)
}

fn edge_is_punctuation(text: &str) -> bool {
    let is_edge = |c: Option<char>| c.is_none_or(|c| matches!(c, '.' | '_' | '-') || is_mark(c));
    is_edge(text.chars().next()) || matches!(text.chars().last(), None | Some('.' | '_' | '-'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(spelling: &str) -> Option<String> {
        Handle::parse(spelling).ok().map(|handle| handle.as_str().to_owned())
    }

    #[test]
    fn b1_spellings_of_one_handle_are_one_handle() {
        for spelling in ["alice", "Alice", "ALICE", "Ａｌｉｃｅ", "ａｌｉｃｅ", "𝐀lice", "ⓐlice"] {
            assert_eq!(parsed(spelling).as_deref(), Some("alice"), "{spelling}");
        }
        assert_eq!(parsed("ÉTÉ"), parsed("e\u{301}te\u{301}"));
    }

    #[test]
    fn people_everywhere_have_handles() {
        for handle in ["bob", "a.b-c_d", "x1", "王小明", "さくら", "ユキ", "김철수", "олег", "δήμος", "ذكي", "महेश", "7"]
        {
            assert_eq!(parsed(handle).as_deref(), Some(handle));
        }
    }

    #[test]
    fn b1_what_hides_or_confuses_is_refused() {
        for spelling in [
            "",
            " ",
            "a b",
            " alice",
            "alice ",
            "alice\u{a0}",
            "al\u{200b}ice",
            "alice\u{202e}",
            "\u{feff}alice",
            "ali\u{ad}ce",
            "a\0",
            "a\nb",
            ".alice",
            "alice-",
            "-",
            "a/b",
            "a@b",
            "аlice",
            "alicе",
            "α_lice",
            "a\u{2024}b\u{2028}",
            "a!",
            "😀",
            "\u{301}a",
        ] {
            assert_eq!(parsed(spelling), None, "{spelling:?}");
        }
        assert_eq!(parsed(&"a".repeat(limits::HANDLE_MAX_CHARS)).map(|h| h.len()), Some(limits::HANDLE_MAX_CHARS));
        assert_eq!(parsed(&"a".repeat(limits::HANDLE_MAX_CHARS + 1)), None);
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(text in "\\PC{0,24}") {
            if let Some(handle) = parsed(&text) {
                prop_assert_eq!(parsed(&handle), Some(handle));
            }
        }

        #[test]
        fn case_and_width_do_not_matter(text in "[a-z0-9]{1,20}") {
            let wide: String = text.chars().map(|c| char::from_u32(c as u32 + 0xfee0).unwrap()).collect();
            prop_assert_eq!(parsed(&wide), Some(text.clone()));
            prop_assert_eq!(parsed(&text.to_uppercase()), Some(text));
        }

        #[test]
        fn any_text_is_a_handle_or_an_error(text in "\\PC*") {
            let _ = Handle::parse(&text);
        }
    }
}
