//! Events that follow or authorise themselves: in room versions 1 and 2 their ids are what their servers like.

use ruma::{CanonicalJsonObject, OwnedEventId, signatures::hash_and_sign_event};
use serde_json::{Value, json};

use super::{
    neighbours::raw,
    world::{World, admin, server_name, user},
};
use crate::{receive::Received, remote_servers::RawPdu, tables::Standing};

/// `[id, hash]` as those versions have it; nobody looks at the hash.
fn reference(id: &str) -> Value {
    json!([id, { "sha256": "x" }])
}

/// An event of server `b`, signed.
fn signed(world: &World, event: &Value) -> RawPdu {
    let mut object: CanonicalJsonObject = serde_json::from_value(event.clone()).unwrap();
    let (name, key) = (server_name(1), world.neighbours.key(&server_name(1)));
    let redaction = &world.version.rules().redaction;
    hash_and_sign_event(name.as_str(), &*key, &mut object, redaction).unwrap();
    raw(&serde_json::to_string(&object).unwrap())
}

async fn event(
    world: &World,
    id: &str,
    sender: &ruma::UserId,
    kind: &str,
    auth: &[&str],
    prev: &[&str],
) -> Value {
    let head = world.head(0).await;
    let of_state = |kind: &str, key: &str| head.state_event_id(kind, key).unwrap().to_string();
    let mut auth_events = vec![
        reference(&of_state("m.room.create", "")),
        reference(&of_state("m.room.power_levels", "")),
    ];
    auth_events.extend(auth.iter().map(|id| reference(id)));
    let mut prev_events: Vec<Value> = prev.iter().map(|id| reference(id)).collect();
    if prev_events.is_empty() {
        prev_events.extend(head.extremities.iter().map(|id| reference(id.as_str())));
    }
    json!({
        "event_id": id, "room_id": world.room, "sender": sender, "type": kind, "content": { "body": "x" },
        "auth_events": auth_events, "prev_events": prev_events, "depth": head.depth + 1, "origin_server_ts": 1,
    })
}

fn member(mut event: Value, membership: &str) -> Value {
    event["state_key"] = event["sender"].clone();
    event["content"] = json!({ "membership": membership });
    event
}

async fn is_unharmed(world: &World, outcome: &Received) {
    assert!(
        matches!(outcome, Received::Dropped(_) | Received::Rejected(_)),
        "{outcome:?}"
    );
    let said = world
        .act(1, &admin(1), super::world::message("goes on"))
        .await
        .unwrap();
    assert_eq!(world.tell(1, 0, &said).await, Received::Accepted);
    world.assert_same_state("after a circle").await;
}

#[tokio::test]
async fn e23_an_event_that_follows_itself_is_not_taken_in() {
    for version in ["1", "2"] {
        let world = World::new(version, 2).await;
        let joined = world
            .head(0)
            .await
            .state_event_id("m.room.member", admin(1).as_str())
            .cloned();
        let joined = joined.unwrap();
        let alone = event(
            &world,
            "$self:b",
            &admin(1),
            "m.room.message",
            &[joined.as_str()],
            &["$self:b"],
        )
        .await;
        let outcome = world.hand(1, 0, &signed(&world, &alone)).await;
        is_unharmed(&world, &outcome).await;
        // Two that follow each other: the other one comes when it is asked for.
        let one = event(
            &world,
            "$one:b",
            &admin(1),
            "m.room.message",
            &[joined.as_str()],
            &["$two:b"],
        )
        .await;
        let two = event(
            &world,
            "$two:b",
            &admin(1),
            "m.room.message",
            &[joined.as_str()],
            &["$one:b"],
        )
        .await;
        world.neighbours.smuggled.lock().push(signed(&world, &two));
        let outcome = world.hand(1, 0, &signed(&world, &one)).await;
        world.neighbours.smuggled.lock().clear();
        is_unharmed(&world, &outcome).await;
    }
}

#[tokio::test]
async fn e23_events_that_authorise_each_other_authorise_nothing() {
    for version in ["1", "2"] {
        let world = World::new(version, 2).await;
        let guest = user("guest", 1);
        let rules = world
            .head(0)
            .await
            .state_event_id("m.room.join_rules", "")
            .unwrap()
            .to_string();
        for (first, second) in [("$join:b", "$invite:b"), ("$own:b", "$own:b")] {
            let join = event(&world, first, &guest, "m.room.member", &[&rules, second], &[]).await;
            let join = member(join, "join");
            let invite = event(&world, second, &guest, "m.room.member", &[&rules, first], &[]).await;
            let invite = member(invite, "join");
            let smuggled = [signed(&world, &join), signed(&world, &invite)];
            world.neighbours.smuggled.lock().extend(smuggled.iter().cloned());
            let said = event(
                &world,
                &format!("{first}-said"),
                &guest,
                "m.room.message",
                &[first],
                &[],
            )
            .await;
            for pdu in [&smuggled[0], &smuggled[1], &signed(&world, &said)] {
                let outcome = world.hand(1, 0, pdu).await;
                assert!(
                    matches!(outcome, Received::Dropped(_) | Received::Rejected(_)),
                    "{outcome:?}"
                );
            }
            world.neighbours.smuggled.lock().clear();
            assert_eq!(world.head(0).await.membership(&guest).as_str(), "leave");
            is_unharmed(&world, &Received::Dropped(String::new())).await;
        }
    }
}

#[tokio::test]
async fn e23_redactions_of_each_other_end() {
    for version in ["1", "2"] {
        let world = World::new(version, 2).await;
        let joined = world
            .head(0)
            .await
            .state_event_id("m.room.member", admin(1).as_str())
            .cloned();
        let joined = joined.unwrap();
        let mut ids = Vec::new();
        for (id, target) in [
            ("$r1:b", "$r2:b"),
            ("$r2:b", "$r3:b"),
            ("$r3:b", "$r1:b"),
            ("$r4:b", "$r4:b"),
        ] {
            let mut redaction =
                event(&world, id, &admin(1), "m.room.redaction", &[joined.as_str()], &[]).await;
            redaction["redacts"] = json!(target);
            assert_eq!(
                world.hand(1, 0, &signed(&world, &redaction)).await,
                Received::Accepted,
                "{id}"
            );
            ids.push(OwnedEventId::try_from(id).unwrap());
        }
        for id in &ids {
            let standing = world.standing(0, id).await.unwrap();
            assert!(
                matches!(standing, Standing::Accepted | Standing::Withheld),
                "{id}: {standing:?}"
            );
        }
        is_unharmed(&world, &Received::Dropped(String::new())).await;
    }
}
