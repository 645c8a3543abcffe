//! Several servers in one process, on a simulated network, clock and disk, driven by one seed.
//!
//! Each server is the real thing, from the sending queue to the router that answers others: what is simulated is below
//! them. The [`network`] delays, loses, repeats and reorders requests and falls into parts; a [`disk`] is slow, refuses,
//! fails and loses power; the clock is the runtime's, which jumps to the next moment at which anything happens. A [`plan`]
//! says what a seed means, [`people`] do what it says, and [`lies`] are what one of the servers may tell. When all is well
//! again the [`verdict`] looks whether the servers agree and nothing is missing.
//!
//! The same seed is the same story, whatever the machine does: `tests/seeds.rs` compares the [`trace`] of two runs.
//!
//! It deliberately has no sockets, no clients' API and no second room.
//!
//! Read in this order: [`plan`], [`run`](mod@run), [`world`], [`people`], [`verdict`], [`house`], [`network`], [`disk`], [`lies`].

pub mod dice;
pub mod disk;
pub mod explain;
pub mod house;
pub mod lies;
pub mod network;
pub mod people;
pub mod plan;
pub mod run;
pub mod trace;
pub mod verdict;
pub mod world;

pub use self::{
    plan::Plan,
    run::{Outcome, run},
};
