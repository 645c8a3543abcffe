//! Rooms: membership, sending, state, history and who may see it.

pub mod filter;
pub mod history_visibility;
pub mod token;
