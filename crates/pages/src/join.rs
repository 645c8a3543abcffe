//! Going into the room: the last step of every way.

use std::time::Duration;

use axum::{extract::State, response::Response};
use gatehouse_http::{ApiError, FormBody, Limit};
use gatehouse_identity::InvitationPage;
use gatehouse_rooms::{Join, Refusal, WriteError};
use http::StatusCode;
use minijinja::{Value, context};
use ruma::{OwnedServerName, RoomId, UserId};
use tokio::time::{Instant, sleep};

use crate::{Pages, client_links::client_links, invitation::shown_room, pass::Pass, sign_in::shut_out};

/// How long somebody waits for the invite to come, and how often it is looked for.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(50);

/// `POST /_gatehouse/invitation/join`: into the room, for whom a page has just made an account.
pub(crate) async fn join(State(pages): State<Pages>, form: FormBody) -> Result<Response, ApiError> {
    let now_ms = pages.clock.now_ms();
    let Some(pass) = Pass::read(form.field("pass"), &pages.config.pass_key, now_ms) else {
        let text = "This page is too old. Log in to a client with your new account; the invitation is there.";
        return Ok(pages.message(StatusCode::FORBIDDEN, "Go on in a client", text));
    };
    let user = pages.accounts.user(&pass.user_id).await?;
    if let Some(text) = user.as_ref().and_then(shut_out) {
        return Ok(pages.message(StatusCode::FORBIDDEN, COULD_NOT, text));
    }
    let via = pages.config.server_name.clone();
    pages.join_and_tell(&pass.user_id, &pass.room_id, via).await
}

const COULD_NOT: &str = "You could not join";

impl Pages {
    /// Into the room, for whom the invitation was accepted just now.
    pub(crate) async fn go_in(
        &self,
        invitation: &InvitationPage,
        user: &UserId,
    ) -> Result<Response, ApiError> {
        let via = invitation.sender.server_name().to_owned();
        self.join_and_tell(user, &invitation.room_id, via).await
    }

    async fn join_and_tell(
        &self,
        user: &UserId,
        room_id: &RoomId,
        via: OwnedServerName,
    ) -> Result<Response, ApiError> {
        self.count_join(user, room_id).await?;
        if let Err(error) = self.join_when_invited(user, room_id, &via).await {
            return Ok(self.message(StatusCode::FORBIDDEN, COULD_NOT, &error.to_string()));
        }
        let room = self.rooms.describe(room_id).await?;
        let name = room.and_then(|room| room.name);
        let page = context! {
            room => shown_room(name.as_deref()),
            user_id => user.as_str(),
            clients => Value::from(client_links(&self.config.clients, room_id, &via)),
        };
        Ok(self.html.page(StatusCode::OK, "joined.html", page))
    }

    /// One join, in the buckets of the client-server API (security.md T32).
    async fn count_join(&self, user: &UserId, room_id: &RoomId) -> Result<(), ApiError> {
        let limits = &self.http.rate_limits;
        if self.rooms.head(room_id).await?.is_none() {
            return limits.check(Limit::JoinsRemote, user.as_str());
        }
        limits.peek(Limit::JoinsPerRoom, room_id.as_str())?;
        limits.check(Limit::JoinsLocal, user.as_str())?;
        limits.check(Limit::JoinsPerRoom, room_id.as_str())
    }

    /// The invite is on its way: the identity service has been told a moment ago, and tells the rooms.
    async fn join_when_invited(
        &self,
        user: &UserId,
        room_id: &RoomId,
        via: &OwnedServerName,
    ) -> Result<(), WriteError> {
        let join = Join {
            via: vec![via.clone()],
            ..Join::default()
        };
        let deadline = Instant::now() + PATIENCE;
        loop {
            let joined = self.rooms.join(user, room_id, &join).await;
            let too_early = matches!(joined, Err(WriteError::Refused(Refusal::NotInvited)));
            if !too_early || Instant::now() >= deadline {
                return joined;
            }
            sleep(PAUSE).await;
        }
    }
}
