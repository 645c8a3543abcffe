//! Tests of the sync engine over a store in memory.

mod elsewhere;
mod branches;
mod initial;
mod never_skips;
mod outside;
mod parts;
mod polling;
mod visibility;
mod world;
