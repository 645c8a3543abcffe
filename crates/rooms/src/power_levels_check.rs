//! What a client may put into `m.room.power_levels` at all (B24). Who may change which level is for the rules.

use ruma::{CanonicalJsonObject, CanonicalJsonValue, OwnedUserId};

use crate::{RoomHead, write_error::WriteError};

const LEVELS: [&str; 7] = [
    "ban",
    "events_default",
    "invite",
    "kick",
    "redact",
    "state_default",
    "users_default",
];
const MAPS: [&str; 3] = ["events", "notifications", "users"];

/// Checks types and ids. Strings are no levels, though old rooms may hold them.
pub(crate) fn check_power_levels(head: &RoomHead, content: &CanonicalJsonObject) -> Result<(), WriteError> {
    for key in LEVELS {
        if let Some(level) = content.get(key)
            && !is_level(level)
        {
            return Err(bad(format!("The power level `{key}` must be an integer.")));
        }
    }
    for key in MAPS {
        match content.get(key) {
            None => {}
            Some(CanonicalJsonValue::Object(levels)) if levels.values().all(is_level) => {}
            Some(_) => return Err(bad(format!("The power levels in `{key}` must be integers."))),
        }
    }
    let Some(CanonicalJsonValue::Object(users)) = content.get("users") else {
        return Ok(());
    };
    for user in users.keys() {
        let Ok(user) = OwnedUserId::try_from(user.as_str()) else {
            return Err(bad(format!("`{user}` in the power levels is not a user id.")));
        };
        if head.power_levels().is_privileged_creator(&user) {
            return Err(bad(format!(
                "{user} made this room and has all power; leave them out of the power levels."
            )));
        }
    }
    Ok(())
}

fn is_level(value: &CanonicalJsonValue) -> bool {
    matches!(value, CanonicalJsonValue::Integer(_))
}

fn bad(message: String) -> WriteError {
    WriteError::BadContent(message)
}
