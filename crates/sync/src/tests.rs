//! Tests of the sync engine over a store in memory.

mod branches;
mod initial;
mod never_skips;
mod parts;
mod polling;
mod visibility;
mod world;
