//! The page that an invitation's mail leads to. Whoever has the link has read the mail, so that the address is theirs;
//! looking at the page changes nothing, as programs that read mails follow links. Only its forms do.
//!
//! Forms need no protection against other sites: there is no cookie, and whoever could send one needs the secret in its
//! path or in its field.

use std::time::Duration;

use axum::{
    Router,
    extract::State,
    response::Response,
    routing::{get, post},
};
use gatehouse_accounts::{InvitedUser, Secret};
use gatehouse_http::{ApiError, ClientAddress, FormBody, Limit, Path};
use gatehouse_identity::{AcceptError, InvitationPage, InvitationPageError, InvitationState};
use gatehouse_rooms::{Join, Refusal, WriteError};
use http::StatusCode;
use minijinja::{Value, context};
use ruma::UserId;
use tokio::time::{Instant, sleep};

use crate::{Pages, client_links::client_links, html::style, pass::Pass};

pub(crate) fn routes() -> Router<Pages> {
    Router::new()
        .route("/style.css", get(style))
        .route("/invitation/join", post(join))
        .route("/invitation/{code}", get(show))
        .route("/invitation/{code}/account", post(make_account))
}

/// How long somebody waits for the invite to come, and how often it is looked for.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(50);

/// What was wrong with a form, and what stood in it.
#[derive(Debug, Default)]
struct Problem<'a> {
    text: Option<String>,
    username: &'a str,
}

/// `GET /_gatehouse/invitation/{code}`
async fn show(
    State(pages): State<Pages>,
    address: ClientAddress,
    Path(code): Path<String>,
) -> Result<Response, ApiError> {
    pages.http.rate_limits.check_address(Limit::Login, address.0)?;
    Ok(match pages.identity.invitation_by_code(&code).await {
        Ok(invitation) => invited(&pages, &code, &invitation, &Problem::default()),
        Err(error) => unknown(&pages, &error),
    })
}

/// `POST /_gatehouse/invitation/{code}/account`: an account with the address that the link proves.
async fn make_account(
    State(pages): State<Pages>,
    address: ClientAddress,
    Path(code): Path<String>,
    form: FormBody,
) -> Result<Response, ApiError> {
    pages
        .http
        .rate_limits
        .check_address(Limit::Registration, address.0)?;
    let invitation = match pages.identity.invitation_by_code(&code).await {
        Ok(invitation) => invitation,
        Err(error) => return Ok(unknown(&pages, &error)),
    };
    if invitation.state != InvitationState::Open {
        return Ok(invited(&pages, &code, &invitation, &Problem::default()));
    }
    let username = form.field("username").trim();
    let password = Secret::new(form.field("password"));
    let user = InvitedUser {
        threepid: &invitation.threepid,
        username,
        password: &password,
    };
    let registered = match pages.accounts.register_invited(&user, None).await {
        Ok(registered) => registered,
        Err(error) => {
            let text = Some(error.to_string());
            return Ok(invited(&pages, &code, &invitation, &Problem { text, username }));
        }
    };
    let accepted = pages.identity.accept_by_code(&code, &registered.user_id).await;
    Ok(match accepted {
        Ok(()) => welcome(&pages, &invitation, &registered.user_id),
        Err(error) => half_way(&pages, &registered.user_id, &error),
    })
}

/// `POST /_gatehouse/invitation/join`: into the room, for whom this page has just made an account.
async fn join(State(pages): State<Pages>, form: FormBody) -> Result<Response, ApiError> {
    let now_ms = pages.clock.now_ms();
    let Some(pass) = Pass::read(form.field("pass"), &pages.config.pass_key, now_ms) else {
        let text = "This page is too old. Log in to a client with your new account; the invitation is there.";
        return Ok(pages.message(StatusCode::FORBIDDEN, "Go on in a client", text));
    };
    if let Err(error) = join_when_invited(&pages, &pass).await {
        return Ok(pages.message(StatusCode::FORBIDDEN, "You could not join", &error.to_string()));
    }
    let room = pages.rooms.describe(&pass.room_id).await?;
    let page = context! {
        server_name => pages.config.server_name.as_str(),
        homeserver => pages.config.server_name.as_str(),
        room => room.and_then(|room| room.name).unwrap_or_else(|| NAMELESS.to_owned()),
        user_id => pass.user_id.as_str(),
        clients => Value::from(client_links(&pages.config.clients, &pass.room_id, &pages.config.server_name)),
    };
    Ok(pages.html.page(StatusCode::OK, "joined.html", page))
}

/// The invite is on its way: the identity service has been told a moment ago, and tells the rooms.
async fn join_when_invited(pages: &Pages, pass: &Pass) -> Result<(), WriteError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let joined = pages
            .rooms
            .join(&pass.user_id, &pass.room_id, &Join::default())
            .await;
        let too_early = matches!(joined, Err(WriteError::Refused(Refusal::NotInvited)));
        if !too_early || Instant::now() >= deadline {
            return joined;
        }
        sleep(PAUSE).await;
    }
}

/// What a room is called that has no name.
const NAMELESS: &str = "a conversation";

pub(crate) fn room_of(invitation: &InvitationPage) -> String {
    let facts = &invitation.facts;
    let name = facts.room_name.clone().or_else(|| facts.room_alias.clone());
    name.filter(|name| !name.trim().is_empty())
        .unwrap_or_else(|| NAMELESS.to_owned())
}

pub(crate) fn inviter_of(invitation: &InvitationPage) -> String {
    let name = invitation.facts.sender_display_name.clone();
    name.filter(|name| !name.trim().is_empty())
        .unwrap_or_else(|| invitation.sender.to_string())
}

/// What is said of an invitation that cannot be accepted any more.
pub(crate) fn closed(state: &InvitationState) -> Option<(StatusCode, &'static str, String)> {
    match state {
        InvitationState::Open => None,
        InvitationState::Accepted(user) | InvitationState::Bound(user) => {
            let text =
                format!("The invitation went to {user}. Log in to a client with that account; it is there.");
            Some((StatusCode::OK, "This invitation has been accepted", text))
        }
        InvitationState::Expired => {
            let text = "Ask whoever sent it for a new one.".to_owned();
            Some((StatusCode::GONE, "This invitation is too old", text))
        }
    }
}

/// The invitation, as far as it can still be accepted.
fn invited(pages: &Pages, code: &str, invitation: &InvitationPage, problem: &Problem<'_>) -> Response {
    if let Some((status, heading, text)) = closed(&invitation.state) {
        return pages.message(status, heading, &text);
    }
    let status = match problem.text {
        Some(_) => StatusCode::BAD_REQUEST,
        None => StatusCode::OK,
    };
    let page = context! {
        server_name => pages.config.server_name.as_str(),
        homeserver => invitation.sender.server_name().as_str(),
        identity_server => pages.identity.server_name().as_str(),
        path => format!("/_gatehouse/invitation/{code}"),
        inviter => inviter_of(invitation),
        room => room_of(invitation),
        can_register => pages.accounts.invited_may_register(),
        problem => problem.text.clone(),
        username => problem.username,
        clients => Value::from(client_links(&pages.config.clients, &invitation.room_id, invitation.sender.server_name())),
    };
    pages.html.page(status, "invitation.html", page)
}

fn welcome(pages: &Pages, invitation: &InvitationPage, user: &UserId) -> Response {
    let pass = Pass::new(user.to_owned(), invitation.room_id.clone(), pages.clock.now_ms());
    let page = context! {
        server_name => pages.config.server_name.as_str(),
        homeserver => pages.config.server_name.as_str(),
        inviter => inviter_of(invitation),
        room => room_of(invitation),
        user_id => user.as_str(),
        pass => pass.sign(&pages.config.pass_key),
        clients => Value::from(client_links(&pages.config.clients, &invitation.room_id, invitation.sender.server_name())),
    };
    pages.html.page(StatusCode::OK, "account.html", page)
}

/// The account is made, but the invitation went elsewhere meanwhile.
fn half_way(pages: &Pages, user: &UserId, error: &AcceptError) -> Response {
    let text = format!("Your account {user} is ready, but: {error}");
    pages.message(
        StatusCode::CONFLICT,
        "The invitation is not there any more",
        &text,
    )
}

fn unknown(pages: &Pages, error: &InvitationPageError) -> Response {
    let (status, heading) = unknown_words(error);
    pages.message(status, heading, &error.to_string())
}

/// What is said above an error.
pub(crate) fn unknown_words(error: &InvitationPageError) -> (StatusCode, &'static str) {
    match error {
        InvitationPageError::NotFound => (StatusCode::NOT_FOUND, "There is no such invitation"),
        InvitationPageError::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "Try again in a moment"),
    }
}
