//! What every extractor needs.

use std::sync::Arc;

use gatehouse_accounts::Accounts;
use tokio_util::sync::CancellationToken;

use crate::{Metrics, RateLimits};

/// Shared by all APIs of a server. Cheap to clone.
#[derive(Clone)]
pub struct HttpContext {
    /// Who a token belongs to.
    pub accounts: Accounts,
    /// How often somebody may do what.
    pub rate_limits: Arc<RateLimits>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Cancelled when the server stops: long polls answer at once.
    pub shutdown: CancellationToken,
}

/// The state of an API's router.
pub trait HasHttp: Clone + Send + Sync + 'static {
    /// The shared part.
    fn http(&self) -> &HttpContext;
}

impl HasHttp for HttpContext {
    fn http(&self) -> &HttpContext {
        self
    }
}
