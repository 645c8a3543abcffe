//! Rooms: membership, sending, state, history and who may see it.

mod config;
pub mod context;
pub mod create;
mod end_state_cache;
mod erasure;
mod event_cache;
mod filling;
pub mod filter;
mod followed;
mod for_servers;
mod graph;
pub mod head;
pub mod hierarchy;
pub mod history_visibility;
pub mod identity_servers;
mod joins_under_way;
mod loading;
pub mod members;
pub mod membership;
pub mod messages;
mod own_events;
mod past_state;
pub mod peer_error;
#[cfg(test)]
mod peer_tests;
pub mod power_levels;
mod power_levels_check;
pub mod present;
mod raw_pdus;
mod read_error;
#[cfg(test)]
mod read_tests;
pub mod receive;
#[cfg(test)]
mod receive_tests;
pub mod redact;
pub mod relations;
pub mod remote_servers;
pub mod report;
mod room_state;
mod room_transaction;
mod room_view;
mod rooms;
mod rooms_being_filled;
pub mod send;
mod server_acl;
mod state_reads;
mod stored;
pub mod summary;
mod tables;
mod timeline_walk;
mod timestamp_to_event;
mod to_send;
pub mod token;
mod turns;
pub mod upgrade;
mod visibility_versions;
mod write_error;
#[cfg(test)]
mod write_tests;

pub use self::{
    config::{CACHED_ROOMS, Config, EVENT_CACHE_BYTES},
    followed::{CurrentMembership, StateChange},
    for_servers::{OutgoingPart, OutgoingState},
    head::{Member, RoomHead},
    identity_servers::{IdentityServerError, IdentityServers, NoIdentityServers},
    membership::{
        MembershipRequest,
        bound_address::{BoundAddress, BoundInvite, BoundOutcome},
        deactivation::DeactivationError,
        for_peers::{JoinAnswer, PeerInvite, Sent},
        invite_by_address::AddressInvite,
        join::Join,
        signed_block::SignedBlock,
    },
    peer_error::PeerError,
    power_levels::PowerLevels,
    read_error::ReadError,
    receive::Received,
    remote_servers::{NoFederation, RemoteServers},
    room_state::RoomState,
    room_transaction::Transaction,
    room_view::{AsOf, RoomView},
    rooms::{Rooms, WeakRooms},
    stored::{StoredEvent, TimelineRows},
    tables::MemberCounts,
    to_send::{EventToSend, OutgoingPdu},
    write_error::{Refusal, ThirdPartyRefusal, WriteError},
};
