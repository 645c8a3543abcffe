//! Which page serves which path.

use axum::Router;

use crate::{
    FederationApi, backfill, event_auth, events, invites, joins, keys_query, keys_server, knocks, leaving,
    openid, public_rooms, query, space_hierarchy, third_party_invite, transactions, version,
};

/// Everything under `/_matrix/federation` and `/_matrix/key`.
pub fn router(state: FederationApi) -> Router {
    let version_1 = Router::new()
        .merge(backfill::routes())
        .merge(event_auth::routes())
        .merge(events::routes())
        .merge(invites::routes_v1())
        .merge(joins::routes_v1())
        .merge(knocks::routes())
        .merge(leaving::routes_v1())
        .merge(openid::routes())
        .merge(public_rooms::routes())
        .merge(query::routes())
        .merge(space_hierarchy::routes())
        .merge(third_party_invite::routes())
        .merge(transactions::routes())
        .merge(version::routes());
    let version_2 = Router::new()
        .merge(invites::routes_v2())
        .merge(joins::routes_v2())
        .merge(leaving::routes_v2());
    Router::new()
        .nest(
            "/_matrix/key/v2",
            keys_server::routes().merge(keys_query::routes()),
        )
        .nest("/_matrix/federation/v1", version_1)
        .nest("/_matrix/federation/v2", version_2)
        .with_state(state)
}
