//! What the handlers work with.

use gatehouse_directory::Directory;
use gatehouse_federation::{Federation, Inbox};
use gatehouse_http::{HasHttp, HttpContext};
use gatehouse_rooms::Rooms;

use crate::AtOnce;

/// The engines behind the API. Cheap to clone.
#[derive(Clone)]
pub struct FederationApi {
    /// What every extractor needs, and the users.
    pub http: HttpContext,
    /// Our key, and who signs what.
    pub federation: Federation,
    /// Takes in what other servers send.
    pub inbox: Inbox,
    /// Rooms and everything in them.
    pub rooms: Rooms,
    /// Aliases and published rooms.
    pub directory: Directory,
    /// What is worked on for each server.
    pub at_once: AtOnce,
    /// Whether other servers may read the published rooms (`[federation] public_rooms`).
    pub public_rooms: bool,
}

impl HasHttp for FederationApi {
    fn http(&self) -> &HttpContext {
        &self.http
    }
}
