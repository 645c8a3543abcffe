//! Answering for other servers' keys (server-server API, "Querying Keys Through Another Server").

use futures_util::{StreamExt as _, stream};
use gatehouse_events::json::parse_value;
use gatehouse_store::StoreError;
use ruma::{OwnedServerName, ServerName};
use serde_json::Value;

use crate::{
    Federation,
    tables::{KEY_ANSWERS, KeyAnswerRow},
};

/// Servers that may be asked about at once.
pub const MAX_SERVERS: usize = 100;

/// Of which so many are looked after at once.
const AT_ONCE: usize = 16;

/// Which keys somebody wants to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyQuery {
    /// Whose.
    pub server: OwnedServerName,
    /// Which; none: whichever there are.
    pub key_ids: Vec<String>,
    /// Until when they should be good, in milliseconds since 1970.
    pub minimum_valid_until_ts: u64,
}

impl Federation {
    /// The answers of the servers about their keys, with our signature below theirs. Of a server that cannot be reached,
    /// what it said last; of one that never said anything, nothing. More than [`MAX_SERVERS`] are not looked at.
    pub async fn notarised(&self, queries: Vec<KeyQuery>) -> Result<Vec<Value>, StoreError> {
        let answers: Vec<_> = stream::iter(queries.into_iter().take(MAX_SERVERS))
            .map(|query| self.notarise(query))
            .buffered(AT_ONCE)
            .collect()
            .await;
        answers.into_iter().filter_map(Result::transpose).collect()
    }

    async fn notarise(&self, query: KeyQuery) -> Result<Option<Value>, StoreError> {
        if query.server == self.server_name() {
            return Ok(self.own_keys().ok());
        }
        let mut row = self.answer_here(&query.server).await?;
        if !row.as_ref().is_some_and(|row| satisfies(row, &query)) {
            // Why it cannot be had matters to nobody here: what it said last has to do then.
            _ = self.fetch_keys(&query.server).await;
            row = self.answer_here(&query.server).await?;
        }
        let answer = row.and_then(|row| parse_value(row.answer.as_bytes()).ok());
        Ok(answer.and_then(|answer| self.signed_by_us(answer).ok()))
    }

    async fn answer_here(&self, server: &ServerName) -> Result<Option<KeyAnswerRow>, StoreError> {
        self.store().get(&KEY_ANSWERS, &(server.to_owned(),)).await
    }
}

fn satisfies(row: &KeyAnswerRow, query: &KeyQuery) -> bool {
    let Ok(answer) = parse_value(row.answer.as_bytes()) else {
        return false;
    };
    let has = |id: &String| {
        ["verify_keys", "old_verify_keys"]
            .iter()
            .any(|kind| answer.get(kind).and_then(|keys| keys.get(id)).is_some())
    };
    row.valid_until_ms >= query.minimum_valid_until_ts && query.key_ids.iter().all(has)
}
