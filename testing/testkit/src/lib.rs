//! What tests share: throw-away servers, databases and users.
