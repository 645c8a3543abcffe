//! What a hostile server answers when it is asked: about joins, knocks, leaves and invites, and with events in any answer that
//! carries them.

use std::time::Duration;

use gatehouse_test_peers::{Authority, Homeserver, HostedRoom, Reply, SignedEvent};
use gatehouse_testkit::{Answer, TestServer, User, user::escaped};
use ruma::signatures::KeyPair as _;
use serde_json::{Value, json};

use crate::{
    transactions::{is_healthy, texts},
    visitor::{Visitor, host, message},
};

/// A room of a hostile server, and somebody of ours who has to do with it.
pub(crate) struct Scene<'a> {
    pub(crate) visitor: Visitor<'a>,
    pub(crate) room: HostedRoom,
    pub(crate) alice: User<'a>,
    pub(crate) host: String,
}

impl<'a> Scene<'a> {
    pub(crate) async fn new(authority: &Authority, server: &'a TestServer, version: &str) -> Self {
        let visitor = Visitor::new(authority, server).await;
        let room = HostedRoom::open(&visitor.home, version, server.clock().now_ms()).unwrap();
        let host = visitor.home.user("host");
        Self {
            visitor,
            room,
            alice: server.anybody().await,
            host,
        }
    }

    /// The same, where Alice is in the room.
    pub(crate) async fn joined(authority: &Authority, server: &'a TestServer, version: &str) -> Self {
        let scene = Self::new(authority, server, version).await;
        scene.join().await.ok();
        scene
    }

    pub(crate) async fn join(&self) -> Answer {
        self.ask_to("join").await
    }

    async fn ask_to(&self, what: &str) -> Answer {
        let (room, server) = (escaped(self.room.id.as_str()), escaped(self.visitor.home.name()));
        self.alice
            .post(&format!("/{what}/{room}?server_name={server}"), json!({}))
            .await
    }

    pub(crate) fn add(&self, kind: &str, state_key: Option<&str>, content: &Value) -> SignedEvent {
        self.room
            .add(&self.visitor.home, &self.host, kind, state_key, content)
            .unwrap()
    }

    pub(crate) fn say(&self, text: &str) -> SignedEvent {
        self.add("m.room.message", None, &message(text))
    }

    /// Sends an event, and says what was said of it.
    pub(crate) async fn send(&self, event: &SignedEvent) -> Value {
        self.visitor.send(std::slice::from_ref(&event.pdu)).await[&event.id].clone()
    }

    pub(crate) async fn texts(&self) -> Vec<String> {
        texts(&self.alice, self.room.id.as_str()).await
    }

    async fn sees_topic(&self) -> bool {
        self.alice
            .state(self.room.id.as_str(), "m.room.topic", "")
            .await
            .status
            == 200
    }

    /// How often this operation was asked for.
    pub(crate) fn asked(&self, operation: &str) -> usize {
        let of = |version| {
            let path = format!("/_matrix/federation/{version}/{operation}/");
            self.visitor.home.times_asked(&path)
        };
        of("v1") + of("v2")
    }

    async fn is_in_no_room(&self) {
        let rooms = self.alice.get("/joined_rooms").await.ok();
        assert_eq!(rooms["joined_rooms"], json!([]));
    }

    /// An invite of Alice into the room, as the host sends it.
    async fn is_invited(&self) {
        let content = json!({ "membership": "invite" });
        let invite = self.add("m.room.member", Some(&self.alice.id), &content);
        let (room, id) = (escaped(self.room.id.as_str()), escaped(&invite.id));
        let create = self.room.state("m.room.create", "").unwrap();
        let body = json!({
            "event": invite.pdu, "room_version": self.room.version.name(), "invite_room_state": [create.pdu],
        });
        let path = format!("/_matrix/federation/v2/invite/{room}/{id}");
        self.visitor.put(&path, &body).await.ok();
    }
}

#[tokio::test]
async fn e02_e03_no_server_gets_a_signature_for_what_our_user_did_not_want() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let wrong = [
        ("type", json!("m.room.power_levels")),
        ("type", json!(7)),
        ("sender", json!("@host:test.example")),
        ("state_key", json!("@other:test.example")),
        ("room_id", json!("!other:test.example")),
        ("content", json!({ "membership": "ban" })),
        ("content", json!({ "membership": "invite" })),
        ("content", json!({ "membership": ["join"] })),
        ("content", json!({})),
        ("content", json!("join")),
        ("prev_events", json!([])),
        ("prev_events", json!(vec!["$x"; 21])),
        ("auth_events", json!(vec!["$x"; 11])),
        ("auth_events", json!({})),
        ("depth", json!(1_u64 << 53)),
        ("depth", json!(1.5)),
    ];
    let scene = Scene::new(&authority, &server, "11").await;
    let knocked = Scene::new(&authority, &server, "11").await;
    knocked.add("m.room.join_rules", Some(""), &json!({ "join_rule": "knock" }));
    for (field, value) in &wrong {
        for operation in ["make_join", "make_knock", "make_leave"] {
            for room in [&scene.room, &knocked.room] {
                let (field, value) = (*field, value.clone());
                room.change(operation, move |answer| answer["event"][field] = value.clone());
            }
        }
        for answer in [scene.join().await, knocked.ask_to("knock").await] {
            let refused = answer.status == 502 && answer.body["errcode"] == "M_UNKNOWN";
            assert!(refused, "{field} {value}: {answer:?}");
        }
        // Who wants to be rid of an invite is, whatever the server says.
        scene.is_invited().await;
        scene.alice.leave(scene.room.id.as_str()).await.ok();
    }
    for operation in ["send_join", "send_leave", "send_knock"] {
        assert_eq!(
            scene.asked(operation) + knocked.asked(operation),
            0,
            "{operation}"
        );
    }
    scene.is_in_no_room().await;
    scene.room.be_honest();
    scene.join().await.ok();
    assert_eq!(scene.asked("send_join"), 1);
}

/// The answers that carry events: what tests call them, and which operation it is.
const SOURCES: [(&str, &str); 8] = [
    ("send", "send_join"),
    ("send_join", "send_join"),
    ("get_missing_events", "get_missing_events"),
    ("event", "event"),
    ("state", "state"),
    ("event_auth", "event_auth"),
    ("backfill", "backfill"),
    ("invite", "invite"),
];

/// What makes a forgery of an event that a server has signed; the other server is the forger.
type Forgery = fn(&Homeserver, &Homeserver, &HostedRoom, &Value) -> Value;

const FORGERIES: [(&str, Forgery); 4] = [
    ("a broken signature", |home, _, _, pdu| {
        let mut pdu = pdu.clone();
        for signature in pdu["signatures"][home.name()]
            .as_object_mut()
            .unwrap()
            .values_mut()
        {
            let broken = signature.as_str().unwrap().replacen(|c: char| c != 'A', "A", 1);
            *signature = broken.into();
        }
        pdu
    }),
    ("no signature", |home, _, _, pdu| {
        let mut pdu = pdu.clone();
        pdu["signatures"].as_object_mut().unwrap().remove(home.name());
        pdu
    }),
    (
        "a key that its server does not have",
        |home, forger, room, pdu| {
            let mut pdu = pdu.clone();
            pdu["signatures"].as_object_mut().unwrap().remove(home.name());
            forger
                .sign_as(home.name(), room.version, &room.id, &pdu)
                .unwrap()
                .pdu
        },
    ),
    (
        "another's key under the name of its own",
        |home, forger, room, pdu| {
            let mut pdu = pdu.clone();
            pdu["signatures"].as_object_mut().unwrap().remove(home.name());
            let mut signed = forger
                .sign_as(home.name(), room.version, &room.id, &pdu)
                .unwrap()
                .pdu;
            let of_home = signed["signatures"][home.name()].as_object_mut().unwrap();
            let signature = of_home.remove(&forger.key().key_id()).unwrap();
            of_home.insert(home.key().key_id(), signature);
            signed
        },
    ),
];

/// Has an event come by one way, forged or not, and says whether it was taken for true.
async fn is_taken(scene: &Scene<'_>, source: &str, forger: &Homeserver, forgery: Option<Forgery>) -> bool {
    let (home, room) = (&scene.visitor.home, &scene.room);
    let forge = |event: &SignedEvent| {
        if let Some(forgery) = forgery {
            room.forge(event, forgery(home, forger, room, &event.pdu));
        }
    };
    if source != "backfill" && source != "send_join" {
        scene.join().await.ok();
    }
    if !matches!(source, "get_missing_events" | "backfill") {
        room.change("get_missing_events", |answer| *answer = json!({ "events": [] }));
    }
    let topic = || scene.add("m.room.topic", Some(""), &json!({ "topic": "x" }));
    match source {
        "send" => {
            let mut said = scene.say("said");
            if let Some(forgery) = forgery {
                said.pdu = forgery(home, forger, room, &said.pdu);
            }
            scene.send(&said).await;
            // What is asked for later must not bring it, either.
            forge(&said);
            scene.texts().await.contains(&"said".to_owned())
        }
        "send_join" => {
            forge(&topic());
            scene.join().await.ok();
            scene.sees_topic().await
        }
        "get_missing_events" => {
            forge(&scene.say("said"));
            scene.send(&scene.say("last")).await;
            let texts = scene.texts().await;
            assert!(texts.contains(&"last".to_owned()), "{texts:?}");
            texts.contains(&"said".to_owned())
        }
        "event" | "state" => {
            // Many are fetched in one answer.
            let others = if source == "state" { 60 } else { 0 };
            for number in 0..others {
                scene.add("x.state", Some(&number.to_string()), &json!({}));
            }
            forge(&topic());
            scene.send(&scene.say("last")).await;
            scene.sees_topic().await
        }
        "event_auth" => {
            let carol = home.user("carol");
            let joins = json!({ "membership": "join" });
            forge(
                &room
                    .add(home, &carol, "m.room.member", Some(&carol), &joins)
                    .unwrap(),
            );
            let said = room.add(home, &carol, "m.room.message", None, &message("said"));
            scene.send(&said.unwrap()).await;
            scene.texts().await.contains(&"said".to_owned())
        }
        "backfill" => {
            forge(&scene.say("said"));
            scene.join().await.ok();
            scene.texts().await.contains(&"said".to_owned())
        }
        _ => {
            let own = scene.alice.create_room(json!({ "room_version": "11" })).await;
            if forgery.is_some() {
                // What we hand it, with a signature by another key under the name of its own.
                let (name, key_id) = (home.name().to_owned(), home.key().key_id());
                let signature = forger.key().sign(b"{}").base64();
                room.change("invite", move |answer| {
                    answer["event"]["signatures"][&name] = json!({ &key_id: signature });
                });
            }
            scene
                .alice
                .act_on("invite", &own, &home.user("carol"))
                .await
                .status
                == 200
        }
    }
}

#[tokio::test]
async fn e04_a_forged_event_is_taken_from_no_answer() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let forger = Visitor::new(&authority, &server).await;
    for (source, operation) in SOURCES {
        let honest = Scene::new(&authority, &server, "11").await;
        let taken = is_taken(&honest, source, &forger.home, None).await;
        assert!(taken, "{source}: what is true is taken");
        assert!(honest.asked(operation) > 0, "{source}");
        for (name, forgery) in FORGERIES {
            let scene = Scene::new(&authority, &server, "11").await;
            let taken = is_taken(&scene, source, &forger.home, Some(forgery)).await;
            assert!(!taken, "{source}: {name}");
            assert!(scene.asked(operation) > 0, "{source}: {name}");
            scene.alice.sync("", 0).await;
        }
    }
}

/// From room version 5 on a key must have been good when the event was made (security.md E07).
#[tokio::test]
async fn e07_an_event_from_after_the_end_of_its_key_is_dropped() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let scene = Scene::joined(&authority, &server, "11").await;
    let before = scene.say("before");
    // Its keys are good for six days, and it has no others.
    server.clock().advance(Duration::from_hours(7 * 24));
    let host = &scene.host;
    let mut late = scene
        .room
        .build(host, "m.room.message", None, &message("after"))
        .unwrap();
    late["origin_server_ts"] = json!(server.clock().now_ms());
    let late = scene
        .visitor
        .home
        .sign(scene.room.version, &scene.room.id, &late)
        .unwrap();
    // It cannot sign requests any more, either; somebody else passes the events on.
    let (path, body) = scene
        .visitor
        .transaction("own", std::slice::from_ref(&before.pdu));
    scene
        .visitor
        .put(&path, &body)
        .await
        .refused(401, "M_UNAUTHORIZED");
    let other = Visitor::new(&authority, &server).await;
    let told = other.send(&[before.pdu.clone(), late.pdu.clone()]).await;
    assert_eq!(told[&before.id], json!({}), "{told}");
    assert!(told[&late.id]["error"].is_string(), "{told}");
    assert_eq!(scene.texts().await, ["before"]);
}

/// Answers that are none, to somebody who waits.
fn misbehaviour(elsewhere: &str) -> Vec<(&'static str, Reply)> {
    let deep = format!("{}1{}", "[".repeat(200_000), "]".repeat(200_000));
    vec![
        ("a body without end", Reply::endless(" ".repeat(1 << 16))),
        ("no JSON", Reply::bytes(200, "<html>")),
        ("another type", Reply::json(200, &json!([1, "x"]))),
        ("null", Reply::json(200, &Value::Null)),
        ("a nest", Reply::bytes(200, deep)),
        ("nothing", Reply::bytes(200, "")),
        ("no end of a string", Reply::bytes(200, "{\"room_version\": \"")),
        ("half a character", Reply::bytes(200, vec![b'"', 0xC3, b'"'])),
        ("it hangs up", Reply::hang_up()),
        (
            "elsewhere",
            Reply::redirect(&format!("https://{elsewhere}/_matrix/federation/v1/make_join/x")),
        ),
        (
            "a logout",
            Reply::json(
                401,
                &json!({ "errcode": "M_UNKNOWN_TOKEN", "error": "x", "soft_logout": true }),
            ),
        ),
        (
            "no status",
            Reply::json(599, &json!({ "errcode": {}, "error": ["x"] })),
        ),
        ("silence", Reply::silence()),
        (
            "a drop at a time",
            Reply::trickle(" ", Duration::from_millis(900)),
        ),
    ]
}

#[tokio::test]
async fn x07_x14_whoever_waits_for_a_hostile_server_is_told_so_in_time() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let elsewhere = Visitor::new(&authority, &server).await;
    let mut scenes = Vec::new();
    for (name, reply) in misbehaviour(elsewhere.home.name()) {
        let scene = Scene::new(&authority, &server, "11").await;
        scene.room.lie("make_join", move |_, _| reply.clone());
        scenes.push((name, scene));
    }
    for (name, reply) in misbehaviour(elsewhere.home.name()) {
        // They may take two minutes to hand a room over, which is no test.
        if !matches!(name, "silence" | "a drop at a time") {
            let scene = Scene::new(&authority, &server, "11").await;
            scene.room.lie("send_join", move |_, _| reply.clone());
            scenes.push((name, scene));
        }
    }
    let compressed = Scene::new(&authority, &server, "11").await;
    compressed.room.lie("make_join", |_, honest| Reply::gzip(&honest));
    scenes.push(("gzip", compressed));
    let joins = scenes.iter().map(|(_, scene)| scene.join());
    let answers = futures_util::future::join_all(joins).await;
    for ((name, scene), answer) in scenes.iter().zip(answers) {
        // The client's own limit is a minute.
        assert!(
            matches!(answer.status, 403 | 404 | 502 | 504),
            "{name}: {answer:?}"
        );
        assert_ne!(answer.body["errcode"], "M_UNKNOWN_TOKEN", "{name}");
        assert!(answer.body.get("soft_logout").is_none(), "{name}");
        scene.is_in_no_room().await;
        scene.alice.sync("", 0).await;
        let asked = scene.visitor.home.received();
        assert!(
            asked
                .iter()
                .all(|asked| !asked.headers.contains_key("accept-encoding")),
            "{name}: it does not say that it understands compression"
        );
    }
    assert_eq!(elsewhere.home.received().len(), 0, "nobody is sent elsewhere");
}

/// What a room that is handed over says of how it was made.
#[tokio::test]
async fn e19_a_room_with_another_beginning_than_one_create_event_is_not_joined() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    for version in ["6", "11", "12"] {
        let scene = Scene::new(&authority, &server, version).await;
        let (home, room) = (&scene.visitor.home, &scene.room);
        let create = room.state("m.room.create", "").unwrap();
        let signed = |change: &dyn Fn(&mut Value)| {
            let mut event = create.pdu.clone();
            event["signatures"] = json!({});
            change(&mut event);
            home.sign(room.version, &room.id, &event)
                .map(|signed| signed.pdu)
                .unwrap_or(event)
        };
        let follower = room.last().unwrap().id;
        let others = [
            (
                "of another version",
                signed(&|event| event["content"]["room_version"] = json!("1")),
            ),
            (
                "of no version that we know",
                signed(&|event| event["content"]["room_version"] = json!(11)),
            ),
            (
                "that is not first",
                signed(&|event| event["prev_events"] = json!([follower])),
            ),
            (
                "that something authorises",
                signed(&|event| event["auth_events"] = json!([follower])),
            ),
            (
                "under another key",
                signed(&|event| event["state_key"] = json!("x")),
            ),
            (
                "of another server",
                signed(&|event| event["sender"] = json!("@host:elsewhere.example")),
            ),
        ];
        for (name, other) in others {
            let (own, other) = (create.pdu.clone(), other);
            room.change("send_join", move |answer| {
                for list in ["state", "auth_chain"] {
                    for event in answer[list].as_array_mut().unwrap() {
                        if *event == own {
                            event.clone_from(&other);
                        }
                    }
                }
            });
            let answer = scene.join().await;
            assert_eq!(answer.status, 502, "{version}, {name}: {answer:?}");
        }
        let second = signed(&|event| event["origin_server_ts"] = json!(7));
        room.change("send_join", move |answer| {
            answer["state"].as_array_mut().unwrap().push(second.clone());
        });
        // From version 12 on a second one is of another room, and left out as such.
        let with_two = scene.join().await.status;
        assert_eq!(with_two, if version == "12" { 200 } else { 502 }, "{version}");
        room.be_honest();
        scene.join().await.ok();
        is_healthy(&scene.alice, room.id.as_str()).await;
    }
}

/// What is otherwise about a create event.
type Change = fn(&mut Value);

/// As before, where all else of the room builds on that.
#[tokio::test]
async fn e19_a_room_that_builds_on_another_beginning_is_not_joined() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    for version in ["6", "11", "12"] {
        let beginnings: [(&str, Change); 4] = [
            ("of another version", |create| {
                create["content"]["room_version"] = json!("1");
            }),
            ("of no version that there is", |create| {
                create["content"]["room_version"] = json!(11);
            }),
            ("of a version that is not said", |create| {
                create["content"] = json!({ "creator": create["sender"] });
            }),
            ("that follows something", |create| {
                create["prev_events"] = json!(["$x"]);
            }),
        ];
        for (name, change) in beginnings {
            let now_ms = server.clock().now_ms();
            let mut odd = Scene::new(&authority, &server, version).await;
            odd.room = HostedRoom::open_with(&odd.visitor.home, version, now_ms, change).unwrap();
            let answer = odd.join().await;
            assert_eq!(answer.status, 502, "{version}, {name}: {answer:?}");
            odd.is_in_no_room().await;
        }
    }
}
