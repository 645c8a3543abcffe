//! What the handlers work with.

use gatehouse_federation::Federation;
use gatehouse_http::{HasHttp, HttpContext};
use gatehouse_rooms::Rooms;

/// The engines behind the API. Cheap to clone.
#[derive(Clone)]
pub struct FederationApi {
    /// What every extractor needs, and the users.
    pub http: HttpContext,
    /// Our key, and who signs what.
    pub federation: Federation,
    /// Rooms and everything in them.
    pub rooms: Rooms,
}

impl HasHttp for FederationApi {
    fn http(&self) -> &HttpContext {
        &self.http
    }
}
