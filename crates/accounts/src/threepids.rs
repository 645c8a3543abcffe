//! The addresses of users: what they log in with besides their names, and where they are written to.

use gatehouse_mail::Threepid;
use gatehouse_store::{Batch, Range, json_value};
use ruma::{OwnedUserId, UserId};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    Accounts, Unavailable,
    accounts::ATTEMPTS,
    tables::{THREEPID_CHANGES, THREEPID_OWNERS, THREEPIDS},
};

/// How many addresses a user may have (limits.md §2).
pub const MAX_THREEPIDS: usize = 20;

/// What is stored of an address of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ThreepidRow {
    validated_ms: u64,
    added_ms: u64,
}
json_value!(ThreepidRow);

/// An address of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountThreepid {
    /// The address.
    pub threepid: Threepid,
    /// When it was proven, in milliseconds since 1970.
    pub validated_ms: u64,
    /// When it was added, in milliseconds since 1970.
    pub added_ms: u64,
}

/// Why an address cannot be a user's.
#[derive(Debug, Clone, Error)]
pub enum ThreepidError {
    /// It is another's. `M_THREEPID_IN_USE`.
    #[error("This address belongs to another account. Remove it there first.")]
    InUse,
    /// There are as many as a user may have. `M_RESOURCE_LIMIT_EXCEEDED`.
    #[error("An account may have {MAX_THREEPIDS} addresses; remove one first.")]
    TooMany,
    /// The server cannot.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl Accounts {
    /// The user's addresses.
    pub async fn threepids(&self, user_id: &UserId) -> Result<Vec<AccountThreepid>, Unavailable> {
        let range = Range::prefix(&(user_id.to_owned(),));
        let rows = self.scan(&THREEPIDS, &range, MAX_THREEPIDS).await?;
        Ok(rows
            .into_iter()
            .filter_map(|((_, medium, address), row)| {
                Some(AccountThreepid {
                    threepid: Threepid::parse(&medium, &address).ok()?,
                    validated_ms: row.validated_ms,
                    added_ms: row.added_ms,
                })
            })
            .collect())
    }

    /// Whose address it is.
    pub async fn threepid_owner(&self, threepid: &Threepid) -> Result<Option<OwnedUserId>, Unavailable> {
        let owner = self.get(&THREEPID_OWNERS, &owner_key(threepid)).await?;
        Ok(owner.map(|(user_id,)| user_id))
    }

    /// Removes an address from the user's account, if it is there, and says at which identity servers it is to be
    /// unbound: at `id_server` if that is named, or else wherever it was bound through us. What we know to be bound is
    /// among [`Self::pending_unbindings`] from then on.
    pub async fn delete_threepid(
        &self,
        user_id: &UserId,
        threepid: &Threepid,
        id_server: Option<&str>,
    ) -> Result<Vec<String>, Unavailable> {
        for _ in 0..ATTEMPTS {
            let mut batch = Batch::new();
            self.put_change_of_threepids(&mut batch, user_id).await?;
            let owner = self.threepid_owner(threepid).await?;
            if owner.is_some_and(|owner| owner == user_id) {
                batch.delete(&THREEPID_OWNERS, &owner_key(threepid));
            }
            batch.delete(&THREEPIDS, &key(user_id, threepid));
            let mut servers = Vec::new();
            for binding in self.bindings(user_id).await? {
                let is_meant = id_server.is_none_or(|id_server| id_server == binding.id_server);
                if binding.threepid == *threepid && is_meant {
                    self.put_unbinding(&mut batch, user_id, &binding).await?;
                    servers.push(binding.id_server);
                }
            }
            if let Some(id_server) = id_server
                && servers.is_empty()
            {
                servers.push(id_server.to_owned());
            }
            if self.commit(batch).await?.is_some() {
                return Ok(servers);
            }
        }
        Err(Unavailable::Contended)
    }

    /// Adds to the batch that the address is the user's.
    pub(crate) async fn put_threepid(
        &self,
        batch: &mut Batch,
        user_id: &UserId,
        threepid: &Threepid,
        validated_ms: u64,
    ) -> Result<(), ThreepidError> {
        let owner = self.get(&THREEPID_OWNERS, &owner_key(threepid)).await?;
        if owner.as_ref().is_some_and(|(owner,)| owner != user_id) {
            return Err(ThreepidError::InUse);
        }
        if owner.is_none() && self.threepids(user_id).await?.len() >= MAX_THREEPIDS {
            return Err(ThreepidError::TooMany);
        }
        let row = ThreepidRow {
            validated_ms,
            added_ms: self.now_ms(),
        };
        batch.expect(&THREEPID_OWNERS, &owner_key(threepid), owner.as_ref());
        batch.put(&THREEPID_OWNERS, &owner_key(threepid), &(user_id.to_owned(),));
        batch.put(&THREEPIDS, &key(user_id, threepid), &row);
        Ok(())
    }

    /// Adds to the batch that all addresses of the user are forgotten, and unbound as soon as may be (security.md W16).
    pub(crate) async fn put_end_of_threepids(
        &self,
        batch: &mut Batch,
        user_id: &UserId,
    ) -> Result<(), Unavailable> {
        self.put_change_of_threepids(batch, user_id).await?;
        for known in self.threepids(user_id).await? {
            batch.delete(&THREEPID_OWNERS, &owner_key(&known.threepid));
            batch.delete(&THREEPIDS, &key(user_id, &known.threepid));
        }
        for binding in self.bindings(user_id).await? {
            self.put_unbinding(batch, user_id, &binding).await?;
        }
        Ok(())
    }

    /// Adds to the batch that the user's addresses or bindings change, as they are now. To be called before they are
    /// read: then the batch fails if they change in between.
    pub(crate) async fn put_change_of_threepids(
        &self,
        batch: &mut Batch,
        user_id: &UserId,
    ) -> Result<(), Unavailable> {
        let key = (user_id.to_owned(),);
        let changes = self.get(&THREEPID_CHANGES, &key).await?;
        let next = changes.map_or(0, |(changes,)| changes).wrapping_add(1);
        batch.expect(&THREEPID_CHANGES, &key, changes.as_ref());
        batch.put(&THREEPID_CHANGES, &key, &(next,));
        Ok(())
    }
}

fn owner_key(threepid: &Threepid) -> (String, String) {
    (
        threepid.medium().as_str().to_owned(),
        threepid.address().to_owned(),
    )
}

fn key(user_id: &UserId, threepid: &Threepid) -> (OwnedUserId, String, String) {
    let (medium, address) = owner_key(threepid);
    (user_id.to_owned(), medium, address)
}
