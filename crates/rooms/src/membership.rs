//! Who is let into a room, and out of it: a file for each thing that one can do.
//!
//! Each action first says, in its own words, why it is refused; then the authorisation rules of the room's version
//! are asked in the one place where everything is appended, [`crate::room_transaction`].

pub mod accept_third_party;
pub mod ban;
pub mod bound_address;
pub mod deactivation;
pub(crate) mod fan_out;
pub mod for_peers;
pub mod forget;
mod guests;
pub mod invite;
pub mod invite_by_address;
pub mod join;
pub mod kick;
pub mod knock;
pub mod leave;
mod outside;
pub(crate) mod over_servers;
pub mod profile_change;
mod residence;
mod shown_state;
pub mod signed_block;
pub mod state_event;
mod stripped_state;

use std::sync::Arc;

use gatehouse_events::{Event, NewEvent};
use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, OwnedEventId, RoomId, UserId,
    events::{TimelineEventType, room::member::MembershipState},
};

use crate::{
    RoomHead, Rooms,
    room_transaction::{Beside, RoomTransaction},
    write_error::{Attempt, Refusal, WriteError},
};

/// A change of one's own membership or somebody else's, as it was asked for.
#[derive(Debug, Clone, Default)]
pub struct MembershipRequest {
    /// Why, in the user's words.
    pub reason: Option<String>,
    /// Further content, as set through the state API. What the server decides itself is taken out.
    pub content: CanonicalJsonObject,
}

impl MembershipRequest {
    /// With a reason only.
    pub fn because(reason: Option<String>) -> Self {
        Self {
            reason,
            content: CanonicalJsonObject::new(),
        }
    }

    /// The content for this membership. A client's word on who authorised a join or on a third-party invite counts
    /// for nothing (B05).
    fn content(&self, membership: &MembershipState) -> CanonicalJsonObject {
        let mut content = self.content.clone();
        content.remove("join_authorised_via_users_server");
        content.remove("third_party_invite");
        content.insert(
            "membership".to_owned(),
            CanonicalJsonValue::String(membership.to_string()),
        );
        if let Some(reason) = &self.reason {
            content.insert("reason".to_owned(), CanonicalJsonValue::String(reason.clone()));
        }
        content
    }
}

impl Rooms {
    /// Takes the turn of a room that must exist.
    pub(crate) async fn begin_existing(&self, room_id: &RoomId) -> Result<RoomTransaction, Attempt> {
        Ok(self.begin(room_id).await?.ok_or(WriteError::NoSuchRoom)?)
    }

    /// Sees to it that nobody comes into a room after they were taken out of all rooms: the commit fails when the user
    /// is deactivated meanwhile.
    pub(crate) async fn expect_active(
        &self,
        transaction: &mut RoomTransaction,
        user: &UserId,
    ) -> Result<(), WriteError> {
        let accounts = &self.shared.accounts;
        if self.is_local(user) && !accounts.expect_active(&mut transaction.batch, user).await? {
            return Err(Refusal::Deactivated.into());
        }
        Ok(())
    }

    /// Puts the user's name and picture into the content, unless the client chose its own.
    pub(crate) async fn add_profile(
        &self,
        user: &UserId,
        content: &mut CanonicalJsonObject,
    ) -> Result<(), WriteError> {
        let Some(profile) = self.shared.accounts.profile(user).await? else {
            return Ok(());
        };
        for (field, value) in [
            ("displayname", profile.displayname()),
            ("avatar_url", profile.avatar_url()),
        ] {
            if let Some(value) = value {
                let value = CanonicalJsonValue::String(value.to_owned());
                content.entry(field.to_owned()).or_insert(value);
            }
        }
        Ok(())
    }
}

/// Appends an `m.room.member`.
async fn append_member(
    transaction: &mut RoomTransaction,
    sender: &UserId,
    target: &UserId,
    content: CanonicalJsonObject,
    beside: Beside,
) -> Result<Arc<Event>, WriteError> {
    let new = NewEvent {
        kind: TimelineEventType::RoomMember,
        state_key: Some(target.to_string()),
        content,
        redacts: None,
    };
    Ok(transaction.append(sender, new, beside).await?)
}

/// The event that set the user's membership, when they have one.
fn member_event(head: &RoomHead, user: &UserId) -> Option<OwnedEventId> {
    head.members.get(user).map(|member| member.event_id.clone())
}

fn require_joined(head: &RoomHead, user: &UserId) -> Result<(), Refusal> {
    match head.membership(user) {
        MembershipState::Join => Ok(()),
        MembershipState::Ban => Err(Refusal::Banned),
        _ => Err(Refusal::NotInRoom),
    }
}

fn require_level(head: &RoomHead, user: &UserId, needed: i64, to: &'static str) -> Result<(), Refusal> {
    let has = head.power_levels().of_user(user);
    if has < needed {
        Err(Refusal::PowerTooLow { to, needed, has })
    } else {
        Ok(())
    }
}

fn require_more_power(head: &RoomHead, user: &UserId, target: &UserId) -> Result<(), Refusal> {
    let levels = head.power_levels();
    if levels.of_user(user) > levels.of_user(target) {
        return Ok(());
    }
    Err(Refusal::TargetAsPowerful {
        target: target.to_owned(),
    })
}
