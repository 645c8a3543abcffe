//! Every table of this crate.

use gatehouse_store::{Table, json_value};
use serde::{Deserialize, Serialize};

use crate::Threepid;

/// A message's medium, when it is to be tried next, in milliseconds since 1970, and its id.
pub(crate) type QueueKey = (String, u64, String);

/// What is to be sent. A row holds links and codes in clear, until it is sent or given up.
pub(crate) const QUEUE: Table<QueueKey, QueuedRow> = Table::new("mail.queue");

/// A message as it was written when it was asked for.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct QueuedRow {
    pub(crate) to: Threepid,
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) html: String,
    pub(crate) created_ms: u64,
    pub(crate) attempts: u32,
}
json_value!(QueuedRow);
