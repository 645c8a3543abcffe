//! Text that is stored encrypted.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

/// What the key is derived for.
const PURPOSE: &str = "gatehouse: tokens of identity servers";

/// Encrypts what is stored and decrypts it again. Its key comes from the server's signing key, so that a stolen
/// database alone opens nothing.
pub(crate) struct Seal {
    key: LessSafeKey,
}

impl Seal {
    /// `None`: the key has another length than the algorithm wants, which cannot be.
    pub(crate) fn new(key: &gatehouse_events::SigningKey) -> Option<Self> {
        let key = UnboundKey::new(&CHACHA20_POLY1305, &key.derive_key(PURPOSE)).ok()?;
        Some(Self {
            key: LessSafeKey::new(key),
        })
    }

    /// The text, readable with the same key and for the same `owner` only. `None`: the system has no randomness.
    pub(crate) fn close(&self, owner: &str, text: &str) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).ok()?;
        let mut sealed = text.as_bytes().to_vec();
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(owner), &mut sealed)
            .ok()?;
        Some([nonce.as_slice(), &sealed].concat())
    }

    /// The text, unless it was closed with another key, for another owner, or was changed.
    pub(crate) fn open(&self, owner: &str, sealed: &[u8]) -> Option<String> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = sealed.to_vec();
        let opened = self.key.open_in_place(nonce, Aad::from(owner), &mut text).ok()?;
        String::from_utf8(opened.to_vec()).ok()
    }
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal")
    }
}

#[cfg(test)]
mod tests {
    use gatehouse_events::SigningKey;

    use super::*;

    fn seal(byte: u8) -> Seal {
        Seal::new(&SigningKey::from_seed([byte; 32], "a").unwrap()).unwrap()
    }

    #[test]
    fn only_the_same_key_opens_it_for_the_same_owner() {
        let closed = seal(1).close("@a:s is.example", "token").unwrap();
        assert_eq!(seal(1).open("@a:s is.example", &closed).as_deref(), Some("token"));
        assert_eq!(seal(2).open("@a:s is.example", &closed), None);
        assert_eq!(seal(1).open("@b:s is.example", &closed), None);
        for broken in 0..closed.len() {
            let mut closed = closed.clone();
            closed[broken] ^= 1;
            assert_eq!(seal(1).open("@a:s is.example", &closed), None);
        }
        assert_eq!(seal(1).open("@a:s is.example", &closed[..5]), None);
        assert!(!String::from_utf8_lossy(&closed).contains("token"));
    }
}
