//! Knocking at a room that this server is not in.

use gatehouse_store::{Batch, CommitError};
use ruma::{
    OwnedEventId, OwnedServerName, RoomId, ServerName, UserId, events::room::member::MembershipState,
};

use super::{PATIENCE, Wish, told::Told, within};
use crate::{
    Rooms,
    membership::{MembershipRequest, outside::Kept, shown_state::shown_to_user},
    remote_servers::RemoteMembership,
    tables::InvitationRow,
    write_error::{Refusal, WriteError},
};

impl Rooms {
    /// Knocks through a server that is in the room. What it shows of the room is kept for the user.
    pub(crate) async fn knock_over_servers(
        &self,
        user: &UserId,
        room_id: &RoomId,
        request: &MembershipRequest,
        via: &[OwnedServerName],
    ) -> Result<OwnedEventId, WriteError> {
        let outside = self.outside(user, room_id).await?;
        if outside.is_some_and(|outside| *outside.membership() == MembershipState::Invite) {
            return Err(Refusal::AlreadyInvited.into());
        }
        let mut content = request.content(&MembershipState::Knock);
        self.add_profile(user, &mut content).await?;
        let servers = self.servers_to_ask(user, room_id, via).await?;
        let mut told = Told::default();
        for server in &servers {
            let wish = Wish {
                user,
                room_id,
                what: RemoteMembership::Knocking,
                content: &content,
            };
            match self.knock_through(server, wish).await {
                Ok(event_id) => return Ok(event_id),
                Err(error) => told.hear(server, error)?,
            }
        }
        Err(told.most_telling())
    }

    async fn knock_through(&self, server: &ServerName, wish: Wish<'_>) -> Result<OwnedEventId, WriteError> {
        let (version, built) = self.own_event(server, wish).await?;
        let event_id = built.event.event_id.clone();
        let sent = self
            .shared
            .remote
            .send_knock(server, wish.room_id, &event_id, &built.pdu);
        let shown = within(PATIENCE, sent).await?;
        let before = self.outside(wish.user, wish.room_id).await?;
        let mut batch = Batch::new();
        if !self.shared.accounts.expect_active(&mut batch, wish.user).await? {
            return Err(Refusal::Deactivated.into());
        }
        let kept = Kept {
            user: wish.user,
            room_id: wish.room_id,
            invitation: InvitationRow {
                event_id: event_id.clone(),
                membership: MembershipState::Knock,
                version: version.name().to_owned(),
                servers: vec![server.to_owned()],
                pdu: built.pdu,
            },
            // What makes no sense is nothing that the knock depends on.
            stripped_state: shown_to_user(&shown).unwrap_or_default(),
        };
        Self::keep_outside(&mut batch, before.as_ref(), kept);
        match self.store.commit(batch).await {
            Ok(_) => Ok(event_id),
            Err(CommitError::Conflict { .. }) => Err(WriteError::Contended),
            Err(CommitError::Store(error)) => Err(error.into()),
        }
    }
}
