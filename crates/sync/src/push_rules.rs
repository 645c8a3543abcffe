//! The push rules that every user has. Read only: changing them comes with notifications.

use ruma::{UserId, push::Ruleset};
use serde::Serialize;
use serde_json::{Value, json};

/// The specification's default rules for a user: the `global` ruleset of `GET /pushrules/`, all five kinds in it.
pub fn default_push_rules(user: &UserId) -> Value {
    let rules = Ruleset::server_default(user);
    json!({
        "override": list(&rules.override_),
        "content": list(&rules.content),
        "room": list(&rules.room),
        "sender": list(&rules.sender),
        "underride": list(&rules.underride),
    })
}

/// The `m.push_rules` account data of a user.
pub(crate) fn push_rules_event(user: &UserId) -> Value {
    json!({"type": "m.push_rules", "content": {"global": default_push_rules(user)}})
}

fn list(rules: &impl Serialize) -> Value {
    // Rules are plain data: this cannot fail.
    serde_json::to_value(rules).unwrap_or_else(|_| json!([]))
}

#[cfg(test)]
mod tests {
    use ruma::user_id;

    use super::*;

    #[test]
    fn the_rules_name_the_user_and_have_all_kinds() {
        let rules = default_push_rules(user_id!("@alice:s"));
        for kind in ["override", "content", "room", "sender", "underride"] {
            assert!(rules[kind].is_array(), "{kind}");
        }
        let text = rules.to_string();
        assert!(text.contains(".m.rule.master"));
        assert!(text.contains("@alice:s"));
    }
}
