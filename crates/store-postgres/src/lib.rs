//! The store that any number of nodes share.
