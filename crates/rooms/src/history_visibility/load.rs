//! Reading the versions.

/// How many versions of a membership or of the visibility are looked at, newest first. A user who joined and left
/// oftener than that does not see what came before.
pub const MAX_VERSIONS: usize = 1_000;
