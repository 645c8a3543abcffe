//! Inviting a user of another server: that server is shown the invite and signs it before the room knows of it.

use std::collections::BTreeMap;

use gatehouse_events::{Built, NewEvent, Pdu, PduError, SignatureNeeded};
use gatehouse_store::Batch;
use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, OwnedEventId, OwnedUserId, ServerName, UserId,
    canonical_json::redact,
    events::TimelineEventType,
    signatures::{PublicKeyMap, verify_json},
};

use super::{PATIENCE, within};
use crate::{
    RoomHead, Rooms,
    receive::{Accepting, Received},
    remote_servers::{OutgoingInvite, RawPdu, RemoteError},
    room_transaction::RoomTransaction,
    write_error::{Refusal, WriteError},
};

/// An invite that is made, and that nobody knows of.
#[derive(Debug)]
pub(crate) struct InviteDraft {
    head: RoomHead,
    built: Built,
    target: OwnedUserId,
    /// What is to be committed with it.
    pub(crate) beside: Batch,
}

impl RoomTransaction {
    /// Makes an invite of another server's user that the room's rules allow. What else was to be committed goes with it:
    /// let the room's turn go then, for the other server may take its time.
    pub(crate) async fn draft_invite(
        &mut self,
        sender: &UserId,
        target: &UserId,
        content: CanonicalJsonObject,
    ) -> Result<InviteDraft, WriteError> {
        let new = NewEvent {
            kind: TimelineEventType::RoomMember,
            state_key: Some(target.to_string()),
            content,
            redacts: None,
        };
        let built = self.draft(sender, new).await?;
        Ok(InviteDraft {
            head: self.head().clone(),
            built,
            target: target.to_owned(),
            beside: std::mem::take(&mut self.batch),
        })
    }
}

impl Rooms {
    /// Has the other server sign the invite, and puts it into the room. Goes on when whoever asked goes away, or the user
    /// would be invited there and not here.
    pub(crate) async fn send_invite(&self, draft: InviteDraft) -> Result<OwnedEventId, WriteError> {
        let rooms = self.clone();
        let sent = tokio::spawn(async move { rooms.send_invite_out(draft).await });
        sent.await.unwrap_or(Err(WriteError::Contended))
    }

    async fn send_invite_out(&self, draft: InviteDraft) -> Result<OwnedEventId, WriteError> {
        let event = &draft.built.event;
        let (room_id, event_id) = (event.room_id.clone(), event.event_id.clone());
        let shown = self.shown_to_server(&draft.head, Some(&event.sender)).await?;
        let shown = serde_json::to_string(&shown).map_err(|_| RemoteError::BadAnswer)?;
        let server = draft.target.server_name();
        let invite = OutgoingInvite {
            room_id: &room_id,
            event_id: &event_id,
            version: draft.head.version.name(),
            pdu: &draft.built.pdu,
            invite_room_state: &shown,
        };
        let asked = self.shared.remote.invite(server, invite);
        let answer = within(PATIENCE, asked).await;
        let answer = answer.map_err(|error| in_words_of_an_invite(error, &draft.target))?;
        let pdu = self.signed_invite(server, &draft, answer).await?;
        let accepting = Accepting {
            beside: draft.beside,
            hand_on: true,
            ..Accepting::from(self.server_name())
        };
        match self.accept(&room_id, pdu, accepting).await? {
            Received::Accepted | Received::AlreadyHere => Ok(event_id),
            Received::Rejected(rule) | Received::Dropped(rule) => Err(Refusal::Rules(rule).into()),
            Received::SoftFailed => {
                let changed = "the room has changed while the other server was asked".to_owned();
                Err(Refusal::Rules(changed).into())
            }
        }
    }

    /// The answer, when it is our invite with the other server's signature and nothing else.
    async fn signed_invite(
        &self,
        server: &ServerName,
        draft: &InviteDraft,
        answer: RawPdu,
    ) -> Result<Pdu, WriteError> {
        let version = draft.head.version;
        let mut checked = self.check_pdus(version, &draft.head.room_id, &[answer]).await;
        let pdu = match checked.pop() {
            Some(Ok(pdu)) => pdu,
            Some(Err(refused)) if matches!(refused.error, PduError::Json(_)) => {
                return Err(RemoteError::BadJson.into());
            }
            Some(Err(_)) | None => return Err(RemoteError::BadAnswer.into()),
        };
        let is_ours = pdu.event.event_id == draft.built.event.event_id
            && pdu.reference_hash == draft.built.reference_hash;
        if !is_ours {
            return Err(RemoteError::BadAnswer.into());
        }
        if self.has_signed(server, &pdu).await {
            Ok(pdu)
        } else {
            Err(RemoteError::BadAnswer.into())
        }
    }

    /// Whether the server has signed the event, be it its to sign or not.
    pub(crate) async fn has_signed(&self, server: &ServerName, pdu: &Pdu) -> bool {
        let key_ids = pdu
            .object()
            .get("signatures")
            .and_then(CanonicalJsonValue::as_object)
            .and_then(|signatures| signatures.get(server.as_str())?.as_object())
            .map(|by_key| by_key.keys().take(MAX_KEYS).cloned().collect())
            .unwrap_or_default();
        let needed = SignatureNeeded {
            server: server.to_owned(),
            key_ids,
            valid_at_ms: Some(self.now_ms()),
        };
        let keys = self.shared.remote.keys(vec![needed]).await;
        let Some(keys) = keys.get(server.as_str()).filter(|keys| !keys.is_empty()) else {
            return false;
        };
        let keys: PublicKeyMap = BTreeMap::from([(server.to_string(), keys.clone())]);
        let rules = &pdu.version().rules().redaction;
        let Ok(mut signed) = redact(pdu.object().clone(), rules, None) else {
            return false;
        };
        // Of the others' signatures nothing is asked.
        let Some(CanonicalJsonValue::Object(signatures)) = signed.get_mut("signatures") else {
            return false;
        };
        signatures.retain(|name, _| name == server.as_str());
        !signatures.is_empty() && verify_json(&keys, &signed).is_ok()
    }
}

/// Keys of one server that are tried.
const MAX_KEYS: usize = 8;

/// A refusal of an invite has other reasons than one of a join.
fn in_words_of_an_invite(error: RemoteError, target: &UserId) -> WriteError {
    match error {
        RemoteError::Refused { errcode, error, .. } => {
            tracing::info!(server = %target.server_name(), errcode, error = %error.escape_debug(), "an invite is refused");
            match errcode.as_str() {
                "M_INVITE_BLOCKED" => WriteError::InviteBlocked(target.to_owned()),
                "M_INCOMPATIBLE_ROOM_VERSION" | "M_UNSUPPORTED_ROOM_VERSION" => {
                    WriteError::TargetCannotJoin(target.to_owned())
                }
                "M_FORBIDDEN" => Refusal::TargetServerRefuses(target.to_owned()).into(),
                _ => RemoteError::Refused {
                    errcode,
                    error,
                    status: 0,
                }
                .into(),
            }
        }
        RemoteError::IncompatibleVersion(_) => WriteError::TargetCannotJoin(target.to_owned()),
        other => other.into(),
    }
}
