//! What tests put in the place of other servers: scripted ones with TLS, and a name server that knows what it is told.
//!
//! All of it is on loopback, and nothing real is ever asked. An [`Authority`] makes the certificates. A [`Peer`] answers
//! as its script says and keeps what it was asked. A [`Homeserver`] is one that has a key, and signs. A [`NameServer`] knows
//! SRV records.

pub mod authority;
pub mod homeserver;
pub mod name_server;
pub mod peer;

pub use self::{
    authority::Authority,
    homeserver::{Homeserver, SignedEvent},
    name_server::NameServer,
    peer::{Peer, Received, Reply},
};
