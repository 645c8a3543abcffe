//! What changed for a user: /sync, and the legacy initialSync and events.
