//! Every table of this crate. A digest is the SHA-256 of a token: the tokens themselves are never stored.

use gatehouse_store::{Position, Table};
use ruma::{OwnedDeviceId, OwnedUserId};

use crate::{
    access_token::Digest,
    bindings::BindingRow,
    devices::DeviceRow,
    openid::OpenIdRow,
    profile::ProfileRow,
    pushers::{PusherRow, PushkeyRow},
    refresh_token::FamilyRow,
    registration_tokens::RegistrationTokenRow,
    request_validation::ValidationRow,
    seen_devices::LastSeenRow,
    session::AccessTokenRow,
    threepids::ThreepidRow,
    user_interactive::SessionRow,
    users::UserRow,
};

/// A user of this server. Never deleted, so that a name is never given twice.
pub(crate) const USERS: Table<(OwnedUserId,), UserRow> = Table::new("accounts.users");

/// Users who were deactivated and want what they wrote to be forgotten.
pub(crate) const ERASED: Table<(OwnedUserId,), ()> = Table::new("accounts.erased");

/// Users who were deactivated and may not have left their rooms yet.
pub(crate) const LEAVING: Table<(OwnedUserId,), ()> = Table::new("accounts.leaving");

/// A device of a user: one login.
pub(crate) const DEVICES: Table<(OwnedUserId, OwnedDeviceId), DeviceRow> = Table::new("accounts.devices");

/// When and from where a device was last used. Written rarely, and lost at most for minutes.
pub(crate) const LAST_SEEN: Table<(OwnedUserId, OwnedDeviceId), LastSeenRow> =
    Table::new("accounts.last_seen");

/// An access token in force: whose it is.
pub(crate) const ACCESS_TOKENS: Table<(Digest,), AccessTokenRow> = Table::new("accounts.access_tokens");

/// The access tokens of a device; the value is when each expires, in milliseconds, `u64::MAX` for never.
pub(crate) const DEVICE_TOKENS: Table<(OwnedUserId, OwnedDeviceId, Digest), (u64,)> =
    Table::new("accounts.device_tokens");

/// A family of refresh tokens, by the digest of the part that all its members share.
pub(crate) const REFRESH_FAMILIES: Table<(Digest,), FamilyRow> = Table::new("accounts.refresh_families");

/// The families of a device.
pub(crate) const DEVICE_FAMILIES: Table<(OwnedUserId, OwnedDeviceId, Digest), ()> =
    Table::new("accounts.device_families");

/// A user-interactive authentication in progress, by the digest of its session id.
pub(crate) const UIA_SESSIONS: Table<(Digest,), SessionRow> = Table::new("accounts.uia_sessions");

/// The same by age, so that old ones can be found and deleted.
pub(crate) const UIA_BY_AGE: Table<(u64, Digest), ()> = Table::new("accounts.uia_by_age");

/// A registration token that an administrator made.
pub(crate) const REGISTRATION_TOKENS: Table<(String,), RegistrationTokenRow> =
    Table::new("accounts.registration_tokens");

/// A user's profile.
pub(crate) const PROFILES: Table<(OwnedUserId,), ProfileRow> = Table::new("accounts.profiles");

/// A pusher of a user: app, pushkey. One whose login has ended is void.
pub(crate) const PUSHERS: Table<(OwnedUserId, String, String), PusherRow> = Table::new("accounts.pushers");

/// Who has a pusher with a pushkey: app, pushkey.
pub(crate) const PUSHKEYS: Table<(String, String), PushkeyRow> = Table::new("accounts.pushkeys");

/// Account data: user, room or `""`, type → position of the last change, content.
pub(crate) const ACCOUNT_DATA: Table<(OwnedUserId, String, String), (Position, String)> =
    Table::new("accounts.account_data");

/// The last change of each, in order: room or `""`, type.
pub(crate) const ACCOUNT_DATA_STREAM: Table<(OwnedUserId, Position), (String, String)> =
    Table::new("accounts.account_data_stream");

/// How many bytes of account data a user has.
pub(crate) const ACCOUNT_DATA_SIZE: Table<(OwnedUserId,), (u64,)> = Table::new("accounts.account_data_size");

/// A stored filter, by an id made from its content.
pub(crate) const FILTERS: Table<(OwnedUserId, String), (String,)> = Table::new("accounts.filters");

/// How many filters a user has stored.
pub(crate) const FILTER_COUNTS: Table<(OwnedUserId,), (u64,)> = Table::new("accounts.filter_counts");

/// An OpenID token in force: whose it is.
pub(crate) const OPENID_TOKENS: Table<(Digest,), OpenIdRow> = Table::new("accounts.openid_tokens");

/// The same by when they expire, so that old ones can be found and deleted.
pub(crate) const OPENID_BY_AGE: Table<(u64, Digest), ()> = Table::new("accounts.openid_by_age");

/// An address of a user: medium, address.
pub(crate) const THREEPIDS: Table<(OwnedUserId, String, String), ThreepidRow> =
    Table::new("accounts.threepids");

/// Whose an address is: of one user at most.
pub(crate) const THREEPID_OWNERS: Table<(String, String), (OwnedUserId,)> =
    Table::new("accounts.threepid_owners");

/// How often the addresses and bindings of a user have changed: expected by whoever decides by all of them.
pub(crate) const THREEPID_CHANGES: Table<(OwnedUserId,), (u64,)> = Table::new("accounts.threepid_changes");

/// An address that is bound to a user at an identity server: medium, address, server.
pub(crate) const BINDINGS: Table<(OwnedUserId, String, String, String), BindingRow> =
    Table::new("accounts.bindings");

/// Bindings that are to be undone, by when this is to be tried, in milliseconds since 1970.
pub(crate) const UNBINDING: Table<(u64, OwnedUserId, String, String, String), ()> =
    Table::new("accounts.unbinding");

/// Somebody is proving an address: by session id.
pub(crate) const VALIDATIONS: Table<(String,), ValidationRow> = Table::new("accounts.validations");

/// The session that a client began last with a secret, for one purpose: by the digest of both.
pub(crate) const VALIDATIONS_BY_SECRET: Table<(Digest,), (String,)> =
    Table::new("accounts.validations_by_secret");

/// Validation sessions by age, so that old ones can be found and deleted; the value is the digest of secret and purpose.
pub(crate) const VALIDATIONS_BY_AGE: Table<(u64, String), (Digest,)> =
    Table::new("accounts.validations_by_age");
