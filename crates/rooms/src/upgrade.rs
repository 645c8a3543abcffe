//! Replacing a room by one of another version.

use std::sync::Arc;

use gatehouse_events::{Event, RoomVersion};
use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, EventId, Int, OwnedRoomId, OwnedUserId, RoomId, UserId,
    events::room::member::MembershipState,
};

use crate::{
    RoomHead, Rooms,
    create::{CreateRoom, Hook, PowerLevelsCome, Preset},
    membership::invite::Directness,
    room_transaction::{AppendError, RoomTransaction},
    send::{StateUpdate, append_state, may_send},
    write_error::{Attempt, WriteError, attempt},
};

/// State that goes along (client-server API, room upgrades).
const COPIED: [&str; 11] = [
    "m.room.server_acl",
    "m.room.encryption",
    "m.room.name",
    "m.room.avatar",
    "m.room.topic",
    "m.room.guest_access",
    "m.room.history_visibility",
    "m.room.join_rules",
    "m.room.power_levels",
    "m.room.pinned_events",
    "m.room.canonical_alias",
];

/// Bans that go along at most, so that no upgrade holds up the server.
const MAX_BANS: usize = 1_000;

impl Rooms {
    /// Makes a room of the new version with the old one's rules and name, and points the old one at it. `hook` may add
    /// rows to the commit that makes the new room, such as aliases that move.
    pub async fn upgrade(
        &self,
        sender: &UserId,
        room_id: &RoomId,
        version: RoomVersion,
        additional_creators: &[OwnedUserId],
        hook: Option<Hook<'_>>,
    ) -> Result<OwnedRoomId, WriteError> {
        self.wait_until_whole(room_id).await?;
        attempt(|| self.try_upgrade(sender, room_id, version, additional_creators, hook)).await
    }

    async fn try_upgrade(
        &self,
        sender: &UserId,
        room_id: &RoomId,
        version: RoomVersion,
        additional_creators: &[OwnedUserId],
        hook: Option<Hook<'_>>,
    ) -> Result<OwnedRoomId, Attempt> {
        let mut transaction = self.begin_existing(room_id).await?;
        may_upgrade(transaction.head(), sender)?;
        let mut request = self
            .replacement(&transaction, sender, version, additional_creators)
            .await?;
        request.room_id = self
            .builder(version)
            .new_room_id()
            .map_err(AppendError::from)
            .map_err(WriteError::from)?;
        let replacement = if let Some(chosen) = request.room_id.clone() {
            // The new room names the tombstone, and the tombstone the new room, whose id is known beforehand.
            let tombstone = append_state(&mut transaction, sender, &tombstone(&chosen)).await?;
            name_tombstone(&mut request.creation_content, &tombstone);
            self.prepare(sender, &request, PowerLevelsCome::Last, hook)
                .await?
                .transaction
        } else {
            let replacement = self
                .prepare(sender, &request, PowerLevelsCome::Last, hook)
                .await?
                .transaction;
            let tombstone = tombstone(&replacement.head().room_id);
            append_state(&mut transaction, sender, &tombstone).await?;
            replacement
        };
        release_alias(&mut transaction, sender).await?;
        quieten(&mut transaction, sender).await?;
        let room_id = replacement.head().room_id.clone();
        RoomTransaction::commit_together([transaction, replacement]).await?;
        Ok(room_id)
    }

    /// What the new room is to be.
    async fn replacement(
        &self,
        transaction: &RoomTransaction,
        sender: &UserId,
        version: RoomVersion,
        additional_creators: &[OwnedUserId],
    ) -> Result<CreateRoom, WriteError> {
        let head = transaction.head();
        let mut initial_state = Vec::new();
        let keys = COPIED.iter().map(|kind| ((*kind).to_owned(), String::new()));
        let banned = head
            .members
            .iter()
            .filter(|(_, member)| member.membership == MembershipState::Ban)
            .map(|(user, _)| ("m.room.member".to_owned(), user.to_string()))
            .take(MAX_BANS);
        let spaces = head
            .state
            .keys()
            .filter(|(kind, _)| kind == "m.space.child" || kind == "m.space.parent");
        let keys: Vec<_> = keys.chain(spaces.cloned()).chain(banned).collect();
        let contents = current_contents(transaction, &keys).await?;
        for ((kind, state_key), content) in keys.into_iter().zip(contents) {
            let Some(content) = content else {
                continue;
            };
            if !(kind.starts_with("m.space.") && content.is_empty()) {
                initial_state.push(StateUpdate {
                    kind,
                    state_key,
                    content,
                    is_guest: false,
                });
            }
        }
        let creation_content = creation_content(transaction, version, additional_creators).await?;
        let creators = creators(sender, &creation_content);
        for state in initial_state
            .iter_mut()
            .filter(|state| state.kind == "m.room.power_levels")
        {
            fit_power_levels(&mut state.content, version, head, &creators);
        }
        Ok(CreateRoom {
            room_id: None,
            version,
            preset: Preset::PrivateChat,
            name: None,
            topic: None,
            alias: None,
            invite: Vec::new(),
            invite_3pid: Vec::new(),
            directness: Directness::Ordinary,
            creation_content,
            initial_state,
            power_level_content_override: CanonicalJsonObject::new(),
        })
    }
}

async fn creation_content(
    transaction: &RoomTransaction,
    version: RoomVersion,
    additional_creators: &[OwnedUserId],
) -> Result<CanonicalJsonObject, WriteError> {
    let head = transaction.head();
    let create = [("m.room.create".to_owned(), String::new())];
    let contents = current_contents(transaction, &create).await?;
    let mut content = contents.into_iter().flatten().next().unwrap_or_default();
    content.remove("additional_creators");
    let predecessor = CanonicalJsonObject::from([("room_id".to_owned(), text(head.room_id.as_str()))]);
    content.insert("predecessor".to_owned(), CanonicalJsonValue::Object(predecessor));
    if version.rules().authorization.additional_room_creators && !additional_creators.is_empty() {
        let creators = additional_creators
            .iter()
            .map(|user| text(user.as_str()))
            .collect();
        content.insert(
            "additional_creators".to_owned(),
            CanonicalJsonValue::Array(creators),
        );
    }
    Ok(content)
}

/// What the room's state says at these types and state keys. A fixed number of round trips.
async fn current_contents(
    transaction: &RoomTransaction,
    keys: &[(String, String)],
) -> Result<Vec<Option<CanonicalJsonObject>>, WriteError> {
    let keys: Vec<_> = keys
        .iter()
        .map(|(kind, state_key)| (kind.as_str(), state_key.as_str()))
        .collect();
    let events = transaction.state_events(&keys).await?;
    let content = |event: Option<Arc<Event>>| event.and_then(|event| event.content_as());
    Ok(events.into_iter().map(content).collect())
}

/// Takes the canonical alias away, which goes to the new room.
async fn release_alias(transaction: &mut RoomTransaction, sender: &UserId) -> Result<(), WriteError> {
    let alias = transaction.state_event("m.room.canonical_alias", "").await?;
    let content = alias.and_then(|event| event.content_as::<CanonicalJsonObject>());
    if content.is_some_and(|content| !content.is_empty()) {
        let none = StateUpdate {
            kind: "m.room.canonical_alias".to_owned(),
            state_key: String::new(),
            content: CanonicalJsonObject::new(),
            is_guest: false,
        };
        // Where the rules refuse, the old room goes on naming an alias that leads to the new one.
        _ = append_state(transaction, sender, &none).await;
    }
    Ok(())
}

/// Where the sender may, nobody is to send in the old room any more.
async fn quieten(transaction: &mut RoomTransaction, sender: &UserId) -> Result<(), WriteError> {
    let levels = transaction.state_event("m.room.power_levels", "").await?;
    let Some(content) = levels.and_then(|event| event.content_as::<CanonicalJsonObject>()) else {
        return Ok(());
    };
    let head = transaction.head();
    let needed = head.power_levels().to_set_state("m.room.power_levels");
    if may_send(head, sender, needed, "change this").is_ok() {
        // The rules may still refuse, and then the old room stays as loud as it is.
        _ = append_state(transaction, sender, &quietened(content)).await;
    }
    Ok(())
}

/// Up to version 11 the new room says with which event the old one ended.
fn name_tombstone(creation_content: &mut CanonicalJsonObject, tombstone: &EventId) {
    if let Some(CanonicalJsonValue::Object(predecessor)) = creation_content.get_mut("predecessor") {
        predecessor.insert("event_id".to_owned(), text(tombstone.as_str()));
    }
}

fn may_upgrade(head: &RoomHead, sender: &UserId) -> Result<(), WriteError> {
    let needed = head.power_levels().to_set_state("m.room.tombstone");
    Ok(may_send(head, sender, needed, "upgrade the room")?)
}

fn tombstone(replacement: &RoomId) -> StateUpdate {
    let content = CanonicalJsonObject::from([
        ("body".to_owned(), text("This room has been replaced")),
        ("replacement_room".to_owned(), text(replacement.as_str())),
    ]);
    StateUpdate {
        kind: "m.room.tombstone".to_owned(),
        state_key: String::new(),
        content,
        is_guest: false,
    }
}

/// Power levels under which ordinary members neither send nor invite: 50, or one above what they have.
fn quietened(mut content: CanonicalJsonObject) -> StateUpdate {
    let number = |content: &CanonicalJsonObject, key: &str| {
        content
            .get(key)
            .and_then(CanonicalJsonValue::as_integer)
            .map_or(0, i64::from)
    };
    let above = (number(&content, "users_default") + 1).max(50);
    for key in ["events_default", "invite"] {
        let level = number(&content, key).max(above);
        content.insert(
            key.to_owned(),
            CanonicalJsonValue::Integer(Int::new_saturating(level)),
        );
    }
    StateUpdate {
        kind: "m.room.power_levels".to_owned(),
        state_key: String::new(),
        content,
        is_guest: false,
    }
}

fn creators(sender: &UserId, creation_content: &CanonicalJsonObject) -> Vec<String> {
    let additional = creation_content
        .get("additional_creators")
        .and_then(CanonicalJsonValue::as_array);
    let additional = additional
        .into_iter()
        .flatten()
        .filter_map(|user| Some(user.as_str()?.to_owned()));
    std::iter::once(sender.to_string()).chain(additional).collect()
}

/// Takes creators out where they stand above levels, and gives those a level who stood above them and no longer do.
fn fit_power_levels(
    content: &mut CanonicalJsonObject,
    version: RoomVersion,
    old: &RoomHead,
    creators: &[String],
) {
    if version.rules().authorization.integer_power_levels {
        content.values_mut().for_each(make_numbers);
    }
    if version.rules().authorization.explicitly_privilege_room_creators {
        if let Some(CanonicalJsonValue::Object(users)) = content.get_mut("users") {
            users.retain(|user, _| !creators.contains(user));
        }
        return;
    }
    let levels = old.power_levels();
    for creator in levels
        .named_users()
        .filter(|user| levels.is_privileged_creator(user))
    {
        let users = content
            .entry("users".to_owned())
            .or_insert_with(|| CanonicalJsonValue::Object(CanonicalJsonObject::new()));
        if let CanonicalJsonValue::Object(users) = users {
            users.insert(creator.to_string(), CanonicalJsonValue::Integer(Int::from(100)));
        }
    }
}

/// Levels that are strings, as they may be up to version 9, become the numbers that they stand for.
fn make_numbers(level: &mut CanonicalJsonValue) {
    match level {
        CanonicalJsonValue::String(text) => {
            if let Some(number) = text.trim().parse().ok().and_then(Int::new) {
                *level = CanonicalJsonValue::Integer(number);
            }
        }
        CanonicalJsonValue::Object(levels) => levels.values_mut().for_each(make_numbers),
        _ => {}
    }
}

fn text(text: &str) -> CanonicalJsonValue {
    CanonicalJsonValue::String(text.to_owned())
}
