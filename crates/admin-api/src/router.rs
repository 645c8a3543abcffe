//! Which page serves which path.

use axum::Router;

use crate::{
    AdminApi, federation, registration_tokens, server_version, shared_secret_register, user_devices,
    user_rooms, users,
};

/// Everything under `/_synapse/admin`.
pub fn router(state: AdminApi) -> Router {
    let pages = Router::new()
        .merge(federation::routes())
        .merge(registration_tokens::routes())
        .merge(server_version::routes())
        .merge(shared_secret_register::routes())
        .merge(user_devices::routes())
        .merge(user_rooms::routes())
        .merge(users::routes());
    Router::new().nest("/_synapse/admin", pages).with_state(state)
}
