//! Learning of commits as they become visible.

use std::sync::Arc;

use parking_lot::RwLock;
use ruma::{OwnedRoomId, OwnedUserId};
use tokio::sync::broadcast;

use crate::Position;

/// What a commit changed, for those who wait.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Something that members of this room can see.
    Room(OwnedRoomId),
    /// Something that concerns this user alone: membership, account data, devices.
    User(OwnedUserId),
}

/// One commit that touched something.
#[derive(Debug, Clone)]
pub struct Changes {
    /// Its last position. Everything up to it can be read.
    pub position: Position,
    /// What it touched.
    pub topics: Arc<[Topic]>,
}

/// What a watcher learns.
#[derive(Debug, Clone)]
pub enum Notice {
    /// A commit.
    Changes(Changes),
    /// The watcher was too slow, or the connection to the database was lost: anything may have changed.
    Everything,
}

/// How many notices wait for a slow watcher before it is told [`Notice::Everything`].
pub const WATCH_CAPACITY: usize = 4_096;

/// The sending side, kept by a backend.
#[derive(Debug, Clone)]
pub struct Notifier {
    /// `None` once the store has closed.
    sender: Arc<RwLock<Option<broadcast::Sender<Notice>>>>,
}

impl Default for Notifier {
    fn default() -> Self {
        Self {
            sender: Arc::new(RwLock::new(Some(broadcast::channel(WATCH_CAPACITY).0))),
        }
    }
}

impl Notifier {
    /// Tells all watchers. To be called in the order of positions, after the commit is visible.
    pub fn notify(&self, notice: Notice) {
        if let Some(sender) = &*self.sender.read() {
            // An error means that nobody watches.
            let _ = sender.send(notice);
        }
    }

    /// A new watcher.
    pub fn watch(&self) -> Watch {
        let receiver = match &*self.sender.read() {
            Some(sender) => sender.subscribe(),
            None => broadcast::channel(1).1,
        };
        Watch { receiver }
    }

    /// Lets every watcher, now and later, see the end after what it has not read yet.
    pub fn close(&self) {
        *self.sender.write() = None;
    }
}

/// Every commit with topics since [`crate::Store::watch`] was called, in order; none is missed.
#[derive(Debug)]
pub struct Watch {
    receiver: broadcast::Receiver<Notice>,
}

impl Watch {
    /// The next notice; `None` when the store has closed.
    pub async fn next(&mut self) -> Option<Notice> {
        match self.receiver.recv().await {
            Ok(notice) => Some(notice),
            Err(broadcast::error::RecvError::Lagged(_)) => Some(Notice::Everything),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }

    /// The next notice if there is one already.
    pub fn try_next(&mut self) -> Option<Notice> {
        match self.receiver.try_recv() {
            Ok(notice) => Some(notice),
            Err(broadcast::error::TryRecvError::Lagged(_)) => Some(Notice::Everything),
            Err(broadcast::error::TryRecvError::Empty | broadcast::error::TryRecvError::Closed) => None,
        }
    }
}
