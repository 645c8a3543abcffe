//! Whom a room without a name is called after, for a server that joins it and is not told who else is there.

use gatehouse_store::{Position, StoreError};
use ruma::{
    OwnedEventId, OwnedUserId, UserId,
    events::room::member::MembershipState::{self, Ban, Invite, Join, Leave},
};

use crate::{RoomState, Rooms};

/// How many heroes there are at most (client-server API, `RoomSummary`).
const HEROES: usize = 5;
/// How many changes of a room and how many of its members are looked at: the cost does not grow with the room.
const SEARCHED: usize = 200;

impl Rooms {
    /// The membership events of those whom the room is called after, in this state and for this user; none when it has a
    /// name.
    pub(crate) async fn hero_events(
        &self,
        room_id: &ruma::RoomId,
        state: &RoomState,
        user: &UserId,
    ) -> Result<Vec<OwnedEventId>, StoreError> {
        if self.is_named(state).await? {
            return Ok(Vec::new());
        }
        let mut here = Vec::new();
        let mut gone = Vec::new();
        for candidate in self.hero_candidates(room_id, state).await? {
            let Some(member) = state.members.get(&candidate) else {
                continue;
            };
            let of = |wanted: [MembershipState; 2]| candidate != user && wanted.contains(&member.membership);
            if of([Join, Invite]) && !here.contains(&member.event_id) {
                here.push(member.event_id.clone());
            } else if of([Leave, Ban]) && !gone.contains(&member.event_id) {
                gone.push(member.event_id.clone());
            }
        }
        let mut heroes = if here.is_empty() { gone } else { here };
        heroes.truncate(HEROES);
        Ok(heroes)
    }

    /// Whether the state gives the room a name or an alias. One that is not text is none (D08).
    async fn is_named(&self, state: &RoomState) -> Result<bool, StoreError> {
        let names = [("m.room.name", "name"), ("m.room.canonical_alias", "alias")];
        for (kind, field) in names {
            let id: Vec<OwnedEventId> = state.event_id(kind, "").cloned().into_iter().collect();
            let event = self.events(&id).await?.into_iter().flatten().next();
            let content: Option<serde_json::Value> = event.and_then(|event| event.content_as());
            let name = content.as_ref().and_then(|content| content.get(field)?.as_str());
            if name.is_some_and(|name| !name.is_empty()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Members in the order in which they first were any, as far as the room's first changes tell; then others.
    async fn hero_candidates(
        &self,
        room_id: &ruma::RoomId,
        state: &RoomState,
    ) -> Result<Vec<OwnedUserId>, StoreError> {
        let changes = self
            .state_changes(room_id, Position::ZERO, Position::MAX, SEARCHED)
            .await?;
        let first = changes
            .into_iter()
            .filter(|change| change.kind == "m.room.member")
            .filter_map(|change| OwnedUserId::try_from(change.state_key).ok());
        // Rooms that this server has joined have no such changes of those who were there before.
        let others = state.members.keys().take(SEARCHED).cloned();
        Ok(first.chain(others).collect())
    }
}
