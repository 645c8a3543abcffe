//! Invitations for addresses that are nobody's yet: kept until somebody binds the address, and told to it by a message
//! with a link.
//!
//! The link's code is the one secret of an invitation. The ephemeral private key is made from it, so that whoever has
//! the message can have it, and nobody who has the database.

use gatehouse_events::SigningKey;
use gatehouse_mail::{CannotSend, Letter, Threepid};
use gatehouse_store::{Batch, Range, json_value};
use ruma::{OwnedRoomId, OwnedUserId, UserId};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::{
    Identity, Unavailable,
    association_row::AssociationRow,
    associations::key,
    digest::digest,
    identity::ATTEMPTS,
    keys::{decode_key, encode_key},
    random,
    rates::Counted,
    redaction,
    repeated_invitation::{last_key, put_last},
    tables::{ASSOCIATIONS, EPHEMERAL_KEYS, INVITATION_CODES, INVITATIONS, INVITATIONS_BY_ADDRESS},
};

/// Characters of a token, which names the invitation in the room: 262 bits. At most 255 (specification).
const TOKEN_CHARS: usize = 44;

/// Characters of the code in the link: 262 bits.
const CODE_CHARS: usize = 44;

/// Invitations that wait for one address: more are a bombardment, in which the good ones are lost anyway.
const MAX_WAITING: usize = 200;

/// Characters kept of what the homeserver says of room and sender; URLs that are longer are left out.
const MAX_FACT_CHARS: usize = 255;

/// The version in the name of ephemeral keys: each signs for one invitation, which knows it.
pub(crate) const EPHEMERAL_KEY_VERSION: &str = "0";

/// How far an invitation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Progress {
    /// Nobody has the address.
    Waiting,
    /// Signed for somebody with its ephemeral key.
    Signed,
    /// The owner's homeserver has it.
    Delivered,
    /// The owner's homeserver does not want it.
    Refused,
}

/// What is stored of an invitation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InvitationRow {
    pub(crate) threepid: Threepid,
    pub(crate) room_id: OwnedRoomId,
    pub(crate) sender: OwnedUserId,
    pub(crate) facts: RoomFacts,
    /// The long-lived key that the room knows of, in unpadded base64: it has to sign, whichever came after it.
    pub(crate) signing_key: String,
    /// The ephemeral key.
    pub(crate) public_key: [u8; 32],
    pub(crate) made_ms: u64,
    pub(crate) progress: Progress,
    /// For whom it was signed, or to whom it was delivered: one invitation, one user (security.md T11).
    pub(crate) accepted_by: Option<OwnedUserId>,
    /// Who accepted it by its link, and so bound the address.
    pub(crate) code_used_by: Option<OwnedUserId>,
}
json_value!(InvitationRow);

/// What the homeserver says of room and sender, under the names of the specification. For the message and the page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RoomFacts {
    /// An alias of the room.
    pub room_alias: Option<String>,
    /// An `mxc:` URI.
    pub room_avatar_url: Option<String>,
    /// Who may join it.
    pub room_join_rules: Option<String>,
    /// What it is called.
    pub room_name: Option<String>,
    /// Such as `m.space`.
    pub room_type: Option<String>,
    /// What the sender is called.
    pub sender_display_name: Option<String>,
    /// An `mxc:` URI.
    pub sender_avatar_url: Option<String>,
}

/// An invitation to store.
#[derive(Clone)]
pub struct StoreInvite {
    /// For whom.
    pub threepid: Threepid,
    /// Into what.
    pub room_id: OwnedRoomId,
    /// What there is to say of it.
    pub facts: RoomFacts,
}

/// A key that may sign for an invitation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InviteKey {
    /// In unpadded base64.
    pub public_key: String,
    /// Where to ask whether it is in force.
    pub key_validity_url: String,
}

/// An invitation as its homeserver puts it into the room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoredInvite {
    /// Names it.
    pub token: String,
    /// Something like the address that does not give it away.
    pub display_name: String,
    /// The long-lived key, then the ephemeral one.
    pub public_keys: Vec<InviteKey>,
}

/// Why an invitation was not stored.
#[derive(Debug, Error)]
pub enum StoreInviteError {
    /// The address is somebody's, who can be invited like anybody else.
    #[error("This address belongs to a user already; invite that user.")]
    InUse {
        /// That user.
        mxid: OwnedUserId,
    },
    /// This server cannot send to such addresses.
    #[error("This server cannot write to such addresses. Invite by e-mail, or by user id.")]
    UnsupportedMedium,
    /// The sender, the address or the room has had too many.
    #[error("Too many invitations by this user, to this address or into this room; try again later.")]
    TooMany {
        /// How long to wait, in milliseconds.
        retry_after_ms: u64,
    },
    /// As many wait for the address as may.
    #[error("Too many invitations wait for this address already. Reach the person in another way.")]
    TooManyWaiting,
    /// The message cannot be sent.
    #[error(transparent)]
    CannotSend(#[from] CannotSend),
    /// The server cannot.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl RoomFacts {
    /// With everything cut to what is kept.
    fn bounded(self) -> Self {
        let text = |fact: Option<String>| fact.map(|text| text.chars().take(MAX_FACT_CHARS).collect());
        let whole = |fact: Option<String>| fact.filter(|text| text.chars().count() <= MAX_FACT_CHARS);
        Self {
            room_alias: whole(self.room_alias),
            room_avatar_url: whole(self.room_avatar_url),
            room_join_rules: whole(self.room_join_rules),
            room_name: text(self.room_name),
            room_type: whole(self.room_type),
            sender_display_name: text(self.sender_display_name),
            sender_avatar_url: whole(self.sender_avatar_url),
        }
    }
}

impl Identity {
    /// `POST /store-invite`: the invitation, and the batch that stores it and has the message sent. Nothing has happened
    /// until the caller commits the batch: a homeserver in the same process does so together with the room's event.
    ///
    /// Asked again within a minute, it gives the same invitation, and no second message is sent: the answer may have been
    /// lost. The commit fails with a conflict when the address is bound in the meantime, or somebody else stores the same.
    pub async fn store_invite(
        &self,
        sender: &UserId,
        invite: StoreInvite,
    ) -> Result<(StoredInvite, Batch), StoreInviteError> {
        let StoreInvite {
            threepid,
            room_id,
            facts,
        } = invite;
        if let Some(AssociationRow { mxid, .. }) = self.association(&threepid).await? {
            return Err(StoreInviteError::InUse { mxid });
        }
        let last_key = last_key(sender, &threepid, &room_id);
        let last = self.last_invitation(&last_key).await?;
        if let Some(repeated) = last.as_ref().and_then(|last| self.repeated(last)) {
            return Ok(repeated);
        }
        if !self.outbox().can_send(threepid.medium()) {
            return Err(StoreInviteError::UnsupportedMedium);
        }
        let (medium, address) = key(&threepid);
        let range = Range::prefix(&(medium.clone(), address.clone()));
        if self
            .scan(&INVITATIONS_BY_ADDRESS, &range, MAX_WAITING)
            .await?
            .len()
            >= MAX_WAITING
        {
            return Err(StoreInviteError::TooManyWaiting);
        }
        let counted = [
            Counted::InvitationsBy(sender.as_str()),
            Counted::InvitationsTo(&medium, &address),
            Counted::InvitationsInto(room_id.as_str()),
        ];
        self.limiter()
            .count(&counted, self.now_ms())
            .map_err(|retry_after_ms| StoreInviteError::TooMany { retry_after_ms })?;
        let code = random::base62(CODE_CHARS).map_err(Unavailable::from)?;
        let row = InvitationRow {
            signing_key: self.current_public_key().await?,
            public_key: ephemeral_key(&code)?.public_key(),
            threepid,
            room_id,
            sender: sender.to_owned(),
            facts: facts.bounded(),
            made_ms: self.now_ms(),
            progress: Progress::Waiting,
            accepted_by: None,
            code_used_by: None,
        };
        let mut batch = Batch::new();
        let token = put_invitation(&mut batch, &row, &code)?;
        put_last(&mut batch, &last_key, last.as_ref(), &token);
        self.put_invitation_letter(&mut batch, &row, &code)?;
        Ok((self.describe_stored(token, &row), batch))
    }

    /// `GET /pubkey/ephemeral/isvalid`: whether this is the own key of an invitation of ours.
    pub async fn is_ephemeral_valid(&self, public_key: &str) -> Result<bool, Unavailable> {
        let Some(public) = decode_key(public_key) else {
            return Ok(false);
        };
        Ok(self.get(&EPHEMERAL_KEYS, &(public,)).await?.is_some())
    }

    /// As [`Self::store_invite`], where there is nothing else to commit with it.
    pub async fn store_and_commit_invite(
        &self,
        sender: &UserId,
        invite: &StoreInvite,
    ) -> Result<StoredInvite, StoreInviteError> {
        let mut attempts = 0;
        loop {
            let (stored, batch) = self.store_invite(sender, invite.clone()).await?;
            match self.commit_invite(&invite.threepid, batch).await {
                Ok(()) => return Ok(stored),
                // Somebody else stored the same at the same moment: now it is a repetition.
                Err(StoreInviteError::Unavailable(Unavailable::Contended)) if attempts < ATTEMPTS => {
                    attempts += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Commits what [`Self::store_invite`] made.
    pub async fn commit_invite(&self, threepid: &Threepid, batch: Batch) -> Result<(), StoreInviteError> {
        if self.commit(batch).await?.is_some() {
            return Ok(());
        }
        match self.association(threepid).await? {
            Some(AssociationRow { mxid, .. }) => Err(StoreInviteError::InUse { mxid }),
            None => Err(Unavailable::Contended.into()),
        }
    }

    pub(crate) fn describe_stored(&self, token: String, row: &InvitationRow) -> StoredInvite {
        let key = |public_key: String, path: &str| InviteKey {
            public_key,
            key_validity_url: format!("{}/_matrix/identity/v2/pubkey/{path}", self.config().base_url),
        };
        StoredInvite {
            token,
            display_name: redaction::obscured(&row.threepid),
            public_keys: vec![
                key(row.signing_key.clone(), "isvalid"),
                key(encode_key(&row.public_key), "ephemeral/isvalid"),
            ],
        }
    }

    /// Adds to the batch that the address is told, with the link that has the code.
    fn put_invitation_letter(
        &self,
        batch: &mut Batch,
        row: &InvitationRow,
        code: &str,
    ) -> Result<(), CannotSend> {
        let facts = &row.facts;
        let letter = Letter::Invitation {
            inviter: facts
                .sender_display_name
                .clone()
                .unwrap_or_else(|| row.sender.to_string()),
            room: facts.room_name.clone().or_else(|| facts.room_alias.clone()),
            link: format!("{}/_gatehouse/invitation/{code}", self.config().pages_base_url),
        };
        self.outbox().enqueue(batch, &row.threepid, &letter)
    }
}

/// Adds the invitation to the batch, unless its address is bound meanwhile. Its token.
fn put_invitation(batch: &mut Batch, row: &InvitationRow, code: &str) -> Result<String, Unavailable> {
    let token = random::base62(TOKEN_CHARS)?;
    let (medium, address) = key(&row.threepid);
    batch.expect(&ASSOCIATIONS, &(medium.clone(), address.clone()), None);
    batch.put(&INVITATIONS, &(token.clone(),), row);
    batch.put(&INVITATIONS_BY_ADDRESS, &(medium, address, token.clone()), &());
    batch.put(&INVITATION_CODES, &(digest(code),), &(token.clone(),));
    batch.put(&EPHEMERAL_KEYS, &(row.public_key,), &(token.clone(),));
    Ok(token)
}

/// The private half of the ephemeral key of the invitation with this code.
pub(crate) fn ephemeral_seed(code: &str) -> [u8; 32] {
    Sha256::digest(format!("gatehouse invitation key {code}")).into()
}

fn ephemeral_key(code: &str) -> Result<SigningKey, Unavailable> {
    SigningKey::from_seed(ephemeral_seed(code), EPHEMERAL_KEY_VERSION)
        .map_err(|_| Unavailable::Damaged("ephemeral key"))
}
