//! What holds whatever happened in the room.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;
use ruma::{
    OwnedEventId, events::StateEventType, room_version_rules::StateResolutionVersion, state_res,
    state_res::utils::event_id_set::EventIdSet,
};
use serde_json::{Value, json};

use super::fixture::{Room, levels, version};
use crate::state_resolution::StateMap;

const USERS: [&str; 5] = ["@alice:s", "@bob:s", "@carol:t", "@dan:t", "@eve:u"];

/// One thing that somebody tries on one branch.
#[derive(Debug, Clone)]
struct Step {
    branch: usize,
    sender: usize,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Membership(usize, &'static str),
    Levels(Vec<i64>),
    Rule(&'static str),
    Topic,
    /// The branch goes on from another's state: not what servers do, and thus a good test.
    From(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let membership = prop::sample::select(vec!["join", "leave", "ban", "invite"]);
    let rule = prop::sample::select(vec!["public", "invite"]);
    let what = prop_oneof![
        5 => (0..USERS.len(), membership).prop_map(|(of, to)| What::Membership(of, to)),
        2 => prop::collection::vec(prop::sample::select(vec![0, 25, 50, 75, 100]), 4).prop_map(What::Levels),
        1 => rule.prop_map(What::Rule),
        2 => Just(What::Topic),
        1 => (0..3_usize).prop_map(What::From),
    ];
    let step =
        (0..3_usize, 0..USERS.len(), what).prop_map(|(branch, sender, what)| Step { branch, sender, what });
    prop::collection::vec(step, 1..40)
}

fn played(name: &str, steps: &[Step]) -> (Room, Vec<StateMap>) {
    let (mut room, base) = Room::of(version(name), &[("@bob:s", 75), ("@carol:t", 50)]);
    let mut states = vec![base; 3];
    for Step { branch, sender, what } in steps {
        let (sender, version) = (USERS[*sender], room.version);
        let (kind, state_key, content): (_, _, Value) = match what {
            What::Membership(of, to) => ("m.room.member", USERS[*of], json!({"membership": to})),
            What::Levels(of) => {
                let of: Vec<_> = USERS.iter().skip(1).copied().zip(of.iter().copied()).collect();
                ("m.room.power_levels", "", levels(version, &of))
            }
            What::Rule(rule) => ("m.room.join_rules", "", json!({"join_rule": rule})),
            What::Topic => ("m.room.topic", "", json!({"topic": "x"})),
            What::From(other) => {
                states[*branch] = states[*other].clone();
                continue;
            }
        };
        room.try_send(&mut states[*branch], sender, kind, state_key, &content);
    }
    (room, states)
}

/// `ruma`'s algorithm on whole states and whole auth chains, with nothing left out.
fn by_the_book(room: &Room, states: &[StateMap]) -> StateMap {
    let rules = room.version.rules();
    let StateResolutionVersion::V2(v2) = &rules.state_res else {
        panic!("version 2")
    };
    let typed = |state: &StateMap| -> state_res::StateMap<OwnedEventId> {
        let typed = state
            .iter()
            .map(|((kind, key), id)| ((StateEventType::from(kind.as_str()), key.clone()), id.clone()));
        typed.collect()
    };
    let typed: Vec<_> = states.iter().map(typed).collect();
    let mut chains = HashMap::new();
    for id in room.events.keys() {
        chain(room, id, &mut chains);
    }
    let of_states = states.iter().map(|state| {
        let ids = state.values().flat_map(|id| chains[id].iter().cloned());
        ids.collect::<EventIdSet<_>>()
    });
    let subgraph = |conflicted: &state_res::StateMap<Vec<OwnedEventId>>| {
        let roots: HashSet<_> = conflicted.values().flatten().cloned().collect();
        let cites_root = |id: &OwnedEventId| roots.iter().any(|root| chains[id].contains(root));
        let is_cited = |id: &OwnedEventId| roots.iter().any(|root| chains[root].contains(id));
        let on_way = room.events.keys().filter(|id| {
            (cites_root(id) && is_cited(id)) || (roots.contains(*id) && (cites_root(id) || is_cited(id)))
        });
        Some(on_way.cloned().collect())
    };
    let resolved = state_res::resolve(
        &rules.authorization,
        v2,
        &typed,
        of_states.collect(),
        |id| room.fetch(id),
        subgraph,
    );
    resolved
        .unwrap()
        .into_iter()
        .map(|((kind, key), id)| ((kind.to_string(), key), id))
        .collect()
}

fn chain(room: &Room, id: &OwnedEventId, chains: &mut HashMap<OwnedEventId, HashSet<OwnedEventId>>) {
    if chains.contains_key(id) {
        return;
    }
    let mut of_id = HashSet::new();
    for cited in &room.events[id].auth_events {
        chain(room, cited, chains);
        of_id.insert(cited.clone());
        of_id.extend(chains[cited].iter().cloned());
    }
    chains.insert(id.clone(), of_id);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn leaving_out_what_does_not_matter_changes_nothing(
        name in prop::sample::select(vec!["2", "6", "11", "12"]),
        steps in steps(),
    ) {
        let (room, states) = played(name, &steps);
        prop_assert_eq!(room.resolve(&states), by_the_book(&room, &states));
        prop_assert_eq!(room.resolve(&states[1..]), by_the_book(&room, &states[1..]));
    }

    #[test]
    fn the_order_of_the_states_does_not_matter(
        name in prop::sample::select(vec!["1", "2", "11", "12"]),
        steps in steps(),
    ) {
        let (room, mut states) = played(name, &steps);
        let resolved = room.resolve(&states);
        states.rotate_left(1);
        prop_assert_eq!(&room.resolve(&states), &resolved);
        states.swap(0, 1);
        prop_assert_eq!(&room.resolve(&states), &resolved);
        states.push(states[0].clone());
        prop_assert_eq!(&room.resolve(&states), &resolved, "one twice");
    }

    #[test]
    fn what_all_agree_on_stays(
        name in prop::sample::select(vec!["1", "2", "11", "12"]),
        steps in steps(),
    ) {
        let (room, states) = played(name, &steps);
        let resolved = room.resolve(&states);
        for (key, id) in &states[0] {
            if states.iter().all(|state| state.get(key) == Some(id)) {
                prop_assert_eq!(resolved.get(key), Some(id));
            }
        }
        for state in &states {
            prop_assert_eq!(&room.resolve(&[state.clone(), state.clone()]), state);
        }
    }
}
