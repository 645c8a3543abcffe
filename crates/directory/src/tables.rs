//! What this crate stores.

use gatehouse_store::{Table, json_value};
use ruma::{OwnedRoomAliasId, OwnedRoomId, OwnedServerName, OwnedUserId};
use serde::{Deserialize, Serialize};

/// The name of the table in which a commit conflicts when an alias was taken meanwhile.
pub const ALIASES_TABLE: &str = ALIASES.name;

/// Where a local alias points. Written by `aliases`.
pub(crate) const ALIASES: Table<(OwnedRoomAliasId,), AliasRow> = Table::new("directory.aliases");
/// The local aliases of a room, in order. Written with [`ALIASES`].
pub(crate) const ROOM_ALIASES: Table<(OwnedRoomId, OwnedRoomAliasId), ()> =
    Table::new("directory.room_aliases");
/// How many local aliases a room has. Written with [`ALIASES`].
pub(crate) const ALIAS_COUNTS: Table<(OwnedRoomId,), (u32,)> = Table::new("directory.alias_counts");
/// The rooms in the published directory. Written by `publication`.
pub(crate) const PUBLISHED: Table<(OwnedRoomId,), PublishedRow> = Table::new("directory.published");

/// A local alias.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AliasRow {
    pub(crate) room_id: OwnedRoomId,
    pub(crate) creator: OwnedUserId,
    /// Servers that know the room, ours not among them.
    pub(crate) servers: Vec<OwnedServerName>,
}

/// A published room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PublishedRow {
    /// When it was published, in milliseconds since 1970.
    pub(crate) since_ms: u64,
}

json_value!(AliasRow, PublishedRow);
