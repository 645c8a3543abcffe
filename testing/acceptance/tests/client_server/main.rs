//! The client-server API, by page of the specification. One binary, so that it links once.

mod joining;
