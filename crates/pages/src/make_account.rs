//! Accepting an invitation with an account that is made for it.

use axum::{extract::State, response::Response};
use gatehouse_accounts::{InvitedUser, Secret};
use gatehouse_http::{ApiError, ClientAddress, FormBody, Limit, Path};
use gatehouse_identity::{InvitationPage, InvitationState};
use http::StatusCode;
use minijinja::context;
use ruma::UserId;

use crate::{
    Pages,
    invitation::{Invitations, Problem, inviter_of, room_of},
    pass::Pass,
};

/// `POST /_gatehouse/invitation/{code}/account`: an account with the address that the link proves.
pub(crate) async fn make_account(
    State(invitations): State<Invitations>,
    address: ClientAddress,
    Path(code): Path<String>,
    form: FormBody,
) -> Result<Response, ApiError> {
    let Invitations { pages, identity } = &invitations;
    let limits = &pages.http.rate_limits;
    limits.check_address(Limit::Registration, address.0)?;
    let invitation = match identity.invitation_by_code(&code).await {
        Ok(invitation) => invitation,
        Err(error) => return Ok(pages.unknown(&error)),
    };
    if invitation.state != InvitationState::Open {
        return Ok(invitations.page(&code, &invitation, &Problem::None).await?);
    }
    let username = form.field("username").trim();
    let password = Secret::new(form.field("password"));
    let user = InvitedUser {
        threepid: &invitation.threepid,
        username,
        password: &password,
    };
    let user_id = match pages.accounts.register_invited(&user, None).await {
        Ok(registered) => registered.user_id,
        Err(error) => {
            let text = error.to_string();
            let problem = Problem::Account { text, username };
            return Ok(invitations.page(&code, &invitation, &problem).await?);
        }
    };
    match invitations.accept(&code, &invitation, &user_id).await? {
        Ok(()) => Ok(pages.welcome(&invitation, &user_id)),
        Err(error) => {
            let text = format!("Your account {user_id} is ready, but: {error}");
            let heading = "The invitation is not there any more";
            Ok(pages.message(StatusCode::CONFLICT, heading, &text))
        }
    }
}

impl Pages {
    fn welcome(&self, invitation: &InvitationPage, user: &UserId) -> Response {
        let pass = Pass::new(user.to_owned(), invitation.room_id.clone(), self.clock.now_ms());
        let page = context! {
            inviter => inviter_of(invitation),
            room => room_of(invitation),
            user_id => user.as_str(),
            pass => pass.sign(&self.config.pass_key),
            clients => self.clients_for(invitation),
        };
        self.html.page(StatusCode::OK, "account.html", page)
    }
}
