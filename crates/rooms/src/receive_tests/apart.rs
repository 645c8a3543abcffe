//! What kept servers apart for good, each found by the simulation.

use gatehouse_events::{Built, Pdu};
use gatehouse_store::Range;
use ruma::{OwnedEventId, OwnedUserId, events::room::member::MembershipState};
use serde_json::json;

use super::{
    neighbours::raw,
    world::{World, admin, levels, member, message, new_event, topic, user},
};
use crate::{
    receive::Received,
    tables::{BACKWARD, Standing},
};

/// A state of which a part was lost on the way is another state, and would stay so.
#[tokio::test]
async fn an_event_waits_until_all_of_the_state_before_it_can_be_had() {
    let world = World::new("12", 2).await;
    let powers = levels(world.version, &[(admin(1), 50)]);
    let powers = world.act(0, &admin(0), powers).await.unwrap();
    world.tell(0, 1, &powers).await;
    let lost = world.act(1, &admin(1), topic("lost")).await.unwrap();
    world.act(1, &admin(1), message("between")).await.unwrap();
    let newest = world.act(1, &admin(1), message("last")).await.unwrap();
    *world.neighbours.forgets_missing.lock() = true;
    world.neighbours.hidden.lock().insert(lost.clone());
    let outcome = world.tell(1, 0, &newest).await;
    assert!(matches!(outcome, Received::Dropped(_)), "{outcome:?}");
    world.neighbours.hidden.lock().clear();
    assert_eq!(world.tell(1, 0, &newest).await, Received::Accepted);
    let head = world.head(0).await;
    assert_eq!(head.state_event_id("m.room.topic", ""), Some(&lost));
}

#[tokio::test]
async fn a_state_without_the_create_event_is_none() {
    let world = World::new("12", 2).await;
    world.act(1, &admin(1), message("between")).await.unwrap();
    let newest = world.act(1, &admin(1), message("last")).await.unwrap();
    *world.neighbours.forgets_missing.lock() = true;
    let before = world.head(0).await.room_state().to_map();
    for at in [&newest, &world.head(1).await.extremities[0]] {
        world.neighbours.lies.lock().insert((*at).clone(), Vec::new());
    }
    let parents = pdu(&world, 1, &newest).await.event.prev_events;
    world
        .neighbours
        .lies
        .lock()
        .insert(parents[0].clone(), Vec::new());
    let outcome = world.tell(1, 0, &newest).await;
    assert!(matches!(outcome, Received::Dropped(_)), "{outcome:?}");
    assert_eq!(world.head(0).await.room_state().to_map(), before);
}

/// The redaction came while what it redacts was not here; history that is fetched later brings it whole.
#[tokio::test]
async fn a_redaction_that_came_first_works_on_history_too() {
    for version in ["3", "11", "12"] {
        let world = World::new(version, 1).await;
        let said = world.act(0, &admin(0), message("a secret")).await.unwrap();
        let world = world.with_another_server().await;
        let mut new = new_event("m.room.redaction", None, &json!({ "redacts": said }));
        new.redacts = Some(said.clone());
        let redaction = world.act(0, &admin(0), new).await.unwrap();
        assert_eq!(world.tell(0, 1, &redaction).await, Received::Accepted);
        assert_eq!(world.standing(1, &redaction).await, Some(Standing::Withheld));
        let gaps = world.servers[1]
            .store
            .scan(
                &BACKWARD,
                &Range::prefix(&(world.room.clone(),)),
                gatehouse_store::Direction::Forward,
                1,
            )
            .await
            .unwrap();
        let ((_, position), _) = gaps[0].clone();
        let history = vec![pdu(&world, 0, &said).await];
        let put = world.servers[1]
            .add_history(&world.room, position, history)
            .await
            .unwrap();
        assert_eq!(put, 1, "{version}");
        let kept = world.raw(1, &said).await;
        assert!(!kept.get().contains("a secret"), "{version}");
    }
}

/// Somebody else was let in at the same time as this server, which was not told of it.
#[tokio::test]
async fn who_joined_at_the_same_time_is_heard() {
    for version in ["3", "11", "12"] {
        let world = World::new(version, 3).await;
        let late = user("late", 2);
        let own_join = pdu(&world, 0, &join_of(&world, &admin(1)).await).await.event;
        let place = (own_join.prev_events.clone(), own_join.depth);
        let (join, said) = join_and_speak(&world, &late, place, &own_join.event_id).await;
        assert_eq!(
            world.hand(0, 1, &raw(&said.pdu)).await,
            Received::Accepted,
            "{version}"
        );
        let standing = world.standing(1, &join.event.event_id).await;
        assert_eq!(standing, Some(Standing::Accepted), "{version}");
        assert!(world.head(1).await.is_joined(&late), "{version}");
    }
}

/// Their join is older than this server's time in the room, so that it is not asked for; but the state before what they
/// say has it, and nothing here speaks against it.
#[tokio::test]
async fn what_only_the_events_own_branch_allows_is_not_soft_failed() {
    for version in ["3", "11", "12"] {
        let world = World::new(version, 3).await;
        let late = user("late", 2);
        let own_join = pdu(&world, 0, &join_of(&world, &admin(1)).await).await.event;
        let before = pdu(&world, 0, &own_join.prev_events[0]).await.event;
        let place = (before.prev_events.clone(), before.depth);
        let (join, said) = join_and_speak(&world, &late, place, &own_join.event_id).await;
        assert_eq!(
            world.hand(0, 1, &raw(&said.pdu)).await,
            Received::Accepted,
            "{version}"
        );
        let standing = world.standing(1, &join.event.event_id).await;
        assert_eq!(standing, Some(Standing::Outlier), "{version}");
        let membership = world.head(1).await.membership(&late);
        assert_eq!(membership, MembershipState::Join, "{version}");
    }
}

async fn pdu(world: &World, server: usize, event_id: &OwnedEventId) -> Pdu {
    let raw = world.raw(server, event_id).await;
    Pdu::parse(raw.get(), &world.room, world.version).unwrap()
}

async fn join_of(world: &World, user: &OwnedUserId) -> OwnedEventId {
    world.head(0).await.members[user].event_id.clone()
}

/// Somebody joins at this place of the graph and says something after that and after another event; the first server has
/// both.
async fn join_and_speak(
    world: &World,
    late: &OwnedUserId,
    (prev_events, depth): (Vec<OwnedEventId>, u64),
    after: &OwnedEventId,
) -> (Built, Built) {
    let join = world
        .craft_at(0, late, member(late, "join"), (prev_events, depth), &[])
        .await;
    assert_eq!(world.hand(2, 0, &raw(&join.pdu)).await, Received::Accepted);
    let ends = vec![join.event.event_id.clone(), after.clone()];
    let said = world
        .craft_at(0, late, message("hello"), (ends, depth + 9), &[])
        .await;
    assert_eq!(world.hand(2, 0, &raw(&said.pdu)).await, Received::Accepted);
    (join, said)
}
