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

/// `length` random capital letters: 4.7 bits each. What people have to compare or type.
pub(crate) fn capitals(length: usize) -> Result<String, Unavailable> {
    chars(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", length)
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

/// A number in base 62, zero-padded to six characters, which hold 32 bits.
pub(crate) fn base62_number(mut number: u32) -> String {
    let mut text = [b'0'; 6];
    for digit in text.iter_mut().rev() {
        if let Some(letter) = BASE62.get((number % 62) as usize) {
            *digit = *letter;
        }
        number /= 62;
    }
    text.iter().map(|&byte| char::from(byte)).collect()
}
