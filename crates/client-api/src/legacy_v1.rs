//! The legacy API of 2015, `/_matrix/client/api/v1`: its addresses and shapes over today's operations.
//!
//! What did not change since is served by today's pages, so that there is one set of rules and one set of rate limits
//! (T32). What did change is here: `encoding` gives events the fields that clients of that time look for; `accounts`
//! and `rooms` have the requests that today's API has no more. Not served: presence, typing, push, search, calls and
//! media, which today's API does not have yet either.

mod accounts;
mod encoding;
mod rooms;

use axum::{Router, middleware::map_response};

use crate::{
    ClientApi, banning, create_room, directory, event_context, inviting, joining, kicking, leaving,
    list_public_rooms, login, old_sync, profile, redaction, room_send, room_state, rooms as rooms_page,
};

/// Everything under `/_matrix/client/api/v1`.
pub(crate) fn routes() -> Router<ClientApi> {
    unchanged().merge(events().layer(map_response(encoding::response)))
}

/// Nothing of these shows an event.
fn unchanged() -> Router<ClientApi> {
    Router::new()
        .merge(accounts::routes())
        .merge(banning::routes())
        .merge(create_room::legacy_routes())
        .merge(directory::routes())
        .merge(inviting::routes())
        .merge(joining::routes())
        .merge(kicking::routes())
        .merge(leaving::routes())
        .merge(list_public_rooms::routes())
        .merge(login::routes())
        .merge(profile::routes())
        .merge(redaction::routes())
        .merge(room_send::routes())
        .merge(room_state::routes())
        .merge(rooms_page::state_content_routes())
}

/// These show events.
fn events() -> Router<ClientApi> {
    Router::new()
        .merge(event_context::routes())
        .merge(old_sync::routes())
        .merge(rooms::read_routes())
        .merge(rooms_page::event_routes())
}
