//! What is stored in place of a secret, so that a stolen database gives none away.

use sha2::{Digest as _, Sha256};

/// SHA-256 of a secret of at least 128 bits.
pub(crate) type Digest = [u8; 32];

/// The digest under which a secret is stored.
pub(crate) fn digest(secret: &str) -> Digest {
    Sha256::digest(secret.as_bytes()).into()
}
