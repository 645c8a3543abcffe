//! The pages of an identity server without a homeserver: they show an invitation and how to accept it. Accounts are made
//! elsewhere.

use std::sync::Arc;

use axum::{Router, extract::State, response::Response, routing::get};
use gatehouse_http::{ApiError, ClientAddress, Limit, Path, RateLimits};
use gatehouse_identity::{Identity, InvitationPage, InvitationPageError, InvitationState};
use http::StatusCode;
use minijinja::{Value, context};

use crate::{
    Client, PagesError,
    client_links::client_links,
    html::{Html, style},
    invitation::{inviter_of, room_of},
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
            config: Arc::new(config),
            html: Html::new()?,
        })
    }

    /// Everything under `/_gatehouse`.
    pub fn router(self) -> Router {
        let pages = Router::new()
            .route("/style.css", get(style))
            .route("/invitation/{code}", get(show));
        Router::new().nest("/_gatehouse", pages).with_state(self)
    }

    fn message(&self, status: StatusCode, heading: &str, text: &str) -> Response {
        let page = context! { server_name => self.config.server_name.as_str(), heading, text };
        self.html.page(status, "message.html", page)
    }

    /// As [`Self::message`], with links to the room.
    fn invited(&self, invitation: &InvitationPage, heading: &str, text: &str) -> Response {
        let via = invitation.sender.server_name();
        let clients = client_links(&self.config.clients, &invitation.room_id, via);
        let page = context! {
            server_name => self.config.server_name.as_str(),
            heading,
            text,
            clients => Value::from(clients),
        };
        self.html.page(StatusCode::OK, "message.html", page)
    }

    fn open(&self, invitation: &InvitationPage) -> Response {
        let heading = format!(
            "{} invites you to {}",
            inviter_of(invitation),
            room_of(invitation)
        );
        let text = format!(
            "The room is on Matrix, an open network for chat. You can take part with an account on {} or on any other \
             Matrix server. Add this e-mail address to your account, in your client's settings, and share it with the \
             identity server {}. The invitation then comes to you by itself.",
            invitation.sender.server_name(),
            self.identity.server_name(),
        );
        self.invited(invitation, &heading, &text)
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
        Err(error @ InvitationPageError::NotFound) => {
            let heading = "There is no such invitation";
            return Ok(pages.message(StatusCode::NOT_FOUND, heading, &error.to_string()));
        }
        Err(error @ InvitationPageError::Unavailable(_)) => {
            let heading = "Try again in a moment";
            return Ok(pages.message(StatusCode::SERVICE_UNAVAILABLE, heading, &error.to_string()));
        }
    };
    Ok(match &invitation.state {
        InvitationState::Open => pages.open(&invitation),
        InvitationState::Accepted(user) | InvitationState::Bound(user) => {
            let text =
                format!("The invitation went to {user}. Log in to a client with that account; it is there.");
            pages.invited(&invitation, "This invitation has been accepted", &text)
        }
        InvitationState::Expired => {
            let text = "Ask whoever sent it for a new one.";
            pages.message(StatusCode::GONE, "This invitation is too old", text)
        }
    })
}
