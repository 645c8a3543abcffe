//! What operators decide about rooms.

use gatehouse_events::RoomVersion;

/// Settings of the rooms engine.
#[derive(Debug, Clone)]
pub struct Config {
    /// The version of new rooms.
    pub default_version: RoomVersion,
    /// The version of rooms made through the legacy paths, whose clients cannot parse ids of version 12.
    pub legacy_default_version: RoomVersion,
    /// How many rooms are kept in memory.
    pub cached_rooms: usize,
    /// Bytes of parsed events kept in memory.
    pub event_cache_bytes: u64,
}

/// Rooms kept in memory unless configured otherwise.
pub const CACHED_ROOMS: usize = 10_000;
/// Bytes of events kept in memory unless configured otherwise: about 30,000 events.
pub const EVENT_CACHE_BYTES: u64 = 32 << 20;
