//! Memberships in rooms that this server is not in: what a user is invited to, knocks at, or was turned down from. Their
//! events have no place in a timeline; they stand by the user.

mod retraction;

use std::{collections::HashMap, sync::Arc};

use gatehouse_events::Event;
use gatehouse_store::{Batch, Direction, Position, Range, StoreError, Topic};
use ruma::{
    OwnedEventId, OwnedServerName, OwnedUserId, RoomId, UserId,
    events::{TimelineEventType, room::member::MembershipState},
};

use crate::{
    Rooms,
    head::membership_in,
    own_events::stored_event,
    tables::{
        INVITATIONS, InvitationRow, MEMBERSHIP_CHANGES, MEMBERSHIPS, MembershipChangeRow, MembershipRow,
    },
    write_error::WriteError,
};

/// Versions looked at, newest first.
const MAX_VERSIONS: usize = 100;

/// Servers remembered for an invitation.
pub(super) const MAX_SERVERS: usize = 8;

/// How a user stands to a room from outside.
#[derive(Debug, Clone)]
pub(crate) struct Outside {
    row: MembershipRow,
    /// What came about.
    pub(crate) invitation: InvitationRow,
    /// Its event.
    pub(crate) event: Arc<Event>,
}

impl Outside {
    /// What the user is.
    pub(crate) fn membership(&self) -> &MembershipState {
        &self.row.membership
    }

    /// Whether the user waits to be let in, or may come in.
    pub(crate) fn is_pending(&self) -> bool {
        matches!(
            self.row.membership,
            MembershipState::Invite | MembershipState::Knock
        )
    }

    /// The servers that may know the room; that of whoever invited the user first.
    pub(crate) fn servers(&self) -> Vec<OwnedServerName> {
        let sender = self.event.sender.server_name().to_owned();
        std::iter::once(sender)
            .chain(self.invitation.servers.iter().cloned())
            .collect()
    }
}

/// What is to be kept of a membership from outside.
pub(super) struct Kept<'a> {
    pub(super) user: &'a UserId,
    pub(super) room_id: &'a RoomId,
    pub(super) invitation: InvitationRow,
    /// What the user is shown of the room, as a JSON array; empty: nothing.
    pub(super) stripped_state: String,
}

impl Rooms {
    /// How the user stands to the room, if that came about while this server was not in it.
    pub(crate) async fn outside(
        &self,
        user: &UserId,
        room_id: &RoomId,
    ) -> Result<Option<Outside>, WriteError> {
        let key = (user.to_owned(), room_id.to_owned());
        let Some(row) = self.store.get(&MEMBERSHIPS, &key).await? else {
            return Ok(None);
        };
        let key = (key.0, key.1, row.position);
        let Some(invitation) = self.store.get(&INVITATIONS, &key).await? else {
            return Ok(None);
        };
        let event = stored_event(room_id, row.position, invitation.clone());
        Ok(event.map(|stored| Outside {
            row,
            invitation,
            event: stored.event,
        }))
    }

    /// What users of this server were shown with the invites that are part of a room's state.
    pub(crate) async fn shown_with_invites(
        &self,
        room_id: &RoomId,
        state: impl Iterator<Item = &Event>,
    ) -> Result<HashMap<OwnedEventId, String>, WriteError> {
        let mut shown = HashMap::new();
        for event in state {
            let is_invite = event.kind == TimelineEventType::RoomMember
                && membership_in(event) == MembershipState::Invite;
            let target = event.state_key.as_deref().filter(|_| is_invite);
            let Some(target) = target.and_then(|target| OwnedUserId::try_from(target).ok()) else {
                continue;
            };
            if self.is_local(&target)
                && let Some(outside) = self.outside(&target, room_id).await?
                && outside.invitation.event_id == event.event_id
            {
                shown.insert(event.event_id.clone(), outside.row.stripped_state);
            }
        }
        Ok(shown)
    }

    /// Keeps a membership from outside, unless another has come about since `before` was read.
    pub(super) fn keep_outside(batch: &mut Batch, before: Option<&Outside>, kept: Kept<'_>) {
        let position = batch.next_position();
        let key = (kept.user.to_owned(), kept.room_id.to_owned());
        if let Some(before) = before {
            batch.expect(&MEMBERSHIPS, &key, Some(&before.row));
        }
        let membership = kept.invitation.membership.clone();
        let event_id = kept.invitation.event_id.clone();
        let row = MembershipRow {
            membership: membership.clone(),
            event_id: event_id.clone(),
            position,
            place: position,
            forgotten: false,
            stripped_state: kept.stripped_state,
        };
        batch.put(&MEMBERSHIPS, &key, &row);
        batch.put(
            &INVITATIONS,
            &(key.0.clone(), key.1.clone(), position),
            &kept.invitation,
        );
        let change = MembershipChangeRow {
            room_id: key.1,
            membership,
            event_id,
            forgotten: false,
        };
        batch.put(&MEMBERSHIP_CHANGES, &(key.0.clone(), position), &change);
        batch.touch(Topic::User(key.0));
    }

    /// The versions of a membership that came about outside, oldest first, when the last of them is what holds: those of a
    /// room that this server has joined since are in the room.
    pub(crate) async fn versions_from_outside(
        &self,
        user: &UserId,
        room_id: &RoomId,
        current: &MembershipRow,
    ) -> Result<Vec<(Position, MembershipState)>, StoreError> {
        let range = Range::prefix(&(user.to_owned(), room_id.to_owned()));
        let rows = self
            .store
            .scan(&INVITATIONS, &range, Direction::Backward, MAX_VERSIONS)
            .await?;
        let is_current = rows
            .first()
            .is_some_and(|((_, _, position), _)| *position == current.position);
        if !is_current {
            return Ok(Vec::new());
        }
        Ok(rows
            .into_iter()
            .rev()
            .map(|((_, _, position), row)| (position, row.membership))
            .collect())
    }
}
