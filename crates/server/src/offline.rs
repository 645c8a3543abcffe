//! What the `user` commands do: on the engines directly when the server is stopped, and through a socket in the data
//! directory, which only its owner can open, when it runs.

use axum::{Json, Router, extract::State, routing::post};
use gatehouse_accounts::{Accounts, NewUser, Secret, users::UserMark};
use gatehouse_http::ApiError;
use gatehouse_rooms::Rooms;
use ruma::{OwnedUserId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::open::Engines;

/// One of the `user` commands.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum UserCommand {
    /// Makes an account.
    Add {
        /// The localpart or the whole id.
        user: String,
        /// The password.
        password: String,
        /// Whether the user may use the administration API.
        admin: bool,
    },
    /// Lists accounts.
    List,
    /// Shows one.
    Show {
        /// Who.
        user: String,
    },
    /// Sets a password and logs all devices out.
    SetPassword {
        /// Who.
        user: String,
        /// The new password.
        password: String,
    },
    /// Deactivates for good.
    Deactivate {
        /// Who.
        user: String,
    },
    /// Lets the user use the administration API.
    MakeAdmin {
        /// Who.
        user: String,
    },
}

/// Users shown by `list` at most.
const LISTED: usize = 10_000;

/// Carries a command out; the answer is for people and for programs alike.
pub async fn run(engines: &Engines, command: UserCommand) -> Result<Value, String> {
    let (accounts, rooms) = (&engines.accounts, &engines.rooms);
    match command {
        UserCommand::Add {
            user,
            password,
            admin,
        } => add(accounts, &user, password, admin).await,
        UserCommand::List => list(accounts).await,
        UserCommand::Show { user } => show(accounts, &id(accounts, &user)?).await,
        UserCommand::SetPassword { user, password } => {
            let user = id(accounts, &user)?;
            let password = Secret::new(password);
            accounts
                .set_password_and_log_out(&user, &password, None)
                .await
                .map_err(|error| error.to_string())?;
            Ok(json!({ "user_id": user, "password": "set; all devices are logged out" }))
        }
        UserCommand::Deactivate { user } => deactivate(accounts, rooms, &id(accounts, &user)?).await,
        UserCommand::MakeAdmin { user } => {
            let user = id(accounts, &user)?;
            accounts
                .mark_user(&user, UserMark::Admin, true)
                .await
                .map_err(|error| error.to_string())?;
            show(accounts, &user).await
        }
    }
}

async fn add(accounts: &Accounts, user: &str, password: String, admin: bool) -> Result<Value, String> {
    let user = id(accounts, user)?;
    let password = Secret::new(password);
    let new = NewUser {
        username: user.localpart(),
        password: Some(&password),
        is_admin: admin,
    };
    accounts
        .create_user(&new, None)
        .await
        .map_err(|error| error.to_string())?;
    show(accounts, &user).await
}

async fn list(accounts: &Accounts) -> Result<Value, String> {
    let users = accounts
        .users(None, LISTED)
        .await
        .map_err(|error| error.to_string())?;
    Ok(users.iter().map(describe).collect())
}

async fn show(accounts: &Accounts, user: &UserId) -> Result<Value, String> {
    let found = accounts.user(user).await.map_err(|error| error.to_string())?;
    found
        .as_ref()
        .map(describe)
        .ok_or_else(|| format!("there is no user {user} on this server"))
}

async fn deactivate(accounts: &Accounts, rooms: &Rooms, user: &UserId) -> Result<Value, String> {
    rooms
        .deactivate(user, false)
        .await
        .map_err(|error| error.to_string())?;
    show(accounts, user).await
}

fn describe(user: &gatehouse_accounts::users::User) -> Value {
    json!({
        "user_id": user.user_id,
        "created_ms": user.created_ms,
        "admin": user.is_admin,
        "deactivated": user.is_deactivated,
    })
}

/// A localpart or a whole id of this server.
fn id(accounts: &Accounts, user: &str) -> Result<OwnedUserId, String> {
    let whole = if user.starts_with('@') {
        user.to_owned()
    } else {
        format!("@{user}:{}", accounts.server_name())
    };
    let id = OwnedUserId::try_from(whole).map_err(|_| format!("{user:?} is not a user name"))?;
    if accounts.is_local(&id) {
        return Ok(id);
    }
    Err(format!(
        "{id} is not a user of this server, {}",
        accounts.server_name()
    ))
}

/// The same through a socket.
pub(crate) fn router(engines: Engines) -> Router {
    Router::new().route("/user", post(user)).with_state(engines)
}

async fn user(
    State(engines): State<Engines>,
    gatehouse_http::JsonBody(command): gatehouse_http::JsonBody<UserCommand>,
) -> Result<Json<Value>, ApiError> {
    run(&engines, command)
        .await
        .map(Json)
        .map_err(ApiError::invalid_param)
}
