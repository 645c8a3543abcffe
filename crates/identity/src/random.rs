//! Randomness from the operating system, and nothing else (security.md E10).

use crate::Unavailable;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// `N` random bytes.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], Unavailable> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| Unavailable::Randomness)?;
    Ok(bytes)
}

/// `length` random characters of `[0-9A-Za-z]`: 5.95 bits each.
pub(crate) fn base62(length: usize) -> Result<String, Unavailable> {
    chars(BASE62, length)
}

/// `length` random decimal digits.
pub(crate) fn digits(length: usize) -> Result<String, Unavailable> {
    chars(b"0123456789", length)
}

fn chars(alphabet: &[u8], length: usize) -> Result<String, Unavailable> {
    // Bytes past the last whole multiple of the alphabet would favour its first letters.
    let usable = 256 - 256 % alphabet.len();
    let mut text = String::with_capacity(length);
    while text.len() < length {
        for byte in bytes::<64>()? {
            if text.len() == length {
                break;
            }
            let byte = usize::from(byte);
            if byte < usable
                && let Some(letter) = alphabet.get(byte % alphabet.len())
            {
                text.push(char::from(*letter));
            }
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e10_random_text_has_the_length_and_the_letters_asked_for() {
        let text = base62(1_000).unwrap();
        assert!(text.len() == 1_000 && text.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert!(digits(6).unwrap().bytes().all(|byte| byte.is_ascii_digit()));
        assert_ne!(base62(22).unwrap(), base62(22).unwrap());
    }
}
