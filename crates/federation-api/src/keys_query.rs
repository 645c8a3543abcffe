//! Keys of other servers, from us.

use std::collections::BTreeMap;

use axum::{
    Json, Router,
    extract::State,
    routing::{get, post},
};
use gatehouse_federation::KeyQuery;
use gatehouse_http::{ApiError, ClientAddress, JsonBody, Limit, Path, Query};
use ruma::OwnedServerName;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{FederationApi, signed::OTHER_BODY};

/// Keys of one server that may be asked for.
const MAX_KEYS: usize = 100;

pub(crate) fn routes() -> Router<FederationApi> {
    Router::new()
        .route("/query/{server_name}", get(perspectives_key_query))
        // Of old, one key was asked for. The answer is all of them.
        .route("/query/{server_name}/{key_id}", get(one_key_query))
        .route("/query", post(bulk_perspectives_key_query))
}

#[derive(Deserialize)]
struct Until {
    #[serde(default)]
    minimum_valid_until_ts: u64,
}

/// `GET /_matrix/key/v2/query/{serverName}`
async fn perspectives_key_query(
    State(api): State<FederationApi>,
    Path(server): Path<OwnedServerName>,
    Query(until): Query<Until>,
    address: ClientAddress,
) -> Result<Json<Value>, ApiError> {
    let query = KeyQuery {
        server,
        key_ids: Vec::new(),
        minimum_valid_until_ts: until.minimum_valid_until_ts,
    };
    answer(&api, address, vec![query]).await
}

/// `GET /_matrix/key/v2/query/{serverName}/{keyId}`, as servers asked before version 1.6 of the specification.
async fn one_key_query(
    State(api): State<FederationApi>,
    Path((server, key_id)): Path<(OwnedServerName, String)>,
    Query(until): Query<Until>,
    address: ClientAddress,
) -> Result<Json<Value>, ApiError> {
    let query = KeyQuery {
        server,
        key_ids: vec![key_id],
        minimum_valid_until_ts: until.minimum_valid_until_ts,
    };
    answer(&api, address, vec![query]).await
}

#[derive(Deserialize)]
struct Wanted {
    server_keys: BTreeMap<OwnedServerName, BTreeMap<String, Until>>,
}

/// `POST /_matrix/key/v2/query`
async fn bulk_perspectives_key_query(
    State(api): State<FederationApi>,
    address: ClientAddress,
    JsonBody(wanted): JsonBody<Wanted, OTHER_BODY>,
) -> Result<Json<Value>, ApiError> {
    let queries = wanted.server_keys.into_iter().map(|(server, keys)| {
        let until = keys.values().map(|until| until.minimum_valid_until_ts);
        KeyQuery {
            server,
            minimum_valid_until_ts: until.max().unwrap_or(0),
            key_ids: keys.into_keys().take(MAX_KEYS).collect(),
        }
    });
    answer(&api, address, queries.collect()).await
}

/// Nobody signs these questions, and each may make us ask somebody else: each server asked for counts.
async fn answer(
    api: &FederationApi,
    address: ClientAddress,
    queries: Vec<KeyQuery>,
) -> Result<Json<Value>, ApiError> {
    let count = u32::try_from(queries.len()).unwrap_or(u32::MAX).max(1);
    let limits = &api.http.rate_limits;
    limits.check_many(Limit::Federation, &gatehouse_http::address_key(address.0), count)?;
    let keys = api.federation.notarised(queries).await?;
    Ok(Json(json!({ "server_keys": keys })))
}
