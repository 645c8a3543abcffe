//! Private keys are stored encrypted, so that a stolen database signs nothing.

use std::fmt;

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use crate::{Unavailable, random};

/// What stored private keys are encrypted with. Its `Debug` says nothing.
#[derive(Clone)]
pub struct SealingKey([u8; 32]);

impl SealingKey {
    /// From something that is kept apart from the database, such as a key derived from the server's signing key.
    pub fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// The seed, readable with the same key and for the same public key only.
    pub(crate) fn close(&self, public: &[u8; 32], seed: [u8; 32]) -> Result<Vec<u8>, Unavailable> {
        const FAILED: Unavailable = Unavailable::Damaged("sealing key");
        let nonce: [u8; NONCE_LEN] = random::bytes()?;
        let mut sealed = seed.to_vec();
        self.cipher()
            .ok_or(FAILED)?
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(public),
                &mut sealed,
            )
            .map_err(|_| FAILED)?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// The seed, unless it was closed with another key, for another public key, or was changed.
    pub(crate) fn open(&self, public: &[u8; 32], sealed: &[u8]) -> Option<[u8; 32]> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut seed = sealed.to_vec();
        let seed = self
            .cipher()?
            .open_in_place(nonce, Aad::from(public), &mut seed)
            .ok()?;
        <[u8; 32]>::try_from(&*seed).ok()
    }

    fn cipher(&self) -> Option<LessSafeKey> {
        UnboundKey::new(&CHACHA20_POLY1305, &self.0)
            .ok()
            .map(LessSafeKey::new)
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_key_opens_a_seed_for_the_same_public_key() {
        let (key, other) = (SealingKey::new([1; 32]), SealingKey::new([2; 32]));
        let closed = key.close(&[3; 32], [4; 32]).unwrap();
        assert_eq!(key.open(&[3; 32], &closed), Some([4; 32]));
        assert_eq!(key.open(&[5; 32], &closed), None);
        assert_eq!(other.open(&[3; 32], &closed), None);
        for at in 0..closed.len() {
            let mut changed = closed.clone();
            changed[at] ^= 1;
            assert_eq!(key.open(&[3; 32], &changed), None);
        }
        assert_eq!(key.open(&[3; 32], &closed[..5]), None);
        assert!(!closed.windows(4).any(|bytes| bytes == [4; 4]));
    }
}
