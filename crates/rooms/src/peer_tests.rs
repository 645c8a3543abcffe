//! Servers in one process that join each other's rooms: what their users may do there, what one server tells another, and
//! what a lying one achieves.

mod history;
mod hostile;
mod inviting;
mod joining;
mod knocking;
mod partial;
mod reading;
mod town;
