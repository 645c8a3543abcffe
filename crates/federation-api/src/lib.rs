//! The server-server API over HTTP: one file a page of the specification, one function an operation.
//!
//! A handler decodes, makes one call into an engine, and encodes. Which server asks is in its request's signature, and
//! what that server may do is the engines' to say.
//!
//! Read in this order: [`state`], [`router`](mod@router), `signed`, `at_once`, `state_body`, then the pages; `errors` says what is answered when an
//! engine refuses.

mod at_once;
mod backfill;
mod errors;
mod event_auth;
mod events;
mod invites;
mod joins;
mod keys_query;
mod keys_server;
mod knocks;
mod leaving;
mod openid;
mod public_rooms;
mod query;
mod router;
mod signed;
mod space_hierarchy;
pub mod state;
mod state_body;
mod third_party_invite;
mod transactions;
mod version;

pub use self::{at_once::AtOnce, router::router, state::FederationApi};
