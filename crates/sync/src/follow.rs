//! Following the store: what changed lately, and who is to be told.

use std::{sync::Arc, time::Duration};

use gatehouse_store::{Changes, Notice, Position, Store, Topic, Watch};
use parking_lot::Mutex;
use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId};
use tokio::sync::{oneshot, watch};

use crate::{
    recent::{Changed, Recent},
    waiting::Waiting,
};

/// How long a request waits for the follower to reach the position that the request starts from. The follower is
/// behind by microseconds; only a commit without topics makes a request wait in vain, and then it asks the store.
const CATCH_UP: Duration = Duration::from_millis(20);

/// Shared by the task that follows the store and by the requests.
#[derive(Debug)]
pub(crate) struct Follower {
    state: Mutex<State>,
    /// Every topic up to here has been recorded.
    seen: watch::Sender<Position>,
    watch: Mutex<Option<Watch>>,
}

#[derive(Debug)]
struct State {
    rooms: Recent<OwnedRoomId>,
    users: Recent<OwnedUserId>,
    waiting: Waiting,
    closed: bool,
}

/// One who waits; removed when dropped.
#[derive(Debug)]
pub(crate) struct Waiter {
    follower: Arc<Follower>,
    number: u64,
    woken: oneshot::Receiver<()>,
}

/// Whether one may wait.
#[derive(Debug)]
pub(crate) enum Registration {
    /// Nothing has changed; the waiter is woken when something does.
    Waiting(Waiter),
    /// Something changed meanwhile: look again.
    Changed,
    /// The server is stopping: answer at once.
    Closed,
}

impl Follower {
    /// Starts to watch the store; nothing is recorded until [`Self::run`] runs.
    pub(crate) fn new(store: &Store) -> Self {
        // First watch, then read: what commits in between is seen twice, never missed.
        let watch = store.watch();
        let floor = store.position();
        Self {
            state: Mutex::new(State {
                rooms: Recent::after(floor),
                users: Recent::after(floor),
                waiting: Waiting::default(),
                closed: false,
            }),
            seen: watch::Sender::new(floor),
            watch: Mutex::new(Some(watch)),
        }
    }

    /// Records and wakes until the store closes. Returns at once when it already runs.
    pub(crate) async fn run(&self, store: &Store) {
        let Some(mut watch) = self.watch.lock().take() else {
            return;
        };
        while let Some(notice) = watch.next().await {
            match notice {
                Notice::Changes(changes) => self.record(&changes),
                Notice::Everything => self.forget(store.position()),
            }
        }
        self.close();
    }

    fn record(&self, changes: &Changes) {
        let mut woken = Vec::new();
        {
            let mut state = self.state.lock();
            for topic in changes.topics.iter() {
                match topic {
                    Topic::Room(room) => {
                        state.waiting.wake_room(room, &mut woken);
                        state.rooms.record(room.clone(), changes.position);
                    }
                    Topic::User(user) => {
                        state.waiting.wake_user(user, &mut woken);
                        state.users.record(user.clone(), changes.position);
                    }
                }
            }
        }
        self.seen.send_if_modified(|seen| advance(seen, changes.position));
        wake(woken);
    }

    /// Notices were lost. All of them lie at or before `position`, read after the loss was learned of.
    fn forget(&self, position: Position) {
        let mut woken = Vec::new();
        {
            let mut state = self.state.lock();
            state.rooms.restart(position);
            state.users.restart(position);
            state.waiting.wake_all(&mut woken);
        }
        self.seen.send_if_modified(|seen| advance(seen, position));
        wake(woken);
    }

    /// Wakes everybody, and lets nobody wait any more.
    pub(crate) fn close(&self) {
        let mut woken = Vec::new();
        {
            let mut state = self.state.lock();
            state.closed = true;
            state.waiting.wake_all(&mut woken);
        }
        wake(woken);
    }

    /// Whether nobody may wait any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    /// Waits until everything up to `position` is recorded; gives up soon, see [`CATCH_UP`].
    pub(crate) async fn reach(&self, position: Position) -> Reached {
        if *self.seen.borrow() >= position {
            return Reached::Yes;
        }
        let mut seen = self.seen.subscribe();
        match tokio::time::timeout(CATCH_UP, seen.wait_for(|seen| *seen >= position)).await {
            Ok(Ok(_)) => Reached::Yes,
            Ok(Err(_)) | Err(_) => Reached::No,
        }
    }

    /// For each room whether it changed after `since`, as far as is recorded.
    pub(crate) fn rooms_changed<'a>(
        &self,
        rooms: impl Iterator<Item = &'a RoomId>,
        since: Position,
    ) -> Vec<Changed> {
        let state = self.state.lock();
        rooms.map(|room| state.rooms.changed(room, since)).collect()
    }

    /// Whether anything about the user changed after `since`, as far as is recorded.
    pub(crate) fn user_changed(&self, user: &UserId, since: Position) -> Changed {
        self.state.lock().users.changed(user, since)
    }

    /// Waits for the user and the rooms, unless something of them may have changed after `since`.
    pub(crate) fn register<'a>(
        self: &Arc<Self>,
        user: &UserId,
        rooms: impl Iterator<Item = &'a RoomId> + Clone,
        since: Position,
    ) -> Registration {
        let mut state = self.state.lock();
        if state.closed {
            return Registration::Closed;
        }
        let unchanged = state.users.changed(user, since) == Changed::No
            && rooms
                .clone()
                .all(|room| state.rooms.changed(room, since) == Changed::No);
        if !unchanged {
            return Registration::Changed;
        }
        let (number, woken) = state.waiting.add(user, rooms);
        Registration::Waiting(Waiter {
            follower: Arc::clone(self),
            number,
            woken,
        })
    }

    /// How many wait now.
    pub(crate) fn waiting(&self) -> usize {
        self.state.lock().waiting.count()
    }
}

/// Whether the follower has recorded up to a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reached {
    /// What is recorded can be relied on.
    Yes,
    /// It cannot.
    No,
}

impl Waiter {
    /// Until something that it waits for changes.
    pub(crate) async fn woken(&mut self) {
        // An error means that the sender is gone, which is a reason to look, too.
        let _ = (&mut self.woken).await;
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.follower.state.lock().waiting.remove(self.number);
    }
}

fn advance(seen: &mut Position, position: Position) -> bool {
    let later = position > *seen;
    if later {
        *seen = position;
    }
    later
}

fn wake(woken: Vec<oneshot::Sender<()>>) {
    for signal in woken {
        // An error means that the waiter has just gone.
        let _ = signal.send(());
    }
}
