//! The stages: what can be proved, and how.

use serde_json::{Map, Value};
use thiserror::Error;

use super::{UiaError, UiaRequest};
use crate::{Accounts, Secret};

/// A stage that this server knows. E-mail, phone, terms and captcha come here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// `m.login.dummy`: nothing to prove.
    Dummy,
    /// `m.login.password`: the password of the user.
    Password,
    /// `m.login.registration_token`: a token that an administrator made.
    RegistrationToken,
}

impl Stage {
    /// As in the specification.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dummy => "m.login.dummy",
            Self::Password => "m.login.password",
            Self::RegistrationToken => "m.login.registration_token",
        }
    }

    fn parse(kind: &str) -> Option<Self> {
        [Self::Dummy, Self::Password, Self::RegistrationToken]
            .into_iter()
            .find(|stage| stage.as_str() == kind)
    }
}

/// Stages that together suffice, in an order that makes sense.
pub type Flow = &'static [Stage];

/// What was wrong with a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum StageFailure {
    /// The password is not the user's. `M_FORBIDDEN`.
    #[error("Invalid username or password.")]
    WrongPassword,
    /// The registration token cannot be used. `M_FORBIDDEN`.
    #[error("This registration token is not valid.")]
    WrongToken,
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
        let wanted = Stage::parse(kind).filter(|stage| request.flows.iter().any(|flow| flow.contains(stage)));
        match wanted {
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
        }
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
