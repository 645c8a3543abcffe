//! The state that a room begins with, in the order of the specification.

use ruma::{CanonicalJsonObject, CanonicalJsonValue, Int, UserId};

use super::{CreateRoom, PowerLevelsCome, Preset};
use crate::send::StateUpdate;

/// Power levels, alias, what the preset says, what the client says, name, topic.
pub(super) fn all(creator: &UserId, request: &CreateRoom, come: PowerLevelsCome) -> Vec<StateUpdate> {
    let levels = power_levels(creator, request);
    let others = others(request);
    match come {
        PowerLevelsCome::First => std::iter::once(levels).chain(others).collect(),
        PowerLevelsCome::Last => others.into_iter().chain([levels]).collect(),
    }
}

fn others(request: &CreateRoom) -> Vec<StateUpdate> {
    let given = |kind: &str| {
        request
            .initial_state
            .iter()
            .any(|state| state.kind == kind && state.state_key.is_empty())
    };
    let mut state = Vec::new();
    if let Some(alias) = &request.alias {
        state.push(update(
            "m.room.canonical_alias",
            [("alias", text(alias.as_str()))],
        ));
    }
    let (join_rule, guest_access) = match request.preset {
        Preset::PrivateChat | Preset::TrustedPrivateChat => ("invite", Some("can_join")),
        // Guests are forbidden where nothing says otherwise, so nothing is said.
        Preset::PublicChat => ("public", None),
    };
    for (kind, field, value) in [
        ("m.room.join_rules", "join_rule", Some(join_rule)),
        ("m.room.history_visibility", "history_visibility", Some("shared")),
        ("m.room.guest_access", "guest_access", guest_access),
    ] {
        if let Some(value) = value
            && !given(kind)
        {
            state.push(update(kind, [(field, text(value))]));
        }
    }
    let own = |kind: &str| match kind {
        "m.room.power_levels" | "m.room.create" => true,
        "m.room.canonical_alias" => request.alias.is_some(),
        "m.room.name" => request.name.is_some(),
        "m.room.topic" => request.topic.is_some(),
        _ => false,
    };
    let rest = request
        .initial_state
        .iter()
        .filter(|state| !(state.state_key.is_empty() && own(&state.kind)));
    state.extend(rest.cloned());
    if let Some(name) = &request.name {
        state.push(update("m.room.name", [("name", text(name))]));
    }
    if let Some(topic) = &request.topic {
        state.push(topic_event(topic));
    }
    state
}

/// The first power levels: the project's, or those in `initial_state`, with the client's fields over them.
fn power_levels(creator: &UserId, request: &CreateRoom) -> StateUpdate {
    let given = request
        .initial_state
        .iter()
        .find(|state| state.kind == "m.room.power_levels" && state.state_key.is_empty())
        .map(|state| state.content.clone());
    let mut content = given.unwrap_or_else(|| default_power_levels(creator, request));
    content.extend(request.power_level_content_override.clone());
    StateUpdate {
        kind: "m.room.power_levels".to_owned(),
        state_key: String::new(),
        content,
        is_guest: false,
    }
}

fn default_power_levels(creator: &UserId, request: &CreateRoom) -> CanonicalJsonObject {
    let privileged = request
        .version
        .rules()
        .authorization
        .explicitly_privilege_room_creators;
    let mut users = CanonicalJsonObject::new();
    if !privileged {
        users.insert(creator.to_string(), level(100));
        if request.preset == Preset::TrustedPrivateChat {
            users.extend(request.invite.iter().map(|user| (user.to_string(), level(100))));
        }
    }
    // Where creators stand above all levels, replacing the room is for them and nobody else.
    let tombstone = if privileged { 150 } else { 100 };
    let events = object([
        ("m.room.avatar", level(50)),
        ("m.room.canonical_alias", level(50)),
        ("m.room.encryption", level(100)),
        ("m.room.history_visibility", level(100)),
        ("m.room.name", level(50)),
        ("m.room.power_levels", level(100)),
        ("m.room.server_acl", level(100)),
        ("m.room.tombstone", level(tombstone)),
    ]);
    let invite = if request.preset == Preset::PublicChat {
        50
    } else {
        0
    };
    object([
        ("ban", level(50)),
        ("events", CanonicalJsonValue::Object(events)),
        ("events_default", level(0)),
        ("historical", level(100)),
        ("invite", level(invite)),
        ("kick", level(50)),
        ("redact", level(50)),
        ("state_default", level(50)),
        ("users", CanonicalJsonValue::Object(users)),
        ("users_default", level(0)),
    ])
}

/// The topic, plain and as `m.topic` (client-server API, m.room.topic).
fn topic_event(topic: &str) -> StateUpdate {
    let body = CanonicalJsonValue::Object(object([("body", text(topic))]));
    let representations =
        CanonicalJsonValue::Object(object([("m.text", CanonicalJsonValue::Array(vec![body]))]));
    update(
        "m.room.topic",
        [("topic", text(topic)), ("m.topic", representations)],
    )
}

fn update<const N: usize>(kind: &str, content: [(&str, CanonicalJsonValue); N]) -> StateUpdate {
    StateUpdate {
        kind: kind.to_owned(),
        state_key: String::new(),
        content: object(content),
        is_guest: false,
    }
}

fn object<const N: usize>(fields: [(&str, CanonicalJsonValue); N]) -> CanonicalJsonObject {
    fields
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

fn text(text: &str) -> CanonicalJsonValue {
    CanonicalJsonValue::String(text.to_owned())
}

fn level(level: i32) -> CanonicalJsonValue {
    CanonicalJsonValue::Integer(Int::from(level))
}
