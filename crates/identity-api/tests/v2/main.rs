//! The identity service API, asked as clients and homeservers ask it.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod accounts;
mod associations;
mod house;
mod invitations;
mod keys;
mod legacy_v1;
mod lookup;
mod validation;
