//! What tests put in the place of other servers: scripted ones with TLS, and a name server that knows what it is told.
//!
//! All of it is on loopback, and nothing real is ever asked. An [`Authority`] makes the certificates. A [`Peer`] answers
//! as its script says and keeps what it was asked: with a [`Reply`], which may be late, endless or no answer at all. A
//! [`Homeserver`] is a peer that has a key, and signs. A [`HostedRoom`] is a room of one, which it hands out as it is, or as a
//! test would have it lie. A [`NameServer`] knows SRV records.

pub mod authority;
pub mod homeserver;
pub mod hosted_room;
pub mod name_server;
pub mod peer;
pub mod reply;

pub use self::{
    authority::Authority,
    homeserver::{Homeserver, SignedEvent},
    hosted_room::HostedRoom,
    name_server::NameServer,
    peer::{Peer, Received},
    reply::Reply,
};
