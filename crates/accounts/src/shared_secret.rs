//! Registration by whoever knows the operator's shared secret: `/_synapse/admin/v1/register`.
//!
//! A nonce is made from the time and randomness and authenticated with the secret, so that it holds on every node
//! that knows the secret and nothing need be stored to give one out.

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;
use thiserror::Error;

use crate::{Accounts, Secret, Unavailable, random};

/// How long a nonce holds.
const NONCE_LIFETIME_MS: u64 = 60_000;

/// Why a registration by shared secret was refused.
#[derive(Debug, Clone, Error)]
pub enum SharedSecretError {
    /// The operator has set no secret.
    #[error(
        "Registration by shared secret is off on this server: set `[registration] shared_secret` to enable it."
    )]
    Disabled,
    /// The nonce is not ours, was used, or is older than a minute.
    #[error("This nonce is not valid any more. Ask for a new one.")]
    InvalidNonce,
    /// The code was not made with our secret.
    #[error("The HMAC is not correct: check the shared secret and the fields that it covers.")]
    InvalidMac,
    /// The server cannot.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// What the code covers.
#[derive(Debug)]
pub struct SharedSecretRequest<'a> {
    /// As given out by [`Accounts::registration_nonce`].
    pub nonce: &'a str,
    /// As sent.
    pub username: &'a str,
    /// As sent.
    pub password: &'a Secret,
    /// Whether the user shall be an administrator.
    pub admin: bool,
    /// Synapse's kinds of users; only covered, and otherwise ignored.
    pub user_type: Option<&'a str>,
    /// The code, in hexadecimal: HMAC-SHA1 over the fields, separated by zero bytes.
    pub mac: &'a str,
}

impl Accounts {
    /// A nonce for one registration within a minute.
    pub fn registration_nonce(&self) -> Result<String, SharedSecretError> {
        let secret = self.registration_secret()?;
        let random = random::bytes::<16>().map_err(Unavailable::from)?;
        let made = format!("{:016x}{}", self.now_ms(), hex(&random));
        let seal = nonce_seal(secret, &made).ok_or(SharedSecretError::Disabled)?;
        Ok(made + &seal)
    }

    /// Checks a registration by shared secret and spends its nonce.
    pub fn check_shared_secret(&self, request: &SharedSecretRequest<'_>) -> Result<(), SharedSecretError> {
        let secret = self.registration_secret()?;
        let made_ms = self.check_nonce(secret, request.nonce)?;
        let mut mac = Hmac::<Sha1>::new_from_slice(secret.expose().as_bytes())
            .map_err(|_| SharedSecretError::InvalidMac)?;
        let role = if request.admin { "admin" } else { "notadmin" };
        let fields = [request.nonce, request.username, request.password.expose(), role];
        for (index, field) in fields.into_iter().chain(request.user_type).enumerate() {
            if index > 0 {
                mac.update(b"\0");
            }
            mac.update(field.as_bytes());
        }
        let given = unhex(request.mac).ok_or(SharedSecretError::InvalidMac)?;
        mac.verify_slice(&given)
            .map_err(|_| SharedSecretError::InvalidMac)?;
        self.spend_nonce(request.nonce, made_ms)
    }

    fn registration_secret(&self) -> Result<&Secret, SharedSecretError> {
        let secret = self.config().registration.shared_secret.as_ref();
        secret
            .filter(|secret| !secret.expose().is_empty())
            .ok_or(SharedSecretError::Disabled)
    }

    /// When the nonce was made.
    fn check_nonce(&self, secret: &Secret, nonce: &str) -> Result<u64, SharedSecretError> {
        let parts = nonce
            .split_at_checked(48)
            .ok_or(SharedSecretError::InvalidNonce)?;
        let (made, seal) = parts;
        let expected = nonce_seal(secret, made).ok_or(SharedSecretError::Disabled)?;
        let same = subtle::ConstantTimeEq::ct_eq(expected.as_bytes(), seal.as_bytes());
        let made_ms = made.get(..16).and_then(|ms| u64::from_str_radix(ms, 16).ok());
        match made_ms {
            Some(made_ms)
                if bool::from(same) && self.now_ms().saturating_sub(made_ms) <= NONCE_LIFETIME_MS =>
            {
                Ok(made_ms)
            }
            _ => Err(SharedSecretError::InvalidNonce),
        }
    }

    fn spend_nonce(&self, nonce: &str, made_ms: u64) -> Result<(), SharedSecretError> {
        let oldest_ms = self.now_ms().saturating_sub(NONCE_LIFETIME_MS);
        if self.nonces().spend(nonce, made_ms, oldest_ms) {
            Ok(())
        } else {
            Err(SharedSecretError::InvalidNonce)
        }
    }
}

/// `None` never comes: HMAC takes keys of any length.
fn nonce_seal(secret: &Secret, made: &str) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).ok()?;
    mac.update(b"registration nonce\0");
    mac.update(made.as_bytes());
    Some(hex(&mac.finalize().into_bytes()))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    pairs
        .iter()
        .map(|[high, low]| u8::try_from(digit(*high)? * 16 + digit(*low)?).ok())
        .collect()
}
