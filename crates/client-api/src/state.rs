//! What the handlers work with.

use std::sync::Arc;

use gatehouse_accounts::Accounts;
use gatehouse_directory::Directory;
use gatehouse_federation::Federation;
use gatehouse_http::{HasHttp, HttpContext};
use gatehouse_identity_client::IdentityClient;
use gatehouse_rooms::Rooms;
use gatehouse_sync::Sync;
use ruma::RoomVersionId;
use serde::Serialize;

/// The engines behind the API. Cheap to clone.
#[derive(Clone)]
pub struct ClientApi {
    /// What every extractor needs.
    pub http: HttpContext,
    /// Users, devices, profiles, account data.
    pub accounts: Accounts,
    /// Rooms and everything in them. Its settings say in which version rooms are made.
    pub rooms: Rooms,
    /// Aliases and the published rooms.
    pub directory: Directory,
    /// What changed for a user.
    pub sync: Sync,
    /// Other servers: profiles of their users.
    pub federation: Federation,
    /// Identity servers.
    pub identity_client: IdentityClient,
    /// What an operator has set.
    pub config: Arc<ClientApiConfig>,
}

impl HasHttp for ClientApi {
    fn http(&self) -> &HttpContext {
        &self.http
    }
}

/// What an operator may set about the API.
#[derive(Debug, Clone)]
pub struct ClientApiConfig {
    /// Where clients reach this server, such as `https://matrix.example.org`.
    pub public_baseurl: String,
    /// Where clients find an identity server; unset: they are told of none.
    pub identity_server: Option<String>,
    /// Where other servers reach it, `host:port`; unset: where its name says.
    pub federation_address: Option<String>,
    /// The version of rooms made through today's paths.
    pub default_room_version: RoomVersionId,
    /// The version of rooms made through the paths of the legacy and r0 APIs.
    pub legacy_default_room_version: RoomVersionId,
    /// Whom users can turn to.
    pub support: Support,
}

/// What `/.well-known/matrix/support` says.
#[derive(Debug, Clone, Default)]
pub struct Support {
    /// The people.
    pub contacts: Vec<Contact>,
    /// A page with help.
    pub page: Option<String>,
}

/// Somebody who looks after this server.
#[derive(Debug, Clone, Serialize)]
pub struct Contact {
    /// `m.role.admin`, `m.role.security` or another.
    pub role: String,
    /// Their user id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matrix_id: Option<String>,
    /// Their e-mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email_address: Option<String>,
}
