//! Branches of the graph, and that they come to one state wherever and whenever they meet.

use std::collections::HashMap;

use ruma::OwnedEventId;

use super::world::{Dice, World, admin, levels, member, message, new_event, server_name, topic, user};
use crate::{receive::Received, remote_servers::RawPdu, tables::Standing};
use gatehouse_events::NewEvent;
use serde_json::json;

/// The versions whose state resolution, formats or redactions differ.
const VERSIONS: [&str; 6] = ["2", "3", "6", "10", "11", "12"];

#[tokio::test]
async fn what_follows_all_that_is_here_stands_on_the_line() {
    for version in VERSIONS {
        let world = World::new(version, 2).await;
        let said = world.act(1, &admin(1), message("hi")).await.unwrap();
        assert_eq!(world.tell(1, 0, &said).await, Received::Accepted);
        world.assert_one_end(0, &said).await;
        assert_eq!(world.tell(1, 0, &said).await, Received::AlreadyHere);
        let placed = world.servers[0]
            .placed(&world.room, std::slice::from_ref(&said))
            .await
            .unwrap();
        assert!(placed[&said].row.is_on_line(), "{version}");
    }
}

#[tokio::test]
async fn two_servers_that_set_the_same_state_at_once_agree() {
    for version in VERSIONS {
        let world = World::new(version, 2).await;
        let powers = world
            .act(0, &admin(0), levels(world.version, &[(admin(1), 50)]))
            .await
            .unwrap();
        assert_eq!(world.tell(0, 1, &powers).await, Received::Accepted);
        let here = world.act(0, &admin(0), topic("here")).await.unwrap();
        let there = world.act(1, &admin(1), topic("there")).await.unwrap();
        assert_eq!(world.tell(1, 0, &there).await, Received::Accepted, "{version}");
        assert_eq!(world.tell(0, 1, &here).await, Received::Accepted, "{version}");
        world.assert_same_state(version).await;
        for server in 0..2 {
            assert_eq!(world.head(server).await.extremities.len(), 2, "{version}");
        }
        // The next event ties the branches together.
        let tie = world.act(0, &admin(0), message("tie")).await.unwrap();
        assert_eq!(world.tell(0, 1, &tie).await, Received::Accepted);
        for server in 0..2 {
            world.assert_one_end(server, &tie).await;
        }
        world.assert_same_state(version).await;
    }
}

#[tokio::test]
async fn events_of_one_branch_come_in_any_order() {
    let world = World::new("12", 2).await;
    let mut said = Vec::new();
    for number in 0..6 {
        said.push(
            world
                .act(1, &admin(1), message(&number.to_string()))
                .await
                .unwrap(),
        );
    }
    for event_id in said.iter().rev() {
        let outcome = world.tell(1, 0, event_id).await;
        assert!(
            matches!(outcome, Received::Accepted | Received::AlreadyHere),
            "{outcome:?}"
        );
    }
    world.assert_one_end(0, &said[5]).await;
    for event_id in &said {
        assert_eq!(world.standing(0, event_id).await, Some(Standing::Accepted));
    }
}

/// A ban and what the banned user does at the same time: the ban wins on both servers, whichever came first (security.md
/// T27).
#[tokio::test]
async fn t27_a_ban_wins_over_what_the_banned_user_does_meanwhile() {
    for version in VERSIONS {
        let world = World::new(version, 2).await;
        let powers = levels(world.version, &[(admin(1), 50)]);
        let powers = world.act(0, &admin(0), powers).await.unwrap();
        world.tell(0, 1, &powers).await;
        let ban = world.act(0, &admin(0), member(&admin(1), "ban")).await.unwrap();
        let there = world.act(1, &admin(1), topic("I was here")).await.unwrap();
        assert_eq!(world.tell(1, 0, &there).await, Received::SoftFailed, "{version}");
        assert_eq!(world.tell(0, 1, &ban).await, Received::Accepted, "{version}");
        world.assert_same_state(version).await;
        let head = world.head(1).await;
        assert_eq!(head.membership(&admin(1)).as_str(), "ban");
        assert_ne!(head.state_event_id("m.room.topic", ""), Some(&there), "{version}");
    }
}

/// As when a state event was soft-failed here, and somebody whom we accept built on it.
#[tokio::test]
async fn e32_what_follows_a_soft_failed_event_is_taken_in() {
    let world = World::new("11", 3).await;
    let powers = levels(world.version, &[(admin(1), 50), (admin(2), 50)]);
    let powers = world.act(0, &admin(0), powers).await.unwrap();
    world.tell(0, 1, &powers).await;
    world.tell(0, 2, &powers).await;
    let ban = world.act(0, &admin(0), member(&admin(1), "ban")).await.unwrap();
    let there = world.act(1, &admin(1), topic("I was here")).await.unwrap();
    assert_eq!(world.tell(1, 2, &there).await, Received::Accepted);
    assert_eq!(world.tell(1, 0, &there).await, Received::SoftFailed);
    world.assert_one_end(0, &ban).await;
    let own = world.act(0, &admin(0), message("we go on")).await.unwrap();
    let ids = [own.clone()];
    let placed = world.servers[0].placed(&world.room, &ids).await.unwrap();
    assert!(
        !placed[&own].row.pdu.contains(there.as_str()),
        "ours does not follow it"
    );
    let built_on = world.act(2, &admin(2), message("nice topic")).await.unwrap();
    assert_eq!(world.tell(2, 0, &built_on).await, Received::Accepted);
    assert_eq!(world.head(0).await.extremities.len(), 2);
    world.tell(0, 2, &ban).await;
    world.tell(0, 2, &own).await;
    let tie = world.act(2, &admin(2), message("tie")).await.unwrap();
    assert_eq!(world.tell(2, 0, &tie).await, Received::Accepted);
    assert_eq!(world.state(0).await, world.state(2).await);
}

/// What each server's users do, at random.
fn random_event(world: &World, server: usize, dice: &mut Dice) -> (ruma::OwnedUserId, NewEvent) {
    let people: Vec<_> = (0..world.servers.len())
        .flat_map(|server| [admin(server), user("guest", server), user("other", server)])
        .collect();
    let own: Vec<_> = people
        .iter()
        .filter(|user| user.server_name() == server_name(server))
        .cloned()
        .collect();
    let sender = if dice.roll(3) == 0 {
        own[dice.roll(own.len())].clone()
    } else {
        admin(server)
    };
    let target = &people[dice.roll(people.len())];
    let new = match dice.roll(14) {
        0 | 1 => member(target, "ban"),
        2 => member(target, "leave"),
        3 => member(target, "invite"),
        4..=6 => member(&sender, "join"),
        7 => topic(&dice.roll(1_000).to_string()),
        8 => new_event(
            "m.room.name",
            Some(""),
            &json!({ "name": dice.roll(1_000).to_string() }),
        ),
        9 => {
            let levels_of: Vec<_> = (1..world.servers.len())
                .map(|server| (admin(server), [90, 75, 50, 0][dice.roll(4)]))
                .collect();
            levels(world.version, &levels_of)
        }
        10 => {
            let rule = ["public", "invite"][dice.roll(2)];
            new_event("m.room.join_rules", Some(""), &json!({ "join_rule": rule }))
        }
        _ => message(&dice.roll(1_000).to_string()),
    };
    (sender, new)
}

/// Events that are on their way to each server.
type Mail = HashMap<usize, Vec<(usize, RawPdu)>>;

async fn deliver(world: &World, to: usize, mail: &mut Mail, dice: &mut Dice) {
    let waiting = mail.entry(to).or_default();
    if waiting.is_empty() {
        return;
    }
    let (from, pdu) = waiting.remove(dice.roll(waiting.len()));
    if dice.roll(5) == 0 {
        waiting.push((from, pdu.clone()));
    }
    let outcome = world.hand(from, to, &pdu).await;
    assert!(!matches!(outcome, Received::Dropped(_)), "{outcome:?}");
}

/// Everything that was sent arrives, and then somebody whom everybody accepts ties together what each server has: what one
/// server has soft-failed and another not, comes to all in this way.
async fn settle(world: &World, mail: &mut Mail, dice: &mut Dice) {
    let servers = world.servers.len();
    for to in 0..servers {
        while mail.get(&to).is_some_and(|waiting| !waiting.is_empty()) {
            deliver(world, to, mail, dice).await;
        }
    }
    for _ in 0..2 {
        for from in 0..servers {
            let tie = world
                .act(from, &user("watcher", from), message("tie"))
                .await
                .unwrap();
            for to in (0..servers).filter(|to| *to != from) {
                assert_eq!(world.tell(from, to, &tie).await, Received::Accepted);
            }
        }
    }
}

async fn live_through(version: &str, servers: usize, seed: u64, steps: usize) {
    let world = World::new(version, servers).await;
    let first: Vec<_> = (1..servers)
        .map(|server| (admin(server), [75, 50][server % 2]))
        .collect();
    let mut dice = Dice(seed);
    let mut mail = Mail::new();
    let powers = world
        .act(0, &admin(0), levels(world.version, &first))
        .await
        .unwrap();
    for to in 1..servers {
        world.tell(0, to, &powers).await;
    }
    // Somebody whom nobody sends away, so that every server stays.
    for from in 0..servers {
        let watcher = user("watcher", from);
        let joined = world.act(from, &watcher, member(&watcher, "join")).await.unwrap();
        for to in (0..servers).filter(|to| *to != from) {
            assert_eq!(world.tell(from, to, &joined).await, Received::Accepted);
        }
    }
    for _ in 0..steps {
        let server = dice.roll(servers);
        if dice.roll(2) == 0 {
            deliver(&world, server, &mut mail, &mut dice).await;
            continue;
        }
        let (sender, new) = random_event(&world, server, &mut dice);
        if let Some(event_id) = world.act(server, &sender, new).await {
            let pdu = world.raw(server, &event_id).await;
            for to in (0..servers).filter(|to| *to != server) {
                mail.entry(to).or_default().push((server, pdu.clone()));
            }
        }
    }
    settle(&world, &mut mail, &mut dice).await;
    let place = format!("version {version}, {servers} servers, seed {seed}, {steps} steps");
    world.assert_same_state(&place).await;
    for server in 0..servers {
        let ends = &world.head(server).await.extremities;
        assert_eq!(
            ends,
            &world.head(0).await.extremities,
            "{place}: ends at {server}"
        );
        assert_kept(&world, server, &place).await;
    }
}

/// What is kept of the state is what the head says, and a server that starts anew finds the same.
async fn assert_kept(world: &World, server: usize, place: &str) {
    let rooms = &world.servers[server];
    let head = world.head(server).await;
    let ids = |events: Vec<crate::StoredEvent>| {
        let mut ids: Vec<OwnedEventId> = events.iter().map(|event| event.event_id().to_owned()).collect();
        ids.sort();
        ids
    };
    let in_store = rooms
        .state_at(&world.room, gatehouse_store::Position::MAX)
        .await
        .unwrap();
    let mut expected: Vec<OwnedEventId> = head.room_state().event_ids().cloned().collect();
    expected.sort();
    assert_eq!(ids(in_store), expected, "{place}: kept state at {server}");
    assert_chains(world, server, place).await;
    rooms.shared.turns.slot(&world.room).distrust();
    let anew = world.head(server).await;
    assert_eq!(anew.row(), head.row(), "{place}: {server}");
    assert_eq!(anew.members, head.members, "{place}: {server}");
    assert_eq!(anew.state, head.state, "{place}: {server}");
    assert_eq!(anew.servers, head.servers, "{place}: {server}");
    // Going back through the changes gives what each position had.
    let middle = gatehouse_store::Position::new(rooms.store.position().number() - 5).unwrap();
    let before = rooms.state_at(&world.room, middle).await.unwrap();
    for event in &before {
        let one = rooms
            .state_event_at(&world.room, event.kind(), event.state_key().unwrap(), middle)
            .await
            .unwrap();
        let one = one.map(|one| one.event_id().to_owned());
        assert_eq!(
            one.as_deref(),
            Some(event.event_id()),
            "{place}: {server} at {middle}"
        );
    }
}

/// A few; `GATEHOUSE_SEEDS=first..last` chooses others.
fn seeds() -> std::ops::Range<u64> {
    let chosen = std::env::var("GATEHOUSE_SEEDS").ok();
    let chosen = chosen.as_deref().and_then(|chosen| chosen.split_once(".."));
    chosen.map_or(0..6, |(first, last)| {
        first.parse().unwrap()..last.parse().unwrap()
    })
}

#[tokio::test]
async fn t27_servers_agree_whatever_the_order_in_which_events_meet() {
    for (number, version) in ["1"].into_iter().chain(VERSIONS).enumerate() {
        for seed in seeds() {
            live_through(version, 2 + number % 2, seed * 7_919 + 1, 60).await;
        }
    }
}

/// What was counted as members changed is what one counts anew.
async fn assert_chains(world: &World, server: usize, place: &str) {
    let rooms = &world.servers[server];
    let head = world.head(server).await;
    let changed = rooms.member_chains(&head).await.unwrap();
    let mut anew = crate::graph::chain_counts::MemberChains::default();
    let members: Vec<_> = head
        .members
        .values()
        .map(|member| member.event_id.clone())
        .collect();
    anew.add(rooms, &members).await.unwrap();
    assert_eq!(changed.counts(), anew.counts(), "{place}: chains at {server}");
}

#[tokio::test]
async fn x19_a_graph_with_many_ends_is_tied_together_and_bounded() {
    let world = World::new("12", 2).await;
    let head = world.head(0).await;
    let root = (head.extremities.clone(), head.depth + 1);
    let mut accepted = 0;
    for number in 0..70 {
        let new = message(&number.to_string());
        let built = world.craft_at(0, &admin(1), new, root.clone(), &[]).await;
        let pdu = super::neighbours::raw(&built.pdu);
        if world.hand(1, 0, &pdu).await == Received::Accepted {
            accepted += 1;
        }
    }
    let ends = world.head(0).await.extremities.len();
    assert_eq!((accepted, ends), (50, 50));
    let own = world.act(0, &admin(0), message("tie")).await.unwrap();
    let placed = world.servers[0]
        .placed(&world.room, std::slice::from_ref(&own))
        .await
        .unwrap();
    let pdu: serde_json::Value = serde_json::from_str(&placed[&own].row.pdu).unwrap();
    assert_eq!(pdu["prev_events"].as_array().unwrap().len(), 10);
    assert_eq!(world.head(0).await.extremities.len(), 41);
}
