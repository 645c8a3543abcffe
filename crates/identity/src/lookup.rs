//! Finding out who has bound an address: by hashes, so that this server learns nothing of addresses that nobody has
//! bound.

use std::{collections::BTreeMap, net::IpAddr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::StreamExt as _;
use gatehouse_mail::Threepid;
use ruma::{OwnedUserId, UserId};
use serde_json::Value;
use thiserror::Error;

use crate::{Identity, Unavailable, pepper::Generation, rates::Counted, tables::HASHES};

/// Hashes read at once: some milliseconds of a core. More than one part is read only where the operator allows more
/// addresses in a request than usual.
const PART: usize = 1_000;

/// Parts of one request read at the same time.
const PARTS_AT_ONCE: usize = 4;

/// How addresses are hashed; every identity server has it.
pub const SHA256: &str = "sha256";

/// Addresses as they are.
pub const NONE: &str = "none";

/// `GET /hash_details`: how clients are to hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashDetails {
    /// What to hash addresses with.
    pub lookup_pepper: String,
    /// The algorithms that there are.
    pub algorithms: Vec<&'static str>,
}

/// `POST /lookup`.
#[derive(Clone)]
pub struct LookupRequest<'a> {
    /// [`SHA256`], or [`NONE`] where it is allowed.
    pub algorithm: &'a str,
    /// What the addresses were hashed with.
    pub pepper: &'a str,
    /// The hashes, in URL-safe unpadded base64; or addresses with a space and their medium.
    pub addresses: &'a [String],
}

/// Why nothing was looked up.
#[derive(Debug, Clone, Error)]
pub enum LookupError {
    /// `M_INVALID_PARAM`.
    #[error("This server does not know this algorithm. Those that it knows are in `/hash_details`.")]
    UnknownAlgorithm,
    /// `M_INVALID_PEPPER`.
    #[error("This pepper is not in force any more. Hash the addresses with the current one.")]
    InvalidPepper {
        /// The current one.
        lookup_pepper: String,
    },
    /// `M_LIMIT_EXCEEDED` would not help: the request is too long.
    #[error("At most {max} addresses can be looked up in one request. Send several.")]
    TooManyAddresses {
        /// How many are allowed.
        max: usize,
    },
    /// `M_LIMIT_EXCEEDED`.
    #[error("You have looked up many addresses lately; try again later.")]
    OverBudget {
        /// How long to wait, in milliseconds.
        retry_after_ms: u64,
    },
    /// The server cannot.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl Identity {
    /// How clients are to hash addresses.
    pub async fn hash_details(&self) -> Result<HashDetails, Unavailable> {
        let mut algorithms = vec![SHA256];
        if self.config().lookup.allow_unhashed {
            algorithms.push(NONE);
        }
        Ok(HashDetails {
            lookup_pepper: self.peppers().await?.current.pepper,
            algorithms,
        })
    }

    /// Who has bound the addresses, by what the request calls them. Those that nobody has bound, and what is no address,
    /// are left out.
    ///
    /// A hit costs no read that a miss does not (security.md T23).
    pub async fn lookup(
        &self,
        user_id: &UserId,
        request: &LookupRequest<'_>,
    ) -> Result<BTreeMap<String, OwnedUserId>, LookupError> {
        let is_hashed = match request.algorithm {
            SHA256 => true,
            NONE if self.config().lookup.allow_unhashed => false,
            _ => return Err(LookupError::UnknownAlgorithm),
        };
        let max = self.config().lookup.max_addresses;
        if request.addresses.len() > max {
            return Err(LookupError::TooManyAddresses { max });
        }
        let peppers = self.peppers().await?;
        let generation = peppers.answered().find(|it| it.pepper == request.pepper);
        let Some(generation) = generation else {
            let lookup_pepper = peppers.current.pepper;
            return Err(LookupError::InvalidPepper { lookup_pepper });
        };
        self.count_lookup(user_id, request.addresses.len())?;
        let (names, keys) = wanted(generation, request.addresses, is_hashed);
        let rows = self.read_hashes(keys).await?;
        let found = names.into_iter().zip(rows);
        Ok(found
            .filter_map(|(name, row)| Some((name.to_owned(), row?.0)))
            .collect())
    }

    /// Counts a lookup of whoever asks from this network, before [`Self::lookup`] counts the account.
    pub fn count_lookup_from(&self, network: &str) -> Result<(), LookupError> {
        self.limiter()
            .count(&[Counted::LookupsFrom(network)], self.now_ms())
            .map_err(|retry_after_ms| LookupError::OverBudget { retry_after_ms })
    }

    /// Who has bound this one address: for the homeserver in the same process, which has it at hand.
    pub async fn lookup_one(
        &self,
        user_id: &UserId,
        threepid: &Threepid,
    ) -> Result<Option<OwnedUserId>, LookupError> {
        self.take_from_budget(user_id, 1)?;
        Ok(self.association(threepid).await?.map(|row| row.mxid))
    }

    /// The rows of these keys, in order. Many are read in parts by several tasks, so that nobody else waits long.
    async fn read_hashes(
        &self,
        keys: Vec<(u64, [u8; 32])>,
    ) -> Result<Vec<Option<(OwnedUserId,)>>, Unavailable> {
        if keys.len() <= PART {
            return Ok(self.store().get_many(&HASHES, &keys).await?);
        }
        let parts: Vec<_> = keys.chunks(PART).map(<[_]>::to_vec).collect();
        let store = self.store().clone();
        let parts = parts.into_iter().map(move |part| {
            let store = store.clone();
            tokio::spawn(async move { store.get_many(&HASHES, &part).await })
        });
        let mut parts = futures_util::stream::iter(parts).buffered(PARTS_AT_ONCE);
        let mut rows = Vec::with_capacity(keys.len());
        while let Some(part) = parts.next().await {
            // A task that is not finished was on a runtime that is stopping.
            rows.extend(part.map_err(|_| Unavailable::Contended)??);
        }
        Ok(rows)
    }

    /// The signed association of this one address, for somebody without an account, who is counted by network address:
    /// `GET /_matrix/identity/api/v1/lookup`.
    pub async fn lookup_association(
        &self,
        asker: IpAddr,
        threepid: &Threepid,
    ) -> Result<Option<Value>, LookupError> {
        self.lookup_budget()
            .take_from(asker, 1, self.now_ms())
            .map_err(|retry_after_ms| LookupError::OverBudget { retry_after_ms })?;
        let Some(row) = self.association(threepid).await? else {
            return Ok(None);
        };
        let signed = self.signed_association(threepid, &row, Vec::new()).await;
        Ok(Some(signed?))
    }

    fn count_lookup(&self, user_id: &UserId, addresses: usize) -> Result<(), LookupError> {
        let counted = [Counted::LookupsBy(user_id.as_str())];
        self.limiter()
            .count(&counted, self.now_ms())
            .map_err(|retry_after_ms| LookupError::OverBudget { retry_after_ms })?;
        self.take_from_budget(user_id, addresses)
    }

    fn take_from_budget(&self, user_id: &UserId, addresses: usize) -> Result<(), LookupError> {
        self.lookup_budget()
            .take(user_id, addresses, self.now_ms())
            .map_err(|retry_after_ms| LookupError::OverBudget { retry_after_ms })
    }
}

/// The addresses that can be looked up, and their keys; in the order of the keys, in which the store reads fastest.
fn wanted<'a>(
    generation: &Generation,
    addresses: &'a [String],
    is_hashed: bool,
) -> (Vec<&'a str>, Vec<(u64, [u8; 32])>) {
    let hash = |address: &str| {
        if is_hashed {
            URL_SAFE_NO_PAD.decode(address).ok()?.try_into().ok()
        } else {
            hash_unhashed(generation, address)
        }
    };
    let mut wanted: Vec<([u8; 32], &str)> = addresses
        .iter()
        .filter_map(|address| Some((hash(address)?, address.as_str())))
        .collect();
    wanted.sort_unstable();
    wanted.dedup();
    wanted
        .into_iter()
        .map(|(hash, name)| (name, (generation.number, hash)))
        .unzip()
}

/// Of an address with a space and its medium.
fn hash_unhashed(generation: &Generation, address: &str) -> Option<[u8; 32]> {
    let (address, medium) = address.rsplit_once(' ')?;
    let threepid = Threepid::parse(medium, address).ok()?;
    Some(generation.hash(threepid.medium().as_str(), threepid.address()))
}
