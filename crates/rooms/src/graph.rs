//! The graph of a room's events: the state before and after an event, auth chains, and state resolution.
//!
//! Most events stand on the room's *line*: they followed all that was there, and the state before them is the room's just
//! before their position. What a state is elsewhere is told as its difference from the room's state now
//! ([`delta`]), so that the cost goes with what differs and not with how many members the room has.

pub(crate) mod chain_counts;
pub(crate) mod delta;
pub(crate) mod end_states;
pub(crate) mod loaded;
pub(crate) mod member_chains;
mod public;
mod resolution;
pub(crate) mod resolution_error;
