//! The storage contract: typed tables, atomic commits, one order of positions.
//!
//! Everything that Gatehouse keeps goes through [`Store`], a typed face over a [`Backend`]. A backend is an
//! ordered map of bytes with one durable, atomic `commit`. There are three: [`memory`] here, and the crates
//! `store-embedded` and `store-postgres`. All pass the same [`conformance`] suite.
//!
//! It deliberately has no queries, no schemas beyond key and value codecs, and no transactions that span reads:
//! a writer reads, states in the batch what it read ([`Batch::expect`]), and on [`CommitError::Conflict`] reads
//! again.
//!
//! Read in this order: [`position`], [`key`], [`value`], [`table`], [`range`], [`batch`], [`backend`],
//! [`store`], [`watch`], [`group`], [`memory`], [`conformance`].

pub mod backend;
pub mod batch;
pub mod conformance;
mod error;
pub mod group;
pub mod key;
pub mod memory;
pub mod position;
pub mod range;
pub mod store;
pub mod table;
pub mod value;
pub mod watch;

pub use self::{
    backend::Backend,
    batch::Batch,
    error::{CommitError, DecodeError, StoreError},
    key::Key,
    position::Position,
    range::{Direction, Range},
    store::{Commit, Store},
    table::Table,
    value::Value,
    watch::{Changes, Notice, Topic, Watch},
};
