//! Versions 2 and 2.1.

use serde_json::json;

use super::fixture::{Room, key, levels, version};

const SINCE_2: [&str; 4] = ["2", "6", "10", "12"];

#[test]
fn who_is_banned_meanwhile_changes_nothing() {
    for name in SINCE_2 {
        let (mut room, base) = Room::of(version(name), &[("@bob:s", 50)]);
        let (mut a, mut b) = (base.clone(), base);
        room.send(&mut b, "@bob:s", "m.room.topic", "", &json!({"topic": "spam"}));
        let ban = room.send(
            &mut a,
            "@alice:s",
            "m.room.member",
            "@bob:s",
            &json!({"membership": "ban"}),
        );
        let resolved = room.resolve(&[a, b]);
        assert_eq!(
            resolved.get(&key("m.room.member", "@bob:s")),
            Some(&ban),
            "{name}"
        );
        assert_eq!(resolved.get(&key("m.room.topic", "")), None, "{name}");
    }
}

#[test]
fn who_loses_power_meanwhile_gives_none() {
    for name in SINCE_2 {
        let (mut room, base) = Room::of(version(name), &[("@bob:s", 50)]);
        let (mut a, mut b) = (base.clone(), base);
        let promoted = levels(room.version, &[("@bob:s", 50), ("@carol:s", 50)]);
        room.send(&mut b, "@bob:s", "m.room.power_levels", "", &promoted);
        let demoted = levels(room.version, &[("@bob:s", 0)]);
        let demotion = room.send(&mut a, "@alice:s", "m.room.power_levels", "", &demoted);
        let resolved = room.resolve(&[a, b]);
        assert_eq!(
            resolved.get(&key("m.room.power_levels", "")),
            Some(&demotion),
            "{name}"
        );
    }
}

#[test]
fn the_later_of_two_topics_wins() {
    for name in SINCE_2 {
        let (mut room, base) = Room::of(version(name), &[("@bob:s", 50)]);
        let (mut a, mut b) = (base.clone(), base);
        room.send(&mut a, "@alice:s", "m.room.topic", "", &json!({"topic": "a"}));
        let later = room.send(&mut b, "@bob:s", "m.room.topic", "", &json!({"topic": "b"}));
        let resolved = room.resolve(&[a, b]);
        assert_eq!(resolved.get(&key("m.room.topic", "")), Some(&later), "{name}");
    }
}

#[test]
fn a_topic_set_after_the_power_levels_changed_beats_a_later_one_from_before() {
    for name in SINCE_2 {
        let (mut room, base) = Room::of(version(name), &[("@bob:s", 50)]);
        let (mut a, mut b) = (base.clone(), base);
        let changed = levels(room.version, &[("@bob:s", 50), ("@carol:s", 1)]);
        room.send(&mut a, "@alice:s", "m.room.power_levels", "", &changed);
        let newer = room.send(&mut a, "@alice:s", "m.room.topic", "", &json!({"topic": "a"}));
        room.send(&mut b, "@bob:s", "m.room.topic", "", &json!({"topic": "b"}));
        let resolved = room.resolve(&[a, b]);
        assert_eq!(resolved.get(&key("m.room.topic", "")), Some(&newer), "{name}");
    }
}

/// Both states know that alice left, and differ in join rules that she had set before.
fn after_the_founder_left(name: &str) -> (Room, [crate::state_resolution::StateMap; 2]) {
    let (mut room, base) = Room::of(version(name), &[("@bob:s", 50)]);
    let (mut a, mut b) = (base.clone(), base);
    room.send(
        &mut a,
        "@alice:s",
        "m.room.join_rules",
        "",
        &json!({"join_rule": "invite"}),
    );
    let leave = room.send(
        &mut a,
        "@alice:s",
        "m.room.member",
        "@alice:s",
        &json!({"membership": "leave"}),
    );
    b.insert(key("m.room.member", "@alice:s"), leave);
    (room, [a, b])
}

#[test]
fn e18_what_who_left_had_set_is_not_lost_in_version_12() {
    let (room, states) = after_the_founder_left("12");
    let resolved = room.resolve(&states);
    let rules = key("m.room.join_rules", "");
    assert_eq!(resolved.get(&rules), states[0].get(&rules));

    // Before, rooms lose their join rules this way. All servers agree on that, so we must as well.
    let (room, states) = after_the_founder_left("11");
    assert_eq!(room.resolve(&states).get(&rules), None);
}

#[test]
fn e18_events_between_those_in_conflict_are_looked_at_in_version_12() {
    // Bob makes carol a moderator, carol makes dan one. The states differ in dan's levels and the first ones only, so
    // that bob's event is in neither; without it carol's would not be allowed.
    let (mut room, base) = Room::of(version("12"), &[("@bob:s", 60), ("@carol:s", 0)]);
    let mut b = base.clone();
    let of = |dan| {
        levels(
            version("12"),
            &[("@bob:s", 60), ("@carol:s", 55), ("@dan:s", dan)],
        )
    };
    room.send(&mut b, "@bob:s", "m.room.power_levels", "", &of(0));
    let last = room.send(&mut b, "@carol:s", "m.room.power_levels", "", &of(50));
    let resolved = room.resolve(&[base, b]);
    assert_eq!(resolved.get(&key("m.room.power_levels", "")), Some(&last));
}
