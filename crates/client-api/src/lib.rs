//! The client-server API: today's, r0 and the legacy v1.
//!
//! A file for each page of the specification, a function for each operationId: it decodes, calls one engine and
//! encodes. Who may do what in a room, and what is stored, is decided below.
//!
//! Read in this order: [`state`], [`router`], then the page that you look for; `errors` (what is answered when an
//! engine refuses) and `limits` (what counts against which rate limit) are shared by the pages that write. The paths
//! of 2015 are in `legacy_v1`: other shapes, the same engines.

mod account_data;
mod account_deactivation;
mod admin;
mod administrative_contact;
mod banning;
mod body;
mod capabilities;
mod create_room;
mod device_management;
mod directory;
mod errors;
mod event_context;
mod filter;
mod inviting;
mod joining;
mod kicking;
mod knocking;
mod leaving;
mod legacy_v1;
mod limits;
mod list_joined_rooms;
mod list_public_rooms;
mod login;
mod logout;
mod message_pagination;
mod old_sync;
mod openid;
mod paging;
mod password_management;
mod presence;
mod profile;
mod push_rules;
mod pushers;
mod redaction;
mod refresh;
mod register;
mod registration_tokens;
mod relations;
mod report_content;
mod room_event_by_timestamp;
mod room_send;
mod room_state;
mod room_summary;
mod room_upgrades;
mod rooms;
mod router;
mod space_hierarchy;
mod state;
mod sync;
mod tags;
mod threads_list;
mod uia;
mod validation;
mod validation_codes;
mod versions;
mod wellknown;
mod whoami;

pub use self::{
    router::router,
    state::{ClientApi, ClientApiConfig, Contact, Support},
};
