//! Reads over a store in memory: what is shown, and to whom.

mod costs;
mod fixture;
mod history;
mod relations;
mod spaces;
mod state;
