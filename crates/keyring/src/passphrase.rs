//! A passphrase that is worth its name.

use std::collections::BTreeSet;
use std::fmt;
use wire::sabotage::{Defence, stands};
use zeroize::Zeroizing;

/// A passphrase that is neither short nor known nor a pattern.
pub struct Passphrase(Zeroizing<String>);

/// Why a passphrase is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WeakPassphrase {
    /// Nothing was given.
    #[error("the passphrase is empty")]
    Empty,
    /// It is too short.
    #[error("the passphrase has fewer than {} characters", Passphrase::MIN_CHARS)]
    Short,
    /// It repeats itself or runs along the alphabet or the keyboard.
    #[error("the passphrase is a pattern")]
    Pattern,
    /// It is one of those that everybody tries first.
    #[error("the passphrase is a well-known one")]
    Known,
}

/// What is tried first, without what people add in front and behind to reach a length.
const KNOWN: &[&str] = &[
    "admin",
    "administrator",
    "changeit",
    "changeme",
    "changethis",
    "correcthorsebatterystaple",
    "default",
    "demo",
    "dragon",
    "example",
    "football",
    "iloveyou",
    "letmein",
    "master",
    "mifeng",
    "mifengd",
    "mysecret",
    "passphrase",
    "passw0rd",
    "password",
    "placeholder",
    "princess",
    "qwerty",
    "root",
    "secret",
    "server",
    "sunshine",
    "supersecret",
    "test",
    "testing",
    "welcome",
    "yourpassword",
];

/// Rows along which fingers and thoughts run.
const RUNS: &[&str] =
    &["abcdefghijklmnopqrstuvwxyz", "01234567890123456789", "qwertyuiopasdfghjklzxcvbnm", "qwertzuiopasdfghjklyxcvbnm"];

/// A run shorter than this may be chance.
const RUN_MIN_CHARS: usize = 4;

impl Passphrase {
    /// The fewest characters.
    pub const MIN_CHARS: usize = 12;

    /// Takes a passphrase, without white space around it.
    ///
    /// # Errors
    /// [`WeakPassphrase`].
    pub fn new(text: &str) -> Result<Self, WeakPassphrase> {
        let text = text.trim();
        if !stands(Defence::StrongPassphrase) {
            return Ok(Self(Zeroizing::new(text.to_owned())));
        }
        if text.is_empty() {
            return Err(WeakPassphrase::Empty);
        }
        if text.chars().count() < Self::MIN_CHARS {
            return Err(WeakPassphrase::Short);
        }
        let folded = Zeroizing::new(text.to_lowercase());
        if is_known(&folded) {
            return Err(WeakPassphrase::Known);
        }
        if is_pattern(&folded) {
            return Err(WeakPassphrase::Pattern);
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// Known words and nothing else but digits and punctuation, as in `Password1234!` or `admin-admin-admin`.
fn is_known(folded: &str) -> bool {
    let letters = Zeroizing::new(folded.chars().filter(|c| c.is_alphabetic() || *c == '0').collect::<String>());
    let letters = letters.trim_matches('0');
    !letters.is_empty() && only_known_words(letters)
}

fn only_known_words(letters: &str) -> bool {
    let Some(longest) = KNOWN.iter().filter(|word| letters.starts_with(**word)).max_by_key(|word| word.len()) else {
        return letters.is_empty();
    };
    letters.strip_prefix(longest).is_some_and(only_known_words)
}

fn is_pattern(folded: &str) -> bool {
    let chars = Zeroizing::new(folded.chars().collect::<Vec<char>>());
    let distinct = chars.iter().collect::<BTreeSet<_>>().len();
    distinct < 5 || (1..=chars.len() / 2).any(|period| repeats(&chars, period)) || outside_runs(folded) < RUN_MIN_CHARS
}

fn repeats(chars: &[char], period: usize) -> bool {
    chars.iter().zip(chars.iter().skip(period)).all(|(a, b)| a == b)
}

/// Characters that belong to no run, forwards or backwards.
fn outside_runs(folded: &str) -> usize {
    let chars = Zeroizing::new(folded.chars().collect::<Vec<char>>());
    let mut outside = 0;
    let mut rest = chars.as_slice();
    while !rest.is_empty() {
        let run = longest_run(rest);
        let step = if run >= RUN_MIN_CHARS { run } else { 1 };
        outside += usize::from(run < RUN_MIN_CHARS);
        rest = rest.get(step..).unwrap_or_default();
    }
    outside
}

fn longest_run(chars: &[char]) -> usize {
    let along = |row: Vec<char>| -> usize {
        let starts = (0..row.len()).filter_map(|start| row.get(start..));
        starts.map(|row| row.iter().zip(chars).take_while(|(a, b)| a == b).count()).max().unwrap_or(0)
    };
    RUNS.iter().flat_map(|row| [along(row.chars().collect()), along(row.chars().rev().collect())]).max().unwrap_or(0)
}

impl fmt::Debug for Passphrase {
    /// Nothing about it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passphrase").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b9_weak_passphrases_are_refused() {
        for (text, why) in [
            ("", WeakPassphrase::Empty),
            ("   \n", WeakPassphrase::Empty),
            ("short horse", WeakPassphrase::Short),
            ("eleven char", WeakPassphrase::Short),
            ("aaaaaaaaaaaaaaaa", WeakPassphrase::Pattern),
            ("abcabcabcabcabc", WeakPassphrase::Pattern),
            ("x9k2mx9k2mx9k2m", WeakPassphrase::Pattern),
            ("123456789012", WeakPassphrase::Pattern),
            ("abcdefghijkl", WeakPassphrase::Pattern),
            ("qwertyuiop[]", WeakPassphrase::Pattern),
            ("9876543210zyxw", WeakPassphrase::Pattern),
            ("password1234", WeakPassphrase::Known),
            ("Password-Password", WeakPassphrase::Known),
            ("changeme2026!!", WeakPassphrase::Known),
            ("Passw0rd!2026", WeakPassphrase::Known),
            ("correct horse battery staple", WeakPassphrase::Known),
            ("mifeng-test-secret-1", WeakPassphrase::Known),
        ] {
            assert_eq!(Passphrase::new(text).err(), Some(why), "{text}");
        }
    }

    #[test]
    fn good_passphrases_are_taken() {
        for text in
            ["tulip-granite-oyster-7", "gk2!vPq9$wLx", "柳暗花明又一村山重水复疑无", "the test of a long server name"]
        {
            assert!(Passphrase::new(text).is_ok(), "{text}: {:?}", Passphrase::new(text));
        }
    }

    #[test]
    fn white_space_around_does_not_count() {
        assert_eq!(
            Passphrase::new(" tulip-granite-oyster-7\n").unwrap().as_bytes(),
            Passphrase::new("tulip-granite-oyster-7").unwrap().as_bytes()
        );
    }
}
