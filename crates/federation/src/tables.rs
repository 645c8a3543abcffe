//! What is stored about other homeservers. Nobody else names these tables.

use gatehouse_store::{Position, Table, json_value};
use ruma::{OwnedRoomId, OwnedServerName};
use serde::{Deserialize, Serialize};

/// A key of a server as one kind of source gave it: (server, key id, source). Written when keys are fetched.
pub(crate) const SERVER_KEYS: Table<(OwnedServerName, String, String), KeyRow> =
    Table::new("federation.server_keys");
/// The last answers about its keys that a server gave itself, for those who ask us about it: newest first, older ones only
/// for keys that newer ones do not name.
pub(crate) const KEY_ANSWERS: Table<(OwnedServerName,), KeyAnswersRow> = Table::new("federation.key_answers");

/// The events that wait for a server, and in which room they are. Written when an event that goes to it is found, taken
/// away when the server has it.
pub(crate) const PENDING: Table<(OwnedServerName, Position), (OwnedRoomId,)> =
    Table::new("federation.pending");
/// The transaction that is under way to a server: its id, and the last position that is in it. So that it is the same
/// one when it is sent again.
pub(crate) const OPEN_TRANSACTIONS: Table<(OwnedServerName,), (String, Position)> =
    Table::new("federation.open_transactions");
/// How it goes to send to a server. Written when that changes.
pub(crate) const DESTINATIONS: Table<(OwnedServerName,), DestinationRow> =
    Table::new("federation.destinations");

/// What a transaction of another server was answered with: (server, transaction id). Written when it was taken in.
pub(crate) const RECEIVED_TRANSACTIONS: Table<(OwnedServerName, String), ReceivedRow> =
    Table::new("federation.received_transactions");
/// When each was taken in: (milliseconds since 1970, server, transaction id). Written with it, for forgetting it.
pub(crate) const RECEIVED_TIMES: Table<(u64, OwnedServerName, String), ()> =
    Table::new("federation.received_times");

/// A key of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyRow {
    /// The public key in unpadded base64.
    pub(crate) key: String,
    /// Until when it is good, in milliseconds since 1970.
    pub(crate) valid_until_ms: u64,
    /// The server signs nothing with it any more.
    pub(crate) is_old: bool,
}

/// Answers about keys, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyAnswersRow {
    /// The answers.
    pub(crate) answers: Vec<KeyAnswerRow>,
}

/// An answer about keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyAnswerRow {
    /// The answer, as JSON.
    pub(crate) answer: String,
    /// Until when its keys are good.
    pub(crate) valid_until_ms: u64,
    /// Which keys it names.
    pub(crate) key_ids: Vec<String>,
}

/// How it goes to send to a server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DestinationRow {
    /// How often in a row it failed.
    pub(crate) failures: u32,
    /// Since when, in milliseconds since 1970.
    pub(crate) failing_since_ms: Option<u64>,
    /// When it was tried last.
    pub(crate) tried_ms: u64,
    /// When it is tried again.
    pub(crate) retry_at_ms: u64,
    /// What was wrong, in words.
    pub(crate) last_error: Option<String>,
    /// The last event that it took.
    pub(crate) last_sent: Position,
    /// Whether it ever took anything.
    pub(crate) has_worked: bool,
}

/// A transaction of another server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReceivedRow {
    /// When, in milliseconds since 1970.
    pub(crate) received_ms: u64,
    /// What became of its events, by their ids.
    pub(crate) answer: serde_json::Map<String, serde_json::Value>,
}

json_value!(DestinationRow, KeyRow, KeyAnswersRow, ReceivedRow);
