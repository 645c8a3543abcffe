//! What the handlers work with.

use gatehouse_accounts::Accounts;
use gatehouse_http::{HasHttp, HttpContext};

/// The engines behind the API. Cheap to clone.
#[derive(Clone)]
pub struct AdminApi {
    /// What every extractor needs.
    pub http: HttpContext,
    /// Users, devices, registration tokens.
    pub accounts: Accounts,
}

impl HasHttp for AdminApi {
    fn http(&self) -> &HttpContext {
        &self.http
    }
}
