//! Somebody who uses a server.

use serde_json::{Value, json};

use crate::{Answer, TestServer, answer::send};

/// How often and how long is waited for what comes from elsewhere: half a minute in all.
const SYNCS: usize = 60;
const SYNC_TIMEOUT_MS: u64 = 500;

/// A user with one device, logged in.
pub struct User<'a> {
    server: &'a TestServer,
    /// Their id.
    pub id: String,
    /// Their device.
    pub device: String,
    /// Their access token.
    pub token: String,
}

impl<'a> User<'a> {
    /// From the answer to a login or registration.
    pub fn from_login(server: &'a TestServer, answer: &Value) -> Self {
        let text = |key: &str| {
            answer
                .get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        Self {
            server,
            id: text("user_id"),
            device: text("device_id"),
            token: text("access_token"),
        }
    }

    /// A request in their name; `path` begins with a slash and may be anything.
    pub async fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        send(
            self.server.http(),
            self.server.base(),
            method,
            path,
            Some(&self.token),
            body,
        )
        .await
    }

    /// `GET /_matrix/client/v3…`
    pub async fn get(&self, path: &str) -> Answer {
        self.request("GET", &format!("/_matrix/client/v3{path}"), None)
            .await
    }

    /// `POST /_matrix/client/v3…`
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.request("POST", &format!("/_matrix/client/v3{path}"), Some(&body))
            .await
    }

    /// `PUT /_matrix/client/v3…`
    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.request("PUT", &format!("/_matrix/client/v3{path}"), Some(&body))
            .await
    }

    /// `DELETE /_matrix/client/v3…`
    pub async fn delete(&self, path: &str) -> Answer {
        self.request("DELETE", &format!("/_matrix/client/v3{path}"), None)
            .await
    }

    /// Another device of theirs.
    pub async fn log_in_again(&self) -> User<'a> {
        let name = self
            .id
            .trim_start_matches('@')
            .split(':')
            .next()
            .unwrap_or_default();
        let body = json!({
            "type": "m.login.password",
            "identifier": { "type": "m.id.user", "user": name },
            "password": format!("password of {name}"),
        });
        let answer = self
            .server
            .request("POST", "/_matrix/client/v3/login", Some(&body))
            .await
            .ok();
        Self::from_login(self.server, &answer)
    }

    /// Makes a room and gives its id.
    pub async fn create_room(&self, body: Value) -> String {
        let answer = self.post("/createRoom", body).await.ok();
        answer
            .get("room_id")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    }

    /// Makes a room that everybody may join.
    pub async fn public_room(&self) -> String {
        self.create_room(json!({ "preset": "public_chat" })).await
    }

    /// Joins.
    pub async fn join(&self, room: &str) -> Answer {
        self.post(&format!("/rooms/{}/join", escaped(room)), json!({}))
            .await
    }

    /// Leaves.
    pub async fn leave(&self, room: &str) -> Answer {
        self.post(&format!("/rooms/{}/leave", escaped(room)), json!({}))
            .await
    }

    /// `invite`, `kick`, `ban` or `unban`.
    pub async fn act_on(&self, action: &str, room: &str, target: &str) -> Answer {
        self.post(
            &format!("/rooms/{}/{action}", escaped(room)),
            json!({ "user_id": target }),
        )
        .await
    }

    /// Sends a text and gives the event's id.
    pub async fn say(&self, room: &str, transaction: &str, text: &str) -> String {
        let path = format!("/rooms/{}/send/m.room.message/{transaction}", escaped(room));
        let answer = self
            .put(&path, json!({ "msgtype": "m.text", "body": text }))
            .await
            .ok();
        answer
            .get("event_id")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    }

    /// One state event's content.
    pub async fn state(&self, room: &str, kind: &str, key: &str) -> Answer {
        self.get(&format!("/rooms/{}/state/{kind}/{}", escaped(room), escaped(key)))
            .await
    }

    /// Sets state.
    pub async fn set_state(&self, room: &str, kind: &str, key: &str, content: Value) -> Answer {
        self.put(
            &format!("/rooms/{}/state/{kind}/{}", escaped(room), escaped(key)),
            content,
        )
        .await
    }

    /// The whole state, as a list; to see that nothing was written.
    pub async fn whole_state(&self, room: &str) -> Value {
        self.get(&format!("/rooms/{}/state", escaped(room))).await.ok()
    }

    /// Syncs until this is true of what all syncs so far have brought, one after the other, and gives the last one.
    ///
    /// # Panics
    ///
    /// When it is not true after half a minute.
    pub async fn sync_until(&self, what: &str, mut done: impl FnMut(&Value) -> bool) -> Value {
        self.until(what, "", async |sync| done(sync)).await
    }

    /// As [`Self::sync_until`], with a filter, and with what has to be asked for.
    async fn until(&self, what: &str, filter: &str, mut done: impl AsyncFnMut(&Value) -> bool) -> Value {
        let mut since = String::new();
        for _ in 0..SYNCS {
            let path = format!("/sync?timeout={SYNC_TIMEOUT_MS}{filter}{since}");
            let sync = self.get(&path).await.ok();
            if done(&sync).await {
                return sync;
            }
            let next = sync.get("next_batch").and_then(Value::as_str);
            since = format!("&since={}", next.unwrap_or_default());
        }
        #[expect(clippy::panic, reason = "what never comes fails the test")]
        {
            panic!("{}: {what} never came", self.id)
        }
    }

    /// Waits until an event with this id is in the room's timeline.
    ///
    /// # Panics
    ///
    /// When it does not come within half a minute.
    pub async fn sees_event(&self, room: &str, event_id: &str) -> Value {
        let mut found = Value::Null;
        self.sync_until(event_id, |sync| {
            let events = sync.pointer(&format!("/rooms/join/{}/timeline/events", pointer(room)));
            let event = events.and_then(Value::as_array).and_then(|events| {
                events
                    .iter()
                    .find(|event| event.get("event_id").and_then(Value::as_str) == Some(event_id))
            });
            found = event.cloned().unwrap_or_default();
            event.is_some()
        })
        .await;
        found
    }

    /// Waits until a user has this membership in a room that one is in.
    ///
    /// # Panics
    ///
    /// When it does not come within half a minute.
    pub async fn sees_membership(&self, room: &str, user: &str, membership: &str) {
        let what = format!("{user} with {membership}");
        self.until(&what, "", async |_| {
            let member = self.state(room, "m.room.member", user).await;
            member.body.get("membership").is_some_and(|is| is == membership)
        })
        .await;
    }

    /// Waits until one is invited to (`invite`) or knocks at (`knock`) a room.
    ///
    /// # Panics
    ///
    /// When it does not come within half a minute.
    pub async fn sees_room_as(&self, section: &str, room: &str) -> Value {
        let path = format!("/rooms/{section}/{}", pointer(room));
        let sync = self.sync_until(&path, |sync| sync.pointer(&path).is_some()).await;
        sync.pointer(&path).cloned().unwrap_or_default()
    }

    /// Waits until one is out of a room, however that came about. Rooms that were left before the first sync count, too.
    ///
    /// # Panics
    ///
    /// When it does not come within half a minute.
    pub async fn sees_room_left(&self, room: &str) {
        let filter = escaped(r#"{"room":{"include_leave":true}}"#);
        let place = format!("/rooms/leave/{}", pointer(room));
        let what = format!("having left {room}");
        self.until(&what, &format!("&filter={filter}"), async |sync| {
            sync.pointer(&place).is_some()
        })
        .await;
    }

    /// A sync; `since` may be empty.
    pub async fn sync(&self, since: &str, timeout_ms: u64) -> Value {
        let since = if since.is_empty() {
            String::new()
        } else {
            format!("&since={since}")
        };
        self.get(&format!("/sync?timeout={timeout_ms}{since}")).await.ok()
    }
}

/// A segment of a JSON pointer.
fn pointer(segment: &str) -> String {
    segment.replace('~', "~0").replace('/', "~1")
}

/// A path segment with everything but letters, digits and `-._~` escaped.
pub fn escaped(segment: &str) -> String {
    use std::fmt::Write;
    segment.bytes().fold(String::new(), |mut escaped, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(byte.into());
        } else {
            // Writing into a `String` cannot fail.
            _ = write!(escaped, "%{byte:02X}");
        }
        escaped
    })
}
