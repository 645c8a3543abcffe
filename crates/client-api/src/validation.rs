//! Having addresses proven: what the pages that ask for a token share.

use axum::Json;
use gatehouse_accounts::{Purpose, Secret, ValidationRequest};
use gatehouse_http::{ApiError, ClientAddress, Limit, threepid_key};
use gatehouse_mail::{InvalidThreepid, Medium, Threepid};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::ClientApi;

/// Body of `…/email/requestToken`. Whatever it says of an identity server is not looked at: addresses are proven here.
#[derive(Deserialize)]
pub(crate) struct EmailToken {
    client_secret: Option<Secret>,
    email: Option<String>,
    send_attempt: Option<u64>,
    next_link: Option<String>,
}

/// Body of `…/msisdn/requestToken`.
#[derive(Deserialize)]
pub(crate) struct MsisdnToken {
    client_secret: Option<Secret>,
    country: Option<String>,
    phone_number: Option<String>,
    send_attempt: Option<u64>,
    next_link: Option<String>,
}

/// What both have in common.
pub(crate) struct TokenRequest {
    client_secret: Option<Secret>,
    medium: Medium,
    /// `None`: nothing is said of one.
    address: Option<Result<Threepid, InvalidThreepid>>,
    send_attempt: Option<u64>,
    next_link: Option<String>,
}

impl From<EmailToken> for TokenRequest {
    fn from(body: EmailToken) -> Self {
        Self {
            client_secret: body.client_secret,
            medium: Medium::Email,
            address: body.email.as_deref().map(Threepid::email),
            send_attempt: body.send_attempt,
            next_link: body.next_link,
        }
    }
}

impl From<MsisdnToken> for TokenRequest {
    fn from(body: MsisdnToken) -> Self {
        let address = body.country.zip(body.phone_number);
        Self {
            client_secret: body.client_secret,
            medium: Medium::Msisdn,
            address: address.map(|(country, number)| Threepid::phone(&country, &number)),
            send_attempt: body.send_attempt,
            next_link: body.next_link,
        }
    }
}

/// Has an address proven for a purpose.
pub(crate) async fn request_token(
    api: &ClientApi,
    address: ClientAddress,
    purpose: Purpose,
    request: &TokenRequest,
) -> Result<Json<Value>, ApiError> {
    let missing = |name: &str| ApiError::missing_param(format!("The `{name}` is missing."));
    let threepid = match &request.address {
        Some(Ok(threepid)) => threepid,
        Some(Err(error)) => return Err(ApiError::invalid_param(error.to_string())),
        None if request.medium == Medium::Email => return Err(missing("email")),
        None => return Err(missing("country` or the `phone_number")),
    };
    let client_secret = request
        .client_secret
        .as_ref()
        .ok_or_else(|| missing("client_secret"))?;
    let send_attempt = request.send_attempt.ok_or_else(|| missing("send_attempt"))?;
    let rate_limits = &api.http.rate_limits;
    let key = threepid_key(threepid);
    rate_limits.peek(Limit::ThreepidValidation, &key)?;
    rate_limits.check_address(Limit::ThreepidValidationPerClient, address.0)?;
    rate_limits.check(Limit::ThreepidValidation, &key)?;
    let requested = api
        .accounts
        .request_validation(&ValidationRequest {
            purpose,
            threepid,
            client_secret: client_secret.expose(),
            send_attempt,
            next_link: request.next_link.as_deref(),
        })
        .await?;
    let mut answer = json!({ "sid": requested.sid });
    if let (Some(answer), Some(submit_url)) = (answer.as_object_mut(), requested.submit_url) {
        answer.insert("submit_url".to_owned(), submit_url.into());
    }
    Ok(Json(answer))
}
