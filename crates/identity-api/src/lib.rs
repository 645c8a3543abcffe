//! The identity service API: version 2, and version 1 as the founding document's homeservers speak it.
//!
//! A file for each page of the specification, a function for each operationId: it decodes, calls the engine and
//! encodes. Nothing is decided here but who speaks.
//!
//! Read in this order: [`state`], [`router`], `requester`, `fields`, then the page that you look for; `errors` says what
//! is answered when the engine refuses.

mod associations;
mod auth;
mod email_associations;
mod errors;
mod fields;
mod invitation_signing;
mod legacy_v1;
mod lookup;
mod phone_associations;
mod ping;
mod pubkey;
mod requester;
mod router;
mod state;
mod store_invite;
mod submission;
mod terms;
mod versions;

pub use self::{router::router, state::IdentityApi};
