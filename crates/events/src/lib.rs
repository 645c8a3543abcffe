//! Events, canonical JSON and the rules of every room version.
