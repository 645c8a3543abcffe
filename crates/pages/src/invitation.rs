//! The page that an invitation's mail leads to. Whoever has the link has read the mail, so that the address is theirs;
//! looking at the page changes nothing, as programs that read mails follow links. Only its forms do: they make an account
//! or take a password, accept the invitation, and join.

use axum::{
    extract::{FromRef, State},
    response::Response,
};
use gatehouse_accounts::Unavailable;
use gatehouse_http::{ApiError, ClientAddress, Limit, Path};
use gatehouse_identity::{Identity, InvitationPage, InvitationPageError, InvitationState};
use gatehouse_mail::{Medium, one_line};
use http::StatusCode;
use minijinja::{Value, context};

use crate::{Pages, client_links::client_links, html::Html};

/// What invitations need beside what all pages need.
#[derive(Clone)]
pub(crate) struct Invitations {
    pub(crate) pages: Pages,
    pub(crate) identity: Identity,
}

impl FromRef<Invitations> for Pages {
    fn from_ref(invitations: &Invitations) -> Self {
        invitations.pages.clone()
    }
}

/// What was wrong with a form, and what stood in it but passwords.
#[derive(Debug)]
pub(crate) enum Problem<'a> {
    /// With none: the page is opened.
    None,
    /// With the form that makes an account.
    Account { text: String, username: &'a str },
    /// With the form that takes a password.
    SignIn {
        status: StatusCode,
        text: String,
        name: &'a str,
    },
}

/// How much of names is shown: enough for any that is meant to be read.
const INVITER_CHARS: usize = 40;
const ROOM_CHARS: usize = 60;

/// What a room is called that has no name.
pub(crate) const NAMELESS: &str = "a conversation";

/// `GET /_gatehouse/invitation/{code}`
pub(crate) async fn show(
    State(invitations): State<Invitations>,
    address: ClientAddress,
    Path(code): Path<String>,
) -> Result<Response, ApiError> {
    let limits = &invitations.pages.http.rate_limits;
    limits.check_address(Limit::Login, address.0)?;
    match invitations.identity.invitation_by_code(&code).await {
        Ok(invitation) => Ok(invitations.page(&code, &invitation, &Problem::None).await?),
        Err(error) => Ok(invitations.pages.unknown(&error)),
    }
}

impl Invitations {
    /// The invitation, as far as it can still be accepted.
    pub(crate) async fn page(
        &self,
        code: &str,
        invitation: &InvitationPage,
        problem: &Problem<'_>,
    ) -> Result<Response, Unavailable> {
        if let Some(closed) = closed(&invitation.state) {
            return Ok(self
                .pages
                .html
                .closed(&closed, &self.pages.clients_for(invitation)));
        }
        self.open(code, invitation, problem).await
    }

    async fn open(
        &self,
        code: &str,
        invitation: &InvitationPage,
        problem: &Problem<'_>,
    ) -> Result<Response, Unavailable> {
        let pages = &self.pages;
        // The address can belong to one account only, so that whoever has it here needs no other.
        let has_account = pages
            .accounts
            .threepid_owner(&invitation.threepid)
            .await?
            .is_some();
        let can_register = pages.accounts.invited_may_register() && !has_account;
        let (status, opened, text, name) = match problem {
            Problem::None if can_register => (StatusCode::OK, "account", None, ""),
            Problem::None => (StatusCode::OK, "sign-in", None, ""),
            Problem::Account { text, username } => {
                let opened = if can_register { "account" } else { "sign-in" };
                (StatusCode::BAD_REQUEST, opened, Some(text), *username)
            }
            Problem::SignIn { status, text, name } => (*status, "sign-in", Some(text), *name),
        };
        let page = context! {
            identity_server => self.identity.server_name().as_str(),
            path => format!("/_gatehouse/invitation/{code}"),
            homeserver => invitation.sender.server_name().as_str(),
            inviter => inviter_of(invitation),
            sender => invitation.sender.as_str(),
            address => invitation.obscured.as_str(),
            kind => kind_of(invitation),
            room => room_of(invitation),
            can_register,
            can_sign_in => true,
            has_account,
            opened,
            problem => text,
            name,
            clients => pages.clients_for(invitation),
        };
        Ok(pages.html.page(status, "invitation.html", page))
    }
}

impl Pages {
    /// Links to the room in clients.
    pub(crate) fn clients_for(&self, invitation: &InvitationPage) -> Value {
        let via = invitation.sender.server_name();
        Value::from(client_links(&self.config.clients, &invitation.room_id, via))
    }

    pub(crate) fn unknown(&self, error: &InvitationPageError) -> Response {
        let (status, heading) = unknown_words(error);
        self.message(status, heading, &error.to_string())
    }
}

/// What is said of an invitation that cannot be accepted any more.
pub(crate) struct Closed {
    status: StatusCode,
    heading: &'static str,
    text: String,
    /// Whether somebody is in the room by it, and may want to go there.
    is_accepted: bool,
}

pub(crate) fn closed(state: &InvitationState) -> Option<Closed> {
    match state {
        InvitationState::Open => None,
        InvitationState::Accepted(user) | InvitationState::Bound(user) => Some(Closed {
            status: StatusCode::OK,
            heading: "This invitation has been accepted",
            text: format!(
                "The invitation went to {user}. Log in to a client with that account; it is there."
            ),
            is_accepted: true,
        }),
        InvitationState::Expired => Some(Closed {
            status: StatusCode::GONE,
            heading: "This invitation is too old",
            text: "Ask whoever sent it for a new one.".to_owned(),
            is_accepted: false,
        }),
    }
}

impl Html {
    pub(crate) fn closed(&self, closed: &Closed, clients: &Value) -> Response {
        let page = context! {
            heading => closed.heading,
            text => closed.text.as_str(),
            clients => closed.is_accepted.then_some(clients),
        };
        self.page(closed.status, "message.html", page)
    }
}

/// What is said above an error.
pub(crate) fn unknown_words(error: &InvitationPageError) -> (StatusCode, &'static str) {
    match error {
        InvitationPageError::NotFound => (StatusCode::NOT_FOUND, "There is no such invitation"),
        InvitationPageError::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "Try again in a moment"),
    }
}

/// What people call an address of this kind.
pub(crate) fn kind_of(invitation: &InvitationPage) -> &'static str {
    match invitation.threepid.medium() {
        Medium::Email => "e-mail address",
        Medium::Msisdn => "phone number",
    }
}

pub(crate) fn room_of(invitation: &InvitationPage) -> String {
    let facts = &invitation.facts;
    shown_room(facts.room_name.as_deref().or(facts.room_alias.as_deref()))
}

/// A room's name as pages show it.
pub(crate) fn shown_room(name: Option<&str>) -> String {
    let name = one_line(name.unwrap_or_default(), ROOM_CHARS);
    if name.is_empty() {
        NAMELESS.to_owned()
    } else {
        name
    }
}

pub(crate) fn inviter_of(invitation: &InvitationPage) -> String {
    let name = invitation
        .facts
        .sender_display_name
        .as_deref()
        .unwrap_or_default();
    let name = one_line(name, INVITER_CHARS);
    if name.is_empty() {
        one_line(invitation.sender.as_str(), INVITER_CHARS)
    } else {
        name
    }
}
