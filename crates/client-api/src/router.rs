//! Which page serves which path.

use axum::Router;

use crate::{
    ClientApi, account_data, account_deactivation, administrative_contact, capabilities, device_management,
    directory, event_context, filter, list_joined_rooms, list_public_rooms, login, logout,
    message_pagination, password_management, profile, refresh, register, registration_tokens, relations,
    room_event_by_timestamp, room_summary, rooms, space_hierarchy, tags, threads_list, versions, wellknown,
    whoami,
};

/// Everything under `/_matrix/client` and `/.well-known/matrix`.
pub fn router(state: ClientApi) -> Router {
    Router::new()
        .nest("/_matrix/client", versions::routes())
        .nest("/_matrix/client/v1", v1())
        .nest("/_matrix/client/v3", v3())
        // The paths of 2016 to 2021; the pages are the same.
        .nest("/_matrix/client/r0", v3())
        .nest("/_matrix/client/unstable", room_summary::unstable_routes())
        .nest("/.well-known/matrix", wellknown::routes())
        .with_state(state)
}

/// What came with versions 1.1 and later under `v1`.
fn v1() -> Router<ClientApi> {
    Router::new()
        .merge(registration_tokens::routes())
        .merge(relations::routes())
        .merge(room_event_by_timestamp::routes())
        .merge(room_summary::routes())
        .merge(space_hierarchy::routes())
        .merge(threads_list::routes())
}

/// What `r0` and `v3` share.
fn v3() -> Router<ClientApi> {
    Router::new()
        .merge(account_data::routes())
        .merge(account_deactivation::routes())
        .merge(administrative_contact::routes())
        .merge(capabilities::routes())
        .merge(device_management::routes())
        .merge(directory::routes())
        .merge(event_context::routes())
        .merge(filter::routes())
        .merge(list_joined_rooms::routes())
        .merge(list_public_rooms::routes())
        .merge(login::routes())
        .merge(logout::routes())
        .merge(message_pagination::routes())
        .merge(password_management::routes())
        .merge(profile::routes())
        .merge(refresh::routes())
        .merge(register::routes())
        .merge(rooms::routes())
        .merge(tags::routes())
        .merge(whoami::routes())
}
