//! Writes over a store in memory: who may do what, in every room version, and what happens when many write at once.

mod authority;
mod concurrency;
mod deactivation;
mod fan_out;
mod house;
mod nodes;
mod oracle;
mod pending;
mod relations;
mod sizes;
mod third_party;
mod upgrades;
mod versions;

/// A public room, for the tests of other modules.
pub(crate) fn public_request(version: gatehouse_events::RoomVersion) -> crate::create::CreateRoom {
    house::request(version, crate::create::Preset::PublicChat)
}
