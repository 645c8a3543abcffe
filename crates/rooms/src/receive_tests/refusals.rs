//! What other servers send and the room does not take: by the rules of the room, and by what is known of it here.

use gatehouse_store::Position;
use ruma::{EventId, OwnedEventId};
use serde_json::json;

use super::{
    neighbours::raw,
    world::{World, admin, levels, member, message, new_event, topic, user},
};
use crate::{receive::Received, tables::Standing};

const VERSIONS: [&str; 4] = ["3", "6", "11", "12"];

fn is_rejected(outcome: &Received) -> bool {
    matches!(outcome, Received::Rejected(_))
}

#[tokio::test]
async fn e12_an_event_that_another_rooms_events_authorise_is_rejected() {
    for version in VERSIONS {
        let world = World::new(version, 2).await;
        let elsewhere = world.servers[0]
            .create(
                &admin(0),
                &crate::write_tests::public_request(world.version),
                None,
            )
            .await
            .unwrap();
        let other = world.servers[0].head(&elsewhere).await.unwrap().unwrap();
        let head = world.head(0).await;
        for (kind, key) in [
            ("m.room.power_levels", String::new()),
            ("m.room.join_rules", String::new()),
        ] {
            let foreign = other.state_event_id(kind, &key).cloned();
            let at = (head.extremities.clone(), head.depth + 1);
            let new = member(&user("guest", 1), "join");
            let built = world
                .craft_at(0, &user("guest", 1), new, at, &[(kind, &key, foreign)])
                .await;
            let outcome = world.hand(1, 0, &raw(&built.pdu)).await;
            assert!(is_rejected(&outcome), "{version}: {outcome:?}");
            let again = world.hand(1, 0, &raw(&built.pdu)).await;
            assert!(is_rejected(&again), "{version}: {again:?}");
        }
        assert_eq!(
            world.head(0).await.membership(&user("guest", 1)).as_str(),
            "leave"
        );
        assert_eq!(world.head(0).await.extremities, head.extremities);
    }
}

#[tokio::test]
async fn x15_auth_events_that_are_no_state_or_come_twice_reject() {
    let world = World::new("11", 2).await;
    let said = world.act(0, &admin(0), message("hi")).await.unwrap();
    let head = world.head(0).await;
    let id = |kind: &str, key: &str| head.state_event_id(kind, key).cloned().unwrap();
    let good = vec![
        id("m.room.create", ""),
        id("m.room.power_levels", ""),
        id("m.room.member", admin(1).as_str()),
    ];
    let mut with_message = good.clone();
    with_message.push(said);
    let mut twice = good.clone();
    twice.push(good[2].clone());
    let mut unasked = good.clone();
    unasked.push(id("m.room.history_visibility", ""));
    let without_create = good[1..].to_vec();
    for auth_events in [with_message, twice, unasked, without_create] {
        let at = (head.extremities.clone(), auth_events.clone(), head.depth + 1);
        let built = world.craft_with(0, &admin(1), message("no"), at).await;
        let outcome = world.hand(1, 0, &raw(&built.pdu)).await;
        assert!(is_rejected(&outcome), "{auth_events:?}: {outcome:?}");
    }
    let at = (head.extremities.clone(), good, head.depth + 1);
    let built = world.craft_with(0, &admin(1), message("yes"), at).await;
    assert_eq!(world.hand(1, 0, &raw(&built.pdu)).await, Received::Accepted);
}

/// Past power lets nobody do what the room does not let them do now (security.md T28).
#[tokio::test]
async fn t28_what_a_banned_user_dates_back_is_soft_failed() {
    for version in VERSIONS {
        let world = World::new(version, 2).await;
        let before = world.head(0).await;
        let ban = world.act(0, &admin(0), member(&admin(1), "ban")).await.unwrap();
        let joined = before.state_event_id("m.room.member", admin(1).as_str()).cloned();
        let at = (before.extremities.clone(), before.depth + 1);
        let instead = [("m.room.member", admin(1).to_string(), joined)];
        let instead: Vec<_> = instead
            .iter()
            .map(|(kind, key, id)| (*kind, key.as_str(), id.clone()))
            .collect();
        for new in [message("still here"), member(&admin(1), "join")] {
            let built = world.craft_at(0, &admin(1), new, at.clone(), &instead).await;
            let event_id = &built.event.event_id;
            assert_eq!(
                world.hand(1, 0, &raw(&built.pdu)).await,
                Received::SoftFailed,
                "{version}"
            );
            assert_eq!(world.standing(0, event_id).await, Some(Standing::SoftFailed));
            let viewer = crate::present::Viewer {
                user: &admin(0),
                device: None,
            };
            let shown = world.servers[0].one_event(viewer, &world.room, event_id).await;
            assert!(shown.is_err(), "nobody is shown it");
        }
        let head = world.head(0).await;
        assert_eq!(head.extremities, [ban]);
        assert_eq!(head.membership(&admin(1)).as_str(), "ban");
    }
}

#[tokio::test]
async fn e19_a_second_create_event_is_rejected() {
    for version in ["3", "11"] {
        let world = World::new(version, 2).await;
        let content = json!({ "creator": admin(1), "room_version": version });
        let new = new_event("m.room.create", Some(""), &content);
        let built = world
            .craft_with(0, &admin(1), new, (Vec::new(), Vec::new(), 1))
            .await;
        let before = world.state(0).await;
        let outcome = world.hand(1, 0, &raw(&built.pdu)).await;
        assert!(is_rejected(&outcome), "{outcome:?}");
        assert_eq!(world.state(0).await, before);
    }
}

#[tokio::test]
async fn e25_depth_orders_nothing_and_never_grows_out_of_range() {
    const LAST: u64 = (1 << 53) - 1;
    let world = World::new("12", 2).await;
    let head = world.head(0).await;
    for depth in [LAST, 0, 1] {
        let at = (world.head(0).await.extremities.clone(), depth);
        let built = world.craft_at(0, &admin(1), message("deep"), at, &[]).await;
        assert_eq!(
            world.hand(1, 0, &raw(&built.pdu)).await,
            Received::Accepted,
            "{depth}"
        );
    }
    let own = world.act(0, &admin(0), message("after")).await.unwrap();
    let placed = world.servers[0]
        .placed(&world.room, std::slice::from_ref(&own))
        .await
        .unwrap();
    let pdu: serde_json::Value = serde_json::from_str(&placed[&own].row.pdu).unwrap();
    assert_eq!(pdu["depth"], json!(LAST));
    assert!(world.head(0).await.sequence > head.sequence);
    // It goes over the wire again.
    assert_eq!(world.tell(0, 1, &own).await, Received::Accepted);
    let too_deep = placed[&own]
        .row
        .pdu
        .replace(&LAST.to_string(), &(LAST + 1).to_string());
    let outcome = world.hand(1, 0, &raw(&too_deep)).await;
    assert!(matches!(outcome, Received::Dropped(_)), "{outcome:?}");
}

#[tokio::test]
async fn what_follows_a_rejected_event_is_judged_by_itself() {
    let world = World::new("12", 2).await;
    let bad = world.craft(0, &admin(1), topic("not allowed")).await;
    assert!(is_rejected(&world.hand(1, 0, &raw(&bad.pdu)).await));
    let at = (vec![bad.event.event_id.clone()], world.head(0).await.depth + 2);
    let good = world.craft_at(0, &admin(1), message("allowed"), at, &[]).await;
    assert_eq!(world.hand(1, 0, &raw(&good.pdu)).await, Received::Accepted);
    let head = world.head(0).await;
    world.assert_one_end(0, &good.event.event_id).await;
    assert_ne!(head.state_event_id("m.room.topic", ""), Some(&bad.event.event_id));
}

#[tokio::test]
async fn e30_events_of_a_server_that_the_acl_denies_are_dropped() {
    let world = World::new("12", 3).await;
    let acl = json!({ "allow": ["*"], "deny": ["B"] });
    let new = new_event("m.room.server_acl", Some(""), &acl);
    world.act(0, &admin(0), new).await.unwrap();
    let built = world.craft(0, &admin(1), message("hi")).await;
    for origin in [1, 2] {
        let outcome = world.hand(origin, 0, &raw(&built.pdu)).await;
        assert!(matches!(outcome, Received::Dropped(_)), "{outcome:?}");
    }
    let allowed = world.craft(0, &admin(2), message("hi")).await;
    assert_eq!(world.hand(2, 0, &raw(&allowed.pdu)).await, Received::Accepted);
}

fn redaction(target: &EventId, in_content: bool) -> gatehouse_events::NewEvent {
    let mut new = new_event("m.room.redaction", None, &json!({}));
    if in_content {
        new = new_event("m.room.redaction", None, &json!({ "redacts": target }));
    }
    new.redacts = Some(target.to_owned());
    new
}

async fn content_at(world: &World, server: usize, event_id: &OwnedEventId) -> String {
    let placed = world.servers[server]
        .placed(&world.room, std::slice::from_ref(event_id))
        .await
        .unwrap();
    placed[event_id].row.pdu.clone()
}

#[tokio::test]
async fn e22_a_redaction_applies_only_by_power_or_to_ones_own_server() {
    for version in ["3", "11", "12"] {
        let world = World::new(version, 3).await;
        let in_content = world.version.rules().redaction.content_field_redacts;
        let said = world.act(0, &admin(0), message("a secret")).await.unwrap();
        world.tell(0, 1, &said).await;
        world.tell(0, 2, &said).await;
        let bad = world.craft(1, &admin(1), redaction(&said, in_content)).await;
        assert_eq!(
            world.hand(1, 0, &raw(&bad.pdu)).await,
            Received::Accepted,
            "{version}"
        );
        assert!(
            content_at(&world, 0, &said).await.contains("a secret"),
            "{version}"
        );
        let bad_id = &bad.event.event_id;
        assert_eq!(
            world.standing(0, bad_id).await,
            Some(Standing::Withheld),
            "{version}"
        );
        // Its own server may.
        let own = world.craft(0, &admin(1), message("my secret")).await;
        let own_id = own.event.event_id.clone();
        assert_eq!(world.hand(1, 0, &raw(&own.pdu)).await, Received::Accepted);
        let by_server = world.craft(0, &admin(1), redaction(&own_id, in_content)).await;
        assert_eq!(world.hand(1, 0, &raw(&by_server.pdu)).await, Received::Accepted);
        assert!(
            !content_at(&world, 0, &own_id).await.contains("my secret"),
            "{version}"
        );
        // And who has the power.
        let other = world.craft(0, &admin(2), message("their secret")).await;
        let other_id = other.event.event_id.clone();
        assert_eq!(world.hand(2, 0, &raw(&other.pdu)).await, Received::Accepted);
        let by_power = world.craft(0, &admin(0), redaction(&other_id, in_content)).await;
        assert_eq!(world.hand(0, 2, &raw(&own.pdu)).await, Received::Accepted);
        assert_eq!(world.hand(0, 2, &raw(&other.pdu)).await, Received::Accepted);
        assert_eq!(world.hand(0, 2, &raw(&by_power.pdu)).await, Received::Accepted);
        assert!(
            !content_at(&world, 2, &other_id).await.contains("their secret"),
            "{version}"
        );
    }
}

#[tokio::test]
async fn a_redaction_that_comes_first_waits_for_what_it_redacts() {
    for version in ["3", "11", "12"] {
        let world = World::new(version, 3).await;
        let in_content = world.version.rules().redaction.content_field_redacts;
        let head = world.head(0).await;
        let root = (head.extremities.clone(), head.depth + 1);
        let said = world
            .craft_at(0, &admin(1), message("a secret"), root.clone(), &[])
            .await;
        let said_id = said.event.event_id.clone();
        // Somebody without power, from another server, and then the sender.
        for (sender, from) in [(admin(2), 2), (admin(1), 1)] {
            let new = redaction(&said_id, in_content);
            let early = world.craft_at(0, &sender, new, root.clone(), &[]).await;
            assert_eq!(world.hand(from, 0, &raw(&early.pdu)).await, Received::Accepted);
            let early_id = &early.event.event_id;
            assert_eq!(
                world.standing(0, early_id).await,
                Some(Standing::Withheld),
                "{version}"
            );
        }
        assert_eq!(world.hand(1, 0, &raw(&said.pdu)).await, Received::Accepted);
        let placed = world.servers[0]
            .placed(&world.room, std::slice::from_ref(&said_id))
            .await
            .unwrap();
        let row = &placed[&said_id].row;
        assert!(!row.pdu.contains("a secret"), "{version}");
        assert!(row.redacted_by.is_some(), "{version}");
    }
}

/// A server that says what the room's state is does not make it so (security.md E17).
#[tokio::test]
async fn e17_the_state_of_one_server_is_resolved_with_ours() {
    for version in VERSIONS {
        let world = World::new(version, 3).await;
        let before = world.head(1).await;
        let all: Vec<OwnedEventId> = before.room_state().event_ids().cloned().collect();
        let ban = world.act(0, &admin(0), member(&admin(2), "ban")).await.unwrap();
        let named = world.act(0, &admin(0), topic("ours")).await.unwrap();
        *world.neighbours.forgets_missing.lock() = true;
        let unknown = EventId::parse("$unknown:b").unwrap();
        let at = (vec![unknown], before.depth + 7);
        let built = world.craft_at(1, &admin(1), message("as before"), at, &[]).await;
        let event_id = built.event.event_id.clone();
        // All that was there before the ban.
        world.neighbours.lies.lock().insert(event_id.clone(), all);
        assert_eq!(
            world.hand(1, 0, &raw(&built.pdu)).await,
            Received::Accepted,
            "{version}"
        );
        let head = world.head(0).await;
        assert_eq!(head.membership(&admin(2)).as_str(), "ban", "{version}");
        assert_eq!(
            head.state_event_id("m.room.member", admin(2).as_str()),
            Some(&ban),
            "{version}"
        );
        assert_eq!(head.state_event_id("m.room.topic", ""), Some(&named), "{version}");
        assert_eq!(head.extremities.len(), 2, "{version}");
    }
}

/// What was rejected once is rejected whoever has it in their state (security.md E16).
#[tokio::test]
async fn e16_a_rejected_event_is_not_revived_by_the_state_of_a_peer() {
    for version in VERSIONS {
        let world = World::new(version, 2).await;
        let bad = world.craft(0, &admin(1), topic("mine now")).await;
        assert!(is_rejected(&world.hand(1, 0, &raw(&bad.pdu)).await), "{version}");
        let head = world.head(1).await;
        let mut lie: Vec<OwnedEventId> = head.room_state().event_ids().cloned().collect();
        lie.push(bad.event.event_id.clone());
        *world.neighbours.forgets_missing.lock() = true;
        let at = (vec![EventId::parse("$unknown:b").unwrap()], head.depth + 7);
        let built = world.craft_at(1, &admin(1), message("look"), at, &[]).await;
        world
            .neighbours
            .lies
            .lock()
            .insert(built.event.event_id.clone(), lie);
        assert_eq!(
            world.hand(1, 0, &raw(&built.pdu)).await,
            Received::Accepted,
            "{version}"
        );
        let head = world.head(0).await;
        assert_eq!(head.state_event_id("m.room.topic", ""), None, "{version}");
        let at_gap = world.servers[0]
            .state_before_event(&world.room, &built.event.event_id)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(at_gap.event_id("m.room.topic", ""), None, "{version}");
        assert_eq!(
            world.standing(0, &bad.event.event_id).await,
            Some(Standing::Rejected)
        );
        let state = world.servers[0]
            .state_at(&world.room, Position::MAX)
            .await
            .unwrap();
        assert!(
            state.iter().all(|event| event.kind() != "m.room.topic"),
            "{version}"
        );
    }
}

/// Levels that a demoted user has set at the same time do not come back.
#[tokio::test]
async fn e18_a_demoted_user_does_not_win_their_power_back() {
    for version in VERSIONS {
        let world = World::new(version, 2).await;
        let up = levels(world.version, &[(admin(1), 75)]);
        let up = world.act(0, &admin(0), up).await.unwrap();
        world.tell(0, 1, &up).await;
        let down = levels(world.version, &[(admin(1), 0)]);
        let down = world.act(0, &admin(0), down).await.unwrap();
        let meanwhile = levels(world.version, &[(admin(1), 75), (user("friend", 1), 60)]);
        let meanwhile = world.act(1, &admin(1), meanwhile).await.unwrap();
        assert_eq!(
            world.tell(1, 0, &meanwhile).await,
            Received::SoftFailed,
            "{version}"
        );
        assert_eq!(world.tell(0, 1, &down).await, Received::Accepted, "{version}");
        world.assert_same_state(version).await;
        let head = world.head(1).await;
        assert_eq!(
            head.state_event_id("m.room.power_levels", ""),
            Some(&down),
            "{version}"
        );
    }
}
