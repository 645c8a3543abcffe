//! Accepting an invitation with an account that somebody has on this server.
//!
//! The address is bound to the account at the identity service, which is what the invitation waits for. It does not become
//! an address of the account itself: those set forgotten passwords. Somebody could send a link to an address of their own
//! around, and would else own the account of whoever signs in there.

use axum::{extract::State, response::Response};
use gatehouse_accounts::{LoginError, Secret, Unavailable, User};
use gatehouse_http::{ApiError, ClientAddress, FormBody, LoginAttempt, LoginName, Path};
use gatehouse_identity::{AcceptError, InvitationPage, InvitationState};
use gatehouse_mail::Threepid;
use http::StatusCode;
use ruma::UserId;

use crate::{
    Pages,
    invitation::{Invitations, Problem},
};

/// Why nobody is signed in.
struct Refused {
    status: StatusCode,
    text: String,
}

impl Refused {
    fn new(status: StatusCode, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { status, text }
    }
}

/// `POST /_gatehouse/invitation/{code}/sign-in`: into the room with an account of this server. Sent twice, it does the
/// same.
pub(crate) async fn sign_in(
    State(invitations): State<Invitations>,
    address: ClientAddress,
    Path(code): Path<String>,
    form: FormBody,
) -> Result<Response, ApiError> {
    let Invitations { pages, identity } = &invitations;
    let name = form.field("name").trim();
    let login_name = pages.login_name(name).await?;
    let attempt = LoginAttempt::begin(&pages.http.rate_limits, address.0, &login_name)?;
    let invitation = match identity.invitation_by_code(&code).await {
        Ok(invitation) => invitation,
        Err(error) => return Ok(pages.unknown(&error)),
    };
    if invitation.state == InvitationState::Expired {
        return Ok(invitations.page(&code, &invitation, &Problem::None).await?);
    }
    let password = Secret::new(form.field("password"));
    let signed_in = pages.signed_in(name, &login_name, &password, &attempt).await?;
    let user = match signed_in {
        Ok(user) => user,
        Err(Refused { status, text }) => {
            let problem = Problem::SignIn { status, text, name };
            return Ok(invitations.page(&code, &invitation, &problem).await?);
        }
    };
    match invitations.accept(&code, &invitation, &user.user_id).await? {
        Ok(()) => pages.go_in(&invitation, &user.user_id).await,
        Err(error) => {
            let heading = "The invitation is not there any more";
            Ok(pages.message(StatusCode::CONFLICT, heading, &error.to_string()))
        }
    }
}

impl Invitations {
    /// The address is the user's from now on.
    pub(crate) async fn accept(
        &self,
        code: &str,
        invitation: &InvitationPage,
        user: &UserId,
    ) -> Result<Result<(), AcceptError>, Unavailable> {
        // Noted first: what is noted and not bound does no harm, the other way round it would outlive the account.
        let id_server = self.identity.server_name().as_str();
        let accounts = &self.pages.accounts;
        accounts
            .note_binding(user, &invitation.threepid, id_server)
            .await?;
        Ok(self.identity.accept_by_code(code, user).await)
    }
}

impl Pages {
    /// Who somebody says they are: a localpart, a user id, or an address of their account.
    async fn login_name(&self, name: &str) -> Result<LoginName, Unavailable> {
        if !name.starts_with('@')
            && name.contains('@')
            && let Ok(threepid) = Threepid::parse("email", name)
        {
            return LoginName::address(&self.accounts, &threepid).await;
        }
        Ok(LoginName::user(&self.accounts, name))
    }

    async fn signed_in(
        &self,
        typed: &str,
        name: &LoginName,
        password: &Secret,
        attempt: &LoginAttempt<'_>,
    ) -> Result<Result<User, Refused>, ApiError> {
        if typed.is_empty() || password.expose().is_empty() {
            let text = "Enter the name of your account and its password.";
            return Ok(Err(Refused::new(StatusCode::BAD_REQUEST, text)));
        }
        if typed.starts_with('@') && self.accounts.named_user(typed).is_none() {
            let text = format!(
                "This is no account of {}. Give a password to the account's own server only; what to do instead is said \
                 below.",
                self.config.server_name
            );
            return Ok(Err(Refused::new(StatusCode::BAD_REQUEST, text)));
        }
        let error = match self.accounts.user_by_password(&name.name, password).await {
            Ok(user) => return Ok(obstacle(&user).map_or(Ok(user), Err)),
            Err(error) => error,
        };
        let text = error.to_string();
        let refused = match error {
            LoginError::InvalidCredentials => {
                attempt.fail()?;
                let text = "Name and password do not belong together. An account that was closed cannot be used again.";
                Refused::new(StatusCode::FORBIDDEN, text)
            }
            LoginError::Locked => Refused::new(StatusCode::FORBIDDEN, text),
            error => return Err(error.into()),
        };
        Ok(Err(refused))
    }
}

/// What keeps a user from joining rooms.
fn obstacle(user: &User) -> Option<Refused> {
    let text = shut_out(user)?;
    Some(Refused::new(StatusCode::FORBIDDEN, text))
}

/// Why a user may not join rooms, if that is so.
pub(crate) fn shut_out(user: &User) -> Option<&'static str> {
    if user.is_deactivated {
        return Some("This account has been closed, and cannot be used again.");
    }
    if user.is_locked {
        return Some("This account has been locked by the administrators of this server.");
    }
    user.is_suspended.then_some(
        "This account has been suspended by the administrators of this server: it may read, but not join rooms.",
    )
}
