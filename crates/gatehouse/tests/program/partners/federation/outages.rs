//! Rooms whose servers cannot reach each other for a while.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    super::{person::Person, room_acts::wait_for},
    pair::Pair,
    world::World,
};

/// What is said on each side meanwhile; in the newest version more than what one transaction holds.
fn how_many(pair: &Pair<'_>) -> usize {
    if pair.version == "12" { 60 } else { 8 }
}

/// What both servers are then apart from: a room where people talk, and one where power is taken from who uses it.
async fn prepare(pair: &Pair<'_>) {
    let talk = pair.shared_room().await;
    let contested = pair.shared_room().await;
    let mut levels = pair
        .host
        .state(&contested, "m.room.power_levels", "")
        .await
        .unwrap();
    levels["users"][&pair.guest.id] = json!(60);
    for room in [&talk, &contested] {
        let event = pair
            .host
            .set_state(room, "m.room.power_levels", "", levels.clone())
            .await;
        pair.guest.sees(room, &event).await;
        pair.agree(room).await;
    }
    pair.rooms.set(vec![talk, contested]).unwrap();
}

async fn live_apart(pair: &Pair<'_>) {
    let [talk, contested] = pair.rooms.get().unwrap().as_slice() else {
        panic!("two rooms")
    };
    for (name, person) in [("host", &pair.host), ("guest", &pair.guest)] {
        for number in 0..how_many(pair) {
            person.say(talk, &format!("{name} {number}")).await;
        }
        let topic = json!({ "topic": format!("as {name} says") });
        person.set_state(talk, "m.room.topic", "", topic.clone()).await;
        person.set_state(contested, "m.room.topic", "", topic).await;
    }
    let mut levels = pair
        .host
        .state(contested, "m.room.power_levels", "")
        .await
        .unwrap();
    levels["users"][&pair.guest.id] = json!(0);
    pair.host
        .set_state(contested, "m.room.power_levels", "", levels)
        .await;
    // They do not know yet.
    pair.guest
        .set_state(contested, "m.room.name", "", json!({ "name": "mine" }))
        .await;
}

async fn live_together(pair: &Pair<'_>) {
    let rooms = pair.rooms.get().unwrap();
    for room in rooms {
        for (speaker, hearer) in [(&pair.host, &pair.guest), (&pair.guest, &pair.host)] {
            let event = speaker.say(room, &format!("{} is back", speaker.id)).await;
            hearer.sees(room, &event).await;
        }
        pair.agree(room).await;
    }
    let all: BTreeSet<String> = ["host", "guest"]
        .iter()
        .flat_map(|name| (0..how_many(pair)).map(move |number| format!("{name} {number}")))
        .collect();
    for person in [&pair.host, &pair.guest] {
        let what = format!("all that was said, to {}", person.id);
        wait_for(&what, async || {
            heard(person, &rooms[0]).await.is_superset(&all).then_some(())
        })
        .await;
    }
}

async fn heard(person: &Person, room: &str) -> BTreeSet<String> {
    let history = person.history(room).await;
    let texts = history
        .iter()
        .filter_map(|event: &Value| event["content"]["body"].as_str());
    texts.map(str::to_owned).collect()
}

#[tokio::test]
async fn servers_that_were_apart_agree_again_and_have_all_that_was_said() {
    let world = World::begin_with_gates().await;
    let pairs = world.pairs(1).await;
    world.tell_to(&pairs, prepare).await;
    world.part();
    world.tell_to(&pairs, live_apart).await;
    world.reunite();
    world.tell_to(&pairs, live_together).await;
    drop(pairs);
    world.end();
}
