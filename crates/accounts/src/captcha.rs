//! Telling people from programs at registration. Who can tell is outside, and asked through [`CaptchaVerifier`].

use std::{fmt, net::IpAddr, sync::Arc};

use futures_util::future::BoxFuture;
use serde_json::{Map, Value};
use thiserror::Error;

use crate::{Accounts, StageFailure, UiaError};

/// The longest answer to a captcha, in bytes. Those of the field have some two thousand.
const MAX_ANSWER_BYTES: usize = 8_192;

/// Whoever gave the captcha says nothing, or nothing that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("The captcha cannot be checked at the moment. Try again in a few minutes.")]
pub struct CaptchaUnavailable;

/// Knows whether a captcha was answered well.
pub trait CaptchaVerifier: Send + Sync {
    /// Whether this is the answer of a person, who asks from this address. Nothing of it is kept.
    fn verify<'a>(
        &'a self,
        answer: &'a str,
        address: Option<IpAddr>,
    ) -> BoxFuture<'a, Result<bool, CaptchaUnavailable>>;
}

/// The captcha of this server.
#[derive(Clone)]
pub struct Captcha {
    /// Who knows.
    pub verifier: Arc<dyn CaptchaVerifier>,
    /// What clients show it with.
    pub public_key: String,
    /// Whether whoever registers has to answer one.
    pub required: bool,
}

impl fmt::Debug for Captcha {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Captcha")
            .field("required", &self.required)
            .finish_non_exhaustive()
    }
}

impl Accounts {
    /// Checks the answer in the stage's `response`.
    pub(crate) async fn try_captcha(
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
}
