//! Nonces of shared-secret registrations that have been used, in memory.

use std::collections::HashMap;

use parking_lot::Mutex;

/// How many spent nonces are remembered until they expire. Only holders of the secret can spend one.
const MAX_SPENT: usize = 10_000;

/// Nonces that have been used, with when they were made.
#[derive(Debug, Default)]
pub(crate) struct SpentNonces {
    spent: Mutex<HashMap<String, u64>>,
}

impl SpentNonces {
    /// Spends a nonce; `false` when it has been spent, or too many have. Those made before `oldest_ms` are forgotten:
    /// they are refused by their age.
    pub(crate) fn spend(&self, nonce: &str, made_ms: u64, oldest_ms: u64) -> bool {
        let mut spent = self.spent.lock();
        spent.retain(|_, made_ms| *made_ms >= oldest_ms);
        spent.len() < MAX_SPENT && spent.insert(nonce.to_owned(), made_ms).is_none()
    }
}
