//! Users and rooms of the load, made through the API like any others.

use anyhow::{Context, Result};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::connection::{Connection, string_field};

/// A registered user.
#[derive(Clone)]
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) token: String,
}

/// Register the user of this number.
pub(crate) async fn register(connection: &mut Connection, number: usize) -> Result<User> {
    let body = json!({
        "username": format!("load{number}"),
        "password": "correct horse battery staple",
        "auth": { "type": "m.login.dummy" },
    });
    let answer = connection
        .post("/_matrix/client/v3/register", "", body.to_string())
        .await?;
    let field = |name| {
        string_field(&answer, name)
            .map(str::to_owned)
            .with_context(|| format!("no {name}"))
    };
    Ok(User {
        id: field("user_id")?,
        token: field("access_token")?,
    })
}

/// Make a room that anyone may join.
pub(crate) async fn public_room(connection: &mut Connection, owner: &User, name: &str) -> Result<String> {
    let body = json!({ "preset": "public_chat", "name": name });
    room(connection, owner, &body).await
}

/// Make a room that anyone may join and invite into.
pub(crate) async fn inviting_room(connection: &mut Connection, owner: &User, name: &str) -> Result<String> {
    let levels = json!({ "invite": 0 });
    let body = json!({ "preset": "public_chat", "name": name, "power_level_content_override": levels });
    room(connection, owner, &body).await
}

/// Make a room of the preset for friends.
pub(crate) async fn private_room(connection: &mut Connection, owner: &User, name: &str) -> Result<String> {
    room(
        connection,
        owner,
        &json!({ "preset": "private_chat", "name": name }),
    )
    .await
}

async fn room(connection: &mut Connection, owner: &User, body: &Value) -> Result<String> {
    let answer = connection
        .post("/_matrix/client/v3/createRoom", &owner.token, body.to_string())
        .await?;
    string_field(&answer, "room_id")
        .map(escaped)
        .context("createRoom answered without room_id")
}

/// Join, by the path that a client uses after a click.
pub(crate) async fn join(connection: &mut Connection, room: &str, user: &User) -> Result<()> {
    connection
        .post(
            &format!("/_matrix/client/v3/rooms/{room}/join"),
            &user.token,
            "{}",
        )
        .await?;
    Ok(())
}

pub(crate) async fn invite(connection: &mut Connection, room: &str, by: &User, user: &User) -> Result<()> {
    let body = json!({ "user_id": user.id }).to_string();
    connection
        .post(
            &format!("/_matrix/client/v3/rooms/{room}/invite"),
            &by.token,
            body,
        )
        .await?;
    Ok(())
}

/// Invite the address of this number, in the form of 2015, which needs no token of the identity server.
pub(crate) async fn invite_address(
    connection: &mut Connection,
    room: &str,
    by: &User,
    id_server: &str,
    number: usize,
) -> Result<()> {
    let body = json!({
        "id_server": id_server,
        "medium": "email",
        "address": format!("somebody{number}@example.org"),
    });
    let path = format!("/_matrix/client/v3/rooms/{room}/invite");
    connection.post(&path, &by.token, body.to_string()).await?;
    Ok(())
}

/// Send a message of an ordinary length; `transaction` must be new for this sender.
pub(crate) async fn send(
    connection: &mut Connection,
    room: &str,
    user: &User,
    transaction: &str,
) -> Result<Bytes> {
    let body = r#"{"msgtype":"m.text","body":"Stand and unfold yourself. Long live the king! You come most carefully upon your hour."}"#;
    let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/{transaction}");
    connection.put(&path, &user.token, body).await
}

/// One sync as today's clients do it, members loaded when they speak; answers the next token and the body.
pub(crate) async fn sync_lazily(
    connection: &mut Connection,
    user: &User,
    since: Option<&str>,
    timeout_ms: u32,
) -> Result<(String, Bytes)> {
    // {"room":{"state":{"lazy_load_members":true}}}
    let mut path = format!(
        "/_matrix/client/v3/sync?timeout={timeout_ms}&filter=%7B%22room%22%3A%7B%22state%22%3A%7B%22lazy_load_members%22%3Atrue%7D%7D%7D"
    );
    if let Some(since) = since {
        path.push_str("&since=");
        path.push_str(since);
    }
    let body = connection.get(&path, &user.token).await?;
    let next = string_field(&body, "next_batch")
        .context("sync answered without next_batch")?
        .to_owned();
    Ok((next, body))
}

/// `!` and `:` may stand in a path; what may not does not occur in the ids that servers make, but for `#` and `$`.
fn escaped(id: &str) -> String {
    id.replace('%', "%25")
        .replace('#', "%23")
        .replace('/', "%2F")
        .replace('?', "%3F")
}
