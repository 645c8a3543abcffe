//! Which page serves which path.

use axum::Router;

use crate::{
    ClientApi, account_data, account_deactivation, administrative_contact, capabilities, device_management,
    filter, login, logout, password_management, profile, refresh, register, registration_tokens, tags,
    versions, wellknown, whoami,
};

/// Everything under `/_matrix/client` and `/.well-known/matrix`.
pub fn router(state: ClientApi) -> Router {
    Router::new()
        .nest("/_matrix/client", versions::routes())
        .nest("/_matrix/client/v1", v1())
        .nest("/_matrix/client/v3", v3())
        // The paths of 2016 to 2021; the pages are the same.
        .nest("/_matrix/client/r0", v3())
        .nest("/.well-known/matrix", wellknown::routes())
        .with_state(state)
}

/// What came with versions 1.1 and later under `v1`.
fn v1() -> Router<ClientApi> {
    registration_tokens::routes()
}

/// What `r0` and `v3` share.
fn v3() -> Router<ClientApi> {
    Router::new()
        .merge(account_data::routes())
        .merge(account_deactivation::routes())
        .merge(administrative_contact::routes())
        .merge(capabilities::routes())
        .merge(device_management::routes())
        .merge(filter::routes())
        .merge(login::routes())
        .merge(logout::routes())
        .merge(password_management::routes())
        .merge(profile::routes())
        .merge(refresh::routes())
        .merge(register::routes())
        .merge(tags::routes())
        .merge(whoami::routes())
}
