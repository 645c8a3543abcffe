//! Sending events.

use axum::{Json, Router, extract::State, routing::put};
use gatehouse_federation::{InboxError, ReceivedTransaction};
use gatehouse_http::{ApiError, Path};
use serde_json::{Value, json};

use crate::{
    FederationApi,
    signed::{Signed, TRANSACTION_BODY},
};

pub(crate) fn routes() -> Router<FederationApi> {
    Router::new().route("/send/{txn_id}", put(send_transaction))
}

/// `PUT /_matrix/federation/v1/send/{txnId}`
async fn send_transaction(
    State(api): State<FederationApi>,
    Path(txn_id): Path<String>,
    signed: Signed<TRANSACTION_BODY>,
) -> Result<Json<Value>, ApiError> {
    let transaction: ReceivedTransaction = signed.json_of_any_shape()?;
    let received = api.inbox.receive(&signed.origin, &txn_id, transaction).await;
    let pdus = received.map_err(|error| match error {
        InboxError::TooLong => ApiError::invalid_param(error.to_string()),
        // The server is one and its transactions are sent in turn: waiting for the one before is enough.
        InboxError::TooMany => ApiError::limit_exceeded(1_000),
        InboxError::Stopped => ApiError::unavailable(error.to_string()),
        InboxError::Store(error) => error.into(),
    })?;
    Ok(Json(json!({ "pdus": pdus })))
}
