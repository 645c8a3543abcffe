//! What changed for a user: `/sync`, and the legacy `/initialSync` and `/events`.
//!
//! It follows the store ([`Sync::follow`]) to know which rooms changed lately and to wake those who wait; what it
//! answers it reads from the engines that own the data. It writes nothing: every response is a function of the
//! store's content up to one position, so a token works on any node and after any restart. Which events a user may
//! see is decided by `gatehouse_rooms::history_visibility`, not here.
//!
//! Read in this order: [`filter`], [`response`], `view` (how much of a room a sync shows), `recent`, `waiting` and
//! `follow` (what changed, who waits), `members_sent`, [`push_rules`].

mod event_fields;
pub mod filter;
mod follow;
mod members_sent;
pub mod push_rules;
mod recent;
pub mod response;
mod view;
mod waiting;
