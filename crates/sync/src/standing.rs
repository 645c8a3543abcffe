//! What every sync of a user begins with, kept in memory as long as nothing about the user changes: without it each
//! long poll would read all of the user's rooms from the store, twice.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use gatehouse_accounts::Accounts;
use gatehouse_rooms::{CurrentMembership, Rooms};
use gatehouse_store::{Position, Store};
use quick_cache::{Weighter, sync::Cache};
use ruma::{OwnedUserId, UserId};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    error::SyncError,
    follow::{Follower, Reached},
    recent::Changed,
};

/// The account data that lists whom the user ignores.
const IGNORED_USERS: &str = "m.ignored_user_list";

/// Memberships and ignored users remembered, of all users together. At some 250 bytes each this is 25 MB.
const MOST: u64 = 100_000;

/// Users expected among them; only a hint.
const USERS: usize = 5_000;

/// How a user stands to all rooms, and to other users.
#[derive(Debug)]
pub(crate) struct Standing {
    /// Every room that the user has had to do with.
    pub(crate) memberships: Vec<CurrentMembership>,
    /// Users of whom only state is shown.
    pub(crate) ignored: HashSet<OwnedUserId>,
}

#[derive(Debug, Clone)]
struct Known {
    /// It was read after this.
    at: Position,
    standing: Arc<Standing>,
}

#[derive(Debug, Clone)]
struct Weight;

impl Weighter<OwnedUserId, Known> for Weight {
    fn weight(&self, _: &OwnedUserId, known: &Known) -> u64 {
        let entries = known.standing.memberships.len() + known.standing.ignored.len() + 1;
        entries as u64
    }
}

/// The standings of users who synced lately.
#[derive(Debug)]
pub(crate) struct Standings {
    known: Cache<OwnedUserId, Known, Weight>,
}

impl Standings {
    pub(crate) fn new() -> Self {
        Self {
            known: Cache::with_weighter(USERS, MOST, Weight),
        }
    }

    /// The user's standing as it is at `now`, or later.
    pub(crate) async fn of(
        &self,
        user: &UserId,
        now: Position,
        (store, rooms, accounts): (&Store, &Rooms, &Accounts),
        follower: &Follower,
    ) -> Result<Arc<Standing>, SyncError> {
        if let Some(known) = self.known.get(user)
            && follower.reach(now).await == Reached::Yes
            && follower.user_changed(user, known.at) == Changed::No
        {
            return Ok(known.standing);
        }
        // What changes while this is read is recorded as a change after it, and makes the next one read again.
        let at = store.position();
        let standing = Arc::new(Standing {
            memberships: rooms.current_memberships(user).await?,
            ignored: ignored_users(accounts, user).await?,
        });
        let known = Known {
            at,
            standing: Arc::clone(&standing),
        };
        self.known.insert(user.to_owned(), known);
        Ok(standing)
    }
}

async fn ignored_users(accounts: &Accounts, user: &UserId) -> Result<HashSet<OwnedUserId>, SyncError> {
    #[derive(Deserialize)]
    struct Content {
        ignored_users: HashMap<OwnedUserId, Value>,
    }
    let data = accounts.account_data(user, None, IGNORED_USERS).await?;
    // Content that is not as it should be ignores nobody.
    let content = data.and_then(|data| serde_json::from_str::<Content>(data.content.get()).ok());
    Ok(content.map_or_else(HashSet::new, |content| {
        content.ignored_users.into_keys().collect()
    }))
}
