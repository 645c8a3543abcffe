//! Joining a room over another server.

use std::{collections::BTreeSet, time::Duration};

use gatehouse_events::{Built, Pdu, RoomVersion};
use gatehouse_store::{Batch, StoreError};
use ruma::{
    OwnedRoomId, OwnedServerName, OwnedUserId, RoomId, ServerName, UserId,
    events::room::member::MembershipState,
};
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::{
    PATIENCE_WITH_JOINS, Wish,
    answer::{Checked, Members},
    told::Told,
    within,
};
use crate::{
    Rooms,
    membership::{bound_address::BoundInvite, join::Join, residence::Residence, signed_block::SignedBlock},
    receive::{
        Received,
        adopt::{Adopted, Adopting, MissingMembers},
    },
    remote_servers::{RawPdu, RemoteError, RemoteMembership, SentJoin, WantedState},
    write_error::{Refusal, WriteError},
};

/// Servers of a room that are remembered until its members are known.
const MAX_SERVERS_IN_ROOM: usize = 100_000;
/// How long a join waits for the members of the room: those of most rooms are here by then, and clients see one room instead
/// of a part of it and then the rest.
const PATIENCE_WITH_MEMBERS: Duration = Duration::from_millis(500);

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
            let joined = if join.is_guest {
                self.join_as_guest(server, wish).await
            } else {
                self.join_through(server, wish).await
            };
            match joined {
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

    async fn join_as_guest(&self, server: &ServerName, wish: Wish<'_>) -> Result<(), WriteError> {
        self.require_guests_welcome(server, wish.room_id).await?;
        self.join_through(server, wish).await?;
        self.stay_if_welcome(wish.room_id).await
    }

    async fn join_through(&self, server: &ServerName, wish: Wish<'_>) -> Result<(), WriteError> {
        let (version, built) = self.own_event(server, wish).await?;
        let event_id = built.event.event_id.clone();
        let wanted = WantedState::WithoutMembers;
        let sent = self
            .shared
            .remote
            .send_join(server, wish.room_id, &event_id, &built.pdu, wanted);
        let sent = within(PATIENCE_WITH_JOINS, sent).await?;
        let join = self.join_as_sent(version, &built, sent.event.as_ref()).await?;
        match self.residence(wish.room_id).await? {
            Residence::Here(_) => self.take_in_own(server, wish.room_id, &join).await,
            Residence::Elsewhere(_) => self.take_in_room((server, version), wish, sent, join).await,
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

    /// Takes in the room, all of what is given of it or nothing (security.md T30). Members that are not given are fetched
    /// afterwards.
    async fn take_in_room(
        &self,
        (server, version): (&ServerName, RoomVersion),
        wish: Wish<'_>,
        sent: SentJoin,
        join: Pdu,
    ) -> Result<(), WriteError> {
        let members = if sent.members_omitted {
            Members::Omitted
        } else {
            Members::Here
        };
        let state = self.authentic(version, wish.room_id, &sent.state).await;
        let auth_chain = self.authentic(version, wish.room_id, &sent.auth_chain).await;
        let event = join.event.clone();
        let checked =
            tokio::task::spawn_blocking(move || Checked::new(version, state, auth_chain, members, &event))
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
        let adopting = Adopting {
            state: checked.state,
            auth_chain: checked.auth_chain,
            join,
            missing: (members == Members::Omitted).then(|| MissingMembers {
                let_in_by: server.to_owned(),
                servers: self.others_in_room(server, sent.servers_in_room),
            }),
            beside,
        };
        match self.adopt(wish.room_id, version, &adopting).await? {
            Adopted::Whole => Ok(()),
            Adopted::Partly => {
                self.fill_in_background(wish.room_id);
                let deadline = Instant::now() + PATIENCE_WITH_MEMBERS;
                self.is_whole_by(wish.room_id, deadline).await?;
                Ok(())
            }
            // Somebody else of this server was faster: it is a room like any other now.
            Adopted::AlreadyHere => {
                self.wait_until_whole(wish.room_id).await?;
                self.take_in_own(server, wish.room_id, &adopting.join).await
            }
        }
    }

    /// The other servers in a room, as the one that let us in says.
    fn others_in_room(&self, server: &ServerName, said: Vec<OwnedServerName>) -> Vec<OwnedServerName> {
        let mut servers: BTreeSet<OwnedServerName> = said.into_iter().take(MAX_SERVERS_IN_ROOM).collect();
        servers.insert(server.to_owned());
        servers.remove(self.server_name());
        servers.into_iter().collect()
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
