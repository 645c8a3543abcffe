//! Somebody who uses a homeserver, whoever wrote it.

use std::time::{Duration, Instant};

use gatehouse_testkit::user::escaped;
use serde_json::{Value, json};

use crate::process::request_over;

/// Whoever is not invited by then never will be.
const PATIENCE: Duration = Duration::from_mins(1);

/// A person with one device.
pub(super) struct Person {
    http: reqwest::Client,
    homeserver: String,
    token: String,
    pub(super) id: String,
}

impl Person {
    /// Registers with the homeserver at this URL.
    pub(super) async fn register(homeserver: &str, name: &str) -> Self {
        let body = json!({ "username": name, "password": "wonderland", "auth": { "type": "m.login.dummy" } });
        let path = "/_matrix/client/v3/register";
        let http = gatehouse_testkit::http::client().build().unwrap();
        let (status, answer) = request_over(&http, homeserver, "POST", path, None, Some(body))
            .await
            .unwrap();
        assert_eq!(status, 200, "{answer}");
        Self {
            http,
            homeserver: homeserver.to_owned(),
            token: answer["access_token"].as_str().unwrap().to_owned(),
            id: answer["user_id"].as_str().unwrap().to_owned(),
        }
    }

    /// A request in their name; the path is one of `/_matrix/client`.
    pub(super) async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let path = format!("/_matrix/client{path}");
        request_over(
            &self.http,
            &self.homeserver,
            method,
            &path,
            Some(&self.token),
            body,
        )
        .await
        .unwrap()
    }

    /// As [`Self::ask`], which must go well.
    pub(super) async fn done(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let (status, answer) = self.ask(method, path, body).await;
        assert_eq!(status, 200, "{method} {path}: {answer}");
        answer
    }

    pub(super) async fn create_room(&self, body: Value) -> String {
        let room = self.done("POST", "/v3/createRoom", Some(body)).await;
        room["room_id"].as_str().unwrap().to_owned()
    }

    pub(super) async fn invite(&self, room: &str, body: Value) {
        let path = format!("/v3/rooms/{}/invite", escaped(room));
        self.done("POST", &path, Some(body)).await;
    }

    /// The invitations by address that the room remembers, taken back or not.
    pub(super) async fn invitations(&self, room: &str) -> Vec<Value> {
        let state = self
            .done("GET", &format!("/v3/rooms/{}/state", escaped(room)), None)
            .await;
        let events = state.as_array().unwrap().iter();
        events
            .filter(|event| event["type"] == "m.room.third_party_invite")
            .cloned()
            .collect()
    }

    /// What the room says of a member; null when it says nothing.
    pub(super) async fn member(&self, room: &str, user: &str) -> Value {
        let path = format!(
            "/v3/rooms/{}/state/m.room.member/{}",
            escaped(room),
            escaped(user)
        );
        match self.ask("GET", &path, None).await {
            (200, content) => content,
            (404, _) => Value::Null,
            (status, answer) => panic!("{status} {answer}"),
        }
    }

    /// Takes an invitation by address back.
    pub(super) async fn revoke(&self, room: &str, invitation: &Value) {
        let token = escaped(invitation["state_key"].as_str().unwrap());
        let path = format!(
            "/v3/rooms/{}/state/m.room.third_party_invite/{token}",
            escaped(room)
        );
        self.done("PUT", &path, Some(json!({}))).await;
    }

    /// Waits until their sync shows the room as one that they are invited to.
    pub(super) async fn until_invited(&self, room: &str) {
        let began = Instant::now();
        let mut since = String::new();
        while began.elapsed() < PATIENCE {
            let path = format!("/v3/sync?timeout=2000{since}");
            let sync = self.done("GET", &path, None).await;
            if sync["rooms"]["invite"].get(room).is_some() {
                return;
            }
            since = format!("&since={}", sync["next_batch"].as_str().unwrap());
        }
        panic!("{} is not invited to {room}", self.id);
    }

    pub(super) async fn join(&self, room: &str) {
        self.join_with(room, json!({})).await;
    }

    pub(super) async fn join_with(&self, room: &str, body: Value) {
        let path = format!("/v3/join/{}", escaped(room));
        self.done("POST", &path, Some(body)).await;
    }

    /// What an identity server asks for to let them in.
    pub(super) async fn openid(&self) -> Value {
        let path = format!("/v3/user/{}/openid/request_token", escaped(&self.id));
        self.done("POST", &path, Some(json!({}))).await
    }
}
