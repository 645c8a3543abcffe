//! Fuzz targets: what must hold of every parser that the network reaches, whatever the bytes.
//!
//! A target is a function of bytes that panics when its parser breaks a promise, and says otherwise whether the
//! parser took the input. `tests/targets.rs` runs all of them for some rounds in every test run. It needs no
//! instrumented build; where one is at hand, the same functions serve it.
//!
//! Read in this order: [`targets`], [`mutate`], [`run`], [`random`].

#![expect(
    clippy::missing_panics_doc,
    reason = "a panic is how a target says that a promise is broken"
)]

pub mod mutate;
pub mod random;
pub mod run;
pub mod targets;

pub use self::{
    run::{Plan, run},
    targets::{TARGETS, Target},
};
