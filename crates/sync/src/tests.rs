//! Tests of the sync engine over a store in memory.

mod branches;
mod elsewhere;
mod filled;
mod initial;
mod never_skips;
mod outside;
mod parts;
mod polling;
mod visibility;
mod world;
