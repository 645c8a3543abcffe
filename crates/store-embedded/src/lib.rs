//! The store of a server on one machine.
