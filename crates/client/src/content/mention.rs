//! Finding the people whom a text names: `@` and a handle, at the beginning of a word.

use super::Mention;
use wire::UserId;

/// So many people are named by one message at most; what follows stays text.
const MENTIONS_MAX: usize = 100;

/// The mentions in a text. `who` knows handles, without the `@`; a handle that it does not know is text.
pub(crate) fn find_mentions(text: &str, who: impl Fn(&str) -> Option<UserId>) -> Vec<Mention> {
    let mut mentions = Vec::new();
    let mut before = None;
    for (start, character) in text.char_indices() {
        if character == '@' && !before.is_some_and(is_of_handle) && mentions.len() < MENTIONS_MAX {
            mentions.extend(mention_at(text, start, &who));
        }
        before = Some(character);
    }
    mentions
}

/// A dot or dash may end the handle or the sentence: the longest handle that is known counts.
fn mention_at(text: &str, start: usize, who: impl Fn(&str) -> Option<UserId>) -> Option<Mention> {
    let rest = text.get(start + 1..)?;
    let len = rest.find(|character| !is_of_handle(character)).unwrap_or(rest.len());
    let mut handle = rest.get(..len.min(4 * wire::limits::HANDLE_MAX_CHARS)).or_else(|| rest.get(..0))?;
    loop {
        if let Some(user) = (!handle.is_empty()).then(|| who(handle)).flatten() {
            let (start, end) = (u32::try_from(start).ok()?, u32::try_from(start + 1 + handle.len()).ok()?);
            return Some(Mention { start, end, user });
        }
        handle = handle.strip_suffix(['.', '-', '_'])?;
    }
}

fn is_of_handle(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '.' | '-' | '_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BOB: UserId = UserId::from_bytes([1; 16]);
    const DOT: UserId = UserId::from_bytes([2; 16]);

    fn who(handle: &str) -> Option<UserId> {
        match handle.to_lowercase().as_str() {
            "bob" | "小明" => Some(BOB),
            "bob.b" => Some(DOT),
            _ => None,
        }
    }

    fn named(text: &str) -> Vec<(&str, UserId)> {
        let range = |mention: &Mention| &text[mention.start as usize..mention.end as usize];
        find_mentions(text, who).iter().map(|mention| (range(mention), mention.user)).collect()
    }

    #[test]
    fn handles_are_found_where_words_begin() {
        assert_eq!(named("@bob, and @Bob."), [("@bob", BOB), ("@Bob", BOB)]);
        assert_eq!(named("请看(@小明)"), [("@小明", BOB)]);
        assert_eq!(named("@bob.b @bob.b. @bob.c"), [("@bob.b", DOT), ("@bob.b", DOT)]);
        assert_eq!(named("mail me at x@bob or @nobody or @ or @@bob"), [("@bob", BOB)]);
    }

    #[test]
    fn there_is_a_limit() {
        assert_eq!(find_mentions(&"@bob ".repeat(1_000), who).len(), MENTIONS_MAX);
    }

    proptest! {
        #[test]
        fn every_range_lies_on_characters(text in "[@bo.小明é\u{1f41d} -]{0,60}") {
            for mention in find_mentions(&text, who) {
                prop_assert!(text.get(mention.start as usize..mention.end as usize).is_some_and(|s| s.starts_with('@')));
            }
        }
    }
}
