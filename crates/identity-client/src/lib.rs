//! What the homeserver asks of identity servers, the bundled one among them.
//!
//! A client names the server, and what it names is hostile input: [`trust`] says which may be asked, and the door
//! (`gatehouse-outbound`) which addresses. Clients of 2015 give no token for it; then one is asked for in the user's
//! name, with an `OpenID` token and nothing else of theirs, and kept encrypted. A server that has today's API is spoken
//! to in it, one that has not in the legacy one.
//!
//! The crate decides nothing about rooms or accounts: it asks, and says what came of it.
//!
//! Read in this order: [`trust`], [`client`], [`invite`], [`associations`], [`key_validity`], `bundled`, `tokens`,
//! `calls`.

pub mod associations;
mod bundled;
mod calls;
pub mod client;
pub mod error;
pub mod invite;
mod key_validity;
mod lookup;
mod sealed;
pub mod store_invite;
mod tables;
mod tokens;
pub mod trust;
mod unbinding;

pub use self::{
    associations::{ThreepidCreds, Validated},
    client::{IdentityClient, Parts},
    error::IdentityClientError,
    invite::{Asker, Invitation, Kept},
    store_invite::{InviteKey, Stored},
    trust::{IdentityServer, Trust},
};
