//! Rejecting an invite to a room that this server is not in, or taking a knock back.

use gatehouse_events::{Built, NewEvent, Parents, RoomVersion};
use gatehouse_store::{Batch, CommitError};
use ruma::{
    CanonicalJsonObject, OwnedEventId, RoomId, ServerName, UserId,
    events::{TimelineEventType, room::member::MembershipState},
};

use super::{PATIENCE, Wish, within};
use crate::{
    Rooms,
    membership::{
        MembershipRequest,
        outside::{Kept, Outside},
    },
    remote_servers::RemoteMembership,
    room_transaction::AppendError,
    tables::InvitationRow,
    write_error::{Refusal, WriteError},
};

/// Servers that are told; the user waits no longer than for these.
const MAX_TOLD: usize = 2;

/// Auth events at most (server-server API, PDUs).
const MAX_AUTH_EVENTS: usize = 10;
/// The largest depth (canonical JSON's largest number).
const MAX_DEPTH: u64 = (1 << 53) - 1;

impl Rooms {
    /// Takes the user out of what came about outside. Where no server can be told, it is gone for the user all the same.
    pub(crate) async fn leave_from_outside(
        &self,
        user: &UserId,
        room_id: &RoomId,
        outside: &Outside,
        request: &MembershipRequest,
    ) -> Result<OwnedEventId, WriteError> {
        match outside.membership() {
            MembershipState::Ban => return Err(Refusal::Banned.into()),
            _ if !outside.is_pending() => return Ok(outside.invitation.event_id.clone()),
            _ => {}
        }
        let (rooms, user, room_id) = (self.clone(), user.to_owned(), room_id.to_owned());
        let (outside, content) = (outside.clone(), request.content(&MembershipState::Leave));
        // A client that hangs up has rejected it all the same.
        let left = tokio::spawn(async move {
            let built = match rooms.tell_of_leave(&user, &room_id, &outside, &content).await {
                Some(built) => built,
                None => rooms.leave_of_our_own(&user, &room_id, &outside, content)?,
            };
            rooms.keep_leave(&user, &room_id, &outside, built).await
        });
        left.await.unwrap_or(Err(WriteError::Contended))
    }

    async fn tell_of_leave(
        &self,
        user: &UserId,
        room_id: &RoomId,
        outside: &Outside,
        content: &CanonicalJsonObject,
    ) -> Option<Built> {
        let servers = outside.servers();
        let others = servers.iter().filter(|server| *server != self.server_name());
        for server in others.take(MAX_TOLD) {
            let wish = Wish {
                user,
                room_id,
                what: RemoteMembership::Leaving,
                content,
            };
            match self.leave_through(server, wish).await {
                Ok(built) => return Some(built),
                Err(error) => tracing::info!(%server, %error, "a server does not hear of a leave"),
            }
        }
        None
    }

    async fn leave_through(&self, server: &ServerName, wish: Wish<'_>) -> Result<Built, WriteError> {
        let (_, built) = self.own_event(server, wish).await?;
        let sent = self
            .shared
            .remote
            .send_leave(server, wish.room_id, &built.event.event_id, &built.pdu);
        within(PATIENCE, sent).await?;
        Ok(built)
    }

    /// The same for the user alone: it follows the invite, and nobody else ever sees it.
    fn leave_of_our_own(
        &self,
        user: &UserId,
        room_id: &RoomId,
        outside: &Outside,
        content: CanonicalJsonObject,
    ) -> Result<Built, WriteError> {
        let version: RoomVersion = outside
            .invitation
            .version
            .parse()
            .map_err(|_| WriteError::UnknownRoomVersion(outside.invitation.version.clone()))?;
        let pending = &outside.event;
        let mut auth_events = vec![pending.event_id.clone()];
        auth_events.extend(pending.auth_events.iter().cloned());
        auth_events.truncate(MAX_AUTH_EVENTS);
        let parents = Parents {
            prev_events: vec![pending.event_id.clone()],
            auth_events,
            depth: (pending.depth + 1).min(MAX_DEPTH),
            hashes: Vec::new(),
        };
        let new = NewEvent {
            kind: TimelineEventType::RoomMember,
            state_key: Some(user.to_string()),
            content,
            redacts: None,
        };
        let built = self
            .builder(version)
            .build(room_id, user, new, parents, self.now_ms());
        Ok(built.map_err(AppendError::from)?)
    }

    async fn keep_leave(
        &self,
        user: &UserId,
        room_id: &RoomId,
        outside: &Outside,
        built: Built,
    ) -> Result<OwnedEventId, WriteError> {
        let event_id = built.event.event_id.clone();
        let mut batch = Batch::new();
        let kept = Kept {
            user,
            room_id,
            invitation: InvitationRow {
                event_id: event_id.clone(),
                membership: MembershipState::Leave,
                pdu: built.pdu,
                ..outside.invitation.clone()
            },
            stripped_state: String::new(),
        };
        Self::keep_outside(&mut batch, Some(outside), kept);
        match self.store.commit(batch).await {
            Ok(_) => Ok(event_id),
            Err(CommitError::Conflict { .. }) => Err(WriteError::Contended),
            Err(CommitError::Store(error)) => Err(error.into()),
        }
    }
}
