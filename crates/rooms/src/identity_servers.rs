//! The port to identity servers: who has an address, and who keeps an invitation for whoever will.

use futures_util::future::BoxFuture;
use gatehouse_mail::Threepid;
use gatehouse_store::Batch;
use ruma::{OwnedUserId, RoomId, UserId};
use thiserror::Error;

/// Who asks, and which server.
#[derive(Clone, Copy)]
pub struct Asker<'a> {
    /// Our user.
    pub user: &'a UserId,
    /// The identity server, as the client names it.
    pub id_server: &'a str,
    /// The user's token there, if the client gave one.
    pub id_access_token: Option<&'a str>,
}

/// What a mail may say of room and sender.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InviteFacts {
    /// What the room is called.
    pub room_name: Option<String>,
    /// Its canonical alias.
    pub room_alias: Option<String>,
    /// Its picture.
    pub room_avatar_url: Option<String>,
    /// Its join rule.
    pub room_join_rules: Option<String>,
    /// Its type.
    pub room_type: Option<String>,
    /// What the sender is called.
    pub sender_display_name: Option<String>,
    /// The sender's picture.
    pub sender_avatar_url: Option<String>,
}

/// A key with which an invitation may be accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InviteKey {
    /// In base64.
    pub public_key: String,
    /// Where to ask whether it is in force.
    pub key_validity_url: String,
}

/// An invitation that an identity server keeps.
#[derive(Debug, Clone)]
pub struct StoredInvite {
    /// Names it: the state key of the room's event.
    pub token: String,
    /// Something like the address that does not give it away.
    pub display_name: String,
    /// At least one.
    pub public_keys: Vec<InviteKey>,
    /// To be committed with the room's event; empty when the server is elsewhere.
    pub beside: Batch,
}

/// What became of an invitation that was to be kept.
#[derive(Debug, Clone)]
pub enum StoreOutcome {
    /// It is kept.
    Stored(StoredInvite),
    /// The address is somebody's after all.
    Owned(OwnedUserId),
}

/// Why an identity server was of no help. The sentences are for the person who asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IdentityServerError {
    /// It may not be asked. 403 `M_SERVER_NOT_TRUSTED`.
    #[error(
        "This server does not work with the identity server `{0}`. Choose another in your client's settings."
    )]
    NotTrusted(String),
    /// The user has to agree to its terms first. 403 `M_TERMS_NOT_SIGNED`.
    #[error(
        "The identity server has terms that you have not agreed to. Agree to them in your client's settings first."
    )]
    TermsNotSigned,
    /// It does not take the user's token. 403 `M_FORBIDDEN`: a 401 would log the client out (security.md W12).
    #[error(
        "The identity server does not accept the `id_access_token`. Log in to the identity server again."
    )]
    TokenRefused,
    /// It has no way to write to such addresses. 400 `M_UNKNOWN`.
    #[error(
        "The identity server cannot write to such addresses. Invite by user id, or ask its administrators."
    )]
    CannotSend,
    /// It is asked too often. 429.
    #[error("The identity server is asked too often; try again later.")]
    TooMany {
        /// When to try again, in milliseconds.
        retry_after_ms: Option<u64>,
    },
    /// It refuses. 400 `M_UNKNOWN`.
    #[error("The identity server refuses the request.")]
    Refused,
    /// It does not answer, or not in time. 502 `M_UNKNOWN`.
    #[error("The identity server does not answer; try again later.")]
    Unreachable,
    /// What it says makes no sense. 502 `M_UNKNOWN`.
    #[error("The identity server's answer makes no sense. Tell its administrators, or choose another.")]
    BadAnswer,
    /// This server cannot; the log may say why.
    #[error("The server cannot do this now; try again later.")]
    Unavailable(String),
}

/// What the rooms engine asks of identity servers.
pub trait IdentityServers: Send + Sync + 'static {
    /// Whose the address is.
    fn lookup<'a>(
        &'a self,
        asker: Asker<'a>,
        address: &'a Threepid,
    ) -> BoxFuture<'a, Result<Option<OwnedUserId>, IdentityServerError>>;

    /// Has an invitation kept for the address.
    fn store_invite<'a>(
        &'a self,
        asker: Asker<'a>,
        address: &'a Threepid,
        room_id: &'a RoomId,
        facts: InviteFacts,
    ) -> BoxFuture<'a, Result<StoreOutcome, IdentityServerError>>;

    /// Whether a key of an invitation is in force, as the server behind the URL says.
    fn is_key_valid<'a>(
        &'a self,
        key_validity_url: &'a str,
        public_key: &'a str,
    ) -> BoxFuture<'a, Result<bool, IdentityServerError>>;
}

/// A server that asks no identity server.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoIdentityServers;

impl IdentityServers for NoIdentityServers {
    fn lookup<'a>(
        &'a self,
        asker: Asker<'a>,
        _: &'a Threepid,
    ) -> BoxFuture<'a, Result<Option<OwnedUserId>, IdentityServerError>> {
        Box::pin(std::future::ready(Err(not_trusted(asker.id_server))))
    }

    fn store_invite<'a>(
        &'a self,
        asker: Asker<'a>,
        _: &'a Threepid,
        _: &'a RoomId,
        _: InviteFacts,
    ) -> BoxFuture<'a, Result<StoreOutcome, IdentityServerError>> {
        Box::pin(std::future::ready(Err(not_trusted(asker.id_server))))
    }

    fn is_key_valid<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
    ) -> BoxFuture<'a, Result<bool, IdentityServerError>> {
        Box::pin(std::future::ready(Err(IdentityServerError::Unreachable)))
    }
}

fn not_trusted(id_server: &str) -> IdentityServerError {
    IdentityServerError::NotTrusted(id_server.to_owned())
}
