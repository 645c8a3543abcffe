//! Inviting an address. If it is somebody's, they are invited; if not, the room remembers the invitation
//! (`m.room.third_party_invite`) and an identity server keeps it until the address is somebody's.

use gatehouse_events::NewEvent;
use gatehouse_mail::{Medium, Threepid};
use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, OwnedUserId, RoomId, UserId,
    events::{TimelineEventType, room::member::MembershipState},
    third_party_invite::IdentityServerBase64PublicKey,
};

use super::{MembershipRequest, require_level};
use crate::{
    RoomHead, Rooms,
    identity_servers::{Asker, IdentityServerError, InviteFacts, InviteKey, StoreOutcome, StoredInvite},
    room_transaction::{Beside, RoomTransaction},
    write_error::{Attempt, Refusal, WriteError, attempt},
};

/// Keys of one invitation that the room remembers: one that lives long, one of its own, and room for a rotation.
const MAX_KEYS: usize = 8;

/// A token is a state key, which no more fits into (room versions, size limits).
const MAX_TOKEN_BYTES: usize = 255;

/// Any other text of an identity server: with as many keys as there may be, the event is far from too large.
const MAX_TEXT_BYTES: usize = 2_048;

/// An ed25519 key.
const KEY_BYTES: usize = 32;

/// An address to invite.
#[derive(Debug, Clone)]
pub struct AddressInvite {
    /// Whom.
    pub address: Threepid,
    /// The identity server, as the client names it.
    pub id_server: String,
    /// The user's token there, if the client gave one.
    pub id_access_token: Option<gatehouse_accounts::Secret>,
    /// Why, in the user's words. Only somebody who is known gets to read it.
    pub reason: Option<String>,
}

impl AddressInvite {
    pub(crate) fn asker<'a>(&'a self, user: &'a UserId) -> Asker<'a> {
        Asker {
            user,
            id_server: &self.id_server,
            id_access_token: self
                .id_access_token
                .as_ref()
                .map(gatehouse_accounts::Secret::expose),
        }
    }
}

impl Rooms {
    /// Invites whoever has the address, now or later. Whoever may not invite is told so before anybody is asked.
    pub async fn invite_by_address(
        &self,
        sender: &UserId,
        room_id: &RoomId,
        invite: &AddressInvite,
    ) -> Result<(), WriteError> {
        self.expect_may_invite_addresses(sender, room_id).await?;
        if let Some(owner) = self.owner_of(sender, invite).await? {
            return self.invite_owner(sender, &owner, room_id, invite).await;
        }
        let facts = self.invite_facts(sender, room_id).await?;
        let mut stored_before = false;
        loop {
            let asker = invite.asker(sender);
            let servers = &self.shared.identity_servers;
            let stored = servers.store_invite(asker, &invite.address, room_id, facts.clone());
            let stored = match stored.await? {
                StoreOutcome::Owned(owner) => {
                    return self.invite_owner(sender, &owner, room_id, invite).await;
                }
                StoreOutcome::Stored(stored) => stored,
            };
            match attempt(|| self.try_remember(sender, room_id, invite, &stored)).await {
                // What is committed beside the event fails for ever when the address has become somebody's, or when the
                // same was stored at the same moment. Asked again, the identity server gives what was stored.
                Err(WriteError::Contended) => match self.owner_of(sender, invite).await? {
                    Some(owner) => return self.invite_owner(sender, &owner, room_id, invite).await,
                    None if stored_before || stored.beside.is_empty() => return Err(WriteError::Contended),
                    None => stored_before = true,
                },
                outcome => return outcome,
            }
        }
    }

    /// Refuses those who may not invite addresses into the room, as it is now.
    pub async fn expect_may_invite_addresses(
        &self,
        sender: &UserId,
        room_id: &RoomId,
    ) -> Result<(), WriteError> {
        let head = self.head(room_id).await?.ok_or(WriteError::NoSuchRoom)?;
        Ok(may_invite_addresses(&head, sender)?)
    }

    async fn owner_of(
        &self,
        sender: &UserId,
        invite: &AddressInvite,
    ) -> Result<Option<OwnedUserId>, WriteError> {
        let asker = invite.asker(sender);
        Ok(self
            .shared
            .identity_servers
            .lookup(asker, &invite.address)
            .await?)
    }

    async fn invite_owner(
        &self,
        sender: &UserId,
        owner: &UserId,
        room_id: &RoomId,
        invite: &AddressInvite,
    ) -> Result<(), WriteError> {
        let request = MembershipRequest::because(invite.reason.clone());
        self.invite(sender, owner, room_id, &request).await.map(|_| ())
    }

    async fn try_remember(
        &self,
        sender: &UserId,
        room_id: &RoomId,
        invite: &AddressInvite,
        stored: &StoredInvite,
    ) -> Result<(), Attempt> {
        let mut transaction = self.begin_existing(room_id).await?;
        may_invite_addresses(transaction.head(), sender)?;
        if remembers(&transaction, sender, &invite.address, stored).await? {
            transaction.confirm().await?;
        } else {
            append_third_party_invite(&mut transaction, sender, &invite.address, stored).await?;
            transaction.commit().await?;
        }
        Ok(())
    }

    /// What a mail about the room may say.
    async fn invite_facts(&self, sender: &UserId, room_id: &RoomId) -> Result<InviteFacts, WriteError> {
        let room = self.describe(room_id).await?.ok_or(WriteError::NoSuchRoom)?;
        let facts = InviteFacts {
            room_name: room.name,
            room_alias: room.canonical_alias,
            room_avatar_url: room.avatar_url,
            room_join_rules: Some(room.join_rule),
            room_type: room.room_type,
            ..InviteFacts::default()
        };
        self.with_sender(sender, facts).await
    }

    /// Adds what the sender is called, so that whoever is invited knows who it is.
    pub(crate) async fn with_sender(
        &self,
        sender: &UserId,
        mut facts: InviteFacts,
    ) -> Result<InviteFacts, WriteError> {
        if let Some(profile) = self.shared.accounts.profile(sender).await? {
            facts.sender_display_name = profile.displayname().map(ToOwned::to_owned);
            facts.sender_avatar_url = profile.avatar_url().map(ToOwned::to_owned);
        }
        Ok(facts)
    }
}

/// Appends what the room has to know of an invitation, and adds what is to be committed with it.
pub(crate) async fn append_third_party_invite(
    transaction: &mut RoomTransaction,
    sender: &UserId,
    address: &Threepid,
    stored: &StoredInvite,
) -> Result<(), WriteError> {
    let new = NewEvent {
        kind: TimelineEventType::RoomThirdPartyInvite,
        state_key: Some(stored.token.clone()),
        content: content(address, stored)?,
        redacts: None,
    };
    transaction.append(sender, new, Beside::default()).await?;
    transaction.batch.append(stored.beside.clone());
    Ok(())
}

/// Whether the room knows of just this invitation: whoever asked for it has not heard the answer, and asks again (B11).
async fn remembers(
    transaction: &RoomTransaction,
    sender: &UserId,
    address: &Threepid,
    stored: &StoredInvite,
) -> Result<bool, WriteError> {
    let known = transaction
        .state_event("m.room.third_party_invite", &stored.token)
        .await?;
    let Some(known) = known.filter(|event| event.sender == sender) else {
        return Ok(false);
    };
    let known: CanonicalJsonObject = known.content_as().unwrap_or_default();
    Ok(known == content(address, stored)?)
}

/// Takes an invitation back in the name of its sender, if they still may; whether they do.
pub(crate) async fn clear_third_party_invite(
    transaction: &mut RoomTransaction,
    token: &str,
) -> Result<bool, WriteError> {
    let Some(invitation) = transaction
        .state_event("m.room.third_party_invite", token)
        .await?
    else {
        return Ok(false);
    };
    let sender = invitation.sender.clone();
    let is_cleared = invitation.content.get() == "{}";
    if is_cleared || may_invite_addresses(transaction.head(), &sender).is_err() {
        return Ok(false);
    }
    let new = NewEvent {
        kind: TimelineEventType::RoomThirdPartyInvite,
        state_key: Some(token.to_owned()),
        content: CanonicalJsonObject::new(),
        redacts: None,
    };
    transaction.append(&sender, new, Beside::default()).await?;
    Ok(true)
}

/// The content of `m.room.third_party_invite`.
fn content(address: &Threepid, stored: &StoredInvite) -> Result<CanonicalJsonObject, WriteError> {
    let first = stored.public_keys.first().filter(|_| is_sound(address, stored));
    let first = first.ok_or(IdentityServerError::BadAnswer)?;
    let text = |text: &str| CanonicalJsonValue::String(text.to_owned());
    let keys = stored.public_keys.iter().map(|key| {
        CanonicalJsonValue::Object(CanonicalJsonObject::from([
            ("public_key".to_owned(), text(&key.public_key)),
            ("key_validity_url".to_owned(), text(&key.key_validity_url)),
        ]))
    });
    Ok(CanonicalJsonObject::from([
        ("display_name".to_owned(), text(&stored.display_name)),
        ("public_key".to_owned(), text(&first.public_key)),
        ("key_validity_url".to_owned(), text(&first.key_validity_url)),
        (
            "public_keys".to_owned(),
            CanonicalJsonValue::Array(keys.collect()),
        ),
    ]))
}

/// Whether the room can keep what the identity server says: something to tell it by, keys that are keys, and nowhere the
/// address, which never stands in an event (security.md T20, T21).
fn is_sound(address: &Threepid, stored: &StoredInvite) -> bool {
    let keys = &stored.public_keys;
    let texts = keys
        .iter()
        .flat_map(|key| [&key.public_key, &key.key_validity_url])
        .chain([&stored.display_name]);
    let is_key = |key: &InviteKey| {
        let decoded = IdentityServerBase64PublicKey(key.public_key.clone()).decode();
        decoded.is_ok_and(|bytes| bytes.len() == KEY_BYTES)
    };
    (1..=MAX_TOKEN_BYTES).contains(&stored.token.len())
        && (1..=MAX_KEYS).contains(&keys.len())
        && keys.iter().all(is_key)
        && texts
            .chain([&stored.token])
            .all(|text| text.len() <= MAX_TEXT_BYTES && !gives_away(text, address))
}

/// Whether a text has the address in it, be it spelled in another way.
fn gives_away(text: &str, address: &Threepid) -> bool {
    let address = match address.medium() {
        Medium::Email => address.address().to_lowercase(),
        Medium::Msisdn => address.address().to_owned(),
    };
    let text = text.to_lowercase().replace("%40", "@");
    // A number is one however it is grouped.
    let bare = |text: &str| {
        let kept = |c: &char| !(c.is_whitespace() || matches!(c, '-' | '.' | '(' | ')' | '/'));
        text.chars().filter(kept).collect::<String>()
    };
    bare(&text).contains(&bare(&address))
}

/// Why the sender may not invite addresses (authorisation rules, `m.room.third_party_invite`).
pub(crate) fn may_invite_addresses(head: &RoomHead, sender: &UserId) -> Result<(), Refusal> {
    match head.membership(sender) {
        MembershipState::Join => {}
        MembershipState::Ban => return Err(Refusal::Banned),
        _ => return Err(Refusal::InviterNotInRoom),
    }
    require_level(head, sender, head.power_levels().invite, "invite")
}
