//! The API of 2015, `/_matrix/client/api/v1`: `membership.yaml` to the letter, and the rest of that directory.
//!
//! Tokens are in the query, as clients of that time sent them.

use gatehouse_testkit::{Answer, TestServer, User, configured, started, user::escaped};
use serde_json::{Value, json};

use crate::snapshot;

/// A request as a client of 2015 makes it.
async fn request(
    user: &User<'_>,
    server: &TestServer,
    method: &str,
    path: &str,
    body: Option<Value>,
) -> Answer {
    let mark = if path.contains('?') { '&' } else { '?' };
    let path = format!("/_matrix/client/api/v1{path}{mark}access_token={}", user.token);
    server.request(method, &path, body.as_ref()).await
}

/// Somebody with an old client.
struct Old<'a> {
    server: &'a TestServer,
    user: User<'a>,
}

impl<'a> Old<'a> {
    async fn new(server: &'a TestServer, name: &str) -> Self {
        let body =
            json!({ "type": "m.login.password", "user": name, "password": format!("password of {name}") });
        let answer = server
            .request("POST", "/_matrix/client/api/v1/register", Some(&body))
            .await
            .ok();
        assert_eq!(answer["home_server"], "test.example");
        Self {
            server,
            user: User::from_login(server, &answer),
        }
    }

    async fn get(&self, path: &str) -> Answer {
        request(&self.user, self.server, "GET", path, None).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        request(&self.user, self.server, "POST", path, Some(body)).await
    }

    async fn put(&self, path: &str, body: Value) -> Answer {
        request(&self.user, self.server, "PUT", path, Some(body)).await
    }

    async fn room(&self, body: Value) -> String {
        self.post("/createRoom", body).await.ok()["room_id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    async fn join(&self, room: &str) -> Answer {
        self.post(&format!("/rooms/{}/join", escaped(room)), json!({}))
            .await
    }

    async fn invite(&self, room: &str, target: &str) -> Answer {
        self.post(
            &format!("/rooms/{}/invite", escaped(room)),
            json!({ "user_id": target }),
        )
        .await
    }
}

fn by_address() -> Value {
    json!({
        "id_server": "matrix.org", "medium": "email", "address": "cheeky@monkey.com",
        "display_name": "A very cheeky monkey",
    })
}

#[tokio::test]
async fn joining_answers_with_the_room_by_id_and_by_alias_on_both_paths() {
    let server = started().await;
    let alice = Old::new(&server, "alice").await;
    let room = alice
        .room(json!({ "preset": "public_chat", "room_alias_name": "monkeys" }))
        .await;
    let alias = "#monkeys:test.example";
    for (n, path) in [
        format!("/rooms/{}/join", escaped(&room)),
        format!("/rooms/{}/join", escaped(alias)),
        format!("/join/{}", escaped(&room)),
        format!("/join/{}", escaped(alias)),
    ]
    .iter()
    .enumerate()
    {
        let user = Old::new(&server, &format!("user{n}")).await;
        assert_eq!(
            user.post(path, json!({})).await.ok(),
            json!({ "room_id": room }),
            "{path}"
        );
        // After this call, the client may see all state and what comes.
        user.get(&format!("/rooms/{}/state", escaped(&room))).await.ok();
        let rooms = user.get("/initialSync").await.ok();
        assert_eq!(
            rooms["rooms"][0]["room_id"],
            room.as_str(),
            "the room is in |initialSync|"
        );
    }
}

#[tokio::test]
async fn join_403_the_room_is_invite_only_and_the_user_was_not_invited() {
    let server = started().await;
    let (alice, bob) = (Old::new(&server, "alice").await, Old::new(&server, "bob").await);
    let room = alice.room(json!({ "preset": "private_chat" })).await;
    let before = snapshot::of(&alice.user, &room).await;
    bob.join(&room)
        .await
        .forbidden("you are not invited to this room");
    bob.post(&format!("/join/{}", escaped(&room)), json!({}))
        .await
        .forbidden("not invited");
    assert_eq!(
        snapshot::of(&alice.user, &room).await,
        before,
        "nothing is written"
    );
}

#[tokio::test]
async fn join_403_the_user_has_been_banned_from_the_room() {
    let server = started().await;
    let (alice, bob) = (Old::new(&server, "alice").await, Old::new(&server, "bob").await);
    let room = alice.room(json!({ "preset": "public_chat" })).await;
    let ban = format!("/rooms/{}/ban", escaped(&room));
    alice.post(&ban, json!({ "user_id": bob.user.id })).await.ok();
    let before = snapshot::of(&alice.user, &room).await;
    bob.join(&room).await.forbidden("you are banned");
    assert_eq!(
        snapshot::of(&alice.user, &room).await,
        before,
        "nothing is written"
    );
}

#[tokio::test]
async fn an_invite_appends_one_member_event_and_the_invited_may_join() {
    let server = started().await;
    let (alice, bob) = (Old::new(&server, "alice").await, Old::new(&server, "bob").await);
    let room = alice.room(json!({})).await;
    assert_eq!(alice.invite(&room, &bob.user.id).await.ok(), json!({}));
    let path = format!(
        "/rooms/{}/state/m.room.member/{}",
        escaped(&room),
        escaped(&bob.user.id)
    );
    assert_eq!(alice.get(&path).await.ok()["membership"], "invite");
    let invited = bob.get("/initialSync").await.ok();
    assert_eq!(invited["rooms"][0]["membership"], "invite");
    assert_eq!(invited["rooms"][0]["invite"]["user_id"], alice.user.id.as_str());
    // They do not take part until they join.
    bob.get(&format!("/rooms/{}/state", escaped(&room)))
        .await
        .refused(403, "M_FORBIDDEN");
    bob.join(&room).await.ok();
}

#[tokio::test]
async fn invite_403_the_invitee_has_been_banned_from_the_room() {
    let server = started().await;
    let (alice, bob) = (Old::new(&server, "alice").await, Old::new(&server, "bob").await);
    let room = alice.room(json!({ "preset": "public_chat" })).await;
    let ban = format!("/rooms/{}/ban", escaped(&room));
    alice.post(&ban, json!({ "user_id": bob.user.id })).await.ok();
    let before = snapshot::of(&alice.user, &room).await;
    alice
        .invite(&room, &bob.user.id)
        .await
        .forbidden(&format!("{} is banned from this room", bob.user.id));
    assert_eq!(
        snapshot::of(&alice.user, &room).await,
        before,
        "nothing is written"
    );
}

#[tokio::test]
async fn invite_403_the_invitee_is_already_a_member_of_the_room() {
    let server = started().await;
    let (alice, bob) = (Old::new(&server, "alice").await, Old::new(&server, "bob").await);
    let room = alice.room(json!({ "preset": "public_chat" })).await;
    bob.join(&room).await.ok();
    let before = snapshot::of(&alice.user, &room).await;
    alice
        .invite(&room, &bob.user.id)
        .await
        .forbidden(&format!("{} is already in this room", bob.user.id));
    assert_eq!(
        snapshot::of(&alice.user, &room).await,
        before,
        "nothing is written"
    );
}

#[tokio::test]
async fn invite_403_the_inviter_is_not_currently_in_the_room() {
    let server = started().await;
    let (alice, bob) = (Old::new(&server, "alice").await, Old::new(&server, "bob").await);
    let room = alice.room(json!({ "preset": "public_chat" })).await;
    // Never there, and not there any more.
    let before = snapshot::of(&alice.user, &room).await;
    bob.invite(&room, "@carol:test.example")
        .await
        .forbidden("you are not in this room");
    let invite = format!("/rooms/{}/invite", escaped(&room));
    bob.post(&invite, by_address())
        .await
        .forbidden("you are not in this room");
    assert_eq!(
        snapshot::of(&alice.user, &room).await,
        before,
        "nothing is written"
    );
    bob.join(&room).await.ok();
    bob.post(&format!("/rooms/{}/leave", escaped(&room)), json!({}))
        .await
        .ok();
    let before = snapshot::of(&alice.user, &room).await;
    bob.invite(&room, "@carol:test.example")
        .await
        .forbidden("you are not in this room");
    assert_eq!(
        snapshot::of(&alice.user, &room).await,
        before,
        "nothing is written"
    );
}

#[tokio::test]
async fn invite_403_the_inviters_power_level_is_insufficient() {
    let server = started().await;
    let (alice, bob) = (Old::new(&server, "alice").await, Old::new(&server, "bob").await);
    let levels = json!({ "invite": 50 });
    let room = alice
        .room(json!({ "preset": "public_chat", "power_level_content_override": levels }))
        .await;
    bob.join(&room).await.ok();
    let before = snapshot::of(&alice.user, &room).await;
    bob.invite(&room, "@carol:test.example")
        .await
        .forbidden("power level in this room is too low");
    let invite = format!("/rooms/{}/invite", escaped(&room));
    bob.post(&invite, by_address())
        .await
        .forbidden("power level in this room is too low");
    assert_eq!(
        snapshot::of(&alice.user, &room).await,
        before,
        "nothing is written"
    );
}

#[tokio::test]
async fn the_fields_of_the_body_tell_the_two_forms_of_an_invite_apart() {
    let server = configured(|config| config.identity_servers.trusted = Vec::new()).await;
    let (alice, bob) = (Old::new(&server, "alice").await, Old::new(&server, "bob").await);
    let room = alice.room(json!({})).await;
    let invite = format!("/rooms/{}/invite", escaped(&room));
    let before = snapshot::of(&alice.user, &room).await;
    alice
        .post(&invite, json!({}))
        .await
        .refused(400, "M_MISSING_PARAM");
    alice
        .post(&invite, by_address())
        .await
        .refused(403, "M_SERVER_NOT_TRUSTED");
    for field in ["id_server", "medium", "address"] {
        let mut body = by_address();
        body.as_object_mut().unwrap().remove(field);
        alice.post(&invite, body).await.refused(400, "M_MISSING_PARAM");
    }
    assert_eq!(
        snapshot::of(&alice.user, &room).await,
        before,
        "nothing is written"
    );
    alice.post(&invite, json!({ "user_id": bob.user.id })).await.ok();
}

#[tokio::test]
async fn t32_429_counts_together_with_todays_paths() {
    let server = gatehouse_testkit::configured(|config| config.rate_limits.enabled = true).await;
    let alice = Old::new(&server, "alice").await;
    let room = alice.room(json!({})).await;
    for n in 0..20 {
        let target = format!("@u{n}:test.example");
        match n % 2 {
            0 => alice.invite(&room, &target).await.ok(),
            _ => alice.user.act_on("invite", &room, &target).await.ok(),
        };
    }
    let refused = alice
        .invite(&room, "@one:test.example")
        .await
        .refused(429, "M_LIMIT_EXCEEDED");
    assert!(refused["retry_after_ms"].as_u64().unwrap() > 0);
    alice
        .user
        .act_on("invite", &room, "@two:test.example")
        .await
        .refused(429, "M_LIMIT_EXCEEDED");
}

#[tokio::test]
async fn events_have_the_fields_of_2015() {
    let server = started().await;
    let (alice, bob) = (Old::new(&server, "alice").await, Old::new(&server, "bob").await);
    let room = alice
        .room(json!({ "preset": "public_chat", "name": "Old" }))
        .await;
    bob.join(&room).await.ok();
    let path = format!("/rooms/{}", escaped(&room));
    let sent = alice
        .post(&format!("{path}/send/m.room.message"), json!({ "body": "x" }))
        .await
        .ok();
    alice
        .put(&format!("{path}/state/m.room.name/"), json!({ "name": "New" }))
        .await
        .ok();

    let page = bob.get(&format!("{path}/messages?dir=b&limit=2")).await.ok();
    let [name, message] = page["chunk"].as_array().unwrap().as_slice() else {
        panic!("{page}")
    };
    assert_eq!(name["prev_content"], json!({ "name": "Old" }));
    assert!(name["replaces_state"].is_string());
    assert_eq!(message["event_id"], sent["event_id"]);
    for event in [name, message] {
        assert_eq!(event["user_id"], alice.user.id.as_str());
        assert_eq!(event["room_id"], room.as_str());
        assert!(
            event["age"].is_u64() && event["origin_server_ts"].is_u64(),
            "{event}"
        );
    }
    assert!(page["start"].is_string() && page["end"].is_string());
    let first = bob.get(&format!("{path}/messages?dir=b&limit=1000")).await.ok();
    let last = bob
        .get(&format!(
            "{path}/messages?dir=b&from={}",
            first["end"].as_str().unwrap()
        ))
        .await
        .ok();
    assert_eq!(last["chunk"], json!([]), "there is an end, and after it nothing");

    let state = bob.get(&format!("{path}/state")).await.ok();
    let event = |kind: &str| {
        let mut events = state.as_array().unwrap().iter();
        events.find(|event| event["type"] == kind).cloned().unwrap()
    };
    assert_eq!(
        event("m.room.create")["content"]["creator"],
        alice.user.id.as_str()
    );
    assert_eq!(event("m.room.join_rules")["user_id"], alice.user.id.as_str());
    let members = bob.get(&format!("{path}/members")).await.ok();
    for member in members["chunk"].as_array().unwrap() {
        assert_eq!(member["membership"], "join");
        assert_eq!(member["user_id"], member["state_key"]);
    }
    let snapshot = bob.get(&format!("{path}/initialSync?limit=1")).await.ok();
    assert_eq!(
        (&snapshot["membership"], &snapshot["visibility"]),
        (&json!("join"), &json!("private"))
    );
    assert_eq!(
        snapshot["messages"]["chunk"][0]["user_id"],
        alice.user.id.as_str()
    );
    let content = bob.get(&format!("{path}/state/m.room.name/")).await.ok();
    assert_eq!(content, json!({ "name": "New" }), "a content is shown as it is");
}

#[tokio::test]
async fn the_event_stream_wakes_whoever_waits() {
    let server = started().await;
    let (alice, bob) = (Old::new(&server, "alice").await, Old::new(&server, "bob").await);
    let room = alice.room(json!({ "preset": "public_chat" })).await;
    bob.join(&room).await.ok();
    let end = bob.get("/initialSync?limit=1").await.ok()["end"]
        .as_str()
        .unwrap()
        .to_owned();
    let stream = format!("/events?timeout=30000&from={end}");
    let path = format!("/rooms/{}/send/m.room.message", escaped(&room));
    let (page, sent) = tokio::join!(bob.get(&stream), alice.post(&path, json!({ "body": "x" })));
    let (page, sent) = (page.ok(), sent.ok());
    assert_eq!(page["start"], end.as_str());
    assert_eq!(page["chunk"][0]["event_id"], sent["event_id"]);
    assert_eq!(page["chunk"][0]["user_id"], alice.user.id.as_str());
}

#[tokio::test]
async fn an_event_is_found_by_its_id_by_those_who_may_see_it() {
    let server = started().await;
    let (alice, bob) = (Old::new(&server, "alice").await, Old::new(&server, "bob").await);
    let room = alice.room(json!({})).await;
    let path = format!("/rooms/{}/send/m.room.message/1", escaped(&room));
    let sent = alice.put(&path, json!({ "body": "x" })).await.ok();
    let path = format!("/events/{}", escaped(sent["event_id"].as_str().unwrap()));
    let event = alice.get(&path).await.ok();
    assert_eq!(
        (&event["content"], &event["user_id"]),
        (&json!({ "body": "x" }), &json!(alice.user.id))
    );
    let hidden = bob.get(&path).await;
    let nowhere = bob.get("/events/%24nowhere").await;
    assert_eq!(hidden.body, nowhere.body);
    hidden.refused(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn old_clients_register_log_in_and_refresh() {
    let server = started().await;
    let path = |path: &str| format!("/_matrix/client/api/v1{path}");
    let flows = server.request("GET", &path("/login"), None).await.ok();
    assert_eq!(flows["flows"][0]["type"], "m.login.password");
    let flows = server.request("GET", &path("/register"), None).await.ok();
    assert_eq!(flows["flows"][0]["type"], "m.login.password");
    let register = json!({ "type": "m.login.password", "user": "monkey", "password": "ilovebananas" });
    server
        .request("POST", &path("/register"), Some(&register))
        .await
        .ok();
    server
        .request("POST", &path("/register"), Some(&register))
        .await
        .refused(400, "M_USER_IN_USE");
    for user in ["monkey", "@monkey:test.example"] {
        let login = json!({ "type": "m.login.password", "user": user, "password": "ilovebananas" });
        let answer = server.request("POST", &path("/login"), Some(&login)).await.ok();
        assert_eq!(answer["user_id"], "@monkey:test.example");
        assert_eq!(answer["home_server"], "test.example");
    }
    let wrong = json!({ "type": "m.login.password", "user": "monkey", "password": "ilovepears" });
    server
        .request("POST", &path("/login"), Some(&wrong))
        .await
        .refused(403, "M_FORBIDDEN");
    let bogus = json!({ "type": "m.login.bogus", "user": "monkey", "password": "ilovebananas" });
    server
        .request("POST", &path("/login"), Some(&bogus))
        .await
        .refused(400, "M_UNKNOWN");

    let login = json!({
        "type": "m.login.password", "user": "monkey", "password": "ilovebananas", "refresh_token": true,
    });
    let first = server.request("POST", &path("/login"), Some(&login)).await.ok();
    let refresh = json!({ "refresh_token": first["refresh_token"] });
    let second = server
        .request("POST", &path("/tokenrefresh"), Some(&refresh))
        .await
        .ok();
    assert_ne!(second["access_token"], first["access_token"]);
    assert!(second["refresh_token"].is_string());
    let wrong = json!({ "refresh_token": "bogus" });
    server
        .request("POST", &path("/tokenrefresh"), Some(&wrong))
        .await
        .refused(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn aliases_profiles_and_the_list_of_rooms_are_where_they_were() {
    let server = started().await;
    let alice = Old::new(&server, "alice").await;
    let room = alice
        .room(json!({ "visibility": "public", "name": "Listed" }))
        .await;
    let alias = format!("/directory/room/{}", escaped("#old:test.example"));
    alice.put(&alias, json!({ "room_id": room })).await.ok();
    let resolved = server
        .request("GET", &format!("/_matrix/client/api/v1{alias}"), None)
        .await
        .ok();
    assert_eq!(
        (&resolved["room_id"], &resolved["servers"]),
        (&json!(room), &json!(["test.example"]))
    );
    assert_eq!(
        alice.get("/publicRooms").await.ok()["chunk"][0]["room_id"],
        room.as_str()
    );
    let name = format!("/profile/{}/displayname", escaped(&alice.user.id));
    alice
        .put(&name, json!({ "displayname": "Alice Margatroid" }))
        .await
        .ok();
    assert_eq!(
        alice.get(&name).await.ok(),
        json!({ "displayname": "Alice Margatroid" })
    );
    let delete = format!("{alias}?access_token={}", alice.user.token);
    server
        .request("DELETE", &format!("/_matrix/client/api/v1{delete}"), None)
        .await
        .ok();
    alice.get(&alias).await.refused(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn whoever_has_no_token_is_told_so() {
    let server = started().await;
    let path = "/_matrix/client/api/v1/rooms/!a:test.example/join";
    server
        .request("POST", path, Some(&json!({})))
        .await
        .refused(401, "M_MISSING_TOKEN");
    let path = format!("{path}?access_token=bogus");
    server
        .request("POST", &path, Some(&json!({})))
        .await
        .refused(401, "M_UNKNOWN_TOKEN");
}
