//! The client-server API, by page of the specification. One binary, so that it links once.

mod banning;
mod create_room;
mod directory;
mod event_context;
mod inviting;
mod joining;
mod kicking;
mod knocking;
mod leaving;
mod legacy_v1;
mod list_public_rooms;
mod message_pagination;
mod redaction;
mod relations;
mod report_content;
mod room_event_by_timestamp;
mod room_send;
mod room_state;
mod room_summary;
mod room_upgrades;
mod rooms;
mod snapshot;
mod space_hierarchy;
