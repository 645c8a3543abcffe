//! What is taken from the event that another server proposes: its place in the room's graph (security.md E02, E03).

use gatehouse_events::{Parents, RoomVersion};
use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, OwnedEventId, OwnedUserId, RoomId, ServerName, UserId,
    events::room::member::MembershipState, room_version_rules::EventsReferenceFormatVersion,
};

/// References of an event at most (server-server API, PDUs).
const MAX_PREV_EVENTS: usize = 20;
const MAX_AUTH_EVENTS: usize = 10;

/// The largest depth (canonical JSON's largest number).
const MAX_DEPTH: i64 = (1 << 53) - 1;

/// The part of a proposal that our own event is built with.
#[derive(Debug)]
pub(super) struct Proposal {
    /// Where the event goes.
    pub(super) parents: Parents,
    /// The user of that server who vouches for a restricted join.
    pub(super) authorised_via: Option<OwnedUserId>,
}

impl Proposal {
    /// From the event that `server` proposes; `None` when it is not the one that was asked for.
    pub(super) fn read(
        event: &CanonicalJsonObject,
        (room_id, user, membership): (&RoomId, &UserId, &MembershipState),
        version: RoomVersion,
        server: &ServerName,
    ) -> Option<Self> {
        let text = |object: &CanonicalJsonObject, field: &str| {
            object
                .get(field)
                .and_then(CanonicalJsonValue::as_str)
                .map(str::to_owned)
        };
        let content = event.get("content")?.as_object()?;
        let is_asked_for = text(event, "type")? == "m.room.member"
            && text(event, "room_id")? == room_id.as_str()
            && text(event, "sender")? == user.as_str()
            && text(event, "state_key")? == user.as_str()
            && text(content, "membership")? == membership.to_string();
        if !is_asked_for {
            return None;
        }
        let rules = version.rules();
        let with_hashes = matches!(rules.events_reference_format, EventsReferenceFormatVersion::V1);
        let mut parents = Parents {
            depth: depth(event)?,
            ..Parents::default()
        };
        parents.prev_events = references(
            event,
            "prev_events",
            MAX_PREV_EVENTS,
            with_hashes,
            &mut parents.hashes,
        )?;
        parents.auth_events = references(
            event,
            "auth_events",
            MAX_AUTH_EVENTS,
            with_hashes,
            &mut parents.hashes,
        )?;
        if parents.prev_events.is_empty() {
            return None;
        }
        let authorised_via = match text(content, "join_authorised_via_users_server") {
            Some(via) if rules.authorization.restricted_join_rule && *membership == MembershipState::Join => {
                // Only the server that was asked signs for it.
                let via = OwnedUserId::try_from(via).ok()?;
                Some(via).filter(|via| via.server_name() == server)
            }
            _ => None,
        };
        Some(Self {
            parents,
            authorised_via,
        })
    }
}

/// Nothing is ordered by it; it only has to be a number that others take (security.md E25).
fn depth(event: &CanonicalJsonObject) -> Option<u64> {
    let depth = i64::from(event.get("depth")?.as_integer()?);
    u64::try_from(depth.clamp(1, MAX_DEPTH)).ok()
}

fn references(
    event: &CanonicalJsonObject,
    field: &str,
    most: usize,
    with_hashes: bool,
    hashes: &mut Vec<(OwnedEventId, String)>,
) -> Option<Vec<OwnedEventId>> {
    let references = event.get(field)?.as_array()?;
    if references.len() > most {
        return None;
    }
    references
        .iter()
        .map(|reference| {
            let id = if with_hashes {
                let (id, of) = pair(reference)?;
                hashes.extend(of.map(|of| (id.clone(), of)));
                id
            } else {
                reference.as_str()?.try_into().ok()?
            };
            Some(id)
        })
        .collect()
}

/// `[id, {"sha256": hash}]`.
fn pair(reference: &CanonicalJsonValue) -> Option<(OwnedEventId, Option<String>)> {
    let pair = reference.as_array()?;
    let id = pair.first()?.as_str()?.try_into().ok()?;
    let hash = pair
        .get(1)
        .and_then(CanonicalJsonValue::as_object)
        .and_then(|hashes| hashes.get("sha256")?.as_str())
        .filter(|hash| hash.len() <= 64)
        .map(str::to_owned);
    Some((id, hash))
}
