//! What a person does in rooms, and what they see there.

use std::time::{Duration, Instant};

use gatehouse_testkit::user::escaped;
use serde_json::{Value, json};

use super::person::Person;

/// What has not come by then never will.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks; each pause is half as long again as the one before, as looking costs Synapse much.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(400);

/// Looks until there is something.
pub(super) async fn wait_for<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let (began, mut pause) = (Instant::now(), FIRST_PAUSE);
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "{what} never came");
        tokio::time::sleep(pause).await;
        pause = (pause * 3 / 2).min(LONGEST_PAUSE);
    }
}

impl Person {
    /// The name of their homeserver.
    pub(super) fn server(&self) -> &str {
        self.id.split_once(':').unwrap().1
    }

    /// A request below a room; the path begins with a slash.
    pub(super) async fn ask_room(
        &self,
        method: &str,
        room: &str,
        path: &str,
        body: Option<Value>,
    ) -> (u16, Value) {
        let path = format!("/v3/rooms/{}{path}", escaped(room));
        self.ask(method, &path, body).await
    }

    /// As [`Self::ask_room`], which must go well.
    pub(super) async fn done_room(&self, method: &str, room: &str, path: &str, body: Option<Value>) -> Value {
        let path = format!("/v3/rooms/{}{path}", escaped(room));
        self.done(method, &path, body).await
    }

    /// Tries to join a room, or what has this alias, by way of a server.
    pub(super) async fn try_join_via(&self, room: &str, server: &str) -> (u16, Value) {
        // Under both names that this parameter has had.
        let path = format!(
            "/v3/join/{}?server_name={server}&via={server}",
            escaped(room),
            server = escaped(server)
        );
        self.ask("POST", &path, Some(json!({}))).await
    }

    /// Joins.
    pub(super) async fn join_via(&self, room: &str, server: &str) {
        let (status, answer) = self.try_join_via(room, server).await;
        assert_eq!(status, 200, "{} joins {room}: {answer}", self.id);
    }

    /// Knocks.
    pub(super) async fn try_knock_via(&self, room: &str, server: &str, reason: &str) -> (u16, Value) {
        let path = format!(
            "/v3/knock/{}?server_name={server}&via={server}",
            escaped(room),
            server = escaped(server)
        );
        self.ask("POST", &path, Some(json!({ "reason": reason }))).await
    }

    /// Leaves, rejects an invite, or takes a knock back.
    pub(super) async fn leave(&self, room: &str) {
        self.done_room("POST", room, "/leave", Some(json!({}))).await;
    }

    /// Tries to `invite`, `kick`, `ban` or `unban`.
    pub(super) async fn try_to(&self, act: &str, room: &str, user: &str) -> (u16, Value) {
        let body = json!({ "user_id": user, "reason": format!("{act} for a reason") });
        self.ask_room("POST", room, &format!("/{act}"), Some(body)).await
    }

    /// As [`Self::try_to`], which must go well.
    pub(super) async fn act(&self, act: &str, room: &str, user: &str) {
        let (status, answer) = self.try_to(act, room, user).await;
        assert_eq!(status, 200, "{} should {act} {user}: {answer}", self.id);
    }

    /// Sends an event and gives its id.
    pub(super) async fn send(&self, room: &str, kind: &str, transaction: &str, content: Value) -> String {
        let path = format!("/send/{kind}/{}", escaped(transaction));
        let sent = self.done_room("PUT", room, &path, Some(content)).await;
        sent["event_id"].as_str().unwrap().to_owned()
    }

    /// Says something new and gives the event's id.
    pub(super) async fn say(&self, room: &str, text: &str) -> String {
        let content = json!({ "msgtype": "m.text", "body": text });
        self.send(room, "m.room.message", text, content).await
    }

    /// Sets state and gives the event's id.
    pub(super) async fn set_state(&self, room: &str, kind: &str, key: &str, content: Value) -> String {
        let path = format!("/state/{kind}/{}", escaped(key));
        let set = self.done_room("PUT", room, &path, Some(content)).await;
        set["event_id"].as_str().unwrap().to_owned()
    }

    /// A piece of state; nothing when there is none.
    pub(super) async fn state(&self, room: &str, kind: &str, key: &str) -> Option<Value> {
        let path = format!("/state/{kind}/{}", escaped(key));
        let (status, content) = self.ask_room("GET", room, &path, None).await;
        (status == 200).then_some(content)
    }

    /// An event; nothing when they have none.
    pub(super) async fn event(&self, room: &str, event: &str) -> Option<Value> {
        let path = format!("/event/{}", escaped(event));
        let (status, event) = self.ask_room("GET", room, &path, None).await;
        (status == 200).then_some(event)
    }

    /// Waits for an event.
    pub(super) async fn sees(&self, room: &str, event: &str) -> Value {
        let what = format!("{event} to {}", self.id);
        wait_for(&what, async || self.event(room, event).await).await
    }

    /// Waits until the room says this of somebody.
    pub(super) async fn sees_member(&self, room: &str, user: &str, membership: &str) -> Value {
        let what = format!("{user} with {membership} to {}", self.id);
        wait_for(&what, async || {
            let content = self.state(room, "m.room.member", user).await?;
            (content["membership"] == membership).then_some(content)
        })
        .await
    }

    /// What is in this section of their sync about the room.
    async fn section(&self, section: &str, room: &str) -> Option<Value> {
        let sync = self.done("GET", "/v3/sync?timeout=0", None).await;
        sync["rooms"][section].get(room).cloned()
    }

    /// Waits until the room is in this section of their sync, and gives what is there.
    pub(super) async fn sees_room_as(&self, section: &str, room: &str) -> Value {
        let what = format!("{room} in {section} of {}", self.id);
        wait_for(&what, async || self.section(section, room).await).await
    }

    /// Waits until the room is not in this section any more.
    pub(super) async fn sees_room_no_more_as(&self, section: &str, room: &str) {
        let what = format!("the end of {room} in {section} of {}", self.id);
        wait_for(&what, async || {
            self.section(section, room).await.is_none().then_some(())
        })
        .await;
    }

    /// All of the room's history that they may see, oldest first.
    pub(super) async fn history(&self, room: &str) -> Vec<Value> {
        let (mut events, mut from) = (Vec::new(), String::new());
        loop {
            let path = format!("/messages?dir=b&limit=20{from}");
            let page = self.done_room("GET", room, &path, None).await;
            events.extend(page["chunk"].as_array().unwrap().iter().cloned());
            let Some(end) = page["end"].as_str() else {
                break;
            };
            from = format!("&from={}", escaped(end));
        }
        events.reverse();
        events
    }
}
