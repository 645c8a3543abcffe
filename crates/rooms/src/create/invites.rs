//! Whom a new room invites. Users of other servers come last: their servers are asked when there is a room to ask about.

use ruma::{CanonicalJsonValue, OwnedUserId, RoomId, UserId, events::room::member::MembershipState};

use super::{CreateRoom, Preset};
use crate::{
    Rooms,
    identity_servers::{InviteFacts, StoreOutcome},
    membership::{
        MembershipRequest,
        fan_out::each,
        invite::Directness,
        invite_by_address::{append_third_party_invite, may_invite_addresses},
    },
    room_transaction::RoomTransaction,
    write_error::WriteError,
};

/// A room that is all there but for the commit.
pub(crate) struct Prepared {
    pub(crate) transaction: RoomTransaction,
    /// Users of other servers to invite after it.
    pub(crate) elsewhere: Vec<OwnedUserId>,
}

impl Rooms {
    /// Invites the users of this server with the room, and leaves those of others for later.
    pub(super) async fn invite_all(
        &self,
        prepared: &mut Prepared,
        creator: &UserId,
        targets: &[OwnedUserId],
        directness: Directness,
    ) -> Result<(), WriteError> {
        for target in targets {
            if !self.is_local(target) {
                if !prepared.elsewhere.contains(target) {
                    prepared.elsewhere.push(target.clone());
                }
                continue;
            }
            let transaction = &mut prepared.transaction;
            let membership = transaction.head().membership(target);
            if *target == creator || membership != MembershipState::Leave {
                continue;
            }
            let plain = MembershipRequest::default();
            self.append_invite(transaction, creator, target, &plain, directness)
                .await?;
        }
        Ok(())
    }

    /// Invites the users of other servers. There is a room already, so that one who cannot be invited is no reason to fail:
    /// the creator sees in the room who is invited.
    pub(super) async fn invite_elsewhere(
        &self,
        creator: &UserId,
        room_id: &RoomId,
        targets: Vec<OwnedUserId>,
        directness: Directness,
    ) {
        if targets.is_empty() {
            return;
        }
        let (rooms, creator, room_id) = (self.clone(), creator.to_owned(), room_id.to_owned());
        let invited = each(targets, move |target| {
            let (rooms, creator, room_id) = (rooms.clone(), creator.clone(), room_id.clone());
            async move {
                let plain = MembershipRequest::default();
                let invited = rooms
                    .invite_to(&creator, &target, &room_id, &plain, directness)
                    .await;
                if let Err(error) = &invited {
                    tracing::info!(room = %room_id, %target, %error, "a new room could not invite a user");
                }
                Ok(())
            }
        });
        // Each failure has been told.
        let _ = invited.await;
    }

    /// Nobody else knows of the room yet, so that its turn may be held while the network is asked. All that may be refused
    /// is refused before anything is kept elsewhere.
    pub(super) async fn append_address_invites(
        &self,
        prepared: &mut Prepared,
        creator: &UserId,
        request: &CreateRoom,
    ) -> Result<(), WriteError> {
        if request.invite_3pid.is_empty() {
            return Ok(());
        }
        may_invite_addresses(prepared.transaction.head(), creator)?;
        let servers = &self.shared.identity_servers;
        let mut unknown = Vec::new();
        for (number, invite) in request.invite_3pid.iter().enumerate() {
            let mut earlier = request.invite_3pid.iter().take(number);
            if earlier.any(|earlier| earlier.address == invite.address) {
                // One mail, however often it is named (B11).
                continue;
            }
            let owner = servers.lookup(invite.asker(creator), &invite.address).await?;
            match &owner {
                Some(owner) => {
                    let owner = std::slice::from_ref(owner);
                    self.invite_all(prepared, creator, owner, request.directness)
                        .await?;
                }
                None => unknown.push(invite),
            }
        }
        let facts = self.with_sender(creator, facts(request)).await?;
        let room_id = prepared.transaction.head().room_id.clone();
        for invite in unknown {
            let asker = invite.asker(creator);
            let outcome = servers.store_invite(asker, &invite.address, &room_id, facts.clone());
            match outcome.await? {
                StoreOutcome::Owned(owner) => {
                    let owner = std::slice::from_ref(&owner);
                    self.invite_all(prepared, creator, owner, request.directness)
                        .await?;
                }
                StoreOutcome::Stored(stored) => {
                    append_third_party_invite(&mut prepared.transaction, creator, &invite.address, &stored)
                        .await?;
                }
            }
        }
        Ok(())
    }
}

/// What a mail about the room may say, though nobody can look at it yet.
fn facts(request: &CreateRoom) -> InviteFacts {
    let join_rule = match request.preset {
        Preset::PrivateChat | Preset::TrustedPrivateChat => "invite",
        Preset::PublicChat => "public",
    };
    InviteFacts {
        room_name: request.name.clone(),
        room_alias: request.alias.as_ref().map(ToString::to_string),
        room_join_rules: Some(join_rule.to_owned()),
        room_type: request
            .creation_content
            .get("type")
            .and_then(CanonicalJsonValue::as_str)
            .map(ToOwned::to_owned),
        ..InviteFacts::default()
    }
}
