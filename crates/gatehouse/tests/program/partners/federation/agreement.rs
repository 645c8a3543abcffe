//! Whether two people on two servers see one and the same room.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::{person::Person, room_acts::wait_for};

/// Which event sets which state.
type State = BTreeMap<(String, String), String>;

/// Each member's membership, and the event that made it.
type Members = BTreeMap<String, (String, String)>;

fn text(event: &Value, field: &str) -> String {
    let text = event[field].as_str();
    text.unwrap_or_else(|| panic!("no {field}: {event}")).to_owned()
}

pub(super) async fn state_of(person: &Person, room: &str) -> State {
    let state = person.done_room("GET", room, "/state", None).await;
    let events = state.as_array().unwrap().iter();
    events
        .map(|event| {
            let key = (text(event, "type"), text(event, "state_key"));
            (key, text(event, "event_id"))
        })
        .collect()
}

async fn members_of(person: &Person, room: &str) -> Members {
    let members = person.done_room("GET", room, "/members", None).await;
    let events = members["chunk"].as_array().unwrap().iter();
    events
        .map(|event| {
            let membership = text(&event["content"], "membership");
            (text(event, "state_key"), (membership, text(event, "event_id")))
        })
        .collect()
}

/// What one has that the other has not.
fn only<K: Ord + Clone, V: PartialEq + Clone>(
    one: &BTreeMap<K, V>,
    other: &BTreeMap<K, V>,
) -> BTreeMap<K, V> {
    let differs = |(key, value): &(&K, &V)| other.get(*key) != Some(*value);
    one.iter()
        .filter(differs)
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// Waits until both see the same state, event by event, and the same members.
pub(super) async fn agree(one: &Person, other: &Person, room: &str) {
    let seen = std::cell::RefCell::default();
    let looking = wait_for("agreement", async || {
        let states = (state_of(one, room).await, state_of(other, room).await);
        let members = (members_of(one, room).await, members_of(other, room).await);
        let is_same = states.0 == states.1 && members.0 == members.1;
        *seen.borrow_mut() = format!(
            "{} alone has {:?} and {:?}; {} alone has {:?} and {:?}",
            one.id,
            only(&states.0, &states.1),
            only(&members.0, &members.1),
            other.id,
            only(&states.1, &states.0),
            only(&members.1, &members.0),
        );
        is_same.then_some(())
    });
    let agreed = tokio::time::timeout(std::time::Duration::from_secs(20), looking).await;
    assert!(agreed.is_ok(), "no agreement about {room}: {}", seen.borrow());
}
