//! Which page is where.

use axum::{
    Router,
    middleware::{from_fn, from_fn_with_state},
    routing::{get, post},
};
use gatehouse_identity::Identity;

use crate::{
    Pages, failures,
    html::style,
    invitation::{Invitations, show},
    join::join,
    make_account::make_account,
    sign_in::sign_in,
    validation::{allow_password, ask_to_allow_password, validate},
};

impl Pages {
    /// Everything under `/_gatehouse`; invitations where the identity service that sends them runs.
    pub fn router(self, identity: Option<Identity>) -> Router {
        let mut router = Router::new()
            .route("/style.css", get(style))
            .route("/validate", get(validate))
            .route("/allow_password", get(ask_to_allow_password).post(allow_password))
            .with_state(self.clone());
        if let Some(identity) = identity {
            let pages = self.clone();
            router = router.merge(invitations().with_state(Invitations { pages, identity }));
        }
        Router::new().nest(
            "/_gatehouse",
            router
                .layer(from_fn(failures::refuse_foreign_forms))
                .layer(from_fn_with_state(self.html, failures::show)),
        )
    }
}

fn invitations() -> Router<Invitations> {
    Router::new()
        .route("/invitation/join", post(join))
        .route("/invitation/{code}", get(show))
        .route("/invitation/{code}/account", post(make_account))
        .route("/invitation/{code}/sign-in", post(sign_in))
}
