//! A signature that an event must have.

use ruma::OwnedServerName;

/// One server must have signed an event; the keys that say so are to be had from somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureNeeded {
    /// Who must have signed.
    pub server: OwnedServerName,
    /// The keys with which the event says that they have, such as `ed25519:auto`.
    pub key_ids: Vec<String>,
    /// When the keys must have been valid, in milliseconds since 1970; `None`: any key that the server ever had will do
    /// (room versions 1 to 4).
    pub valid_at_ms: Option<u64>,
}
