//! Rooms: membership, sending, state, history and who may see it.
