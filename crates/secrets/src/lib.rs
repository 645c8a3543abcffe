//! What nobody may guess or read: randomness from the operating system, and text that does not print itself.
//!
//! It makes no policy: how long a token is and how long it holds say those who give it out.

pub mod random;
mod secret;

pub use self::{random::NoRandomness, secret::Secret};
