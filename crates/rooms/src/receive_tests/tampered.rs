//! Events that are not what their servers signed: from whichever answer they come, they are dropped (security.md E04).

use super::{
    neighbours::raw,
    world::{World, admin, levels, message, topic, user},
};
use crate::receive::Received;

fn is_dropped(outcome: &Received) -> bool {
    matches!(outcome, Received::Dropped(_))
}

#[tokio::test]
async fn e04_an_event_that_its_server_did_not_sign_is_dropped() {
    for version in ["2", "6", "12"] {
        let world = World::new(version, 2).await;
        let built = world.craft(0, &admin(1), message("hi")).await;
        let mut pdu: serde_json::Value = serde_json::from_str(&built.pdu).unwrap();
        let signature = &mut pdu["signatures"]["b"]["ed25519:test"];
        let wrong = signature.as_str().unwrap().replacen(|c: char| c != 'A', "A", 1);
        *signature = wrong.into();
        let outcome = world.hand(1, 0, &raw(&pdu.to_string())).await;
        assert!(is_dropped(&outcome), "{version}: {outcome:?}");
        pdu["signatures"] = serde_json::json!({});
        let outcome = world.hand(1, 0, &raw(&pdu.to_string())).await;
        assert!(is_dropped(&outcome), "{version}: {outcome:?}");
        let outcome = world.hand(1, 0, &raw(&built.pdu)).await;
        assert_eq!(outcome, Received::Accepted, "{version}");
    }
}

#[tokio::test]
async fn an_event_with_another_content_than_was_signed_comes_in_redacted() {
    let world = World::new("12", 2).await;
    let built = world.craft(0, &admin(1), message("what I said")).await;
    let changed = built.pdu.replace("what I said", "what I did not say");
    assert_eq!(world.hand(1, 0, &raw(&changed)).await, Received::Accepted);
    let stored = world.raw(0, &built.event.event_id).await;
    assert!(!stored.get().contains("say"), "{stored}");
}

#[tokio::test]
async fn e04_what_is_smuggled_into_an_answer_is_not_taken() {
    for forgets_missing in [false, true] {
        let world = World::new("12", 2).await;
        let powers = levels(world.version, &[(admin(1), 50)]);
        let powers = world.act(0, &admin(0), powers).await.unwrap();
        world.tell(0, 1, &powers).await;
        world.act(1, &admin(1), topic("seen by nobody")).await.unwrap();
        let last = world.act(1, &admin(1), message("last")).await.unwrap();
        // In the name of a user of ours.
        let forged = world.craft(0, &admin(0), message("forged")).await;
        let forged_id = forged.event.event_id.clone();
        let forged = forged
            .pdu
            .replace("\"ed25519:test\":\"", "\"ed25519:test\":\"AAAA");
        world.neighbours.smuggled.lock().push(raw(&forged));
        // And one that is real, but that nothing leads to.
        let stray = world.craft(0, &admin(1), message("stray")).await;
        world.neighbours.smuggled.lock().push(raw(&stray.pdu));
        *world.neighbours.forgets_missing.lock() = forgets_missing;
        assert_eq!(world.tell(1, 0, &last).await, Received::Accepted);
        assert_eq!(world.standing(0, &forged_id).await, None);
        let stray = world.standing(0, &stray.event.event_id).await;
        assert!(stray.is_none_or(|standing| !standing.is_shown()), "{stray:?}");
    }
}

#[tokio::test]
async fn events_of_another_room_are_dropped() {
    let world = World::new("11", 2).await;
    let elsewhere = World::new("11", 2).await;
    let built = elsewhere.craft(0, &admin(1), message("hi")).await;
    let outcome = world.hand(1, 0, &raw(&built.pdu)).await;
    assert!(is_dropped(&outcome), "{outcome:?}");
}

#[tokio::test]
async fn an_event_whose_auth_events_cannot_be_had_is_dropped() {
    let world = World::new("11", 2).await;
    let join = world
        .craft(
            1,
            &user("guest", 1),
            super::world::member(&user("guest", 1), "join"),
        )
        .await;
    assert_eq!(world.hand(1, 1, &raw(&join.pdu)).await, Received::Accepted);
    let said = world.craft(1, &user("guest", 1), message("hi")).await;
    assert_eq!(world.hand(1, 1, &raw(&said.pdu)).await, Received::Accepted);
    let hidden = &world.neighbours.hidden;
    hidden.lock().insert(join.event.event_id.clone());
    let outcome = world.hand(1, 0, &raw(&said.pdu)).await;
    assert!(is_dropped(&outcome), "{outcome:?}");
    hidden.lock().clear();
    assert_eq!(world.hand(1, 0, &raw(&said.pdu)).await, Received::Accepted);
    assert!(world.head(0).await.is_joined(&user("guest", 1)));
}
