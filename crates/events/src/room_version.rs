//! The room versions that we serve, as data.

use std::{fmt, str::FromStr};

use ruma::room_version_rules::RoomVersionRules;

/// A room version, 1 to 12. What differs between them is in its [`RoomVersion::rules`]; nothing compares numbers.
#[derive(Clone, Copy)]
pub struct RoomVersion {
    name: &'static str,
    rules: &'static RoomVersionRules,
}

/// All versions, oldest first.
static VERSIONS: [(&str, RoomVersionRules); 12] = [
    ("1", RoomVersionRules::V1),
    ("2", RoomVersionRules::V2),
    ("3", RoomVersionRules::V3),
    ("4", RoomVersionRules::V4),
    ("5", RoomVersionRules::V5),
    ("6", RoomVersionRules::V6),
    ("7", RoomVersionRules::V7),
    ("8", RoomVersionRules::V8),
    ("9", RoomVersionRules::V9),
    ("10", RoomVersionRules::V10),
    ("11", RoomVersionRules::V11),
    ("12", RoomVersionRules::V12),
];

/// The text names no room version that this server knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this server does not know that room version")]
pub struct UnknownRoomVersion;

impl RoomVersion {
    /// Every version that this server knows, oldest first.
    pub fn all() -> impl Iterator<Item = Self> {
        VERSIONS.iter().map(|(name, rules)| Self { name, rules })
    }

    /// The name by which events and capabilities call it: `"1"` to `"12"`.
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// Its rules: formats, authorisation, redaction, state resolution.
    pub const fn rules(self) -> &'static RoomVersionRules {
        self.rules
    }
}

impl PartialEq for RoomVersion {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for RoomVersion {}

impl FromStr for RoomVersion {
    type Err = UnknownRoomVersion;

    fn from_str(name: &str) -> Result<Self, UnknownRoomVersion> {
        Self::all()
            .find(|version| version.name == name)
            .ok_or(UnknownRoomVersion)
    }
}

impl fmt::Debug for RoomVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RoomVersion({})", self.name)
    }
}

impl fmt::Display for RoomVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
