//! Events, canonical JSON and the rules of every room version.

mod clock;

pub use self::clock::Clock;
