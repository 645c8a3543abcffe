//! Finding other servers, believing them and asking them, against scripted ones on loopback. Nothing real is asked.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod examination;
mod house;
mod keys;
mod notaries;
mod questions;
mod receiving;
mod sending;
mod states;
mod town;
mod whereabouts;
