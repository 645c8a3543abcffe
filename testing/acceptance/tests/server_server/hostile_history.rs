//! A hostile server's graph: without end, in circles, of junk, or with state that no client could bear.

use gatehouse_test_peers::{Authority, Received, SignedEvent};
use gatehouse_testkit::{User, user::escaped};
use serde_json::{Value, json};

use crate::{
    hostile_answers::Scene,
    transactions::is_healthy,
    visitor::{host, message},
};

/// Missing ancestors that are fetched for one transaction (limits, "missing ancestors"), and how many at once.
const MAX_FETCHED: usize = 1_024;
const AT_ONCE: usize = 20;

#[tokio::test]
async fn x18_missing_events_without_end_are_fetched_so_far_and_no_further() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let scene = Scene::joined(&authority, &server, "11").await;
    let chain: Vec<SignedEvent> = (0..1_200).map(|number| scene.say(&number.to_string())).collect();
    let last = chain.last().unwrap();
    assert_eq!(
        scene.send(last).await,
        json!({}),
        "it comes with the state before it"
    );
    let asked = scene.asked("get_missing_events");
    assert!((2..=MAX_FETCHED.div_ceil(AT_ONCE)).contains(&asked), "{asked}");
    assert!(scene.asked("event") < 20);
    is_healthy(&scene.alice, scene.room.id.as_str()).await;
}

#[tokio::test]
async fn x18_answers_that_lead_nowhere_are_not_asked_for_again_and_again() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let scene = Scene::joined(&authority, &server, "11").await;
    for number in 0..5 {
        scene.say(&number.to_string());
    }
    let last = scene.say("last");
    // The same event, however often one asks; then as many as one likes that were not asked for.
    let own = last.pdu.clone();
    scene.room.change("get_missing_events", move |answer| {
        *answer = json!({ "events": vec![own.clone(); 500] });
    });
    assert_eq!(scene.send(&last).await, json!({}));
    assert_eq!(scene.asked("get_missing_events"), 1);
    scene.say("between");
    let next = scene.say("next");
    let stray: Vec<Value> = (0..500)
        .map(|number| {
            let event = scene.room.build(
                &scene.host,
                "m.room.message",
                None,
                &message(&format!("stray {number}")),
            );
            scene
                .visitor
                .home
                .sign(scene.room.version, &scene.room.id, &event.unwrap())
                .unwrap()
                .pdu
        })
        .collect();
    scene.room.change("get_missing_events", move |answer| {
        *answer = json!({ "events": stray });
    });
    assert_eq!(scene.send(&next).await, json!({}));
    assert_eq!(scene.asked("get_missing_events"), 2);
    let texts = scene.texts().await;
    assert!(texts.iter().all(|text| !text.starts_with("stray")), "{texts:?}");
}

#[tokio::test]
async fn x18_history_that_turns_in_a_circle_ends() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let scene = Scene::new(&authority, &server, "11").await;
    let said: Vec<_> = (0..30).map(|number| scene.say(&number.to_string())).collect();
    scene.join().await.ok();
    let room = scene.room.id.as_str();
    let circles: [Vec<Value>; 4] = [
        // Nothing; only what is here; what nothing leads to; what is no event.
        Vec::new(),
        vec![scene.room.last().unwrap().pdu; 200],
        said.iter().take(10).map(|event| event.pdu.clone()).collect(),
        vec![json!({}); 5_000],
    ];
    for pdus in circles {
        scene
            .room
            .change("backfill", move |answer| answer["pdus"] = json!(pdus));
        let before = scene.asked("backfill");
        let mut from = String::new();
        for _ in 0..5 {
            let path = format!("/rooms/{}/messages?dir=b&limit=20{from}", escaped(room));
            let page = scene.alice.get(&path).await.ok();
            let Some(end) = page["end"].as_str() else { break };
            from = format!("&from={end}");
        }
        let asked = scene.asked("backfill") - before;
        assert!((1..=5).contains(&asked), "{asked}");
    }
    // Whoever tells the truth after all is believed.
    scene.room.be_honest();
    assert_eq!(scene.texts().await.len(), 30);
}

#[tokio::test]
async fn a_state_of_a_hundred_thousand_junk_events_is_looked_through_once() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let scene = Scene::joined(&authority, &server, "11").await;
    scene
        .room
        .change("get_missing_events", |answer| *answer = json!({ "events": [] }));
    let junk_ids: Vec<String> = (0..100_000).map(|number| format!("$junk{number}")).collect();
    let junk: Vec<Value> = (0..100_000)
        .map(|number| json!({ "type": "x", "n": number }))
        .collect();
    let (ids, events) = (junk_ids.clone(), junk.clone());
    scene.room.change("state_ids", move |answer| {
        answer["pdu_ids"]
            .as_array_mut()
            .unwrap()
            .extend(ids.iter().map(|id| json!(id)));
    });
    scene.room.change("state", move |answer| {
        answer["auth_chain"] = json!(events);
        answer["pdus"]
            .as_array_mut()
            .unwrap()
            .extend(events.iter().cloned());
    });
    scene.add("m.room.topic", Some(""), &json!({ "topic": "true" }));
    let last = scene.say("last");
    scene.send(&last).await;
    assert_eq!(scene.asked("state"), 1);
    assert!(scene.asked("event") <= 2, "{}", scene.asked("event"));
    is_healthy(&scene.alice, scene.room.id.as_str()).await;
    // As many in the answer to a join.
    let other = Scene::new(&authority, &server, "11").await;
    other.room.change("send_join", move |answer| {
        answer["state"]
            .as_array_mut()
            .unwrap()
            .extend(junk.iter().cloned());
        answer["auth_chain"]
            .as_array_mut()
            .unwrap()
            .extend(junk.iter().cloned());
    });
    other.join().await.ok();
    is_healthy(&other.alice, other.room.id.as_str()).await;
}

/// Every page that a client may open on the room.
async fn everything_opens(user: &User<'_>, room: &str, event: &str) {
    let (room, event) = (escaped(room), escaped(event));
    for path in [
        "/sync?timeout=0".to_owned(),
        "/sync?timeout=0&full_state=true&filter=%7B%22room%22%3A%7B%22state%22%3A%7B%22lazy_load_members%22%3Atrue%7D%7D%7D".to_owned(),
        "/joined_rooms".to_owned(),
        "/publicRooms".to_owned(),
        format!("/rooms/{room}/state"),
        format!("/rooms/{room}/members"),
        format!("/rooms/{room}/joined_members"),
        format!("/rooms/{room}/messages?dir=b&limit=100"),
        format!("/rooms/{room}/context/{event}"),
        format!("/rooms/{room}/event/{event}"),
        format!("/rooms/{room}/aliases"),
        format!("/rooms/{room}/initialSync"),
    ] {
        user.get(&path).await.ok();
    }
    for path in [
        format!("/_matrix/client/v1/rooms/{room}/hierarchy"),
        format!("/_matrix/client/v1/rooms/{room}/threads"),
        format!("/_matrix/client/v1/rooms/{room}/relations/{event}"),
        "/_matrix/client/api/v1/initialSync".to_owned(),
        "/_matrix/client/r0/initialSync".to_owned(),
    ] {
        user.request("GET", &path, None).await.ok();
    }
}

/// What can stand where a client expects a text, a list or an object.
fn odd() -> [Value; 6] {
    [
        json!(7),
        json!([]),
        json!({ "x": {} }),
        Value::Null,
        json!([{}, "x"]),
        json!("\u{0}\u{202e}x"),
    ]
}

#[tokio::test]
async fn d08_state_of_any_shape_shuts_no_page() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    for version in ["6", "11", "12"] {
        let scene = Scene::joined(&authority, &server, version).await;
        let room = scene.room.id.as_str();
        for value in odd() {
            for (kind, field) in [
                ("m.room.name", "name"),
                ("m.room.topic", "topic"),
                ("m.room.topic", "m.topic"),
                ("m.room.avatar", "url"),
                ("m.room.canonical_alias", "alias"),
                ("m.room.canonical_alias", "alt_aliases"),
                ("m.room.history_visibility", "history_visibility"),
                ("m.room.guest_access", "guest_access"),
                ("m.room.encryption", "algorithm"),
                ("m.room.server_acl", "deny"),
                ("m.room.tombstone", "replacement_room"),
                ("m.room.pinned_events", "pinned"),
                ("m.room.join_rules", "allow"),
            ] {
                let mut content = json!({ field: value });
                if kind == "m.room.join_rules" {
                    content["join_rule"] = json!("public");
                }
                if kind == "m.room.server_acl" {
                    content["allow"] = json!(["*"]);
                }
                scene.send(&scene.add(kind, Some(""), &content)).await;
            }
            for (kind, key) in [
                ("m.space.child", "!x:y"),
                ("m.space.parent", "!x:y"),
                ("m.room.third_party_invite", "t"),
                ("m.room.aliases", "elsewhere.example"),
            ] {
                let content =
                    json!({ "via": value, "order": value, "display_name": value, "aliases": value });
                scene.send(&scene.add(kind, Some(key), &content)).await;
            }
            let mut member = json!({ "membership": "join", "displayname": value, "avatar_url": value });
            member["is_direct"] = value.clone();
            scene
                .send(&scene.add("m.room.member", Some(&scene.host), &member))
                .await;
            let related = scene.room.last().unwrap().id;
            for relation in [json!({ "event_id": value, "rel_type": value }), value.clone()] {
                let content =
                    json!({ "body": value, "msgtype": value, "m.relates_to": relation, "m.mentions": value });
                scene.send(&scene.add("m.room.message", None, &content)).await;
            }
            let thread =
                json!({ "m.relates_to": { "rel_type": "m.thread", "event_id": related }, "body": value });
            let last = scene.add("m.room.message", None, &thread);
            scene.send(&last).await;
            let replacing = json!({
                "m.relates_to": { "rel_type": "m.replace", "event_id": last.id }, "m.new_content": value,
            });
            scene.send(&scene.add("m.room.message", None, &replacing)).await;
            scene
                .send(&scene.add(
                    "m.room.redaction",
                    None,
                    &json!({ "redacts": value, "reason": value }),
                ))
                .await;
            everything_opens(&scene.alice, room, &last.id).await;
        }
    }
}

/// Whatever a peer sends is what a strict server takes from us.
#[tokio::test]
async fn r14_what_is_sent_on_after_poison_is_what_a_strict_server_takes() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let scene = Scene::joined(&authority, &server, "11").await;
    let last = json!((1_u64 << 53) - 1);
    for (field, value, is_taken) in [
        ("depth", &last, true),
        ("depth", &json!(0), true),
        ("origin_server_ts", &json!(0), true),
        // No key is good for so long (security.md E07).
        ("origin_server_ts", &last, false),
    ] {
        let content = message("extreme");
        let event = scene.room.build(&scene.host, "m.room.message", None, &content);
        let mut event = event.unwrap();
        event[field] = value.clone();
        let (home, room) = (&scene.visitor.home, &scene.room);
        let signed = home.sign(room.version, &room.id, &event).unwrap();
        let told = scene.send(&signed).await;
        assert_eq!(told == json!({}), is_taken, "{field} {value}: {told}");
        if is_taken {
            room.keep(signed);
        }
    }
    for number in 0..3 {
        scene
            .alice
            .say(scene.room.id.as_str(), &number.to_string(), "ours")
            .await;
    }
    let pdus = |received: &[Received]| -> Vec<Value> {
        let transactions = received.iter().filter(|asked| asked.uri.contains("/send/"));
        let bodies: Vec<Value> = transactions.map(Received::json).collect();
        let lists = bodies.iter().filter_map(|body| body["pdus"].as_array());
        lists.flatten().cloned().collect()
    };
    let is_ours = |pdu: &&Value| pdu["content"]["body"] == "ours";
    let all = |received: &[Received]| pdus(received).iter().filter(is_ours).count() == 3;
    let received = scene.visitor.home.until(all).await.unwrap();
    for pdu in pdus(&received) {
        gatehouse_events::Pdu::parse(&pdu.to_string(), &scene.room.id, scene.room.version).unwrap();
    }
    is_healthy(&scene.alice, scene.room.id.as_str()).await;
}
