//! Canaries: strings that nobody could guess, made anew in each run, and every form in which one could lie somewhere.

use anyhow::{Context, Result};
use std::collections::BTreeSet;

/// Letters and digits that a handle, a tenant's name and a password all take. 32 of them: 5 bits each.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// 130 bits: none is ever met by chance.
const CANARY_CHARS: usize = 26;

/// A secret of the run, that must be found nowhere on the server.
#[derive(Debug, Clone)]
pub(crate) struct Canary {
    /// What it was sent as, e.g. "message text".
    pub(crate) role: &'static str,
    /// The string itself.
    pub(crate) text: String,
}

impl Canary {
    /// A new one.
    pub(crate) fn new(role: &'static str) -> Result<Self> {
        Ok(Self { role, text: random_text()? })
    }
}

/// A random string that begins with a letter.
pub(crate) fn random_text() -> Result<String> {
    let mut bytes = [0; CANARY_CHARS];
    getrandom::fill(&mut bytes).context("the system gives no random bytes")?;
    let letters = bytes.iter().enumerate().map(|(at, byte)| {
        // The first 24 are letters, and a name that begins with one is taken everywhere.
        let index = if at == 0 { usize::from(*byte) % 24 } else { usize::from(*byte) % ALPHABET.len() };
        ALPHABET.get(index).copied().map_or('a', char::from)
    });
    Ok(letters.collect())
}

/// The forms of a text, each with its name. Every form is long enough to be met only by being the canary.
pub(crate) fn encodings(text: &str) -> Vec<(&'static str, Vec<u8>)> {
    let bytes = text.as_bytes();
    let wide = |order: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(order).collect::<Vec<u8>>();
    let each =
        |form: fn(&u8) -> String, between: &str| bytes.iter().map(form).collect::<Vec<_>>().join(between).into_bytes();
    let (first_half, second_half) = bytes.split_at(bytes.len() / 2);
    let mut forms = vec![
        ("as it is", bytes.to_vec()),
        ("its first half", first_half.to_vec()),
        ("its second half", second_half.to_vec()),
        ("in capitals", text.to_uppercase().into_bytes()),
        ("backwards", bytes.iter().rev().copied().collect()),
        ("UTF-16, little end first", wide(u16::to_le_bytes)),
        ("UTF-16, big end first", wide(u16::to_be_bytes)),
        ("hex", each(|byte| format!("{byte:02x}"), "")),
        ("hex in capitals", each(|byte| format!("{byte:02X}"), "")),
        ("hex with blanks", each(|byte| format!("{byte:02x}"), " ")),
        ("decimal list", each(u8::to_string, ", ")),
        ("decimal list without blanks", each(u8::to_string, ",")),
        ("percent-encoded", each(|byte| format!("%{byte:02X}"), "")),
        ("percent-encoded in small letters", each(|byte| format!("%{byte:02x}"), "")),
        ("escaped bytes", each(|byte| format!("\\x{byte:02x}"), "")),
        ("escaped code units", each(|byte| format!("\\u{byte:04x}"), "")),
    ];
    for (alignment, name) in ["base64", "base64, one byte in", "base64, two bytes in"].into_iter().enumerate() {
        forms.push((name, base64_core(bytes, alignment, BASE64)));
    }
    for (alignment, name) in ["base64url", "base64url, one byte in", "base64url, two bytes in"].into_iter().enumerate()
    {
        forms.push((name, base64_core(bytes, alignment, BASE64_URL)));
    }
    let mut seen = BTreeSet::new();
    forms.retain(|(_, form)| seen.insert(form.clone()));
    forms
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BASE64_URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The base64 digits that depend on `bytes` alone when `before` (0, 1 or 2) other bytes stand in front of them in a group of
/// three, and anything behind them.
fn base64_core(bytes: &[u8], before: usize, digits: &[u8; 64]) -> Vec<u8> {
    let first = (before * 8).div_ceil(6);
    let end = (before + bytes.len()) * 8 / 6;
    let bit = |at: usize| {
        let byte = (at / 8).checked_sub(before).and_then(|index| bytes.get(index)).copied().unwrap_or_default();
        usize::from(byte >> (7 - at % 8) & 1)
    };
    let digit = |index: usize| (0..6).fold(0, |value, offset| value << 1 | bit(index * 6 + offset));
    (first..end).filter_map(|index| digits.get(digit(index)).copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canaries_differ_and_begin_with_a_letter() {
        let texts: BTreeSet<String> = (0..100).map(|_| random_text().unwrap()).collect();
        assert_eq!(texts.len(), 100);
        assert!(texts.iter().all(|text| text.len() == CANARY_CHARS && text.as_bytes()[0].is_ascii_lowercase()));
    }

    /// Known answers, from `base64(1)` and by hand.
    #[test]
    fn forms_are_what_other_programs_write() {
        let forms = encodings("ab?>");
        let form = |name: &str| {
            let found = forms.iter().find(|(form, _)| *form == name);
            String::from_utf8(found.unwrap_or_else(|| panic!("{name}")).1.clone()).unwrap()
        };
        assert_eq!(form("hex"), "61623f3e");
        assert_eq!(form("decimal list"), "97, 98, 63, 62");
        assert_eq!(form("percent-encoded"), "%61%62%3F%3E");
        assert_eq!(form("backwards"), ">?ba");
        assert_eq!(form("UTF-16, little end first"), "a\0b\0?\0>\0");
        // base64("ab?>") = YWI/Pg==, base64(".ab?>") = LmFiPz4=, base64("..ab?>") = Li5hYj8+
        assert_eq!(form("base64"), "YWI/P");
        assert_eq!(form("base64, one byte in"), "FiPz4".get(0..4).unwrap());
        assert_eq!(form("base64, two bytes in"), "hYj8+");
        assert_eq!(form("base64url"), "YWI_P");
    }

    #[test]
    fn every_form_is_long_enough_to_be_no_accident() {
        let text = random_text().unwrap();
        assert!(encodings(&text).iter().all(|(_, form)| form.len() >= CANARY_CHARS / 2));
        assert!(encodings(&text).len() >= 16);
    }
}
