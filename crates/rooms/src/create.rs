//! Making a room: all of its first events in one commit, or nothing.

mod initial_state;
mod invites;

pub(crate) use self::invites::Prepared;

use std::time::Duration;

use gatehouse_events::RoomVersion;
use gatehouse_store::Batch;
use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, OwnedRoomAliasId, OwnedRoomId, OwnedUserId, RoomId, UserId,
};

use crate::{
    Rooms,
    identity_servers::IdentityServerError,
    membership::{invite::Directness, invite_by_address::AddressInvite},
    room_transaction::{AppendError, Beside, RoomTransaction},
    send::{StateUpdate, append_state},
    write_error::{Attempt, Refusal, WriteError},
};

/// Which rules a new room begins with (client-server API, createRoom).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// Only the invited may join.
    PrivateChat,
    /// Only the invited may join, and they have the creator's power.
    TrustedPrivateChat,
    /// Everybody may join.
    PublicChat,
}

/// What is asked.
#[derive(Debug, Clone)]
pub struct CreateRoom {
    /// The room's id, when it was chosen beforehand; up to version 11.
    pub room_id: Option<OwnedRoomId>,
    /// The room's version.
    pub version: RoomVersion,
    /// Its first rules.
    pub preset: Preset,
    /// Its name.
    pub name: Option<String>,
    /// Its topic.
    pub topic: Option<String>,
    /// Its first alias, which `hook` claims in the same commit.
    pub alias: Option<OwnedRoomAliasId>,
    /// Who is invited.
    pub invite: Vec<OwnedUserId>,
    /// Which addresses are invited.
    pub invite_3pid: Vec<AddressInvite>,
    /// Whether the invites say that it is a conversation of two.
    pub directness: Directness,
    /// Further content of the create event. Version and creator are the server's to say.
    pub creation_content: CanonicalJsonObject,
    /// State besides, in order.
    pub initial_state: Vec<StateUpdate>,
    /// Replaces fields of the first power levels.
    pub power_level_content_override: CanonicalJsonObject,
}

/// When a new room gets its power levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PowerLevelsCome {
    /// Before all other state (client-server API, createRoom).
    First,
    /// After it: until then the creator has all power, whatever the levels will leave them.
    Last,
}

/// How long identity servers may take for all addresses of a new room together (reliability.md R30: an answer comes
/// within 10 s).
const PATIENCE: Duration = Duration::from_secs(9);

/// Adds rows of other engines to the commit that makes the room, such as its alias.
pub type Hook<'a> = &'a (dyn Fn(&RoomId, &mut Batch) + Send + Sync);

impl Rooms {
    /// Makes a room. Nobody sees anything of it unless all of it could be made.
    pub async fn create(
        &self,
        creator: &UserId,
        request: &CreateRoom,
        hook: Option<Hook<'_>>,
    ) -> Result<OwnedRoomId, WriteError> {
        match self.try_create(creator, request, hook).await {
            Ok(room_id) => Ok(room_id),
            Err(Attempt::Failed(error)) => Err(error),
            // The room's own rows are new, so somebody else has just taken what the hook wants.
            Err(Attempt::Conflict) => Err(WriteError::Contended),
        }
    }

    async fn try_create(
        &self,
        creator: &UserId,
        request: &CreateRoom,
        hook: Option<Hook<'_>>,
    ) -> Result<OwnedRoomId, Attempt> {
        let prepared = self
            .prepare(creator, request, PowerLevelsCome::First, hook)
            .await?;
        let room_id = prepared.transaction.head().room_id.clone();
        prepared.transaction.commit().await?;
        self.invite_elsewhere(creator, &room_id, prepared.elsewhere, request.directness)
            .await;
        Ok(room_id)
    }

    /// A room that is all there but for the commit, and for the users of other servers who are to be invited then.
    pub(crate) async fn prepare(
        &self,
        creator: &UserId,
        request: &CreateRoom,
        power_levels: PowerLevelsCome,
        hook: Option<Hook<'_>>,
    ) -> Result<Prepared, WriteError> {
        let content = create_content(creator, request)?;
        let begun = self
            .begin_new(request.version, request.room_id.as_ref(), creator, content)
            .await;
        let mut transaction = begun.map_err(invalid_create)?;
        if let Some(hook) = hook {
            let room_id = transaction.head().room_id.clone();
            hook(&room_id, &mut transaction.batch);
        }
        self.append_creator(&mut transaction, creator).await?;
        for update in initial_state::all(creator, request, power_levels) {
            append_state(&mut transaction, creator, &update)
                .await
                .map_err(|error| invalid_state(&update, error))?;
        }
        let mut prepared = Prepared {
            transaction,
            elsewhere: Vec::new(),
        };
        self.invite_all(&mut prepared, creator, &request.invite, request.directness)
            .await?;
        let asking = self.append_address_invites(&mut prepared, creator, request);
        tokio::time::timeout(PATIENCE, asking)
            .await
            .unwrap_or(Err(IdentityServerError::Unreachable.into()))?;
        Ok(prepared)
    }

    /// The creator joins, whatever the join rules will be.
    async fn append_creator(
        &self,
        transaction: &mut RoomTransaction,
        creator: &UserId,
    ) -> Result<(), WriteError> {
        let membership = CanonicalJsonValue::String("join".to_owned());
        let mut content = CanonicalJsonObject::from([("membership".to_owned(), membership)]);
        self.expect_active(transaction, creator).await?;
        self.add_profile(creator, &mut content).await?;
        let new = gatehouse_events::NewEvent {
            kind: ruma::events::TimelineEventType::RoomMember,
            state_key: Some(creator.to_string()),
            content,
            redacts: None,
        };
        transaction.append(creator, new, Beside::default()).await?;
        Ok(())
    }
}

/// The content of `m.room.create`.
fn create_content(creator: &UserId, request: &CreateRoom) -> Result<CanonicalJsonObject, WriteError> {
    let rules = &request.version.rules().authorization;
    let mut content = request.creation_content.clone();
    let text = |text: &str| CanonicalJsonValue::String(text.to_owned());
    content.insert("room_version".to_owned(), text(request.version.name()));
    if rules.use_room_create_sender {
        content.remove("creator");
    } else {
        content.insert("creator".to_owned(), text(creator.as_str()));
    }
    if let Some(federate) = content.get("m.federate")
        && !matches!(federate, CanonicalJsonValue::Bool(_))
    {
        return Err(WriteError::BadContent(
            "`m.federate` must be true or false.".to_owned(),
        ));
    }
    if rules.additional_room_creators {
        add_creators(creator, request, &mut content)?;
    }
    Ok(content)
}

/// From version 12 on, those who are trusted are creators too.
fn add_creators(
    creator: &UserId,
    request: &CreateRoom,
    content: &mut CanonicalJsonObject,
) -> Result<(), WriteError> {
    let trusted = match request.preset {
        Preset::TrustedPrivateChat => request.invite.as_slice(),
        Preset::PrivateChat | Preset::PublicChat => &[],
    };
    let mut creators: Vec<CanonicalJsonValue> = match content.get("additional_creators") {
        None if trusted.is_empty() => return Ok(()),
        None => Vec::new(),
        Some(CanonicalJsonValue::Array(creators)) => creators.clone(),
        Some(_) => {
            return Err(WriteError::BadContent(
                "`additional_creators` must be a list of user ids.".to_owned(),
            ));
        }
    };
    for user in trusted {
        let user = CanonicalJsonValue::String(user.to_string());
        if !creators.contains(&user) {
            creators.push(user);
        }
    }
    creators.retain(|user| user.as_str() != Some(creator.as_str()));
    content.insert(
        "additional_creators".to_owned(),
        CanonicalJsonValue::Array(creators),
    );
    Ok(())
}

fn invalid_create(error: AppendError) -> WriteError {
    match error {
        AppendError::Denied(denied) => WriteError::BadContent(format!("The room cannot be made: {denied}.")),
        other => other.into(),
    }
}

fn invalid_state(update: &StateUpdate, error: WriteError) -> WriteError {
    match error {
        WriteError::Refused(Refusal::Rules(reason)) => WriteError::InvalidRoomState(format!(
            "The room cannot begin with this {}: {reason}.",
            update.kind
        )),
        other => other,
    }
}
