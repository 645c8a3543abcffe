//! What an access token of the identity service looks like: `ghi_` and 43 characters, 256 bits. Only its digest is
//! stored.

use crate::{Secret, Unavailable, random};

/// So that scanners of leaked secrets find it.
const PREFIX: &str = "ghi_";
/// 43 characters of 5.95 bits are 256 bits.
const RANDOM_CHARS: usize = 43;

/// A new one.
pub(crate) fn generate() -> Result<Secret, Unavailable> {
    Ok(Secret::new(format!("{PREFIX}{}", random::base62(RANDOM_CHARS)?)))
}

/// Whether this could be one that we made: what could not is refused without asking the store.
pub(crate) fn is_plausible(text: &str) -> bool {
    text.strip_prefix(PREFIX).is_some_and(|rest| {
        rest.len() == RANDOM_CHARS && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_is_plausible_and_other_text_is_not() {
        assert!(is_plausible(generate().unwrap().expose()));
        for text in ["", "ghi_", "gh_0000000000000000000000000000000000000000000"] {
            assert!(!is_plausible(text), "{text}");
        }
        assert!(!is_plausible(&format!("ghi_{}", "ä".repeat(43))));
    }
}
