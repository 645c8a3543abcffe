//! What hostile graphs cost: counted in reads of the store, for which time says nothing (reliability.md R16).

use std::sync::atomic::Ordering;

use ruma::OwnedEventId;
use serde_json::json;

use super::{
    counted::Cost,
    neighbours::raw,
    world::{World, admin, message, new_event, server_name},
};
use crate::receive::Received;

/// So many changes of state after the place where the branches begin.
async fn with_changes(changes: usize) -> (World, (Vec<OwnedEventId>, u64)) {
    let world = World::new("12", 2).await;
    let head = world.head(0).await;
    let root = (head.extremities.clone(), head.depth + 1);
    for number in 0..changes {
        let new = new_event("x.state", Some(&number.to_string()), &json!({ "n": number }));
        world.act(0, &admin(0), new).await.unwrap();
    }
    (world, root)
}

/// Has a server take in an event of another, and says what that cost.
async fn taking_in(world: &World, at: (Vec<OwnedEventId>, u64), number: usize) -> (OwnedEventId, Cost) {
    let new = message(&number.to_string());
    let built = world.craft_at(0, &admin(1), new, at, &[]).await;
    world.stores[0].cost();
    assert_eq!(world.hand(1, 0, &raw(&built.pdu)).await, Received::Accepted);
    (built.event.event_id, world.stores[0].cost())
}

/// As many branches from long ago as the graph may have, and then events on them.
async fn branches(changes: usize) -> (Cost, Cost) {
    let (world, root) = with_changes(changes).await;
    let mut ends = Vec::new();
    let mut making = Cost::default();
    for number in 0..49 {
        let (end, cost) = taking_in(&world, root.clone(), number).await;
        ends.push(end);
        making = cost;
    }
    assert_eq!(world.head(0).await.extremities.len(), 50);
    let mut following = Cost::default();
    for (number, end) in ends.into_iter().enumerate().take(10) {
        let at = (vec![end], root.1 + 1);
        let (_, cost) = taking_in(&world, at, number).await;
        following.reads = following.reads.max(cost.reads);
        following.rows = following.rows.max(cost.rows);
    }
    (making, following)
}

#[tokio::test]
async fn r16_an_event_on_one_of_many_old_branches_costs_the_same_in_a_room_that_changed_much() {
    let (making, following) = branches(60).await;
    let (making_more, following_more) = branches(600).await;
    println!("60 changes: {making:?} {following:?}; 600 changes: {making_more:?} {following_more:?}");
    // It is looked at once where the branch begins: then nothing depends on how much has changed since.
    assert_eq!(following_more.reads, following.reads);
    assert!(following.reads <= 40, "{following:?}");
    assert!(
        following_more.rows <= following.rows + 20,
        "{following:?} {following_more:?}"
    );
    assert!(
        making_more.reads <= making.reads + 2,
        "{making:?} {making_more:?}"
    );
    assert!(
        making_more.rows <= making.rows + 600,
        "{making:?} {making_more:?}"
    );
}

/// A chain of events one after the other, each of which comes in by itself.
#[tokio::test]
async fn r16_a_long_branch_costs_its_length() {
    let (world, root) = with_changes(200).await;
    let mut at = root;
    let mut costs = Vec::new();
    for number in 0..150 {
        let (id, cost) = taking_in(&world, at.clone(), number).await;
        at = (vec![id], at.1 + 1);
        costs.push(cost.reads);
    }
    let (early, late) = (costs[2], costs[149]);
    println!(
        "second of a branch: {early} reads, the 150th: {late}; most {:?}",
        costs.iter().max()
    );
    assert!(late <= early + 2, "{costs:?}");
    assert!(costs[1..].iter().all(|cost| *cost <= 80), "{costs:?}");
}

/// What an event costs that follows all that is here, which nearly all do.
#[tokio::test]
async fn r16_a_transaction_on_the_line_costs_the_same_for_each_event() {
    let world = World::new("12", 2).await;
    let mut pdus = Vec::new();
    for number in 0..50 {
        let said = world
            .act(1, &admin(1), message(&number.to_string()))
            .await
            .unwrap();
        pdus.push(world.raw(1, &said).await);
    }
    world.stores[0].cost();
    let received = world.servers[0]
        .receive(&server_name(1), &world.room, &pdus)
        .await
        .unwrap();
    let cost = world.stores[0].cost();
    assert!(
        received
            .iter()
            .all(|(_, received)| *received == Received::Accepted)
    );
    println!("50 events on the line: {cost:?}");
    assert!(cost.reads <= 50 * 20, "{cost:?}");
}

/// Whoever makes up events makes up servers whose keys are looked for (security.md X18).
#[tokio::test]
async fn x18_keys_of_servers_that_are_made_up_are_looked_for_once() {
    let world = World::new("11", 2).await;
    let built = world.craft(0, &admin(1), message("hi")).await;
    let made_up = |number: usize| {
        let name = format!("made-up-{number}.example");
        let sender = built.pdu.replace("@admin:b", &format!("@admin:{name}"));
        raw(&sender.replace("\"signatures\":{\"b\"", &format!("\"signatures\":{{\"{name}\"")))
    };
    let pdus: Vec<_> = (0..50).map(made_up).chain([raw(&built.pdu)]).collect();
    world.neighbours.asked_for_keys.store(0, Ordering::Relaxed);
    let received = world.servers[0]
        .receive(&server_name(1), &world.room, &pdus)
        .await
        .unwrap();
    assert_eq!(world.neighbours.asked_for_keys.load(Ordering::Relaxed), 1);
    let (last, others) = received.split_last().unwrap();
    assert_eq!(last.1, Received::Accepted);
    assert!(
        others
            .iter()
            .all(|(_, received)| matches!(received, Received::Dropped(_)))
    );
}
