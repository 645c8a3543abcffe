//! Proposals for users of other servers (`make_join`, `make_knock`, `make_leave`).

use gatehouse_events::NewEvent;
use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, RoomId, ServerName, UserId,
    events::{TimelineEventType, room::member::MembershipState},
};

use super::require_own_user;
use crate::{
    RoomHead, Rooms,
    membership::{join::Admission, knock::may_knock, leave::may_leave},
    peer_error::PeerError,
    remote_servers::Template,
    write_error::{Refusal, WriteError},
};

impl Rooms {
    /// A join for a user of the server that asks, which knows rooms of these versions.
    pub async fn make_join(
        &self,
        origin: &ServerName,
        room_id: &RoomId,
        user: &UserId,
        versions: &[String],
    ) -> Result<Template, PeerError> {
        require_own_user(origin, user)?;
        let head = self.whole_room_for(origin, room_id).await?;
        require_version(&head, versions)?;
        let mut content = content(&MembershipState::Join);
        let admission = self.admission_of_peer(&head, user).await?;
        if let Admission::Restricted { authorised_via } = admission {
            let via = CanonicalJsonValue::String(authorised_via.into());
            content.insert("join_authorised_via_users_server".to_owned(), via);
        }
        self.propose(room_id, user, content).await
    }

    /// A knock for a user of the server that asks, which knows rooms of these versions.
    pub async fn make_knock(
        &self,
        origin: &ServerName,
        room_id: &RoomId,
        user: &UserId,
        versions: &[String],
    ) -> Result<Template, PeerError> {
        require_own_user(origin, user)?;
        let head = self.whole_room_for(origin, room_id).await?;
        require_version(&head, versions)?;
        may_knock(&head, user)?;
        self.propose(room_id, user, content(&MembershipState::Knock))
            .await
    }

    /// A leave for a user of the server that asks: they reject an invite, or take a knock back.
    pub async fn make_leave(
        &self,
        origin: &ServerName,
        room_id: &RoomId,
        user: &UserId,
    ) -> Result<Template, PeerError> {
        require_own_user(origin, user)?;
        let head = self.whole_room_for(origin, room_id).await?;
        may_leave(&head, user)?;
        self.propose(room_id, user, content(&MembershipState::Leave))
            .await
    }

    async fn propose(
        &self,
        room_id: &RoomId,
        user: &UserId,
        content: CanonicalJsonObject,
    ) -> Result<Template, PeerError> {
        let transaction = self.begin(room_id).await?.ok_or(PeerError::NoSuchRoom)?;
        let new = NewEvent {
            kind: TimelineEventType::RoomMember,
            state_key: Some(user.to_string()),
            content,
            redacts: None,
        };
        let template = transaction.template(user, new).await;
        Ok(Template {
            room_version: Some(transaction.head().version.name().to_owned()),
            event: template.map_err(WriteError::from)?,
        })
    }
}

fn content(membership: &MembershipState) -> CanonicalJsonObject {
    let membership = CanonicalJsonValue::String(membership.to_string());
    CanonicalJsonObject::from([("membership".to_owned(), membership)])
}

fn require_version(head: &RoomHead, versions: &[String]) -> Result<(), PeerError> {
    let version = head.version.name();
    if versions.iter().any(|known| known == version) {
        Ok(())
    } else {
        Err(PeerError::IncompatibleRoomVersion(version.to_owned()))
    }
}

impl Rooms {
    /// Whether and how a user of another server may join.
    pub(super) async fn admission_of_peer(
        &self,
        head: &RoomHead,
        user: &UserId,
    ) -> Result<Admission, PeerError> {
        match head.membership(user) {
            MembershipState::Ban => Err(Refusal::Banned.into()),
            MembershipState::Join => Ok(Admission::Open),
            membership => match self.admission(head, user, &membership).await {
                Err(WriteError::Refused(Refusal::NotInAllowedRoom))
                    if !self.knows_allowed_rooms(head).await? =>
                {
                    Err(PeerError::UnableToAuthoriseJoin)
                }
                admission => Ok(admission?),
            },
        }
    }

    /// Whether this server can tell who is in the rooms that a restricted rule names.
    async fn knows_allowed_rooms(&self, head: &RoomHead) -> Result<bool, PeerError> {
        let allowed = crate::membership::join::allowed_rooms(head);
        if allowed.has_unknown_conditions {
            return Ok(false);
        }
        for room in &allowed.rooms {
            let head = self.resident_head(room).await?;
            if head.is_none_or(|head| !head.is_whole()) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
