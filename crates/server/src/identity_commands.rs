//! What the `identity` commands do: on the engine directly when the server is stopped, and through a socket in the data
//! directory, which only its owner can open, when it runs.

use axum::{Json, Router, extract::State, routing::post};
use gatehouse_http::{ApiError, JsonBody};
use gatehouse_identity::{Identity, LongLivedKey};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// One of the `identity` commands.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum IdentityCommand {
    /// Lists the long-lived signing keys.
    ListKeys,
    /// Makes a new one, which signs from now on.
    RotateKey,
    /// Has everything count for nothing that was signed with this one.
    RevokeKey {
        /// Such as `ed25519:0`.
        key_id: String,
    },
    /// Makes a new pepper and hashes all bound addresses with it.
    RotatePepper,
}

/// Carries a command out; the answer is for people and for programs alike.
pub async fn run_identity(identity: &Identity, command: IdentityCommand) -> Result<Value, String> {
    match command {
        IdentityCommand::ListKeys => list(identity).await,
        IdentityCommand::RotateKey => {
            let id = identity.rotate_key().await.map_err(|error| error.to_string())?;
            show(identity, &id).await
        }
        IdentityCommand::RevokeKey { key_id } => {
            identity
                .revoke_key(&key_id)
                .await
                .map_err(|error| error.to_string())?;
            show(identity, &key_id).await
        }
        IdentityCommand::RotatePepper => {
            identity
                .rotate_pepper()
                .await
                .map_err(|error| error.to_string())?;
            let details = identity.hash_details().await.map_err(|error| error.to_string())?;
            Ok(json!({ "lookup_pepper": details.lookup_pepper }))
        }
    }
}

async fn keys(identity: &Identity) -> Result<Vec<Value>, String> {
    let keys = identity.keys().await.map_err(|error| error.to_string())?;
    let signs = keys.last().map(|key| key.id.clone());
    Ok(keys
        .iter()
        .map(|key| describe(key, signs.as_ref() == Some(&key.id)))
        .collect())
}

async fn list(identity: &Identity) -> Result<Value, String> {
    keys(identity).await.map(Value::from)
}

async fn show(identity: &Identity, id: &str) -> Result<Value, String> {
    let keys = keys(identity).await?;
    let found = keys.into_iter().find(|key| key.get("key_id") == Some(&json!(id)));
    found.ok_or_else(|| format!("there is no key {id}"))
}

fn describe(key: &LongLivedKey, signs: bool) -> Value {
    json!({
        "key_id": key.id,
        "public_key": key.public_key,
        "made_ms": key.made_ms,
        "signs": signs && !key.is_revoked,
        "revoked": key.is_revoked,
    })
}

/// The same through a socket.
pub(crate) fn router(identity: Option<Identity>) -> Router {
    Router::new()
        .route("/identity", post(command))
        .with_state(identity)
}

/// What `user` commands are told by an identity server without a homeserver.
pub(crate) fn no_users() -> Router {
    // The body is read all the same: a connection that is closed on it breaks before the answer is read.
    let refuse = async |_: JsonBody<Value>| {
        ApiError::invalid_param(
            "an identity server runs here, without a homeserver: it has no users; name the homeserver's \
             configuration with --config",
        )
    };
    Router::new().route("/user", post(refuse))
}

async fn command(
    State(identity): State<Option<Identity>>,
    JsonBody(command): JsonBody<IdentityCommand>,
) -> Result<Json<Value>, ApiError> {
    let Some(identity) = identity else {
        return Err(ApiError::invalid_param(
            "the server that runs here has its identity service switched off (`[identity_service] enabled`); name the \
             configuration of the identity server with --config",
        ));
    };
    run_identity(&identity, command)
        .await
        .map(Json)
        .map_err(ApiError::invalid_param)
}
