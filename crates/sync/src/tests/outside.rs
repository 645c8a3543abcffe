//! Invites to rooms that this server is not in.

use gatehouse_rooms::MembershipRequest;
use gatehouse_store::Store;
use ruma::{OwnedEventId, OwnedRoomId};
use serde_json::{Value, json};

use crate::{
    EventsRequest, InitialSyncRequest, Request, Response,
    response::RawEvent,
    tests::{
        elsewhere::{invites, takes_back},
        world::{User, World},
    },
};

fn there() -> OwnedRoomId {
    "!there:elsewhere".try_into().unwrap()
}

async fn sync(world: &World, user: &User, since: Option<&Response>) -> Response {
    let request = Request {
        since: since.map(|response| response.next_batch),
        ..user.request()
    };
    world.sync().sync(&request).await.unwrap()
}

fn values(events: &[RawEvent]) -> Vec<Value> {
    let values = events.iter().map(|event| serde_json::from_str(event.get()));
    values.map(Result::unwrap).collect()
}

/// A user who has synced and is then invited.
async fn invited() -> (World, User, Response, OwnedEventId) {
    let world = World::new(Store::in_memory());
    let bob = world.user("bob").await;
    let before = sync(&world, &bob, None).await;
    let invite = invites(&world.rooms(), &there(), &bob.id).await;
    (world, bob, before, invite)
}

#[tokio::test]
async fn an_invite_from_elsewhere_is_shown_once_and_at_each_beginning() {
    let (world, bob, before, _) = invited().await;
    for since in [Some(&before), None] {
        let response = sync(&world, &bob, since).await;
        let room = &response.rooms.invite[&there()];
        let events = values(&room.invite_state.events);
        assert_eq!(events.len(), 2, "{events:?}");
        assert_eq!(events[0]["content"], json!({ "name": "Tea" }));
        assert_eq!(
            (
                &events[1]["type"],
                &events[1]["state_key"],
                &events[1]["content"]["reason"]
            ),
            (&json!("m.room.member"), &json!(bob.id), &json!("tea"))
        );
        let next = sync(&world, &bob, Some(&response)).await;
        assert!(next.rooms.is_empty());
    }
    world.restart();
    assert!(sync(&world, &bob, None).await.rooms.invite.contains_key(&there()));
}

#[tokio::test]
async fn an_invite_that_is_rejected_or_taken_back_is_shown_as_left() {
    for taken_back in [true, false] {
        let (world, bob, _, _) = invited().await;
        let since = sync(&world, &bob, None).await;
        let gone = if taken_back {
            takes_back(&world.rooms(), &there(), &bob.id).await
        } else {
            let plain = MembershipRequest::default();
            world.rooms().leave(&bob.id, &there(), &plain).await.unwrap()
        };
        let response = sync(&world, &bob, Some(&since)).await;
        assert!(response.rooms.invite.is_empty());
        let left = &response.rooms.leave[&there()];
        let events = values(&left.timeline.events);
        assert_eq!(events.len(), 1, "{events:?}");
        assert_eq!(events[0]["event_id"], json!(gone));
        assert_eq!(events[0]["content"]["membership"], "leave");
        assert!(sync(&world, &bob, None).await.rooms.is_empty());
        // It can be forgotten, and come again.
        world.rooms().forget(&bob.id, &there()).await.unwrap();
        invites(&world.rooms(), &there(), &bob.id).await;
        let again = sync(&world, &bob, Some(&response)).await;
        assert!(again.rooms.invite.contains_key(&there()));
    }
}

#[tokio::test]
async fn the_old_operations_show_it_too() {
    let (world, bob, before, invite) = invited().await;
    let request = InitialSyncRequest {
        user: bob.id.clone(),
        device: bob.device.clone(),
        limit: None,
        archived: false,
    };
    let snapshot = world.sync().initial_sync(&request).await.unwrap();
    let snapshot = serde_json::to_value(snapshot).unwrap();
    assert_eq!(snapshot["rooms"][0]["membership"], "invite");
    assert_eq!(snapshot["rooms"][0]["inviter"], "@erin:elsewhere");
    assert_eq!(snapshot["rooms"][0]["invite"]["event_id"], json!(invite));
    let request = EventsRequest {
        user: bob.id.clone(),
        device: bob.device.clone(),
        from: Some(before.next_batch),
        timeout: std::time::Duration::ZERO,
        room: None,
        limit: Some(10),
    };
    let page = world.sync().events(&request).await.unwrap();
    let page = serde_json::to_value(page).unwrap();
    assert_eq!(page["chunk"][0]["event_id"], json!(invite), "{page}");
}
