//! Version 1: by depth, then by the hash of the id.

use serde_json::json;
use sha1::{Digest, Sha1};

use super::fixture::{Room, key, levels, version};

const BOB: (&str, i64) = ("@bob:s", 50);

fn room() -> (Room, crate::state_resolution::StateMap) {
    Room::of(version("1"), &[BOB])
}

#[test]
fn what_only_one_state_has_is_no_conflict() {
    let (mut room, base) = room();
    let (mut a, mut b) = (base.clone(), base);
    let topic = room.send(&mut a, "@bob:s", "m.room.topic", "", &json!({"topic": "a"}));
    let carol = room.join(&mut b, "@carol:s");
    let resolved = room.resolve(&[a, b]);
    assert_eq!(resolved.get(&key("m.room.topic", "")), Some(&topic));
    assert_eq!(resolved.get(&key("m.room.member", "@carol:s")), Some(&carol));
}

#[test]
fn the_deepest_allowed_topic_wins() {
    let (mut room, base) = room();
    let (mut a, mut b) = (base.clone(), base);
    room.send(&mut a, "@bob:s", "m.room.topic", "", &json!({"topic": "a"}));
    let deeper = room.send(&mut b, "@alice:s", "m.room.topic", "", &json!({"topic": "b"}));
    let resolved = room.resolve(&[a.clone(), b.clone()]);
    assert_eq!(resolved.get(&key("m.room.topic", "")), Some(&deeper));

    // Bob loses his power where the topics are compared: his deeper one is not allowed there.
    let mut c = b.clone();
    room.send(&mut c, "@bob:s", "m.room.topic", "", &json!({"topic": "c"}));
    let weak = levels(room.version, &[("@bob:s", 0)]);
    for state in [&mut b, &mut c] {
        room.send(state, "@alice:s", "m.room.power_levels", "", &weak.clone());
    }
    let powers = b.get(&key("m.room.power_levels", "")).cloned().unwrap();
    c.insert(key("m.room.power_levels", ""), powers);
    let resolved = room.resolve(&[b, c]);
    assert_eq!(resolved.get(&key("m.room.topic", "")), Some(&deeper));
}

#[test]
fn of_two_equally_deep_topics_the_lower_hash_wins() {
    let (mut room, base) = room();
    let (mut a, mut b) = (base.clone(), base);
    let first = room.send(&mut a, "@bob:s", "m.room.topic", "", &json!({"topic": "a"}));
    let depth = room.events[&first].depth;
    let mut event = room.event(&b, "@alice:s", "m.room.topic", "", &json!({"topic": "b"}));
    event.depth = depth;
    let second = event.event_id.clone();
    b.insert(key("m.room.topic", ""), second.clone());
    room.events.insert(second.clone(), event.into());
    let wins = [first, second]
        .into_iter()
        .min_by_key(|id| Sha1::digest(id.as_bytes()))
        .unwrap();
    let resolved = room.resolve(&[a, b]);
    assert_eq!(resolved.get(&key("m.room.topic", "")), Some(&wins));
}

#[test]
fn power_levels_are_taken_in_turn_until_one_is_not_allowed() {
    let (mut room, base) = room();
    let (mut a, mut b) = (base.clone(), base);
    let demoted = levels(room.version, &[("@bob:s", 0)]);
    let first = room.send(&mut a, "@alice:s", "m.room.power_levels", "", &demoted);
    let promoted = levels(room.version, &[BOB, ("@carol:s", 50)]);
    room.send(&mut b, "@bob:s", "m.room.power_levels", "", &promoted);
    let resolved = room.resolve(&[a, b]);
    assert_eq!(resolved.get(&key("m.room.power_levels", "")), Some(&first));
}

#[test]
fn a_ban_follows_the_join_that_it_is_about() {
    let (mut room, base) = room();
    let (mut a, mut b) = (base.clone(), base);
    room.join(&mut a, "@carol:s");
    let ban = room.send(
        &mut b,
        "@bob:s",
        "m.room.member",
        "@carol:s",
        &json!({"membership": "ban"}),
    );
    let resolved = room.resolve(&[a, b]);
    assert_eq!(resolved.get(&key("m.room.member", "@carol:s")), Some(&ban));
}
