//! What the parts of a validation session may look like (security.md X08).

/// The longest `sid` and `client_secret` (specification).
const MAX_CHARS: usize = 255;

/// Whether it keeps to `[0-9a-zA-Z.=_-]{1,255}`.
pub(crate) fn is_opaque_id(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".=_-".contains(&byte);
    (1..=MAX_CHARS).contains(&text.len()) && text.bytes().all(allowed)
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
        assert!(is_opaque_id("Az09.=_-") && is_opaque_id(&"a".repeat(255)));
        for bad in [
            "",
            " ",
            "a b",
            "a/b",
            "ä",
            "a\0",
            "a%20",
            "a+b",
            "a\n",
            &"a".repeat(256),
        ] {
            assert!(!is_opaque_id(bad), "{bad:?}");
        }
    }

    #[test]
    fn x08_tokens_are_bounded_in_code_points() {
        assert!(is_token("123456") && is_token(&"ä".repeat(255)));
        assert!(!is_token("") && !is_token(&"a".repeat(256)));
    }
}
