//! What users of this server do in rooms that only other servers know: join, knock, leave; and inviting users of other
//! servers.
//!
//! The other server is asked for a proposal, of which the place in the room's graph is used and nothing else: the event is
//! built here, from what our user wants (security.md E02). [`proposal`] reads it, [`answer`] checks what comes of a join.

mod answer;
mod invite;
mod join;
mod knock;
mod leave;
mod proposal;
mod servers;
mod told;
mod under_way;

pub(crate) use self::invite::InviteDraft;

use std::time::Duration;

use gatehouse_events::{Built, NewEvent, RoomVersion};
use ruma::{
    CanonicalJsonObject, RoomId, ServerName, UserId,
    events::{TimelineEventType, room::member::MembershipState},
};
use tokio::time::timeout;

use self::proposal::Proposal;
use crate::{
    Rooms,
    remote_servers::{RemoteError, RemoteMembership, Template},
    write_error::WriteError,
};

/// How long one server may take for a proposal, or to take a knock or a leave. There are others to ask.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// How long a server may take to take a user in: it sends a whole room (security.md T30).
const PATIENCE_WITH_JOINS: Duration = Duration::from_mins(2);

/// Waits for a server's answer no longer than this.
pub(super) async fn within<T>(
    patience: Duration,
    answer: impl Future<Output = Result<T, RemoteError>>,
) -> Result<T, RemoteError> {
    timeout(patience, answer)
        .await
        .unwrap_or(Err(RemoteError::Unreachable))
}

/// Who wants what, where.
#[derive(Debug, Clone, Copy)]
struct Wish<'a> {
    user: &'a UserId,
    room_id: &'a RoomId,
    what: RemoteMembership,
    /// The content of the membership event, as our user would have it.
    content: &'a CanonicalJsonObject,
}

impl Wish<'_> {
    fn membership(&self) -> MembershipState {
        match self.what {
            RemoteMembership::Joining => MembershipState::Join,
            RemoteMembership::Knocking => MembershipState::Knock,
            RemoteMembership::Leaving => MembershipState::Leave,
        }
    }
}

impl Rooms {
    /// Our own event, at the place in the room's graph that the server proposes.
    async fn own_event(
        &self,
        server: &ServerName,
        wish: Wish<'_>,
    ) -> Result<(RoomVersion, Built), WriteError> {
        let asked = self
            .shared
            .remote
            .make_membership(server, wish.room_id, wish.user, wish.what);
        let template: Template = within(PATIENCE, asked).await?;
        let name = template.room_version.as_deref().unwrap_or("1");
        let version: RoomVersion = name
            .parse()
            .map_err(|_| WriteError::UnknownRoomVersion(name.chars().take(32).collect()))?;
        let membership = wish.membership();
        let proposal = Proposal::read(
            &template.event,
            (wish.room_id, wish.user, &membership),
            version,
            server,
        )
        .ok_or(RemoteError::BadAnswer)?;
        let mut content = wish.content.clone();
        if let Some(via) = proposal.authorised_via {
            let via = ruma::CanonicalJsonValue::String(via.into());
            content.insert("join_authorised_via_users_server".to_owned(), via);
        }
        let new = NewEvent {
            kind: TimelineEventType::RoomMember,
            state_key: Some(wish.user.to_string()),
            content,
            redacts: None,
        };
        let built = self
            .builder(version)
            .build(wish.room_id, wish.user, new, proposal.parents, self.now_ms())
            .map_err(crate::room_transaction::AppendError::from)?;
        Ok((version, built))
    }
}
