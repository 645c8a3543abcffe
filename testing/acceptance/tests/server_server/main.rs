//! The server-server API, by page of the specification.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod keys_server;
mod openid;
mod third_party_invite;
