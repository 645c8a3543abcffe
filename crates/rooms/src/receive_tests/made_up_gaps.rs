//! What a server says of the state before an event, where what lies between is not to be had: it may be true, and it may be
//! made up so that an old state counts again (security.md E17, T28).

use ruma::{EventId, OwnedEventId};
use serde_json::json;

use super::{
    neighbours::raw,
    world::{World, admin, levels, member, message, new_event, topic, user},
};
use crate::{receive::Received, tables::Standing};

const VERSIONS: [&str; 4] = ["3", "6", "11", "12"];

/// An event that follows something nobody has, with this state before it as its server says.
async fn after_a_gap(
    world: &World,
    sender: &ruma::UserId,
    new: gatehouse_events::NewEvent,
    state: Vec<OwnedEventId>,
    instead: &[(&str, &str, Option<OwnedEventId>)],
) -> (OwnedEventId, Received) {
    let at = (
        vec![EventId::parse("$unknown:b").unwrap()],
        world.head(0).await.depth + 7,
    );
    let built = world.craft_at(0, sender, new, at, instead).await;
    let event_id = built.event.event_id.clone();
    world
        .neighbours
        .stateless
        .lock()
        .insert(EventId::parse("$unknown:b").unwrap());
    world.neighbours.lies.lock().insert(event_id.clone(), state);
    *world.neighbours.forgets_missing.lock() = true;
    let outcome = world.hand(1, 0, &raw(&built.pdu)).await;
    (event_id, outcome)
}

#[tokio::test]
async fn who_came_in_during_a_gap_is_heard() {
    for version in VERSIONS {
        let world = World::new(version, 2).await;
        let guest = user("guest", 1);
        let joined = world.act(1, &guest, member(&guest, "join")).await.unwrap();
        let last = world.act(1, &guest, message("I am new here")).await.unwrap();
        *world.neighbours.forgets_missing.lock() = true;
        assert_eq!(world.tell(1, 0, &last).await, Received::Accepted, "{version}");
        assert!(world.head(0).await.is_joined(&guest), "{version}");
        assert_eq!(
            world.standing(0, &joined).await,
            Some(Standing::Outlier),
            "{version}"
        );
        world.assert_same_state(version).await;
    }
}

#[tokio::test]
async fn t28_a_gap_does_not_bring_back_who_was_banned() {
    for version in VERSIONS {
        let world = World::new(version, 2).await;
        let before = world.head(0).await;
        let old: Vec<OwnedEventId> = before.room_state().event_ids().cloned().collect();
        let joined = before.state_event_id("m.room.member", admin(1).as_str()).cloned();
        let ban = world.act(0, &admin(0), member(&admin(1), "ban")).await.unwrap();
        let key = admin(1).to_string();
        let instead = [("m.room.member", key.as_str(), joined)];
        for new in [message("still here"), member(&admin(1), "join")] {
            let (event_id, outcome) = after_a_gap(&world, &admin(1), new, old.clone(), &instead).await;
            assert_eq!(outcome, Received::SoftFailed, "{version}");
            assert_eq!(world.standing(0, &event_id).await, Some(Standing::SoftFailed));
        }
        let head = world.head(0).await;
        assert_eq!(head.membership(&admin(1)).as_str(), "ban", "{version}");
        assert_eq!(head.extremities, [ban], "{version}");
    }
}

#[tokio::test]
async fn e17_a_gap_does_not_bring_back_power_that_was_taken() {
    for version in VERSIONS {
        let world = World::new(version, 2).await;
        let up = world
            .act(0, &admin(0), levels(world.version, &[(admin(1), 75)]))
            .await
            .unwrap();
        let old: Vec<OwnedEventId> = world.head(0).await.room_state().event_ids().cloned().collect();
        let down = world.act(0, &admin(0), levels(world.version, &[])).await.unwrap();
        let instead = [("m.room.power_levels", "", Some(up))];
        let acl = new_event("m.room.server_acl", Some(""), &json!({ "deny": ["a"] }));
        for new in [
            topic("mine again"),
            acl,
            levels(world.version, &[(admin(1), 75), (user("friend", 1), 75)]),
        ] {
            let (_, outcome) = after_a_gap(&world, &admin(1), new, old.clone(), &instead).await;
            assert_eq!(outcome, Received::SoftFailed, "{version}");
        }
        let head = world.head(0).await;
        assert_eq!(
            head.state_event_id("m.room.power_levels", ""),
            Some(&down),
            "{version}"
        );
        assert_eq!(head.state_event_id("m.room.topic", ""), None, "{version}");
    }
}
