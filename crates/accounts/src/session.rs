//! Sessions: what an access token stands for.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use gatehouse_store::json_value;
use ruma::{OwnedDeviceId, OwnedUserId};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Unavailable, access_token::Digest, session_ends::SessionEnd};

/// What is stored of an access token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AccessTokenRow {
    pub(crate) user_id: OwnedUserId,
    pub(crate) device_id: OwnedDeviceId,
    /// Milliseconds since 1970; `None`: it does not expire.
    pub(crate) expires_ms: Option<u64>,
}
json_value!(AccessTokenRow);

/// Who makes a request, and with which device.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent marks of an account")]
pub struct Session {
    /// The user.
    pub user_id: OwnedUserId,
    /// The user's device.
    pub device_id: OwnedDeviceId,
    /// Whether the user is a guest.
    pub is_guest: bool,
    /// Whether the user may use the administration API.
    pub is_admin: bool,
    /// Whether the user may read only (`M_USER_SUSPENDED`).
    pub is_suspended: bool,
    pub(crate) digest: Digest,
    pub(crate) is_locked: bool,
    pub(crate) expires_ms: Option<u64>,
    pub(crate) noted_ms: AtomicU64,
    pub(crate) end: Arc<SessionEnd>,
}

impl Session {
    /// Waits until the session's token is revoked, for requests that wait long. The session's expiry does not count.
    pub async fn ended(&self) {
        self.end.wait().await;
    }

    /// Whether it is time to note again that the device is in use; at most one caller is told so a minute.
    pub(crate) fn is_due(&self, now_ms: u64) -> bool {
        const EVERY_MS: u64 = 60_000;
        let noted_ms = self.noted_ms.load(Ordering::Relaxed);
        now_ms.saturating_sub(noted_ms) >= EVERY_MS
            && self
                .noted_ms
                .compare_exchange(noted_ms, now_ms, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

/// Why an access token opens nothing.
#[derive(Debug, Clone, Error)]
pub enum AuthError {
    /// It is not a token, or was revoked. `M_UNKNOWN_TOKEN`.
    #[error("This access token is not valid. Log in again.")]
    UnknownToken,
    /// It has expired; the refresh token gets a new one. `M_UNKNOWN_TOKEN` with `soft_logout`.
    #[error("This access token has expired. Use the refresh token, or log in again.")]
    Expired,
    /// The account is locked. `M_USER_LOCKED` with `soft_logout`; logging out still works.
    #[error("This account has been locked by the administrators of this server.")]
    Locked(Arc<Session>),
    /// The server cannot.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}
