//! Pushers: where a user wants to be told of events when no client of theirs asks. They are kept here; nothing is sent to
//! them yet.
//!
//! A pusher belongs to the login that set it, and is void from the commit that ends this login: nothing has to find it
//! then. What is void is cleared away afterwards.

mod row;
mod setting;

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;
use url::Url;

pub(crate) use self::row::{PusherRow, PushkeyRow};
use crate::Unavailable;

/// How many pushers a user may have: one for each device, as of these.
pub const MAX_PUSHERS: usize = 100;

/// How many users of this server may share a pushkey of an app: those who use one phone.
pub const MAX_USERS_OF_PUSHKEY: usize = 32;

/// The longest app id, in characters (specification).
pub const MAX_APP_ID_CHARS: usize = 64;

/// The longest pushkey, in bytes (specification).
pub const MAX_PUSHKEY_BYTES: usize = 512;

/// The longest name, tag or language, in bytes.
pub const MAX_TEXT_BYTES: usize = 255;

/// The most that a pusher may hold for its gateway, in bytes of JSON.
pub const MAX_DATA_BYTES: usize = 4_096;

/// Where every gateway is asked (specification).
const GATEWAY_PATH: &str = "/_matrix/push/v1/notify";

/// What a pusher does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PusherKind {
    /// It tells a gateway.
    Http,
}

/// A pusher, as its user sees it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pusher {
    /// The app that it is for.
    pub app_id: String,
    /// What the gateway knows the app on this device by.
    pub pushkey: String,
    /// What it does.
    pub kind: PusherKind,
    /// What people know the app by.
    pub app_display_name: String,
    /// What people know the device by.
    pub device_display_name: String,
    /// Which rules of the device it goes by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile_tag: Option<String>,
    /// The language of what is sent.
    pub lang: String,
    /// What the gateway gets, and where it is.
    pub data: Map<String, Value>,
}

impl fmt::Debug for Pusher {
    /// Without pushkey and data: whoever has them can send something to the device.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pusher")
            .field("app_id", &self.app_id)
            .finish_non_exhaustive()
    }
}

/// Why a pusher was not set.
#[derive(Debug, Clone, Error)]
pub enum PusherError {
    /// The app id is empty or too long.
    #[error("An `app_id` must have 1 to {MAX_APP_ID_CHARS} characters.")]
    AppId,
    /// The pushkey is empty or too long.
    #[error("A `pushkey` must have 1 to {MAX_PUSHKEY_BYTES} bytes.")]
    Pushkey,
    /// A text is too long.
    #[error("Names, tag and language of a pusher may have at most {MAX_TEXT_BYTES} bytes each.")]
    Text,
    /// The data is too large.
    #[error("The `data` of a pusher may have at most {MAX_DATA_BYTES} bytes.")]
    Data,
    /// There is no gateway.
    #[error("The `url` in `data` must be that of a push gateway: https://<host>{GATEWAY_PATH}.")]
    Gateway,
    /// The user has as many pushers as a user may have, or the pushkey as many users.
    #[error("There are too many pushers; delete one of them first.")]
    TooMany,
    /// The session ended meanwhile. `M_UNKNOWN_TOKEN`.
    #[error("This access token is not valid any more. Log in again.")]
    LoggedOut,
    /// The server cannot.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl Pusher {
    fn check(&self) -> Result<(), PusherError> {
        check_key(&self.app_id, &self.pushkey)?;
        let texts = [
            &self.app_display_name,
            &self.device_display_name,
            &self.lang,
            self.profile_tag.as_ref().unwrap_or(&self.lang),
        ];
        if texts.into_iter().any(|text| text.len() > MAX_TEXT_BYTES) {
            return Err(PusherError::Text);
        }
        if serde_json::to_vec(&self.data).map_or(true, |data| data.len() > MAX_DATA_BYTES) {
            return Err(PusherError::Data);
        }
        let PusherKind::Http = self.kind;
        let url = self.data.get("url").and_then(Value::as_str);
        if !url.is_some_and(is_gateway) {
            return Err(PusherError::Gateway);
        }
        Ok(())
    }
}

fn check_key(app_id: &str, pushkey: &str) -> Result<(), PusherError> {
    if app_id.is_empty() || app_id.chars().count() > MAX_APP_ID_CHARS {
        return Err(PusherError::AppId);
    }
    if pushkey.is_empty() || pushkey.len() > MAX_PUSHKEY_BYTES {
        return Err(PusherError::Pushkey);
    }
    Ok(())
}

/// Whether a gateway can be there. Whether its address may be contacted is seen when it is: names change theirs.
fn is_gateway(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| {
        url.scheme() == "https"
            && url.path() == GATEWAY_PATH
            && url.host_str().is_some_and(|host| !host.is_empty())
            && url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t16_a_gateway_is_reached_by_tls_at_the_path_of_gateways() {
        for good in [
            "https://push.example/_matrix/push/v1/notify",
            "https://push.example:8443/_matrix/push/v1/notify",
            "https://push.example/_matrix/push/v1/notify?instance=1",
        ] {
            assert!(is_gateway(good), "{good}");
        }
        for bad in [
            "",
            "push.example",
            "http://push.example/_matrix/push/v1/notify",
            "ftp://push.example/_matrix/push/v1/notify",
            "https:///",
            "https://push.example",
            "https://push.example/",
            "https://push.example/_matrix/push/v1/notify/",
            "https://push.example/_matrix/push/v1/notify/../../../admin",
            "https://push.example/admin?/_matrix/push/v1/notify",
            "https://push.example/admin#/_matrix/push/v1/notify",
            "https://push.example/_matrix/push/v1/notify#x",
            "https://user@push.example/_matrix/push/v1/notify",
            "https://:pass@push.example/_matrix/push/v1/notify",
        ] {
            assert!(!is_gateway(bad), "{bad}");
        }
    }
}
