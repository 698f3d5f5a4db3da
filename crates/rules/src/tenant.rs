//! What may be a tenant's name: it stands in host names, metrics and logs.

/// The longest name, in characters: that of a DNS label (RFC 1035 §2.3.4).
pub const NAME_MAX_CHARS: usize = 63;

/// Whether the text can be a tenant's name: `a-z`, `0-9` and `-`, beginning with a letter, not ending with `-`. There is
/// one spelling of a name, so that no other case or width of it can pass for another tenant.
pub fn is_name(text: &str) -> bool {
    let first_is_letter = text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    let all_fit = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    first_is_letter && all_fit && !text.ends_with('-') && text.len() <= NAME_MAX_CHARS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_dns_labels() {
        for name in ["acme", "a", "a1-b2", &"a".repeat(NAME_MAX_CHARS)] {
            assert!(is_name(name), "{name}");
        }
    }

    #[test]
    fn b15_other_spellings_are_no_names() {
        for name in
            ["", "Acme", "ACME", "acme ", " acme", "ac me", "ａｃｍｅ", "аcme", "-acme", "acme-", "1acme", "a.b", "a\n"]
        {
            assert!(!is_name(name), "{name:?}");
        }
        assert!(!is_name(&"a".repeat(NAME_MAX_CHARS + 1)));
    }
}
