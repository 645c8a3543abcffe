//! Randomness from the operating system, and nothing else (security.md E10).

use thiserror::Error;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The operating system gives no randomness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the operating system gives no randomness")]
pub struct NoRandomness;

/// `N` random bytes.
pub fn bytes<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}

/// `length` random characters of `[0-9A-Za-z]`: 5.95 bits each.
pub fn base62(length: usize) -> Result<String, NoRandomness> {
    chars(BASE62, length)
}

/// `length` random capital letters: 4.7 bits each. What people have to compare or type.
pub fn capitals(length: usize) -> Result<String, NoRandomness> {
    chars(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", length)
}

/// `length` random decimal digits.
pub fn digits(length: usize) -> Result<String, NoRandomness> {
    chars(b"0123456789", length)
}

fn chars(alphabet: &[u8], length: usize) -> Result<String, NoRandomness> {
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

/// A number in base 62, zero-padded to six characters, which hold 32 bits.
pub fn base62_number(mut number: u32) -> String {
    let mut text = [b'0'; 6];
    for digit in text.iter_mut().rev() {
        if let Some(letter) = BASE62.get((number % 62) as usize) {
            *digit = *letter;
        }
        number /= 62;
    }
    text.iter().map(|&byte| char::from(byte)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e10_random_text_has_the_length_and_the_letters_asked_for() {
        let text = base62(1_000).unwrap();
        assert!(text.len() == 1_000 && text.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert!(digits(6).unwrap().bytes().all(|byte| byte.is_ascii_digit()));
        assert!(capitals(6).unwrap().bytes().all(|byte| byte.is_ascii_uppercase()));
        assert_ne!(base62(22).unwrap(), base62(22).unwrap());
    }
}
