//! The matrix of D05: four visibilities, five memberships.

use ruma::{events::room::member::MembershipState as Is, owned_user_id};

use super::{HistoryVisibility as Sees, *};

const VISIBILITIES: [Sees; 4] = [Sees::WorldReadable, Sees::Shared, Sees::Invited, Sees::Joined];

fn at(number: u64) -> Position {
    Position::new(number).unwrap()
}

fn view(visibilities: &[(u64, Sees)], memberships: &[(u64, Is)]) -> VisibilityTimeline {
    VisibilityTimeline::new(
        owned_user_id!("@u:s"),
        visibilities
            .iter()
            .map(|(number, value)| (at(*number), *value))
            .collect(),
        memberships
            .iter()
            .map(|(number, value)| (at(*number), value.clone()))
            .collect(),
    )
}

fn message(number: u64) -> Sight<'static> {
    Sight {
        position: at(number),
        kind: "m.room.message",
        state_key: None,
    }
}

fn state(number: u64, kind: &'static str, state_key: &'static str) -> Sight<'static> {
    Sight {
        position: at(number),
        kind,
        state_key: Some(state_key),
    }
}

/// The five memberships that a user can have when an event is sent at 20: none, invited, joined, left, banned.
fn memberships() -> [(&'static str, Vec<(u64, Is)>); 5] {
    [
        ("none", vec![]),
        ("invite", vec![(10, Is::Invite)]),
        ("join", vec![(10, Is::Join)]),
        ("leave", vec![(10, Is::Join), (15, Is::Leave)]),
        ("ban", vec![(10, Is::Join), (15, Is::Ban)]),
    ]
}

#[test]
fn d05_the_membership_at_the_event_decides() {
    for visibility in VISIBILITIES {
        for (name, versions) in memberships() {
            let expected = match visibility {
                Sees::WorldReadable => true,
                Sees::Shared | Sees::Joined => name == "join",
                Sees::Invited => name == "join" || name == "invite",
            };
            let view = view(&[(5, visibility)], &versions);
            assert_eq!(view.sees(message(20)), expected, "{visibility:?} {name}");
            assert_eq!(
                view.sees(state(20, "m.room.topic", "")),
                expected,
                "{visibility:?} {name}"
            );
        }
    }
}

#[test]
fn d05_shared_history_opens_to_those_who_join_later() {
    for visibility in VISIBILITIES {
        for (name, mut versions) in memberships() {
            versions.push((30, Is::Join));
            let expected = match visibility {
                Sees::WorldReadable | Sees::Shared => true,
                Sees::Invited => name == "join" || name == "invite",
                Sees::Joined => name == "join",
            };
            let view = view(&[(5, visibility)], &versions);
            assert_eq!(view.sees(message(20)), expected, "{visibility:?} {name}");
        }
    }
}

#[test]
fn d05_who_left_sees_up_to_the_leave_and_never_after() {
    for visibility in [Sees::Shared, Sees::Invited, Sees::Joined] {
        for ended in [Is::Leave, Is::Ban] {
            let view = view(&[(5, visibility)], &[(10, Is::Join), (20, ended)]);
            assert!(view.sees(message(19)), "{visibility:?}");
            assert!(view.sees(state(20, "m.room.member", "@u:s")), "{visibility:?}");
            assert!(!view.sees(message(21)), "{visibility:?}");
            assert!(!view.sees(state(21, "m.room.name", "")), "{visibility:?}");
            assert_eq!(view.standing(), Standing::Left(at(20)));
        }
    }
}

#[test]
fn before_any_visibility_event_history_is_shared() {
    assert!(view(&[], &[(30, Is::Join)]).sees(message(20)));
    assert!(!view(&[], &[]).sees(message(20)));
    assert!(!view(&[], &[(10, Is::Invite)]).sees(message(20)));
}

#[test]
fn the_visibility_at_the_event_counts_and_not_todays() {
    let view = view(
        &[(5, Sees::Joined), (25, Sees::WorldReadable), (35, Sees::Joined)],
        &[],
    );
    assert!(!view.sees(message(20)));
    assert!(view.sees(message(30)));
    assert!(!view.sees(message(40)));
}

#[test]
fn a_change_of_visibility_is_seen_when_either_side_shows_it() {
    let view = view(
        &[
            (5, Sees::WorldReadable),
            (10, Sees::Joined),
            (20, Sees::Invited),
            (30, Sees::WorldReadable),
        ],
        &[],
    );
    let change = |number| state(number, "m.room.history_visibility", "");
    assert!(view.sees(change(10)));
    assert!(!view.sees(change(20)));
    assert!(view.sees(change(30)));
    // Another event at such a place goes by what held after it.
    assert!(!view.sees(state(10, "m.room.topic", "")));
    assert!(!view.sees(state(10, "m.room.history_visibility", "other")));
}

#[test]
fn ones_own_membership_is_always_seen_and_others_are_not() {
    for visibility in [Sees::Shared, Sees::Invited, Sees::Joined] {
        let view = view(
            &[(5, visibility)],
            &[(10, Is::Invite), (20, Is::Leave), (30, Is::Ban)],
        );
        for number in [10, 20, 30] {
            assert!(
                view.sees(state(number, "m.room.member", "@u:s")),
                "{visibility:?} {number}"
            );
        }
        assert!(!view.sees(state(25, "m.room.member", "@v:s")), "{visibility:?}");
    }
}

#[test]
fn what_was_sent_between_leaving_and_joining_again_is_seen_only_when_shared() {
    for (visibility, expected) in [
        (Sees::Shared, true),
        (Sees::Invited, false),
        (Sees::Joined, false),
    ] {
        let view = view(
            &[(5, visibility)],
            &[(10, Is::Join), (15, Is::Leave), (25, Is::Join), (35, Is::Leave)],
        );
        assert!(view.sees(message(12)), "{visibility:?}");
        assert_eq!(view.sees(message(20)), expected, "{visibility:?}");
        assert!(!view.sees(message(40)), "{visibility:?}");
    }
}

#[test]
fn a_forgotten_room_shows_nothing_but_what_anybody_sees() {
    let mut view = view(
        &[(5, Sees::Joined), (12, Sees::WorldReadable)],
        &[(10, Is::Join), (15, Is::Leave)],
    );
    view.forgotten = true;
    assert!(!view.sees(message(11)));
    assert!(view.sees(message(13)));
    assert_eq!(view.standing(), Standing::Stranger);
}

#[test]
fn only_who_was_joined_has_left() {
    assert_eq!(view(&[], &[]).standing(), Standing::Stranger);
    assert_eq!(
        view(&[], &[(1, Is::Invite), (2, Is::Leave)]).standing(),
        Standing::Stranger
    );
    assert_eq!(view(&[], &[(1, Is::Join)]).standing(), Standing::Joined);
    assert_eq!(
        view(
            &[],
            &[
                (1, Is::Join),
                (2, Is::Leave),
                (3, Is::Ban),
                (4, Is::Leave),
                (5, Is::Invite)
            ]
        )
        .standing(),
        Standing::Left(at(2))
    );
}

#[test]
fn an_unknown_value_means_shared() {
    assert_eq!(Sees::from_value(Some("nonsense")), Sees::Shared);
    assert_eq!(Sees::from_value(None), Sees::Shared);
    for value in VISIBILITIES {
        assert_eq!(Sees::from_value(Some(value.as_str())), value);
    }
}

#[test]
fn nothing_is_seen_outside_of_the_visible_ranges() {
    for visibility in VISIBILITIES {
        for (name, mut versions) in memberships() {
            for joins_later in [false, true] {
                if joins_later {
                    versions.push((30, Is::Join));
                }
                let view = view(&[(5, visibility), (22, Sees::Invited)], &versions);
                let ranges = view.visible_ranges();
                for number in 0..40 {
                    let inside = ranges
                        .iter()
                        .any(|(first, last)| (*first..=*last).contains(&at(number)));
                    let sees = view.sees(message(number))
                        || view.sees(state(number, "m.room.history_visibility", ""));
                    assert!(inside || !sees, "{visibility:?} {name} {joins_later} {number}");
                }
            }
        }
    }
}

#[test]
fn the_visible_ranges_leave_out_what_is_hidden() {
    let view = view(&[(5, Sees::Joined)], &[(20, Is::Join), (30, Is::Leave)]);
    assert_eq!(
        view.visible_ranges(),
        [(at(0), at(5)), (at(20), at(30))],
        "shared before the first version, then while joined"
    );
    let whole = VisibilityTimeline::new(owned_user_id!("@u:s"), vec![], vec![(at(1), Is::Join)]);
    assert_eq!(whole.visible_ranges(), [(at(0), Position::MAX)]);
}
