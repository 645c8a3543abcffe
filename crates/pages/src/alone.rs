//! The pages of an identity server without a homeserver: they show an invitation and how to accept it. Accounts are made
//! elsewhere.

use std::sync::Arc;

use axum::{Router, extract::State, middleware::from_fn_with_state, response::Response, routing::get};
use gatehouse_http::{ApiError, ClientAddress, Limit, Path, RateLimits};
use gatehouse_identity::Identity;
use http::StatusCode;
use minijinja::{Value, context};

use crate::{
    Client, PagesError,
    client_links::client_links,
    failures,
    html::{Html, style},
    invitation::{closed, inviter_of, kind_of, room_of, unknown_words},
};

/// What an operator may set about them.
#[derive(Debug, Clone)]
pub struct IdentityPagesConfig {
    /// As whom the server speaks.
    pub server_name: String,
    /// Clients that pages offer.
    pub clients: Vec<Client>,
}

/// The engine behind the pages. Cheap to clone.
#[derive(Clone)]
pub struct IdentityPages {
    identity: Identity,
    rate_limits: Arc<RateLimits>,
    config: Arc<IdentityPagesConfig>,
    html: Html,
}

impl IdentityPages {
    /// Pages over this engine.
    pub fn new(
        identity: Identity,
        rate_limits: Arc<RateLimits>,
        config: IdentityPagesConfig,
    ) -> Result<Self, PagesError> {
        Ok(Self {
            identity,
            rate_limits,
            html: Html::new(&config.server_name)?,
            config: Arc::new(config),
        })
    }

    /// Everything under `/_gatehouse`.
    pub fn router(self) -> Router {
        let pages = Router::new()
            .route("/style.css", get(style))
            .route("/invitation/{code}", get(show));
        let failures = from_fn_with_state(self.html.clone(), failures::show);
        Router::new().nest("/_gatehouse", pages.layer(failures).with_state(self))
    }
}

/// `GET /_gatehouse/invitation/{code}`
async fn show(
    State(pages): State<IdentityPages>,
    address: ClientAddress,
    Path(code): Path<String>,
) -> Result<Response, ApiError> {
    pages.rate_limits.check_address(Limit::Login, address.0)?;
    let invitation = match pages.identity.invitation_by_code(&code).await {
        Ok(invitation) => invitation,
        Err(error) => {
            let (status, heading) = unknown_words(&error);
            return Ok(pages.html.message(status, heading, &error.to_string()));
        }
    };
    let homeserver = invitation.sender.server_name();
    let clients = Value::from(client_links(
        &pages.config.clients,
        &invitation.room_id,
        homeserver,
    ));
    if let Some(closed) = closed(&invitation.state) {
        return Ok(pages.html.closed(&closed, &clients));
    }
    let page = context! {
        homeserver => homeserver.as_str(),
        identity_server => pages.identity.server_name().as_str(),
        inviter => inviter_of(&invitation),
        sender => invitation.sender.as_str(),
        address => invitation.obscured.as_str(),
        kind => kind_of(&invitation),
        room => room_of(&invitation),
        can_register => false,
        can_sign_in => false,
        opened => "elsewhere",
        clients,
    };
    Ok(pages.html.page(StatusCode::OK, "invitation.html", page))
}
