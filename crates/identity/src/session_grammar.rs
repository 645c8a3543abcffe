//! What clients may call a validation session (security.md X08).

/// The longest `client_secret` (specification), and the longest `sid` that is looked up.
const MAX_CHARS: usize = 255;

/// Whether it keeps to `[0-9a-zA-Z.=_-]{1,255}`.
pub(crate) fn is_valid(text: &str) -> bool {
    (1..=MAX_CHARS).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'=' | b'_' | b'-'))
}

/// Whether it may be a validation token: at most 255 code points (specification).
pub(crate) fn is_token(text: &str) -> bool {
    (1..=MAX_CHARS).contains(&text.chars().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x08_secrets_keep_to_the_grammar() {
        assert!(is_valid("monkeys_are_GREAT.=-1"));
        assert!(is_valid(&"a".repeat(255)));
        for bad in [
            "",
            &"a".repeat(256),
            "a b",
            "a/b",
            "ä",
            "a\0",
            "a%20",
            "a+b",
            "a~b",
        ] {
            assert!(!is_valid(bad), "{bad}");
        }
    }

    #[test]
    fn x08_tokens_are_bounded_in_code_points() {
        assert!(is_token("123456") && is_token(&"ä".repeat(255)));
        assert!(!is_token("") && !is_token(&"ä".repeat(256)));
    }
}
