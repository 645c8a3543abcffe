//! What the handlers work with.

use gatehouse_accounts::Accounts;
use gatehouse_federation::Federation;
use gatehouse_http::{HasHttp, HttpContext};
use gatehouse_rooms::Rooms;

/// The engines behind the API. Cheap to clone.
#[derive(Clone)]
pub struct AdminApi {
    /// What every extractor needs.
    pub http: HttpContext,
    /// Users, devices, registration tokens.
    pub accounts: Accounts,
    /// Other servers, and what waits for them.
    pub federation: Federation,
    /// What a deactivated user leaves.
    pub rooms: Rooms,
}

impl HasHttp for AdminApi {
    fn http(&self) -> &HttpContext {
        &self.http
    }
}
