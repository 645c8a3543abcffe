//! Every table of this crate. A digest is the SHA-256 of a secret: the secrets themselves are never stored.

use gatehouse_store::Table;
use ruma::{OwnedRoomId, OwnedUserId};

use crate::{
    accounts::AccessTokenRow, association_row::AssociationRow, digest::Digest, invitations::InvitationRow,
    keys::KeyRow, onbind_queue::OnbindRow, pepper::PepperRow, validation::SessionRow,
};

/// An access token in force: whose it is.
pub(crate) const ACCESS_TOKENS: Table<(Digest,), AccessTokenRow> = Table::new("identity.access_tokens");

/// The access tokens of a user; the value is when each expires, in milliseconds.
pub(crate) const USER_TOKENS: Table<(OwnedUserId, Digest), (u64,)> = Table::new("identity.user_tokens");

/// The access tokens by when they expire, so that old ones can be found and deleted.
pub(crate) const TOKENS_BY_EXPIRY: Table<(u64, Digest), ()> = Table::new("identity.tokens_by_expiry");

/// What a user has agreed to: policy and version → when, in milliseconds.
pub(crate) const ACCEPTED_TERMS: Table<(OwnedUserId, String, String), (u64,)> =
    Table::new("identity.accepted_terms");

/// A long-lived signing key, by its number: that of `ed25519:0` is 0. Revoked ones stay, without their secret.
pub(crate) const KEYS: Table<(u64,), KeyRow> = Table::new("identity.keys");

/// The number of each long-lived key, by its public half.
pub(crate) const KEYS_BY_PUBLIC: Table<([u8; 32],), (u64,)> = Table::new("identity.keys_by_public");

/// An address that somebody has bound: medium and address → to whom.
pub(crate) const ASSOCIATIONS: Table<(String, String), AssociationRow> = Table::new("identity.associations");

/// The peppers in force. One row.
pub(crate) const PEPPER: Table<(u8,), PepperRow> = Table::new("identity.pepper");

/// How far a pepper's rotation has come: the generation that it makes → the last association that is in it.
pub(crate) const REHASHED: Table<(u64,), (String, String)> = Table::new("identity.rehashed");

/// Generation of the pepper, hash of an address with it → who has it bound. Follows from [`ASSOCIATIONS`].
pub(crate) const HASHES: Table<(u64, [u8; 32]), (OwnedUserId,)> = Table::new("identity.hashes");

/// A validation session, by its id.
pub(crate) const VALIDATION_SESSIONS: Table<(String,), SessionRow> =
    Table::new("identity.validation_sessions");

/// The id of the session that goes under a client's secret.
pub(crate) const SESSIONS_BY_SECRET: Table<(Digest,), (String,)> = Table::new("identity.sessions_by_secret");

/// Sessions by when they were made, with the client's secret, so that old ones can be found and deleted.
pub(crate) const SESSIONS_BY_AGE: Table<(u64, String), (Digest,)> = Table::new("identity.sessions_by_age");

/// An invitation by address, by its token. Never deleted: rooms go on asking whether its key is good.
pub(crate) const INVITATIONS: Table<(String,), InvitationRow> = Table::new("identity.invitations");

/// The invitations that wait for an address: medium, address, token.
pub(crate) const INVITATIONS_BY_ADDRESS: Table<(String, String, String), ()> =
    Table::new("identity.invitations_by_address");

/// The last invitation of an address into a room by somebody: medium, address, room, sender → token.
pub(crate) const LAST_INVITATIONS: Table<(String, String, OwnedRoomId, OwnedUserId), (String,)> =
    Table::new("identity.last_invitations");

/// The token of the invitation whose link has this code.
pub(crate) const INVITATION_CODES: Table<(Digest,), (String,)> = Table::new("identity.invitation_codes");

/// The token of the invitation whose own key has this public half. The private half is in nobody's hands but the
/// invitee's.
pub(crate) const EPHEMERAL_KEYS: Table<([u8; 32],), (String,)> = Table::new("identity.ephemeral_keys");

/// An address that was bound, by when its owner's homeserver is to be told: time in milliseconds, medium, address.
pub(crate) const ONBIND_QUEUE: Table<(u64, String, String), OnbindRow> = Table::new("identity.onbind_queue");
