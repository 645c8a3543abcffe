//! The server-server API over HTTP: one file a page of the specification, one function an operation.
//!
//! So far what identity servers need of a homeserver, and what hands an invitation by address from one server to another.
//!
//! Read in this order: [`state`], [`router`](mod@router), `origin`, then the pages; `errors` says what is answered when an
//! engine refuses.

mod errors;
mod keys_server;
mod openid;
mod origin;
mod router;
pub mod state;
mod third_party_invite;
mod version;

pub use self::{router::router, state::FederationApi};
