//! Single parts of a response.

use gatehouse_store::Store;
use serde_json::{Value, json};

use crate::{Filter, Request, Response, response::JoinedRoom, tests::world::World};

fn shown(room: &JoinedRoom) -> Value {
    serde_json::to_value(room).unwrap()
}

async fn next(world: &World, request: &Request, since: &Response) -> Response {
    let request = Request {
        since: Some(since.next_batch),
        ..request.clone()
    };
    world.sync().sync(&request).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_new_display_name_brings_no_summary_and_a_new_member_does() {
    let world = World::new(Store::in_memory());
    let [alice, bob] = world.two_users().await;
    let room = world.public_room(&alice).await;
    let begin = world.sync().sync(&alice.request()).await.unwrap();
    let profile = json!({"membership": "join", "displayname": "A"});
    world
        .set(&alice, &room, ("m.room.member", alice.id.as_str()), profile)
        .await
        .unwrap();
    let renamed = next(&world, &alice.request(), &begin).await;
    assert!(renamed.rooms.join[&room].summary.is_empty());
    world.join(&bob, &room).await.unwrap();
    let joined = next(&world, &alice.request(), &renamed).await;
    let summary = json!({
        "m.heroes": [bob.id], "m.joined_member_count": 2, "m.invited_member_count": 0,
    });
    assert_eq!(shown(&joined.rooms.join[&room])["summary"], summary);
    // With a name of its own, the room needs no heroes.
    world
        .set(&alice, &room, ("m.room.name", ""), json!({"name": "N"}))
        .await
        .unwrap();
    let named = next(&world, &alice.request(), &joined).await;
    let summary = json!({"m.joined_member_count": 2, "m.invited_member_count": 0});
    assert_eq!(shown(&named.rooms.join[&room])["summary"], summary);
}

#[tokio::test(start_paused = true)]
async fn d08_a_name_that_is_no_text_is_none() {
    let world = World::new(Store::in_memory());
    let [alice, bob] = world.two_users().await;
    let room = world.public_room(&alice).await;
    world.join(&bob, &room).await.unwrap();
    for name in [
        json!({"name": 5}),
        json!({"name": {"a": []}}),
        json!({"name": null}),
        json!({"name": ""}),
    ] {
        world
            .set(&alice, &room, ("m.room.name", ""), name.clone())
            .await
            .unwrap();
        let response = world.sync().sync(&alice.request()).await.unwrap();
        let heroes = response.rooms.join[&room].summary.heroes.clone();
        assert_eq!(heroes, Some(vec![bob.id.clone()]), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_room_joined_since_comes_as_in_an_initial_sync() {
    let world = World::new(Store::in_memory());
    let [alice, bob] = world.two_users().await;
    let room = world.public_room(&alice).await;
    world.send(&alice, &room, "before").await.unwrap();
    let begin = world.sync().sync(&bob.request()).await.unwrap();
    world.join(&bob, &room).await.unwrap();
    let mut request = bob.request();
    request.filter.room.timeline.limit = Some(2);
    let joined = &next(&world, &request, &begin).await.rooms.join[&room];
    assert!(joined.timeline.limited);
    assert_eq!(joined.timeline.events.len(), 2);
    assert!(joined.timeline.events[0].get().contains("before"));
    let state = shown(joined)["state"]["events"].to_string();
    assert!(state.contains("m.room.create") && state.contains("m.room.power_levels"));
}

#[tokio::test(start_paused = true)]
async fn the_filter_decides_the_form_of_events() {
    let world = World::new(Store::in_memory());
    let [alice, _] = world.two_users().await;
    let room = world.public_room(&alice).await;
    let event_id = world.send(&alice, &room, "hello").await.unwrap();
    let last = async |filter: &str| {
        let request = Request {
            filter: Box::new(Filter::parse(filter).unwrap()),
            ..alice.request()
        };
        let response = world.sync().sync(&request).await.unwrap();
        let events = &response.rooms.join[&room].timeline.events;
        serde_json::from_str::<Value>(events.last().unwrap().get()).unwrap()
    };
    let federation = last(r#"{"event_format":"federation"}"#).await;
    for field in [
        "auth_events",
        "prev_events",
        "depth",
        "hashes",
        "signatures",
        "room_id",
    ] {
        assert!(federation.get(field).is_some(), "{field}: {federation}");
    }
    assert_eq!(federation["event_id"], event_id.as_str());
    let fields = last(r#"{"event_fields":["content.body","event_id"]}"#).await;
    assert_eq!(
        fields,
        json!({"event_id": event_id, "content": {"body": "hello"}})
    );
}
