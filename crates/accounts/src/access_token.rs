//! What a token looks like: `gh_<43 characters, 256 bits>_<CRC>`.
//!
//! The prefix lets scanners of leaked secrets find it, and the checksum lets us refuse a mistyped or invented one
//! without asking the store. Refresh tokens have the prefix `ghr` and two random parts.

use sha2::{Digest as _, Sha256};

use crate::{Secret, Unavailable, random};

/// SHA-256 of a token: what is stored in its place.
pub(crate) type Digest = [u8; 32];

const ACCESS_PREFIX: &str = "gh_";
const REFRESH_PREFIX: &str = "ghr_";
/// 43 characters of 5.95 bits are 256 bits.
const RANDOM_CHARS: usize = 43;
const CRC_CHARS: usize = 6;

/// A new access token.
pub(crate) fn new_access_token() -> Result<Secret, Unavailable> {
    Ok(with_checksum(format!(
        "{ACCESS_PREFIX}{}",
        random::base62(RANDOM_CHARS)?
    )))
}

/// A new refresh token of a family; its first random part names the family, the second makes it itself.
pub(crate) fn new_refresh_token(family: &Secret) -> Result<Secret, Unavailable> {
    let own = random::base62(RANDOM_CHARS)?;
    Ok(with_checksum(format!(
        "{REFRESH_PREFIX}{}_{own}",
        family.expose()
    )))
}

/// The part that all refresh tokens of a new family will share.
pub(crate) fn new_family() -> Result<Secret, Unavailable> {
    Ok(Secret::new(random::base62(RANDOM_CHARS)?))
}

/// Whether this could be an access token that we made.
pub(crate) fn is_access_token(text: &str) -> bool {
    text.len() == ACCESS_PREFIX.len() + RANDOM_CHARS + 1 + CRC_CHARS
        && text.starts_with(ACCESS_PREFIX)
        && has_checksum(text)
}

/// The family part of a refresh token; `None` when it is none of ours.
pub(crate) fn refresh_family(text: &str) -> Option<Secret> {
    if !has_checksum(text) {
        return None;
    }
    let (family, _) = text.strip_prefix(REFRESH_PREFIX)?.split_once('_')?;
    (family.len() == RANDOM_CHARS).then(|| Secret::new(family))
}

/// The digest under which a token is stored.
pub(crate) fn digest(text: &str) -> Digest {
    Sha256::digest(text.as_bytes()).into()
}

fn with_checksum(body: String) -> Secret {
    let crc = random::base62_number(crc32fast::hash(body.as_bytes()));
    Secret::new(body + "_" + &crc)
}

fn has_checksum(text: &str) -> bool {
    text.is_ascii()
        && text
            .rsplit_once('_')
            .is_some_and(|(body, crc)| random::base62_number(crc32fast::hash(body.as_bytes())) == crc)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn e10_tokens_have_256_bits_and_never_repeat() {
        let mut seen = std::collections::HashSet::new();
        for _ in 0..1_000 {
            let token = new_access_token().unwrap();
            assert!(is_access_token(token.expose()), "{}", token.expose());
            assert_eq!(token.expose().len(), 53);
            assert!(seen.insert(token.expose().to_owned()));
        }
    }

    #[test]
    fn a_refresh_token_names_its_family() {
        let family = new_family().unwrap();
        let token = new_refresh_token(&family).unwrap();
        assert!(refresh_family(token.expose()) == Some(family));
        assert!(!is_access_token(token.expose()));
    }

    proptest! {
        #[test]
        fn a_token_with_one_character_changed_is_refused(at in 0_usize..53, to in "[0-9A-Za-z_]") {
            let token = new_access_token().unwrap();
            let mut changed = token.expose().to_owned();
            changed.replace_range(at..=at, &to);
            prop_assert_eq!(is_access_token(&changed), changed == token.expose());
        }

        #[test]
        fn arbitrary_text_is_no_token(text in ".{0,80}") {
            prop_assert!(!is_access_token(&text));
            prop_assert!(refresh_family(&text).is_none());
        }
    }
}
