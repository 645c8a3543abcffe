//! What the handlers work with.

use std::sync::Arc;

use axum::response::Response;
use gatehouse_accounts::Accounts;
use gatehouse_events::Clock;
use gatehouse_http::HttpContext;
use gatehouse_rooms::Rooms;
use http::StatusCode;
use ruma::OwnedServerName;

use crate::{Client, html::Html, pass};

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

    /// A page that says one thing.
    pub(crate) fn message(&self, status: StatusCode, heading: &str, text: &str) -> Response {
        self.html.message(status, heading, text)
    }
}
