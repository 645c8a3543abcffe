//! What a session remembers of a registration, so that the client need not send it again with every stage.

use serde_json::{Value, json};

use crate::{Accounts, DeviceRequest, RegistrationError, RegistrationRequest, UiaRequest};

/// A registration request, and what the session remembers of it.
pub(crate) struct Recalled {
    pub(crate) request: RegistrationRequest,
    pub(crate) hash: Option<String>,
    /// Whether the guest's token was checked when the request came first.
    pub(crate) is_guest: bool,
}

impl Accounts {
    /// The request, or the one that the session remembers when this brings nothing but `auth`.
    pub(crate) async fn recall(
        &self,
        uia: &UiaRequest<'_>,
        request: RegistrationRequest,
    ) -> Result<Recalled, RegistrationError> {
        let remembered = if uia.body.keys().any(|key| key != "auth") {
            None
        } else {
            self.remembered(uia).await?
        };
        let Some(remembered) = remembered else {
            return Ok(Recalled {
                request,
                hash: None,
                is_guest: false,
            });
        };
        let text = |key: &str| remembered.get(key).and_then(Value::as_str).map(ToOwned::to_owned);
        let flag = |key: &str| remembered.get(key).and_then(Value::as_bool).unwrap_or(false);
        let request = RegistrationRequest {
            username: text("username"),
            password: None,
            guest_access_token: None,
            device: DeviceRequest {
                device_id: text("device_id").map(Into::into),
                initial_display_name: text("initial_device_display_name"),
                refresh_token: flag("refresh_token"),
            },
            inhibit_login: flag("inhibit_login"),
            address: request.address,
        };
        Ok(Recalled {
            request,
            hash: text("password_hash"),
            is_guest: flag("is_guest"),
        })
    }
}

/// What a session keeps of a registration: no password.
pub(crate) fn remember(request: &RegistrationRequest, password_hash: &str, is_guest: bool) -> Value {
    json!({
        "username": request.username,
        "password_hash": password_hash,
        "device_id": request.device.device_id,
        "initial_device_display_name": request.device.initial_display_name,
        "refresh_token": request.device.refresh_token,
        "inhibit_login": request.inhibit_login,
        "is_guest": is_guest,
    })
}
