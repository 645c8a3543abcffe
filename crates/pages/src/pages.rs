//! What the handlers work with.

use std::sync::Arc;

use axum::{
    Router,
    middleware::{from_fn, from_fn_with_state},
    response::Response,
    routing::get,
};
use gatehouse_accounts::Accounts;
use gatehouse_events::Clock;
use gatehouse_http::HttpContext;
use gatehouse_identity::Identity;
use gatehouse_rooms::Rooms;
use http::StatusCode;
use ruma::OwnedServerName;

use crate::{
    Client, failures,
    html::{Html, style},
    invitation::{self, Invitations},
    pass, validation,
};

/// What pages are derived for, where a key is needed.
pub const PASS_KEY_PURPOSE: &str = pass::PURPOSE;

/// What an operator may set about pages.
pub struct PagesConfig {
    /// The homeserver's name.
    pub server_name: OwnedServerName,
    /// Clients that pages offer.
    pub clients: Vec<Client>,
    /// Signs what a form gives back; derived for [`PASS_KEY_PURPOSE`].
    pub pass_key: [u8; 32],
}

/// The engines behind the pages. Cheap to clone.
#[derive(Clone)]
pub struct Pages {
    pub(crate) http: HttpContext,
    pub(crate) accounts: Accounts,
    pub(crate) rooms: Rooms,
    pub(crate) clock: Clock,
    pub(crate) config: Arc<PagesConfig>,
    pub(crate) html: Html,
}

/// The templates are broken.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct PagesError(#[from] minijinja::Error);

impl Pages {
    /// Pages over these engines.
    pub fn new(
        http: HttpContext,
        rooms: Rooms,
        clock: Clock,
        config: PagesConfig,
    ) -> Result<Self, PagesError> {
        Ok(Self {
            accounts: http.accounts.clone(),
            http,
            rooms,
            clock,
            html: Html::new(config.server_name.as_str())?,
            config: Arc::new(config),
        })
    }

    /// Everything under `/_gatehouse`; invitations where the identity service that sends them runs.
    pub fn router(self, identity: Option<Identity>) -> Router {
        let mut router = Router::new()
            .route("/style.css", get(style))
            .merge(validation::routes().with_state(self.clone()));
        if let Some(identity) = identity {
            let pages = self.clone();
            router = router.merge(invitation::routes().with_state(Invitations { pages, identity }));
        }
        Router::new().nest(
            "/_gatehouse",
            router
                .layer(from_fn(failures::refuse_foreign_forms))
                .layer(from_fn_with_state(self.html, failures::show)),
        )
    }

    /// A page that says one thing.
    pub(crate) fn message(&self, status: StatusCode, heading: &str, text: &str) -> Response {
        self.html.message(status, heading, text)
    }
}
