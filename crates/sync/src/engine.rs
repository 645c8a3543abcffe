//! The engine: what all operations share.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use gatehouse_accounts::{Accounts, DeviceError};
use gatehouse_directory::Directory;
use gatehouse_rooms::Rooms;
use gatehouse_store::{Position, Store};
use ruma::{DeviceId, OwnedRoomId, UserId};
use tokio::time::{Instant, timeout_at};

use crate::{
    error::SyncError,
    follow::{Follower, Registration},
    members_sent::MembersSent,
    standing::{Standing, Standings},
};

/// How long a request may wait for something to happen, whatever it asks for: what lies between is kept open by
/// proxies rarely, and a client that asks for more gets an empty response and asks again.
pub const MAX_TIMEOUT: Duration = Duration::from_mins(5);

/// What changed for a user. Cheap to clone.
#[derive(Clone)]
pub struct Sync {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    accounts: Accounts,
    rooms: Rooms,
    directory: Directory,
    follower: Arc<Follower>,
    members_sent: MembersSent,
    standings: Standings,
}

impl std::fmt::Debug for Sync {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sync")
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}

impl Sync {
    /// An engine over these. It watches the store from now on; [`Self::follow`] must be run beside it.
    pub fn new(store: Store, accounts: Accounts, rooms: Rooms, directory: Directory) -> Self {
        let follower = Arc::new(Follower::new(&store));
        Self {
            inner: Arc::new(Inner {
                store,
                accounts,
                rooms,
                directory,
                follower,
                members_sent: MembersSent::new(),
                standings: Standings::new(),
            }),
        }
    }

    /// Follows the store until it closes. To be run once, as a task of its own; without it nobody is woken.
    pub async fn follow(&self) {
        self.inner.follower.run(&self.inner.store).await;
    }

    /// Answers all who wait, at once and with what they have; from now on nobody waits.
    pub fn stop(&self) {
        self.inner.follower.close();
    }

    /// How many requests wait now.
    pub fn waiting(&self) -> usize {
        self.inner.follower.waiting()
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.store
    }

    pub(crate) fn accounts(&self) -> &Accounts {
        &self.inner.accounts
    }

    pub(crate) fn rooms(&self) -> &Rooms {
        &self.inner.rooms
    }

    pub(crate) fn directory(&self) -> &Directory {
        &self.inner.directory
    }

    pub(crate) fn follower(&self) -> &Arc<Follower> {
        &self.inner.follower
    }

    /// How the user stands to rooms and to others, at `now` or later.
    pub(crate) async fn standing(&self, user: &UserId, now: Position) -> Result<Arc<Standing>, SyncError> {
        let engines = (self.store(), self.rooms(), self.accounts());
        let standings = &self.inner.standings;
        standings.of(user, now, engines, self.follower()).await
    }

    pub(crate) fn members_sent(&self) -> &MembersSent {
        &self.inner.members_sent
    }

    /// Answers until there is something to say, the time is over, or the server stops.
    ///
    /// While it waits, this holds no more than what is asked, an answer that says "nothing", and a place in the
    /// lists of the rooms.
    ///
    /// An answer in the making is boxed, so that one who waits does not keep room for all that making it needs.
    pub(crate) async fn poll<'a, T>(
        &self,
        (user, device): (&UserId, &DeviceId),
        timeout: Duration,
        answer: impl Fn(Position) -> BoxFuture<'a, Result<Answer<T>, SyncError>>,
    ) -> Result<T, SyncError> {
        let deadline = Instant::now() + timeout.min(MAX_TIMEOUT);
        loop {
            // Everything is read up to here and no further: what comes later is in the next response.
            let now = self.store().position();
            let (response, rooms) = match answer(now).await? {
                Answer::Something(response) => return Ok(response),
                Answer::Nothing { response, rooms } => (response, rooms),
            };
            if timeout.is_zero() {
                return Ok(response);
            }
            let registration = self
                .follower()
                .register(user, rooms.iter().map(AsRef::as_ref), now);
            drop(rooms);
            let mut waiter = match registration {
                Registration::Waiting(waiter) => waiter,
                Registration::Changed if Instant::now() < deadline => continue,
                Registration::Changed | Registration::Closed => return Ok(response),
            };
            if timeout_at(deadline, waiter.woken()).await.is_err() || self.follower().is_closed() {
                return Ok(response);
            }
            drop(waiter);
            // What woke it may be the end of its session.
            match self.accounts().device(user, device).await {
                Ok(_) => {}
                Err(DeviceError::Unavailable(error)) => return Err(error.into()),
                Err(_) => return Err(SyncError::LoggedOut),
            }
        }
    }
}

/// What there is to say.
#[derive(Debug)]
pub(crate) enum Answer<T> {
    /// To be said at once.
    Something(T),
    /// To be said only when the time is over; until then these rooms are waited for.
    Nothing { response: T, rooms: Vec<OwnedRoomId> },
}
