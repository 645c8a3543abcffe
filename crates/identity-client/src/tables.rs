//! Every table of this crate.

use gatehouse_store::{Table, json_value};
use ruma::OwnedUserId;
use serde::{Deserialize, Serialize};

/// A user's token at an identity server that we asked for on their behalf: user, server.
pub(crate) const TOKENS: Table<(OwnedUserId, String), TokenRow> = Table::new("identity_client.tokens");

/// Encrypted, in base64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TokenRow {
    pub(crate) sealed: String,
}
json_value!(TokenRow);
