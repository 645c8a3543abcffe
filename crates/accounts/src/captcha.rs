//! Telling people from programs at registration. Who can tell is outside, and asked through [`CaptchaVerifier`].

use std::{fmt, net::IpAddr, sync::Arc};

use futures_util::future::BoxFuture;
use thiserror::Error;

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
