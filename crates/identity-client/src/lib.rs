//! What the homeserver asks of identity servers, the bundled one among them.
mod sealed;
pub mod trust;
