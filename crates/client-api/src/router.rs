//! Which page serves which path.

use axum::Router;

use crate::{
    ClientApi, account_data, account_deactivation, admin, administrative_contact, banning, capabilities,
    create_room, device_management, directory, event_context, filter, inviting, joining, kicking, knocking,
    leaving, legacy_v1, list_joined_rooms, list_public_rooms, login, logout, message_pagination, old_sync,
    openid, password_management, presence, profile, push_rules, pushers, redaction, refresh, register,
    registration_tokens, relations, report_content, room_event_by_timestamp, room_send, room_state,
    room_summary, room_upgrades, rooms, space_hierarchy, sync, tags, threads_list, validation_codes,
    versions, wellknown, whoami,
};

/// Everything under `/_matrix/client` and `/.well-known/matrix`, and the pages that prove addresses.
pub fn router(state: ClientApi) -> Router {
    Router::new()
        .nest("/_matrix/client", versions::routes())
        .nest("/_matrix/client/v1", v1())
        .nest("/_matrix/client/v3", shared().merge(create_room::routes()))
        // The paths of 2016 to 2021; the pages are the same.
        .nest("/_matrix/client/r0", shared().merge(create_room::legacy_routes()))
        .nest("/_matrix/client/unstable", unstable())
        .nest("/_matrix/client/api/v1", legacy_v1::routes())
        .nest("/.well-known/matrix", wellknown::routes())
        .nest("/_gatehouse", validation_codes::routes())
        .with_state(state)
}

/// What came with versions 1.1 and later under `v1`.
fn v1() -> Router<ClientApi> {
    Router::new()
        .merge(admin::v1_routes())
        .merge(registration_tokens::routes())
        .merge(relations::routes())
        .merge(room_event_by_timestamp::routes())
        .merge(room_summary::routes())
        .merge(space_hierarchy::routes())
        .merge(threads_list::routes())
}

/// What clients knew by another name before it was specified.
fn unstable() -> Router<ClientApi> {
    administrative_contact::unstable_routes().merge(room_summary::unstable_routes())
}

/// What `r0` and `v3` share.
fn shared() -> Router<ClientApi> {
    accounts().merge(room_reads()).merge(room_writes())
}

fn accounts() -> Router<ClientApi> {
    Router::new()
        .merge(account_data::routes())
        .merge(account_deactivation::routes())
        .merge(admin::routes())
        .merge(administrative_contact::routes())
        .merge(capabilities::routes())
        .merge(device_management::routes())
        .merge(filter::routes())
        .merge(login::routes())
        .merge(logout::routes())
        .merge(openid::routes())
        .merge(password_management::routes())
        .merge(presence::routes())
        .merge(profile::routes())
        .merge(push_rules::routes())
        .merge(pushers::routes())
        .merge(refresh::routes())
        .merge(register::routes())
        .merge(tags::routes())
        .merge(whoami::routes())
}

fn room_reads() -> Router<ClientApi> {
    Router::new()
        .merge(directory::routes())
        .merge(event_context::routes())
        .merge(list_joined_rooms::routes())
        .merge(list_public_rooms::routes())
        .merge(message_pagination::routes())
        .merge(old_sync::routes())
        .merge(rooms::routes())
        .merge(sync::routes())
}

fn room_writes() -> Router<ClientApi> {
    Router::new()
        .merge(banning::routes())
        .merge(inviting::routes())
        .merge(joining::routes())
        .merge(kicking::routes())
        .merge(knocking::routes())
        .merge(leaving::routes())
        .merge(redaction::routes())
        .merge(report_content::routes())
        .merge(room_send::routes())
        .merge(room_state::routes())
        .merge(room_upgrades::routes())
}
