//! Every table of this crate.

use gatehouse_store::{Table, json_value};
use serde::{Deserialize, Serialize};

use crate::Threepid;

/// What is to be sent, by when it is to be tried next, in milliseconds since 1970, and by id.
pub(crate) const QUEUE: Table<(u64, String), QueuedRow> = Table::new("mail.queue");

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
