//! Every operation of the specification, asked with nonsense: nothing makes the server fail, and whatever it refuses it
//! refuses with an errcode and a sentence. The same seed asks the same.
//!
//! `GATEHOUSE_NONSENSE_ROUNDS` and `GATEHOUSE_NONSENSE_SEED` ask more, and other things.

use std::fmt::Write;

use gatehouse_testkit::{TestServer, User, started, user::escaped};
use serde_json::{Value, json};

use crate::raw::send;

/// The operations of the whole specification, those that are not served included.
const OPERATIONS: &str = include_str!("../../../../xtask/spec/endpoints.csv");

/// Asked in each run of the test.
const ROUNDS: u64 = 5_000;

/// What stands for a part of a path. `ROOM`, `EVENT`, `USER` and `ALIAS` are of a room that there is.
const SEGMENTS: &[&str] = &[
    "ROOM",
    "ROOM",
    "ROOM",
    "EVENT",
    "EVENT",
    "USER",
    "USER",
    "ALIAS",
    "m.room.member",
    "m.room.message",
    "m.tag",
    "m.room.create",
    "displayname",
    "members",
    "0",
    "-1",
    "1",
    "",
    "%00",
    "%ff%fe",
    "%ed%a0%80",
    "..",
    "%2e%2e",
    "!",
    "%21a",
    "@",
    "@:",
    "@a:",
    "@a:b:c:d",
    "%23",
    "%23a:b",
    "$",
    "$a",
    "%24a%3ab",
    "%F0%9F%9A%AA",
    "a%2fb",
    "%25",
    "%",
    "%zz",
    "LONG",
    "!a:[::1]:99999",
    "@a:%5B",
    "null",
    "true",
    "{}",
    "*",
    "+",
    "a%0d%0ab",
    "x%7f",
];

/// The names of query parameters, and of none.
const PARAMETERS: &[&str] = &[
    "from",
    "to",
    "dir",
    "limit",
    "since",
    "timeout",
    "filter",
    "at",
    "membership",
    "not_membership",
    "ts",
    "via",
    "server_name",
    "format",
    "kind",
    "username",
    "full_state",
    "use_state_after",
    "include",
    "suggested_only",
    "max_depth",
    "recurse",
    "server",
    "only",
    "room_id",
    "user_id",
    "archived",
    "token",
    "set_presence",
    "constructor",
];

/// Values of the one that makes a long poll wait: none for long.
const TIMEOUTS: &[&str] = &[
    "",
    "0",
    "1",
    "-1",
    "1e3",
    "1.5",
    "18446744073709551616",
    "null",
    "%00",
    "LONG",
];

/// Values of the others.
const VALUES: &[&str] = &[
    "",
    "b",
    "f",
    "0",
    "-1",
    "1",
    "18446744073709551616",
    "9007199254740993",
    "1e3",
    "1.5",
    "t1",
    "t0",
    "t-1",
    "t99999999999999999999",
    "s1_2_3",
    "true",
    "false",
    "null",
    "join",
    "ROOM",
    "USER",
    "EVENT",
    "%00",
    "%ff",
    "%",
    "{}",
    "%7B%7D",
    "%7B%22room%22%3A%7B%22timeline%22%3A%7B%22limit%22%3A-1%7D%7D%7D",
    "%7B%22room%22%3A%5B%5D%7D",
    "%7B%22event_fields%22%3A%5B%22%5C%5C%22%5D%7D",
    "%5B%5B%5B%5B",
    "LONG",
    "%F0%9F%9A%AA",
    "a&a=b",
    "..",
];

/// Keys that some operation knows.
const KEYS: &[&str] = &[
    "auth",
    "type",
    "session",
    "user",
    "username",
    "password",
    "identifier",
    "token",
    "device_id",
    "new_password",
    "devices",
    "display_name",
    "displayname",
    "avatar_url",
    "user_id",
    "reason",
    "membership",
    "invite",
    "preset",
    "name",
    "topic",
    "room_version",
    "new_version",
    "initial_state",
    "creation_content",
    "power_level_content_override",
    "visibility",
    "room_alias_name",
    "is_direct",
    "room_id",
    "filter",
    "limit",
    "since",
    "erase",
    "score",
    "msgtype",
    "body",
    "users",
    "events",
    "ban",
    "join_rule",
    "allow",
    "history_visibility",
    "alias",
    "alt_aliases",
    "replacement",
    "m.relates_to",
    "refresh_token",
    "order",
    "room",
    "event_fields",
    "url",
    "invite_3pid",
    "third_party_signed",
    "additional_creators",
    "content",
    "state_key",
    "guest_access",
    "ignored_users",
    "url_preview",
    "",
];

/// Bodies that make sense, until one of their values is replaced.
const SENSIBLE: &[&str] = &[
    r#"{"type":"m.login.password","identifier":{"type":"m.id.user","user":"alice"},"password":"password of alice"}"#,
    r#"{"username":"bob","password":"secret","auth":{"type":"m.login.dummy"},"inhibit_login":true,"device_id":"D"}"#,
    r#"{"preset":"public_chat","name":"a","topic":"b","room_version":"12","visibility":"public","is_direct":false,
        "invite":["@bob:test.example"],"creation_content":{"m.federate":false},"room_alias_name":"c",
        "initial_state":[{"type":"m.room.name","state_key":"","content":{"name":"d"}}],
        "power_level_content_override":{"users_default":0}}"#,
    r#"{"user_id":"@bob:test.example","reason":"because"}"#,
    r#"{"msgtype":"m.text","body":"hello","m.relates_to":{"rel_type":"m.thread","event_id":"$a"},"m.mentions":{}}"#,
    r#"{"membership":"join","displayname":"A","avatar_url":"mxc://a/b","reason":"because"}"#,
    r#"{"users":{"@alice:test.example":100},"users_default":0,"events":{"m.room.name":50},"events_default":0,
        "state_default":50,"ban":50,"kick":50,"redact":50,"invite":0,"notifications":{"room":50}}"#,
    r#"{"room":{"timeline":{"limit":5,"types":["*"]},"state":{"lazy_load_members":true},"rooms":[],
        "include_leave":true},"presence":{"types":[]},"account_data":{},"event_format":"client","event_fields":["a"]}"#,
    r#"{"display_name":"My device","order":0.5,"new_version":"12","room_id":"ROOM","visibility":"private"}"#,
    r#"{"join_rule":"restricted","allow":[{"type":"m.room_membership","room_id":"ROOM"}]}"#,
    r#"{"filter":{"generic_search_term":"a","room_types":[null]},"limit":1,"since":"t1","third_party_instance_id":"a"}"#,
    r#"{"new_password":"x","logout_devices":false,"auth":{"type":"m.login.password","session":"a","user":"alice"}}"#,
    r#"{"devices":["A"],"auth":{"type":"m.login.password","identifier":{"type":"m.id.user","user":"a"}}}"#,
    r#"{"alias":"ALIAS","alt_aliases":["ALIAS"],"history_visibility":"joined","guest_access":"can_join"}"#,
];

/// JSON texts of values, among them some that no JSON has.
const JSON: &[&str] = &[
    "null",
    "true",
    "0",
    "-1",
    "1.5",
    "1e400",
    "-0",
    "9007199254740992",
    "18446744073709551616",
    "\"\"",
    "\"ROOM\"",
    "\"USER\"",
    "\"EVENT\"",
    "\"ALIAS\"",
    "\"join\"",
    "\"leave\"",
    "\"ban\"",
    "\"knock\"",
    "\"m.login.dummy\"",
    "\"m.login.password\"",
    "\"public_chat\"",
    "\"12\"",
    "\"1\"",
    "\"nonsense\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "\"\\udc00\\ud800\"",
    "\"LONG\"",
    "[]",
    "[null]",
    "[[[[[[]]]]]]",
    "[\"USER\",1,{}]",
    "{}",
    "{\"\":null}",
    "{\"type\":[]}",
    "{\"type\":\"m.id.user\",\"user\":{}}",
    "{\"a\":1,\"a\":2}",
    "{\"USER\":\"100\"}",
    "{\"USER\":9007199254740993}",
    "{\"rel_type\":1,\"event_id\":{}}",
    "DEEP",
    "NaN",
    "'a'",
    "\"\u{7}\"",
    "\"\u{202e}\"",
];

/// Numbers that look random and are the same in every run with a seed (splitmix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % count as u64).unwrap()
    }

    fn of<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

/// A room with something in it, and who asks.
struct Scene<'a> {
    server: &'a TestServer,
    user: User<'a>,
    room: String,
    event: String,
}

impl<'a> Scene<'a> {
    async fn new(server: &'a TestServer) -> Self {
        let mut scene = Self {
            server,
            user: server.user("alice").await,
            room: String::new(),
            event: String::new(),
        };
        scene.change("gate").await;
        scene
    }

    /// Goes on in another room: nonsense may have left this one, or have shut it.
    async fn change(&mut self, alias: &str) {
        let body = json!({ "preset": "public_chat", "room_alias_name": alias, "room_version": "11" });
        self.room = self.user.create_room(body).await;
        self.event = self.user.say(&self.room, "1", "hello").await;
    }

    /// Puts what there is in the place of its name.
    fn filled(&self, text: &str, write: fn(&str) -> String) -> String {
        text.replace("ROOM", &write(&self.room))
            .replace("EVENT", &write(&self.event))
            .replace("USER", &write(&self.user.id))
            .replace("ALIAS", &write("#gate:test.example"))
            .replace("LONG", &"x".repeat(300))
    }

    fn path(&self, template: &str, chance: &mut Chance) -> String {
        let mut path = String::new();
        for segment in template.split('/').skip(1) {
            let part = match segment {
                "v3" => chance.of(&["v3", "v3", "r0", "api/v1", "v1", "unstable"]),
                _ if segment.starts_with('{') => chance.of(SEGMENTS),
                _ => segment,
            };
            path.push('/');
            path.push_str(&self.filled(part, escaped));
        }
        for number in 0..chance.below(4) {
            let name = chance.of(PARAMETERS);
            let value = chance.of(if name == "timeout" { TIMEOUTS } else { VALUES });
            let mark = if number == 0 { '?' } else { '&' };
            write!(path, "{mark}{name}={}", self.filled(value, escaped)).unwrap();
        }
        path
    }

    fn body(&self, chance: &mut Chance) -> Vec<u8> {
        let text = match chance.below(8) {
            0 => String::new(),
            1 => chance.of(JSON).to_owned(),
            2 => "{\"a\":".to_owned(),
            3 => {
                let field = |chance: &mut Chance| format!("\"{}\":{}", chance.of(KEYS), chance.of(JSON));
                let fields: Vec<_> = (0..chance.below(6)).map(|_| field(chance)).collect();
                format!("{{{}}}", fields.join(","))
            }
            _ => one_wrong(chance),
        };
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        let mut body = self
            .filled(&text, str::to_owned)
            .replace("DEEP", &deep)
            .into_bytes();
        // Bytes that are no UTF-8.
        if chance.below(10) == 0 {
            let place = chance.below(body.len() + 1);
            body.insert(place, 0xff);
        }
        body
    }

    /// Asks, and says what is wrong with the answer.
    async fn ask(&self, method: &str, template: &str, chance: &mut Chance) -> Result<u16, String> {
        let (path, body) = (self.path(template, chance), self.body(chance));
        let token = if chance.below(10) == 0 {
            "gh_nonsense"
        } else {
            &*self.user.token
        };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        let answer = send(self.server, [head.as_bytes(), &body].concat()).await;
        let wrong = |what: &str| {
            let body = String::from_utf8_lossy(&body);
            Err(format!("{what}: {method} {path} {body}\n{answer:?}"))
        };
        // 502 says that it is another server that fails: nonsense names some that there are not.
        if answer.status == 0 || (answer.status >= 500 && answer.status != 502) {
            return wrong("the server failed");
        }
        if answer.status >= 400 {
            let refusal: Value = serde_json::from_str(&answer.body).unwrap_or_default();
            let says = |key: &str| refusal[key].as_str().is_some_and(|text| !text.is_empty());
            // A stage of user-interactive auth that has not been tried yet is no error.
            let asks_for_proof = answer.status == 401 && refusal["flows"].is_array();
            let tells_what_is_wrong = says("errcode") && says("error");
            if !asks_for_proof && !tells_what_is_wrong {
                return wrong("no errcode or no sentence");
            }
        }
        Ok(answer.status)
    }
}

/// A body that makes sense but for one value.
fn one_wrong(chance: &mut Chance) -> String {
    let body: serde_json::Map<String, Value> = serde_json::from_str(chance.of(SENSIBLE)).unwrap();
    let wrong = chance.below(body.len());
    let fields: Vec<_> = body
        .iter()
        .enumerate()
        .map(|(index, (key, value))| {
            if index == wrong {
                format!("{key:?}:{}", chance.of(JSON))
            } else {
                format!("{key:?}:{value}")
            }
        })
        .collect();
    format!("{{{}}}", fields.join(","))
}

/// A number from outside, or this one.
fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

#[tokio::test]
async fn nonsense_never_makes_the_server_fail() {
    let seed = setting("GATEHOUSE_NONSENSE_SEED", 1);
    let mut chance = Chance(seed);
    let server = started().await;
    let mut scene = Scene::new(&server).await;
    let bob = server.user("bob").await;
    let untouched = bob.public_room().await;
    let before = bob.whole_state(&untouched).await;
    let operations = operations();
    let rounds = setting("GATEHOUSE_NONSENSE_ROUNDS", ROUNDS);
    let mut accepted = 0;
    for round in 0..rounds {
        if round % 100 == 99 {
            scene.change(&format!("gate{round}")).await;
        }
        let (method, template) = operations[chance.below(operations.len())];
        match scene.ask(method, template, &mut chance).await {
            Ok(200) => accepted += 1,
            Ok(_) => {}
            Err(wrong) => panic!("seed {seed}, round {round}: {wrong}"),
        }
    }
    assert!(accepted > rounds / 20, "only {accepted} made sense");
    assert_eq!(
        bob.whole_state(&untouched).await,
        before,
        "nothing named this room"
    );
    scene.user.get("/account/whoami").await.ok();
}

/// Methods and paths of the client-server API.
fn operations() -> Vec<(&'static str, &'static str)> {
    let operations: Vec<_> = OPERATIONS
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(',').skip(2);
            Some((fields.next()?, fields.next()?.trim()))
        })
        // These end the session that all others need.
        .filter(|(_, path)| path.starts_with("/_matrix/client") && !path.contains("/logout"))
        .collect();
    assert!(operations.len() > 150, "{}", operations.len());
    operations
}
