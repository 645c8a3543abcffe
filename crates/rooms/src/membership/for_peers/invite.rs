//! Another server invites a user of ours (`invite`). We sign nothing but an invite of one of our users by one of theirs
//! (security.md E01).

use std::str::FromStr as _;

use gatehouse_events::{Pdu, RoomVersion};
use gatehouse_store::{Batch, CommitError};
use ruma::{
    EventId, OwnedUserId, RoomId, ServerName,
    events::{TimelineEventType, room::member::MembershipState},
    room_version_rules::RoomIdFormatVersion,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::require_own_user;
use crate::{
    Rooms,
    head::membership_in,
    membership::{
        outside::Kept,
        residence::Residence,
        shown_state::{MAX_BYTES, MAX_ENTRIES, shown_to_user},
    },
    peer_error::PeerError,
    remote_servers::RawPdu,
    tables::InvitationRow,
    write_error::{Refusal, WriteError},
};

/// An invite as another server hands it in.
#[derive(Debug, Clone, Copy)]
pub struct PeerInvite<'a> {
    /// The server.
    pub origin: &'a ServerName,
    /// The room that the path names.
    pub room_id: &'a RoomId,
    /// The event that the path names.
    pub event_id: &'a EventId,
    /// The room's version.
    pub version: &'a str,
    /// The invite.
    pub pdu: &'a RawValue,
    /// What the user is to be shown of the room.
    pub invite_room_state: Option<&'a RawValue>,
}

impl Rooms {
    /// Keeps the invite for our user, and answers it with our signature.
    pub async fn invite_from_remote(&self, invite: PeerInvite<'_>) -> Result<RawPdu, PeerError> {
        let version = RoomVersion::from_str(invite.version)
            .map_err(|_| PeerError::IncompatibleRoomVersion(invite.version.chars().take(32).collect()))?;
        let (pdu, target) = self.read_invite(invite, version)?;
        let shown = self.read_shown(invite, version).await?;
        let pdu = self.authentic_invite(invite, version, &pdu).await?;
        let is_somebody = self.require_welcome(&target).await?;
        self.require_fits(invite, version, &target).await?;
        let signed = self.with_our_signature(pdu)?;
        let raw = RawValue::from_string(signed.json.clone());
        let raw = raw.map_err(|error| PeerError::invalid(error.to_string()))?;
        // Where we are in the room the invite comes to it in a transaction, as every event does.
        if is_somebody && !self.is_here(invite.room_id).await? {
            self.keep_from_outside(invite, version, &target, signed, shown)
                .await?;
        }
        Ok(raw)
    }

    /// What can be said of an invite without asking anybody.
    fn read_invite(
        &self,
        invite: PeerInvite<'_>,
        version: RoomVersion,
    ) -> Result<(Pdu, OwnedUserId), PeerError> {
        let pdu = Pdu::parse(invite.pdu.get(), invite.room_id, version);
        let pdu = pdu?;
        let event = &pdu.event;
        if event.event_id != invite.event_id {
            return Err(PeerError::invalid("The event has another id than the path."));
        }
        if event.kind != TimelineEventType::RoomMember || membership_in(event) != MembershipState::Invite {
            return Err(PeerError::invalid(
                "The event must be an `m.room.member` with the membership `invite`.",
            ));
        }
        if require_own_user(invite.origin, &event.sender).is_err() {
            return Err(PeerError::invalid("The sender must be a user of your server."));
        }
        let target = event
            .state_key
            .as_deref()
            .and_then(|key| OwnedUserId::try_from(key).ok())
            .filter(|user| self.is_local(user))
            .ok_or_else(|| PeerError::invalid("The `state_key` must be a user of this server."))?;
        Ok((pdu, target))
    }

    /// The invite, signed by the sender's server with all of its content.
    async fn authentic_invite(
        &self,
        invite: PeerInvite<'_>,
        version: RoomVersion,
        read: &Pdu,
    ) -> Result<Pdu, PeerError> {
        let raws = [invite.pdu.to_owned()];
        let checked = self.check_pdus(version, invite.room_id, &raws).await;
        match checked.into_iter().next() {
            // The rules ask for no signature of the sender's server where an invitation by address became an invite.
            Some(Ok(pdu)) if !self.has_signed(invite.origin, &pdu).await => Err(PeerError::NotSigned(
                "The event is not signed by the sender's server, or its key cannot be had.".to_owned(),
            )),
            Some(Ok(pdu)) if pdu.object() == read.object() => Ok(pdu),
            Some(Ok(_)) => Err(PeerError::invalid("The event's hash is not that of its content.")),
            Some(Err(refused)) => Err(refused.into()),
            None => Err(PeerError::invalid("The event cannot be read.")),
        }
    }

    /// Refuses when our user takes no invites. Says whether there is such a user; the other server is told the same whether
    /// or not (B12).
    async fn require_welcome(&self, target: &OwnedUserId) -> Result<bool, PeerError> {
        let account = self
            .shared
            .accounts
            .user(target)
            .await
            .map_err(WriteError::from)?;
        if account.is_none_or(|account| account.is_deactivated) {
            return Ok(false);
        }
        if self.blocks_invites(target).await? {
            return Err(PeerError::InviteBlocked(target.clone()));
        }
        Ok(true)
    }

    fn with_our_signature(&self, mut pdu: Pdu) -> Result<Pdu, PeerError> {
        let signed = pdu.add_signature_of(self.server_name(), &self.shared.key);
        signed.map_err(|error| PeerError::invalid(error.to_string()))?;
        Ok(pdu)
    }

    /// Whether an invite into a room that we are in is one that the room may see.
    async fn require_fits(
        &self,
        invite: PeerInvite<'_>,
        version: RoomVersion,
        target: &OwnedUserId,
    ) -> Result<(), PeerError> {
        let Residence::Here(head) = self.residence(invite.room_id).await? else {
            return Ok(());
        };
        if head.version != version {
            return Err(PeerError::invalid("The room is of another version."));
        }
        if !self.server_is_allowed(&head, invite.origin).await? {
            return Err(PeerError::NotInRoom);
        }
        match head.membership(target) {
            MembershipState::Join => Err(Refusal::AlreadyJoined(target.clone()).into()),
            MembershipState::Ban => Err(Refusal::TargetBanned(target.clone()).into()),
            _ => Ok(()),
        }
    }

    async fn keep_from_outside(
        &self,
        invite: PeerInvite<'_>,
        version: RoomVersion,
        target: &OwnedUserId,
        pdu: Pdu,
        shown: String,
    ) -> Result<(), PeerError> {
        let before = self.outside(target, invite.room_id).await?;
        if before
            .as_ref()
            .is_some_and(|before| before.invitation.event_id == pdu.event.event_id)
        {
            return Ok(());
        }
        let mut batch = Batch::new();
        self.shared
            .accounts
            .expect_active(&mut batch, target)
            .await
            .map_err(WriteError::from)?;
        let kept = Kept {
            user: target,
            room_id: invite.room_id,
            invitation: InvitationRow {
                event_id: pdu.event.event_id.clone(),
                membership: MembershipState::Invite,
                version: version.name().to_owned(),
                servers: vec![invite.origin.to_owned()],
                pdu: pdu.json,
            },
            stripped_state: shown,
        };
        Self::keep_outside(&mut batch, before.as_ref(), kept);
        match self.store.commit(batch).await {
            Ok(_) => Ok(()),
            Err(CommitError::Conflict { .. }) => Err(PeerError::Write(WriteError::Contended)),
            Err(CommitError::Store(error)) => Err(error.into()),
        }
    }
}

impl Rooms {
    /// What the user is shown of the room, as a JSON array, after its bounds and its room were checked.
    async fn read_shown(&self, invite: PeerInvite<'_>, version: RoomVersion) -> Result<String, PeerError> {
        let events = entries(invite.invite_room_state)?;
        // Before version 12 servers may send the stripped form, which says nothing that could be checked.
        let must_be_whole = !matches!(version.rules().room_id_format, RoomIdFormatVersion::V1);
        let whole: Vec<RawPdu> = events
            .iter()
            .filter(|event| must_be_whole || is_whole(event))
            .cloned()
            .collect();
        let mut has_create = false;
        for event in &whole {
            let pdu = Pdu::parse(event.get(), invite.room_id, version)
                .map_err(|error| PeerError::invalid(format!("In `invite_room_state`: {error}.")))?;
            has_create |= is_create(&pdu);
        }
        if must_be_whole && !has_create {
            return Err(PeerError::invalid(
                "The `invite_room_state` has no `m.room.create` event.",
            ));
        }
        let shown = if must_be_whole {
            self.authentic_shown(invite, version, &whole).await?
        } else {
            events
        };
        shown_to_user(&shown).ok_or_else(|| PeerError::invalid("The `invite_room_state` is too large."))
    }

    /// Those of the events whose signatures are right; the one that made the room must be among them. Of servers that are
    /// gone there are no keys to be had, and that is not the inviter's fault.
    async fn authentic_shown(
        &self,
        invite: PeerInvite<'_>,
        version: RoomVersion,
        whole: &[RawPdu],
    ) -> Result<Vec<RawPdu>, PeerError> {
        let checked = self.check_pdus(version, invite.room_id, whole).await;
        let authentic: Vec<Pdu> = checked.into_iter().flatten().collect();
        if !authentic.iter().any(is_create) {
            return Err(PeerError::invalid(
                "The signature of the `m.room.create` event in `invite_room_state` cannot be checked.",
            ));
        }
        Ok(authentic
            .into_iter()
            .filter_map(|pdu| RawValue::from_string(pdu.json).ok())
            .collect())
    }
}

/// The entries of `invite_room_state`; absent is empty (security.md X01).
fn entries(state: Option<&RawValue>) -> Result<Vec<RawPdu>, PeerError> {
    let Some(state) = state else {
        return Ok(Vec::new());
    };
    let wrong = || {
        PeerError::invalid(format!(
            "The `invite_room_state` must be a list of at most {MAX_ENTRIES} events."
        ))
    };
    if state.get().len() > MAX_BYTES {
        return Err(PeerError::invalid("The `invite_room_state` is too large."));
    }
    let events: Vec<RawPdu> = serde_json::from_str(state.get()).map_err(|_| wrong())?;
    let are_events = events.iter().all(|event| event.get().starts_with('{'));
    if events.len() > MAX_ENTRIES || !are_events {
        return Err(wrong());
    }
    Ok(events)
}

/// Whether an entry is a whole event, and not the stripped form of one.
fn is_whole(event: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct Fields {
        auth_events: Option<serde::de::IgnoredAny>,
    }
    serde_json::from_str::<Fields>(event.get()).is_ok_and(|fields| fields.auth_events.is_some())
}

fn is_create(pdu: &Pdu) -> bool {
    pdu.event.kind == TimelineEventType::RoomCreate && pdu.event.state_key.as_deref() == Some("")
}
