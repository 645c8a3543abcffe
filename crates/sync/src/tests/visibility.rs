//! Who is shown what (security.md D05, D07), and how much of a room a sync has.

use gatehouse_store::Store;
use ruma::{OwnedRoomId, RoomId};
use serde_json::{Value, json};

use crate::{
    EventsRequest, Filter, Request, Response, StateForm, SyncError,
    response::RawEvent,
    tests::world::{User, World},
};

fn bodies(events: &[RawEvent]) -> Vec<String> {
    let events = events
        .iter()
        .map(|event| serde_json::from_str::<Value>(event.get()).unwrap());
    events
        .filter_map(|event| event["content"]["body"].as_str().map(str::to_owned))
        .collect()
}

fn types(events: &[RawEvent]) -> Vec<String> {
    let events = events
        .iter()
        .map(|event| serde_json::from_str::<Value>(event.get()).unwrap());
    events
        .map(|event| event["type"].as_str().unwrap().to_owned())
        .collect()
}

async fn sync(world: &World, user: &User, since: Option<&Response>) -> Response {
    let request = Request {
        since: since.map(|response| response.next_batch),
        ..user.request()
    };
    world.sync().sync(&request).await.unwrap()
}

async fn sync_with_left(world: &World, user: &User) -> Response {
    let mut filter = Filter::default();
    filter.room.include_leave = true;
    let request = Request {
        filter: Box::new(filter),
        ..user.request()
    };
    world.sync().sync(&request).await.unwrap()
}

fn says(world: &World, response: &Response, room: &RoomId) -> Vec<String> {
    let _ = world;
    let joined = response.rooms.join.get(room).map(|room| &room.timeline);
    let left = response.rooms.leave.get(room).map(|room| &room.timeline);
    joined
        .or(left)
        .map(|timeline| bodies(&timeline.events))
        .unwrap_or_default()
}

/// D05: for each visibility, what one who comes in by an invite is shown of what was said before the invite, between
/// invite and join, and after.
#[tokio::test(start_paused = true)]
async fn d05_who_joins_is_shown_what_the_visibility_of_the_time_shows() {
    for (visibility, expected) in [
        ("world_readable", &["before", "invited", "joined"][..]),
        ("shared", &["before", "invited", "joined"]),
        ("invited", &["invited", "joined"]),
        ("joined", &["joined"]),
    ] {
        let world = World::new(Store::in_memory());
        let [alice, bob] = world.two_users().await;
        let room = world.private_room(&alice).await;
        world.set_visibility_if_new(&alice, &room, visibility).await;
        world.send(&alice, &room, "before").await.unwrap();
        world.invite(&alice, &room, &bob).await.unwrap();
        world.send(&alice, &room, "invited").await.unwrap();
        let while_invited = sync(&world, &bob, None).await;
        assert!(while_invited.rooms.join.is_empty(), "{visibility}");
        world.join(&bob, &room).await.unwrap();
        world.send(&alice, &room, "joined").await.unwrap();
        let incremental = sync(&world, &bob, Some(&while_invited)).await;
        assert_eq!(
            says(&world, &incremental, &room),
            expected,
            "{visibility}, incremental"
        );
        let initial = sync(&world, &bob, None).await;
        assert_eq!(says(&world, &initial, &room), expected, "{visibility}, initial");
    }
}

/// D05: strangers, the invited, the banned and those who knock are shown nothing of the room but what was done to
/// them, whatever its history visibility.
#[tokio::test(start_paused = true)]
async fn d05_who_never_was_in_the_room_is_shown_nothing_of_it() {
    for visibility in ["world_readable", "shared", "invited", "joined"] {
        let world = World::new(Store::in_memory());
        let [alice, bob] = world.two_users().await;
        let (carol, dora) = (world.user("carol").await, world.user("dora").await);
        let room = world.private_room(&alice).await;
        world.set_visibility_if_new(&alice, &room, visibility).await;
        world.send(&alice, &room, "secret").await.unwrap();
        let before = [&bob, &carol, &dora].map(|user| (user.clone(), user.request()));
        let mut tokens = Vec::new();
        for (user, request) in before {
            tokens.push((user, world.sync().sync(&request).await.unwrap()));
        }
        world.invite(&alice, &room, &bob).await.unwrap();
        world.ban(&alice, &room, &carol).await.unwrap();
        world.send(&alice, &room, "secret").await.unwrap();
        for (user, token) in &tokens {
            for response in [
                sync(&world, user, Some(token)).await,
                sync_with_left(&world, user).await,
            ] {
                let text = serde_json::to_string(&response).unwrap();
                assert!(!text.contains("secret"), "{visibility}: {text}");
                assert!(response.rooms.join.is_empty());
                for left in response.rooms.leave.values() {
                    assert!(left.state.events().is_empty(), "{visibility}");
                    assert_eq!(types(&left.timeline.events), ["m.room.member"], "{visibility}");
                }
            }
        }
        // One who turns the invite down is told that, and no more.
        let invited = sync(&world, &bob, None).await;
        world.leave(&bob, &room).await.unwrap();
        let response = sync(&world, &bob, Some(&invited)).await;
        let left = &response.rooms.leave[&room];
        assert_eq!(types(&left.timeline.events), ["m.room.member"], "{visibility}");
        assert!(left.state.events().is_empty(), "{visibility}");
    }
}

/// What the user was shown of a room that they left in this way, by an incremental sync, by one after that, and by an
/// initial one.
async fn shown_after(
    leave: impl AsyncFn(&World, &User, &RoomId, &User),
    form: StateForm,
) -> (World, OwnedRoomId, Vec<Response>) {
    let world = World::new(Store::in_memory());
    let [alice, bob] = world.two_users().await;
    let room = world.public_room(&alice).await;
    world.join(&bob, &room).await.unwrap();
    let begin = sync(&world, &bob, None).await;
    world.send(&alice, &room, "while in").await.unwrap();
    world
        .set(&alice, &room, ("m.room.topic", ""), json!({"topic": "while in"}))
        .await
        .unwrap();
    leave(&world, &alice, &room, &bob).await;
    world.send(&alice, &room, "secret").await.unwrap();
    world
        .set(&alice, &room, ("m.room.topic", ""), json!({"topic": "secret"}))
        .await
        .unwrap();
    world
        .set(&alice, &room, ("m.room.name", ""), json!({"name": "secret"}))
        .await
        .unwrap();
    let mut responses = Vec::new();
    let mut since = Some(begin.next_batch);
    for _ in 0..2 {
        let request = Request {
            since,
            state_form: form,
            ..bob.request()
        };
        let response = world.sync().sync(&request).await.unwrap();
        since = Some(response.next_batch);
        world.send(&alice, &room, "secret").await.unwrap();
        responses.push(response);
    }
    responses.push(sync_with_left(&world, &bob).await);
    (world, room, responses)
}

async fn assert_nothing_after(leave: impl AsyncFn(&World, &User, &RoomId, &User)) {
    for form in [StateForm::Before, StateForm::After] {
        let (world, room, responses) = shown_after(&leave, form).await;
        for response in &responses {
            let text = serde_json::to_string(response).unwrap();
            assert!(!text.contains("secret"), "{text}");
            assert!(response.rooms.join.is_empty());
        }
        assert_eq!(says(&world, &responses[0], &room), ["while in"]);
        let left = &responses[0].rooms.leave[&room];
        assert_eq!(types(&left.timeline.events).last().unwrap(), "m.room.member");
        assert!(responses[1].rooms.is_empty(), "told once");
        assert_eq!(says(&world, &responses[2], &room), ["while in"]);
    }
}

#[tokio::test(start_paused = true)]
async fn d07_who_left_is_shown_nothing_later() {
    assert_nothing_after(async |world: &World, _: &User, room: &RoomId, bob: &User| {
        world.leave(bob, room).await.unwrap();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn d07_who_was_thrown_out_is_shown_nothing_later() {
    assert_nothing_after(async |world: &World, alice: &User, room: &RoomId, bob: &User| {
        world.kick(alice, room, bob).await.unwrap();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn d07_who_was_banned_is_shown_nothing_later() {
    assert_nothing_after(async |world: &World, alice: &User, room: &RoomId, bob: &User| {
        world.ban(alice, room, bob).await.unwrap();
    })
    .await;
}

/// D07, of the deprecated stream.
#[tokio::test(start_paused = true)]
async fn d07_the_event_stream_ends_with_the_leave() {
    let world = World::new(Store::in_memory());
    let [alice, bob] = world.two_users().await;
    let room = world.public_room(&alice).await;
    world.join(&bob, &room).await.unwrap();
    let mut request = EventsRequest {
        user: bob.id.clone(),
        device: bob.device.clone(),
        from: None,
        timeout: std::time::Duration::ZERO,
        room: None,
        limit: Some(1),
    };
    request.from = Some(world.sync().events(&request).await.unwrap().end);
    world.send(&alice, &room, "while in").await.unwrap();
    world.leave(&bob, &room).await.unwrap();
    world.send(&alice, &room, "secret").await.unwrap();
    world.invite(&alice, &room, &bob).await.unwrap();
    let mut events = Vec::new();
    loop {
        let page = world.sync().events(&request).await.unwrap();
        assert!(page.chunk.len() <= 1);
        events.extend(page.chunk);
        if Some(page.end) == request.from {
            break;
        }
        request.from = Some(page.end);
    }
    assert_eq!(bodies(&events), ["while in"]);
    assert_eq!(
        types(&events),
        ["m.room.message", "m.room.member", "m.room.member"]
    );
    // Neither does naming the room show it.
    let peek = EventsRequest {
        room: Some(room),
        ..request
    };
    assert!(matches!(
        world.sync().events(&peek).await,
        Err(SyncError::NotInRoom)
    ));
}

/// The room is told of once more, so that other devices of the user do not go on showing it.
#[tokio::test(start_paused = true)]
async fn a_forgotten_room_is_gone_but_for_the_leave() {
    let world = World::new(Store::in_memory());
    let [alice, bob] = world.two_users().await;
    let room = world.public_room(&alice).await;
    world.join(&bob, &room).await.unwrap();
    let begin = sync(&world, &bob, None).await;
    world.leave(&bob, &room).await.unwrap();
    world.rooms().forget(&bob.id, &room).await.unwrap();
    let response = sync(&world, &bob, Some(&begin)).await;
    let left = &response.rooms.leave[&room];
    assert_eq!(types(&left.timeline.events), ["m.room.member"]);
    assert!(left.state.events().is_empty());
    assert!(sync(&world, &bob, Some(&response)).await.rooms.is_empty());
    assert!(sync_with_left(&world, &bob).await.rooms.is_empty());
}

#[tokio::test(start_paused = true)]
async fn messages_of_the_ignored_are_left_out_and_their_state_is_not() {
    let world = World::new(Store::in_memory());
    let [alice, bob] = world.two_users().await;
    let room = world.public_room(&alice).await;
    world.join(&bob, &room).await.unwrap();
    let ignored = json!({"ignored_users": {alice.id.as_str(): {}}}).to_string();
    let ignored = serde_json::value::RawValue::from_string(ignored).unwrap();
    let accounts = world.accounts();
    let set = accounts.set_account_data(&bob.id, None, "m.ignored_user_list", &ignored);
    set.await.unwrap();
    let begin = sync(&world, &bob, None).await;
    world.send(&alice, &room, "unheard").await.unwrap();
    world
        .set(&alice, &room, ("m.room.topic", ""), json!({"topic": "seen"}))
        .await
        .unwrap();
    let other = world.private_room(&alice).await;
    world.invite(&alice, &other, &bob).await.unwrap();
    let response = sync(&world, &bob, Some(&begin)).await;
    assert_eq!(
        types(&response.rooms.join[&room].timeline.events),
        ["m.room.topic"]
    );
    assert!(response.rooms.invite.is_empty());
}
