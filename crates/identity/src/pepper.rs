//! The peppers with which addresses are hashed, and the hashes themselves.
//!
//! Every pepper has a generation of rows of its own. Whoever changes an association changes its hash in all generations
//! that are in force, in the same commit ([`Identity::put_hashes`]), so that none of them is ever behind. How one
//! generation takes over from another: `pepper_rotation`.

use gatehouse_mail::Threepid;
use gatehouse_store::{Batch, json_value};
use ruma::UserId;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    Identity, Unavailable,
    identity::ATTEMPTS,
    random,
    tables::{HASHES, PEPPER},
};

/// The key of the one row of [`PEPPER`].
pub(crate) const PEPPER_KEY: (u8,) = (0,);

/// Characters of a pepper: 190 bits (security.md T23 wants 128).
const PEPPER_CHARS: usize = 32;

/// What is stored of the peppers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PepperRow {
    /// The one that is given out.
    pub(crate) current: Generation,
    /// One in the making: not all hashes are there yet.
    pub(crate) next: Option<Generation>,
    /// The last one.
    pub(crate) previous: Option<Previous>,
}
json_value!(PepperRow);

/// A pepper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Generation {
    pub(crate) number: u64,
    pub(crate) pepper: String,
    /// Since when it is given out; before that, when it was made.
    pub(crate) since_ms: u64,
}

/// A pepper that is not given out any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Previous {
    pub(crate) generation: Generation,
    /// Until when it is good at least.
    pub(crate) until_ms: u64,
    /// Whether it is good no more, and its hashes are being deleted.
    pub(crate) retired: bool,
}

impl PepperRow {
    /// The generations with all hashes in them.
    pub(crate) fn answered(&self) -> impl Iterator<Item = &Generation> {
        let previous = self.previous.iter().filter(|previous| !previous.retired);
        [&self.current]
            .into_iter()
            .chain(previous.map(|previous| &previous.generation))
    }

    /// The generations that have to follow every change.
    fn followed(&self) -> impl Iterator<Item = &Generation> {
        self.answered().chain(&self.next)
    }
}

impl Generation {
    pub(crate) fn new(number: u64, now_ms: u64) -> Result<Self, Unavailable> {
        Ok(Self {
            number,
            pepper: random::base62(PEPPER_CHARS)?,
            since_ms: now_ms,
        })
    }

    /// The hash of an address, as clients make it.
    pub(crate) fn hash(&self, medium: &str, address: &str) -> [u8; 32] {
        Sha256::digest(format!("{address} {medium} {}", self.pepper)).into()
    }
}

impl Identity {
    /// The peppers; the first is made when somebody asks.
    pub(crate) async fn peppers(&self) -> Result<PepperRow, Unavailable> {
        for _ in 0..ATTEMPTS {
            if let Some(row) = self.get(&PEPPER, &PEPPER_KEY).await? {
                return Ok(row);
            }
            let row = PepperRow {
                current: Generation::new(0, self.now_ms())?,
                next: None,
                previous: None,
            };
            let mut batch = Batch::new();
            batch.expect(&PEPPER, &PEPPER_KEY, None);
            batch.put(&PEPPER, &PEPPER_KEY, &row);
            if self.commit(batch).await?.is_some() {
                return Ok(row);
            }
        }
        Err(Unavailable::Contended)
    }

    /// Adds to the batch that the address is found under this user from now on, or under nobody. To be committed with
    /// the change of the association, which the batch must expect unchanged; the commit fails with a conflict when a
    /// pepper came or went meanwhile, and the caller makes its batch again.
    pub(crate) async fn put_hashes(
        &self,
        batch: &mut Batch,
        threepid: &Threepid,
        user_id: Option<&UserId>,
    ) -> Result<(), Unavailable> {
        let peppers = self.peppers().await?;
        batch.expect(&PEPPER, &PEPPER_KEY, Some(&peppers));
        for generation in peppers.followed() {
            let hash = generation.hash(threepid.medium().as_str(), threepid.address());
            let key = (generation.number, hash);
            match user_id {
                Some(user_id) => batch.put(&HASHES, &key, &(user_id.to_owned(),)),
                None => batch.delete(&HASHES, &key),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

    use super::*;

    #[test]
    fn addresses_are_hashed_as_in_the_specification() {
        let generation = Generation {
            number: 0,
            pepper: "matrixrocks".to_owned(),
            since_ms: 0,
        };
        let hash = |medium, address| URL_SAFE_NO_PAD.encode(generation.hash(medium, address));
        assert_eq!(
            hash("email", "alice@example.com"),
            "4kenr7N9drpCJ4AfalmlGQVsOn3o2RHjkADUpXJWZUc"
        );
        assert_eq!(
            hash("msisdn", "18005552067"),
            "nlo35_T5fzSGZzJApqu8lgIudJvmOQtDaHtr-I4rU7I"
        );
    }
}
