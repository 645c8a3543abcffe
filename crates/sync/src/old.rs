//! The deprecated requests that `/sync` replaced: `/events`, `/initialSync` and `/rooms/{roomId}/initialSync`.

mod events;
mod initial_sync;

pub use self::{
    events::{EventsPage, EventsRequest},
    initial_sync::{InitialSync, InitialSyncRequest, MessagesChunk, RoomSnapshot},
};

/// How many events there are on a page of these requests at most.
pub const MAX_EVENTS: usize = 100;

/// How many messages a room comes with when the request does not say.
pub const DEFAULT_MESSAGES: usize = 10;
