//! Which page serves which path.

use axum::Router;

use crate::{FederationApi, keys_server, openid, third_party_invite, version};

/// Everything under `/_matrix/federation` and `/_matrix/key`.
pub fn router(state: FederationApi) -> Router {
    Router::new()
        .nest("/_matrix/key/v2", keys_server::routes())
        .nest(
            "/_matrix/federation/v1",
            openid::routes()
                .merge(third_party_invite::routes())
                .merge(version::routes()),
        )
        .with_state(state)
}
