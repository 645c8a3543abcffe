//! What the handlers work with.

use std::sync::Arc;

use gatehouse_http::RateLimits;
use gatehouse_identity::Identity;

/// The engine behind the API. Cheap to clone.
#[derive(Clone)]
pub struct IdentityApi {
    /// The engine.
    pub identity: Identity,
    /// How often somebody may do what.
    pub rate_limits: Arc<RateLimits>,
    /// Whether the API of the founding document is served as well: it knows no accounts, so that anybody may look up
    /// addresses one by one, and send invitations in anybody's name.
    pub is_legacy_served: bool,
}
