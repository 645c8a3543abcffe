//! Events of rooms that this server is not in. Others send them when they take an invite back or turn a knock down; of
//! everything else nothing is taken in (security.md B26).

use std::str::FromStr;

use gatehouse_events::{Pdu, RoomVersion};
use gatehouse_store::{Batch, CommitError};
use ruma::{
    OwnedEventId, OwnedUserId, RoomId, ServerName,
    events::{TimelineEventType, room::member::MembershipState},
};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Kept, Outside};
use crate::{Rooms, head::membership_in, receive::Received, tables::InvitationRow, write_error::WriteError};

/// As much of an event as is needed to see whether it matters.
#[derive(Deserialize)]
struct Glance {
    #[serde(rename = "type")]
    kind: TimelineEventType,
    state_key: Option<String>,
}

impl Rooms {
    /// Takes in what matters of events of a room that this server is not in, in the order sent.
    pub(crate) async fn receive_outside(
        &self,
        origin: &ServerName,
        room_id: &RoomId,
        pdus: &[Box<RawValue>],
    ) -> Vec<(Option<OwnedEventId>, Received)> {
        let mut received = Vec::with_capacity(pdus.len());
        for raw in pdus {
            received.push(match self.receive_one_outside(origin, room_id, raw).await {
                Ok(Some(event_id)) => (Some(event_id), Received::Accepted),
                Ok(None) => (
                    None,
                    Received::Dropped("this server is not in the room".to_owned()),
                ),
                Err(error) => (None, Received::Dropped(error.to_string())),
            });
        }
        received
    }

    async fn receive_one_outside(
        &self,
        origin: &ServerName,
        room_id: &RoomId,
        raw: &RawValue,
    ) -> Result<Option<OwnedEventId>, WriteError> {
        let Some(user) = whom(raw).filter(|user| self.is_local(user)) else {
            return Ok(None);
        };
        let Some(outside) = self.outside(&user, room_id).await? else {
            return Ok(None);
        };
        let Ok(version) = RoomVersion::from_str(&outside.invitation.version) else {
            return Ok(None);
        };
        if !outside.is_pending() {
            return Ok(None);
        }
        let raws = [raw.to_owned()];
        let Some(Ok(pdu)) = self.check_pdus(version, room_id, &raws).await.pop() else {
            return Ok(None);
        };
        if !turns_down(&pdu, &user, &outside) {
            return Ok(None);
        }
        let event_id = pdu.event.event_id.clone();
        let mut batch = Batch::new();
        let mut servers = outside.invitation.servers.clone();
        if !servers.iter().any(|known| known == origin) && servers.len() < super::MAX_SERVERS {
            servers.push(origin.to_owned());
        }
        let kept = Kept {
            user: &user,
            room_id,
            invitation: InvitationRow {
                event_id: event_id.clone(),
                membership: membership_in(&pdu.event),
                version: version.name().to_owned(),
                servers,
                pdu: pdu.json,
            },
            stripped_state: String::new(),
        };
        Self::keep_outside(&mut batch, Some(&outside), kept);
        match self.store.commit(batch).await {
            Ok(_) => Ok(Some(event_id)),
            // Something else has become of it meanwhile, which is newer.
            Err(CommitError::Conflict { .. }) => Ok(None),
            Err(CommitError::Store(error)) => Err(error.into()),
        }
    }
}

/// The user whose membership the event sets.
fn whom(raw: &RawValue) -> Option<OwnedUserId> {
    let glance: Glance = serde_json::from_str(raw.get()).ok()?;
    if glance.kind != TimelineEventType::RoomMember {
        return None;
    }
    OwnedUserId::try_from(glance.state_key?).ok()
}

/// Whether it takes this invite or knock back. The room's rules cannot be asked; who may have sent it is a server that
/// was known to be in the room when the invite or knock came about.
fn turns_down(pdu: &Pdu, user: &OwnedUserId, outside: &Outside) -> bool {
    let event = &pdu.event;
    event.state_key.as_deref() == Some(user.as_str())
        && matches!(
            membership_in(event),
            MembershipState::Leave | MembershipState::Ban
        )
        && outside
            .servers()
            .iter()
            .any(|server| server == event.sender.server_name())
}
