//! `m.room.canonical_alias`: what it may list, who may set it, and taking a removed alias out of it.

use std::collections::HashSet;

use gatehouse_events::json;
use gatehouse_rooms::send::StateUpdate;
use gatehouse_store::StoreError;
use ruma::{OwnedRoomAliasId, RoomAliasId, RoomId, UserId};
use serde_json::{Map, Value};

use crate::{Directory, alias_grammar::parse_alias, error::CanonicalAliasError, tables::ALIASES};

/// The event's type.
pub const CANONICAL_ALIAS: &str = "m.room.canonical_alias";
/// Aliases that one event may list anew: each is looked up.
const MAX_LISTED: usize = 200;

impl Directory {
    /// Checks the content of a new canonical alias event: what it lists and the one before did not must be aliases
    /// that lead to the room. Aliases of other servers are asked there.
    pub async fn check_canonical_alias(
        &self,
        room_id: &RoomId,
        content: &Map<String, Value>,
    ) -> Result<(), CanonicalAliasError> {
        let before = self.canonical_alias_content(room_id).await?;
        let known: HashSet<&str> = before.as_ref().map(listed).unwrap_or_default();
        for alias in new_aliases(content, &known)? {
            if !self.leads_to(&alias, room_id).await? {
                return Err(CanonicalAliasError::ElsewhereOrNowhere(alias.to_string()));
            }
        }
        Ok(())
    }

    /// Whether the user is joined and may send the room's canonical alias event.
    pub(crate) async fn may_set_canonical_alias(
        &self,
        user: &UserId,
        room_id: &RoomId,
    ) -> Result<bool, StoreError> {
        self.rooms.may_set_state(user, room_id, CANONICAL_ALIAS).await
    }

    /// Takes an alias that was removed out of the room's canonical alias event. A user who may not do that has
    /// removed the alias nevertheless.
    pub(crate) async fn unlist(&self, user: &UserId, room_id: &RoomId, alias: &RoomAliasId) {
        let Ok(Some(mut content)) = self.canonical_alias_content(room_id).await else {
            return;
        };
        if !listed(&content).contains(alias.as_str()) {
            return;
        }
        if content.get("alias").and_then(Value::as_str) == Some(alias.as_str()) {
            content.remove("alias");
        }
        if let Some(Value::Array(others)) = content.get_mut("alt_aliases") {
            others.retain(|other| other.as_str() != Some(alias.as_str()));
        }
        let Ok(content) = json::canonical_object(content) else {
            return;
        };
        let update = StateUpdate {
            kind: CANONICAL_ALIAS.to_owned(),
            state_key: String::new(),
            content,
            is_guest: false,
        };
        if let Err(error) = self.rooms.set_state(user, room_id, &update).await {
            tracing::debug!(%room_id, %error, "a removed alias stays in the canonical alias event");
        }
    }

    async fn canonical_alias_content(
        &self,
        room_id: &RoomId,
    ) -> Result<Option<Map<String, Value>>, StoreError> {
        let event = self
            .rooms
            .state_event_at(room_id, CANONICAL_ALIAS, "", gatehouse_store::Position::MAX)
            .await?;
        Ok(event.and_then(|event| event.event.content_as()))
    }

    async fn leads_to(&self, alias: &RoomAliasId, room_id: &RoomId) -> Result<bool, StoreError> {
        if alias.server_name() != &*self.server_name {
            let resolved = self.resolve_elsewhere(alias).await;
            return Ok(resolved.is_ok_and(|resolved| resolved.room_id == room_id));
        }
        let row = self.store.get(&ALIASES, &(alias.to_owned(),)).await?;
        Ok(row.is_some_and(|row| row.room_id == room_id))
    }
}

/// All aliases that the content lists, whether or not they are valid.
fn listed(content: &Map<String, Value>) -> HashSet<&str> {
    let main = content.get("alias").and_then(Value::as_str);
    let others = content.get("alt_aliases").and_then(Value::as_array);
    main.into_iter()
        .chain(others.into_iter().flatten().filter_map(Value::as_str))
        .collect()
}

fn new_aliases(
    content: &Map<String, Value>,
    known: &HashSet<&str>,
) -> Result<Vec<OwnedRoomAliasId>, CanonicalAliasError> {
    let wrong = |value: &Value| CanonicalAliasError::NotAnAlias(value.to_string());
    let mut values = Vec::new();
    match content.get("alias") {
        // Clients clear the alias by any of these.
        None | Some(Value::Null) => {}
        Some(Value::String(text)) if text.is_empty() => {}
        Some(value) => values.push(value),
    }
    match content.get("alt_aliases") {
        None | Some(Value::Null) => {}
        Some(Value::Array(others)) if others.len() <= MAX_LISTED => values.extend(others),
        Some(other) => return Err(wrong(other)),
    }
    let mut aliases = Vec::new();
    for value in values {
        let text = value.as_str().ok_or_else(|| wrong(value))?;
        if !known.contains(text) {
            aliases.push(parse_alias(text).map_err(|_| wrong(value))?);
        }
    }
    Ok(aliases)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fresh(value: &Value, known: &[&str]) -> Result<Vec<String>, CanonicalAliasError> {
        let aliases = new_aliases(value.as_object().unwrap(), &known.iter().copied().collect())?;
        Ok(aliases.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn what_was_listed_before_is_not_checked_again() {
        let value = json!({"alias": "#old:s", "alt_aliases": ["#old:s", "#new:s"]});
        assert_eq!(fresh(&value, &["#old:s"]).unwrap(), ["#new:s"]);
    }

    #[test]
    fn an_alias_can_be_cleared() {
        for value in [
            json!({}),
            json!({"alias": null}),
            json!({"alias": ""}),
            json!({"alt_aliases": []}),
        ] {
            assert!(fresh(&value, &[]).unwrap().is_empty());
        }
    }

    #[test]
    fn what_is_not_an_alias_is_refused() {
        for value in [
            json!({"alias": "%a:s"}),
            json!({"alias": 1}),
            json!({"alt_aliases": "#a:s"}),
            json!({"alt_aliases": ["#a:s", "b"]}),
            json!({"alt_aliases": [null]}),
        ] {
            assert!(matches!(
                fresh(&value, &[]),
                Err(CanonicalAliasError::NotAnAlias(_))
            ));
        }
    }
}
