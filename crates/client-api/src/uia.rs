//! User-interactive authentication of requests by somebody who is logged in.

use gatehouse_accounts::{Flow, Stage, StageFailure, UiaError, UiaRequest};
use gatehouse_http::{ApiError, Limit, Requester};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{ClientApi, limits};

/// Lets the request pass when its `auth` proves that the owner of the account makes it; answers the flows if not.
/// `operation` is the operationId and what else in the path tells it from another.
pub(crate) async fn require_owner(
    api: &ClientApi,
    requester: &Requester,
    operation: &str,
    body: &Map<String, Value>,
) -> Result<(), ApiError> {
    let rate_limits = &api.http.rate_limits;
    let account = limits::account(api, requester.user_id.as_str());
    rate_limits.peek(Limit::LoginFailed, &account)?;
    let flows: [Flow; 1] = [vec![Stage::Password]];
    let request = UiaRequest {
        operation,
        user_id: Some(&requester.user_id),
        body,
        flows: &flows,
        also: &[],
        address: None,
    };
    let proved = api.accounts.authenticate_request(&request).await;
    if let Err(UiaError::Challenge(challenge)) = &proved
        && challenge.failure == Some(StageFailure::WrongPassword)
    {
        rate_limits.check(Limit::LoginFailed, &account)?;
    }
    Ok(proved?)
}

/// The meaning of a body that is also needed as it came.
pub(crate) fn typed<T: DeserializeOwned>(body: &Map<String, Value>) -> Result<T, ApiError> {
    serde_json::from_value(Value::Object(body.clone()))
        .map_err(|_| ApiError::bad_json("A field of the body does not have the type that it should have."))
}
