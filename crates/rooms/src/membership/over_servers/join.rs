//! Joining a room over another server.

use gatehouse_events::{Built, Pdu, RoomVersion};
use gatehouse_store::{Batch, StoreError};
use ruma::{OwnedRoomId, OwnedUserId, RoomId, ServerName, UserId, events::room::member::MembershipState};

use super::{PATIENCE_WITH_JOINS, Wish, answer::Checked, told::Told, within};
use crate::{
    Rooms,
    membership::{bound_address::BoundInvite, join::Join, residence::Residence, signed_block::SignedBlock},
    receive::Received,
    remote_servers::{RawPdu, RemoteError, RemoteMembership, SentJoin},
    write_error::{Refusal, WriteError},
};
use serde_json::value::RawValue;

impl Rooms {
    /// Joins a room that others have to let the user into: this server is not in it, or may not let the user in.
    pub(crate) async fn join_over_servers(
        &self,
        user: &UserId,
        room_id: &RoomId,
        join: &Join,
    ) -> Result<(), WriteError> {
        let key = (user.to_owned(), room_id.to_owned());
        let (rooms, join) = (self.clone(), join.clone());
        self.join_once(key.clone(), Box::pin(rooms.join_by_asking(key, join)))
            .await
    }

    async fn join_by_asking(
        self,
        (user, room_id): (OwnedUserId, OwnedRoomId),
        join: Join,
    ) -> Result<(), WriteError> {
        let mut content = join.request.content(&MembershipState::Join);
        self.add_profile(&user, &mut content).await?;
        let servers = self.servers_to_ask(&user, &room_id, &join.via).await?;
        if join.is_guest && !servers.is_empty() {
            return Err(WriteError::GuestsForbidden);
        }
        if let Some(signed) = &join.third_party_signed {
            self.show_invitation(&user, &room_id, signed).await?;
        }
        let mut told = Told::default();
        for server in &servers {
            let wish = Wish {
                user: &user,
                room_id: &room_id,
                what: RemoteMembership::Joining,
                content: &content,
            };
            match self.join_through(server, wish).await {
                Ok(()) => return Ok(()),
                Err(error) => told.hear(server, error)?,
            }
        }
        Err(told.most_telling())
    }

    /// Shows the inviter's server what an identity server signed for the user, so that it invites them.
    async fn show_invitation(
        &self,
        user: &UserId,
        room_id: &RoomId,
        signed: &SignedBlock,
    ) -> Result<(), WriteError> {
        let outside = self.outside(user, room_id).await?;
        if outside.is_some_and(|outside| *outside.membership() == MembershipState::Invite) {
            return Ok(());
        }
        let sender = signed.object.get("sender").and_then(|sender| sender.as_str());
        match sender.and_then(|sender| OwnedUserId::try_from(sender).ok()) {
            Some(sender) if !self.is_local(&sender) => {
                let invite = BoundInvite {
                    room_id: room_id.to_owned(),
                    sender,
                    signed: signed.clone(),
                };
                self.hand_on(user, &invite).await
            }
            _ => Ok(()),
        }
    }

    async fn join_through(&self, server: &ServerName, wish: Wish<'_>) -> Result<(), WriteError> {
        let (version, built) = self.own_event(server, wish).await?;
        let event_id = built.event.event_id.clone();
        let sent = self
            .shared
            .remote
            .send_join(server, wish.room_id, &event_id, &built.pdu);
        let sent = within(PATIENCE_WITH_JOINS, sent).await?;
        let join = self.join_as_sent(version, &built, sent.event.as_ref()).await?;
        match self.residence(wish.room_id).await? {
            Residence::Here(_) => self.take_in_own(server, wish.room_id, &join).await,
            Residence::Elsewhere(_) => self.take_in_room(wish, version, sent, join).await,
        }
    }

    /// The join with the signatures that it needs: as we made it, or with that of the server that vouches for the user.
    async fn join_as_sent(
        &self,
        version: RoomVersion,
        built: &Built,
        answered: Option<&RawPdu>,
    ) -> Result<Pdu, WriteError> {
        let own = RawValue::from_string(built.pdu.clone()).map_err(|_| RemoteError::BadAnswer)?;
        let candidates: Vec<RawPdu> = answered.into_iter().cloned().chain([own]).collect();
        let checked = self.check_pdus(version, &built.event.room_id, &candidates).await;
        let same = checked.into_iter().flatten().find(|pdu| {
            pdu.event.event_id == built.event.event_id && pdu.reference_hash == built.reference_hash
        });
        Ok(same.ok_or(RemoteError::BadAnswer)?)
    }

    /// Another server let our user into a room that we are in.
    async fn take_in_own(&self, server: &ServerName, room_id: &RoomId, join: &Pdu) -> Result<(), WriteError> {
        let raw = RawValue::from_string(join.json.clone()).map_err(|_| RemoteError::BadAnswer)?;
        let received = self.receive(server, room_id, &[raw]).await?;
        match received.into_iter().next() {
            Some((_, Received::Accepted | Received::AlreadyHere)) => Ok(()),
            // What goes with it could not be had.
            None | Some((_, Received::Dropped(_))) => Err(RemoteError::Unreachable.into()),
            other => {
                tracing::info!(room = %room_id, ?other, "a join that another server let in is not allowed here");
                Err(Refusal::NotInAllowedRoom.into())
            }
        }
    }

    /// Takes in the room, all of it or nothing (security.md T30).
    async fn take_in_room(
        &self,
        wish: Wish<'_>,
        version: RoomVersion,
        sent: SentJoin,
        join: Pdu,
    ) -> Result<(), WriteError> {
        if sent.members_omitted {
            return Err(RemoteError::BadAnswer.into());
        }
        let state = self.authentic(version, wish.room_id, &sent.state).await;
        let auth_chain = self.authentic(version, wish.room_id, &sent.auth_chain).await;
        let event = join.event.clone();
        let checked = tokio::task::spawn_blocking(move || Checked::new(version, state, auth_chain, &event))
            .await
            .map_err(|_| StoreError::Unavailable("the server is stopping; try again".to_owned()))?;
        let checked = checked.map_err(|unusable| {
            tracing::info!(room = %wish.room_id, %unusable, "a room that was handed over is not taken in");
            RemoteError::BadAnswer
        })?;
        let mut beside = Batch::new();
        if !self.shared.accounts.expect_active(&mut beside, wish.user).await? {
            return Err(Refusal::Deactivated.into());
        }
        self.adopt(
            wish.room_id,
            version,
            checked.state,
            checked.auth_chain,
            join,
            beside,
        )
        .await
    }

    /// Those of the events that are what their servers signed.
    async fn authentic(&self, version: RoomVersion, room_id: &RoomId, raws: &[RawPdu]) -> Vec<Pdu> {
        let checked = self.check_pdus(version, room_id, raws).await;
        let mut refused = 0_usize;
        let authentic: Vec<Pdu> = checked
            .into_iter()
            .filter_map(|checked| {
                refused += usize::from(checked.is_err());
                checked.ok()
            })
            .collect();
        if refused > 0 {
            tracing::info!(room = %room_id, refused, "events of a room that was handed over are not authentic");
        }
        authentic
    }
}
