//! Other homeservers: where they are, which keys they have, and requests signed by them or by us.
//!
//! A first part of it: what identity servers and homeservers ask each other. Rooms shared with other servers come on top.
//! It decides nothing; it says who is who. Whatever it fetches comes through `gatehouse-outbound`.
//!
//! Read in this order: [`federation`], [`discovery`], [`server_keys`], [`x_matrix`], [`requests`].

pub mod discovery;
pub mod error;
pub mod federation;
pub mod requests;
pub mod server_keys;
pub mod x_matrix;

pub use self::{
    error::{FederationError, VerifyError},
    federation::Federation,
    x_matrix::{ReceivedRequest, XMatrix},
};
