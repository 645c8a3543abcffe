//! The client-server API: today's, r0 and the legacy v1.
//!
//! A file for each page of the specification, a function for each operationId: it decodes, calls one engine and
//! encodes. Who may do what in a room, and what is stored, is decided below.
//!
//! Read in this order: [`state`], [`router`], then the page that you look for.

mod account_data;
mod account_deactivation;
mod administrative_contact;
mod capabilities;
mod device_management;
mod directory;
mod event_context;
mod filter;
mod list_joined_rooms;
mod list_public_rooms;
mod login;
mod logout;
mod message_pagination;
mod paging;
mod password_management;
mod profile;
mod read_errors;
mod refresh;
mod register;
mod registration_tokens;
mod relations;
mod room_event_by_timestamp;
mod room_summary;
mod rooms;
mod router;
mod space_hierarchy;
mod state;
mod tags;
mod threads_list;
mod uia;
mod versions;
mod wellknown;
mod whoami;

pub use self::{
    router::router,
    state::{ClientApi, ClientApiConfig, Contact, Support},
};
