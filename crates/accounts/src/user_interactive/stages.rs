//! The stages: what can be proved, and how.

use std::net::IpAddr;

use gatehouse_mail::Medium;
use serde_json::{Map, Value};
use thiserror::Error;

use super::{UiaError, UiaRequest};
use crate::{Accounts, Purpose, Secret, ValidatedError};

/// The longest answer to a captcha, in bytes. Those of the field have some two thousand.
const MAX_ANSWER_BYTES: usize = 8_192;

/// A stage that this server knows. Terms come here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// `m.login.dummy`: nothing to prove.
    Dummy,
    /// `m.login.password`: the password of the user.
    Password,
    /// `m.login.registration_token`: a token that an administrator made.
    RegistrationToken,
    /// `m.login.recaptcha`: that one is a person.
    Recaptcha,
    /// `m.login.email.identity`: an e-mail address, proven for this.
    Email(Purpose),
    /// `m.login.msisdn`: a phone number, proven for this.
    Msisdn(Purpose),
}

impl Stage {
    /// As in the specification.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dummy => "m.login.dummy",
            Self::Password => "m.login.password",
            Self::RegistrationToken => "m.login.registration_token",
            Self::Recaptcha => "m.login.recaptcha",
            Self::Email(_) => "m.login.email.identity",
            Self::Msisdn(_) => "m.login.msisdn",
        }
    }
}

/// Stages that together suffice, in an order that makes sense.
pub type Flow = Vec<Stage>;

/// What was wrong with a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum StageFailure {
    /// The password is not the user's. `M_FORBIDDEN`.
    #[error("Invalid username or password.")]
    WrongPassword,
    /// The registration token cannot be used. `M_FORBIDDEN`.
    #[error("This registration token is not valid.")]
    WrongToken,
    /// There is no answer to the captcha. `M_CAPTCHA_NEEDED`.
    #[error("The answer to the captcha is missing. Send it as `response`.")]
    NoCaptcha,
    /// The captcha was not answered well, or the answer was used. `M_CAPTCHA_INVALID`.
    #[error("This does not answer the captcha, or not any more. Answer another.")]
    WrongCaptcha,
    /// The address is not proven, or what proved it was used. `M_THREEPID_AUTH_FAILED`.
    #[error("This address is not proven. Follow the link or enter the code that was sent to it.")]
    NotProven,
    /// The address belongs to another account. `M_THREEPID_IN_USE`.
    #[error("This address has an account here already. Log in to that one.")]
    AddressInUse,
    /// The stage lacks something or has it in the wrong type. `M_BAD_JSON`.
    #[error("The authentication lacks a field of its stage, or has it in the wrong type.")]
    Malformed,
    /// The stage is not one of the flows'. `M_UNRECOGNIZED`.
    #[error("This kind of authentication is not one of those asked for.")]
    UnknownStage,
    /// There is no such session any more. `M_UNKNOWN`.
    #[error("This authentication session has expired or was used. Start again.")]
    UnknownSession,
}

impl Accounts {
    /// Looks at one stage. The inner error is what the client is told.
    pub(super) async fn try_stage(
        &self,
        request: &UiaRequest<'_>,
        auth: &Map<String, Value>,
        kind: &str,
    ) -> Result<Result<Stage, StageFailure>, UiaError> {
        let wanted = request
            .flows
            .iter()
            .flatten()
            .chain(request.also)
            .find(|stage| stage.as_str() == kind);
        match wanted.copied() {
            None => Ok(Err(StageFailure::UnknownStage)),
            Some(Stage::Dummy) => Ok(Ok(Stage::Dummy)),
            Some(Stage::Password) => self.try_password(request, auth).await,
            Some(Stage::RegistrationToken) => {
                let Some(token) = auth.get("token").and_then(Value::as_str) else {
                    return Ok(Err(StageFailure::Malformed));
                };
                let usable = self.is_registration_token_usable(token).await?;
                Ok(usable
                    .then_some(Stage::RegistrationToken)
                    .ok_or(StageFailure::WrongToken))
            }
            Some(Stage::Recaptcha) => {
                let tried = self.try_captcha(auth, request.address).await?;
                Ok(tried.map(|()| Stage::Recaptcha))
            }
            Some(stage @ Stage::Email(purpose)) => {
                let tried = self.try_address(auth, Medium::Email, purpose).await?;
                Ok(tried.map(|()| stage))
            }
            Some(stage @ Stage::Msisdn(purpose)) => {
                let tried = self.try_address(auth, Medium::Msisdn, purpose).await?;
                Ok(tried.map(|()| stage))
            }
        }
    }

    /// Checks the answer in the stage's `response`.
    async fn try_captcha(
        &self,
        auth: &Map<String, Value>,
        address: Option<IpAddr>,
    ) -> Result<Result<(), StageFailure>, UiaError> {
        let Some(captcha) = self.captcha() else {
            return Ok(Err(StageFailure::UnknownStage));
        };
        let answer = match auth.get("response") {
            None | Some(Value::Null) => return Ok(Err(StageFailure::NoCaptcha)),
            Some(Value::String(answer)) if answer.is_empty() => return Ok(Err(StageFailure::NoCaptcha)),
            Some(Value::String(answer)) if answer.len() <= MAX_ANSWER_BYTES => answer,
            Some(_) => return Ok(Err(StageFailure::Malformed)),
        };
        let right = captcha.verifier.verify(answer, address).await?;
        Ok(right.then_some(()).ok_or(StageFailure::WrongCaptcha))
    }

    async fn try_address(
        &self,
        auth: &Map<String, Value>,
        medium: Medium,
        purpose: Purpose,
    ) -> Result<Result<(), StageFailure>, UiaError> {
        let Some((sid, client_secret)) = threepid_creds(auth) else {
            return Ok(Err(StageFailure::Malformed));
        };
        let proven = match self.validated(purpose, sid, client_secret).await {
            Ok(proven) if proven.threepid().medium() == medium => proven,
            Ok(_) | Err(ValidatedError::NoSession | ValidatedError::NotValidated | ValidatedError::Used) => {
                return Ok(Err(StageFailure::NotProven));
            }
            Err(ValidatedError::Invalid) => return Ok(Err(StageFailure::Malformed)),
            Err(ValidatedError::Unavailable(source)) => return Err(source.into()),
        };
        let is_new = purpose != Purpose::ResetPassword;
        if is_new && self.threepid_owner(proven.threepid()).await?.is_some() {
            return Ok(Err(StageFailure::AddressInUse));
        }
        Ok(Ok(()))
    }

    async fn try_password(
        &self,
        request: &UiaRequest<'_>,
        auth: &Map<String, Value>,
    ) -> Result<Result<Stage, StageFailure>, UiaError> {
        let identifier = auth.get("identifier").and_then(Value::as_object);
        let name = match identifier {
            Some(identifier) if identifier.get("type").and_then(Value::as_str) == Some("m.id.user") => {
                identifier.get("user")
            }
            Some(_) => None,
            // The form of r0.
            None => auth.get("user"),
        };
        let name = name.and_then(Value::as_str);
        let (Some(name), Some(password)) = (name, auth.get("password").and_then(Value::as_str)) else {
            return Ok(Err(StageFailure::Malformed));
        };
        let user_id = self.named_user(name).ok_or(UiaError::OtherUser)?;
        if request.user_id.is_some_and(|requester| requester != user_id) {
            return Err(UiaError::OtherUser);
        }
        let right = self.check_password(&user_id, &Secret::new(password)).await?;
        Ok(right
            .then_some(Stage::Password)
            .ok_or(StageFailure::WrongPassword))
    }
}

/// Session and secret of a proven address. Both names of the object are in use.
pub(super) fn threepid_creds(auth: &Map<String, Value>) -> Option<(&str, &str)> {
    let creds = auth.get("threepid_creds").or_else(|| auth.get("threepidCreds"))?;
    let text = |key: &str| creds.get(key).and_then(Value::as_str);
    Some((text("sid")?, text("client_secret")?))
}
