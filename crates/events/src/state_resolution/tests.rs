//! What becomes of rooms whose servers did not agree.

mod costs;
mod fixture;
mod hostile;
mod properties;
mod version_1;
mod version_2;
