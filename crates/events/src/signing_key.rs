//! The server's signing key.

use std::fmt;

use base64::{
    Engine as _, alphabet,
    engine::{GeneralPurpose, GeneralPurposeConfig},
};
use hmac::{Hmac, KeyInit, Mac};
use ruma::signatures::{Ed25519KeyPair, KeyPair, Signature};
use sha2::Sha256;
use thiserror::Error;

/// What stands before the 32-byte seed in the PKCS#8 form of an ed25519 key (RFC 8410).
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// Unpadded, and as lenient as the specification: the seed of its own example ends with bits that say nothing.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// An ed25519 key pair with its version. Its `Debug` shows the version only.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    seed: [u8; 32],
    version: String,
}

/// Why a line is not a signing key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SigningKeyError {
    /// Not three words.
    #[error("a signing key is one line: `ed25519 a_version <unpadded base64 seed>`")]
    Shape,
    /// Another algorithm.
    #[error("the signing key's algorithm must be ed25519")]
    Algorithm,
    /// Letters, digits and underscores only, 1 to 64 of them.
    #[error("the signing key's version may have letters, digits and underscores only")]
    Version,
    /// Not the base64 of 32 bytes.
    #[error("the signing key's seed must be 32 bytes in unpadded base64")]
    Seed,
    /// The operating system gave no randomness.
    #[error("the operating system gave no randomness")]
    Randomness,
}

impl SigningKey {
    /// A new key from the operating system's randomness, with a random version `a_xxxx`.
    pub fn generate() -> Result<Self, SigningKeyError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|_| SigningKeyError::Randomness)?;
        let mut name = [0; 2];
        getrandom::fill(&mut name).map_err(|_| SigningKeyError::Randomness)?;
        Self::from_seed(seed, &format!("a_{:04x}", u16::from_be_bytes(name)))
    }

    /// The key with this seed and version.
    pub fn from_seed(seed: [u8; 32], version: &str) -> Result<Self, SigningKeyError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if version.is_empty() || version.len() > 64 || !version.chars().all(plain) {
            return Err(SigningKeyError::Version);
        }
        let document = [PKCS8_PREFIX.as_slice(), &seed].concat();
        let pair =
            Ed25519KeyPair::from_der(&document, version.to_owned()).map_err(|_| SigningKeyError::Seed)?;
        Ok(Self {
            pair,
            seed,
            version: version.to_owned(),
        })
    }

    /// Reads the line that homeservers keep: `ed25519 a_version <unpadded base64 seed>`.
    pub fn from_line(line: &str) -> Result<Self, SigningKeyError> {
        let mut words = line.split_ascii_whitespace();
        let (Some(algorithm), Some(version), Some(seed), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(SigningKeyError::Shape);
        };
        if algorithm != "ed25519" {
            return Err(SigningKeyError::Algorithm);
        }
        let seed = BASE64
            .decode(seed.trim_end_matches('='))
            .map_err(|_| SigningKeyError::Seed)?;
        Self::from_seed(seed.try_into().map_err(|_| SigningKeyError::Seed)?, version)
    }

    /// The line that [`Self::from_line`] reads. It is the secret itself.
    pub fn to_line(&self) -> String {
        format!("ed25519 {} {}\n", self.version, BASE64.encode(self.seed))
    }

    /// A key for another purpose, from which neither this one nor that of a third purpose can be learnt.
    pub fn derive_key(&self, purpose: &str) -> [u8; 32] {
        let mut block = [0; 64];
        for (target, byte) in block.iter_mut().zip(self.seed) {
            *target = byte;
        }
        let mac = Hmac::<Sha256>::new(&block.into());
        mac.chain_update(purpose.as_bytes())
            .finalize()
            .into_bytes()
            .into()
    }

    /// The name under which signatures stand, such as `ed25519:a_1`.
    pub fn key_id(&self) -> String {
        format!("ed25519:{}", self.version)
    }

    /// The public half.
    pub fn public_key(&self) -> [u8; 32] {
        self.pair.public_key()
    }

    /// The public half in unpadded base64, as `/_matrix/key/v2/server` publishes it.
    pub fn public_key_base64(&self) -> String {
        BASE64.encode(self.public_key())
    }
}

impl KeyPair for SigningKey {
    fn sign(&self, message: &[u8]) -> Signature {
        self.pair.sign(message)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_keys_differ_by_purpose_and_by_key() {
        let key = |byte| SigningKey::from_seed([byte; 32], "a").unwrap();
        assert_eq!(key(1).derive_key("tokens"), key(1).derive_key("tokens"));
        assert_ne!(key(1).derive_key("tokens"), key(1).derive_key("other"));
        assert_ne!(key(1).derive_key("tokens"), key(2).derive_key("tokens"));
    }
}
