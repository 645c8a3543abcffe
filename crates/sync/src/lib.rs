//! What changed for a user: `/sync`, and the legacy `/initialSync` and `/events`.
//!
//! It follows the store ([`Sync::follow`]) to know which rooms changed lately and to wake those who wait; what it
//! answers it reads from the engines that own the data. It writes nothing: every response is a function of the
//! store's content up to one position, so a token works on any node and after any restart. Which events a user may
//! see is decided by `gatehouse_rooms::history_visibility`, not here.
//!
//! Read in this order: [`v3`] (one function lists the parts of the response), `room_list` and `view` (which rooms, and
//! how much of each), `timeline`, `state`, `summary`; `reading` (what a request reads), `standing`, [`engine`] (waiting), `follow`,
//! `recent` and `waiting` (what changed, who waits); [`old`]; [`filter`], [`response`], `event_fields`,
//! `members_sent`, [`push_rules`].

pub mod engine;
mod error;
mod event_fields;
pub mod filter;
mod follow;
mod members_sent;
pub mod old;
pub mod push_rules;
mod reading;
mod recent;
pub mod response;
mod room_list;
mod standing;
mod state;
mod summary;
#[cfg(test)]
mod tests;
mod timeline;
pub mod v3;
mod view;
mod waiting;

pub use self::{
    engine::Sync,
    error::SyncError,
    filter::{Filter, InvalidFilter},
    old::{EventsPage, EventsRequest, InitialSync, InitialSyncRequest, MessagesChunk, RoomSnapshot},
    push_rules::default_push_rules,
    response::Response,
    state::StateForm,
    v3::Request,
};
