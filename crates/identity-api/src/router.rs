//! Which page serves which path.

use axum::Router;

use crate::{
    IdentityApi, associations, auth, email_associations, invitation_signing, legacy_v1, lookup,
    phone_associations, ping, pubkey, store_invite, terms, versions,
};

/// Everything under `/_matrix/identity`.
pub fn router(state: IdentityApi) -> Router {
    let mut router = Router::new()
        .nest("/_matrix/identity", versions::routes().merge(ping::routes()))
        .nest("/_matrix/identity/v2", v2());
    if state.is_legacy_served {
        router = router
            .nest("/_matrix/identity", ping::legacy_routes())
            .nest("/_matrix/identity/api/v1", legacy_v1::routes());
    }
    router.with_state(state)
}

fn v2() -> Router<IdentityApi> {
    Router::new()
        .merge(associations::routes())
        .merge(auth::routes())
        .merge(email_associations::routes())
        .merge(invitation_signing::routes())
        .merge(lookup::routes())
        .merge(phone_associations::routes())
        .merge(pubkey::routes())
        .merge(store_invite::routes())
        .merge(terms::routes())
}
