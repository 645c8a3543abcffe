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
        let answers: Result<Vec<Vec<Value>>, StoreError> = answers.into_iter().collect();
        Ok(answers?.into_iter().flatten().collect())
    }

    async fn notarise(&self, query: KeyQuery) -> Result<Vec<Value>, StoreError> {
        if query.server == self.server_name() {
            return Ok(self.own_keys().into_iter().collect());
        }
        let mut rows = self.answers_here(&query.server).await?;
        if !satisfies(&rows, &query) {
            // Why it cannot be had matters to nobody here: what it said before has to do then.
            _ = self.fetch_keys_again(&query.server).await;
            rows = self.answers_here(&query.server).await?;
        }
        let wanted = rows
            .iter()
            .enumerate()
            .filter(|(index, row)| match query.key_ids.as_slice() {
                [] => *index == 0,
                ids => row.key_ids.iter().any(|id| ids.contains(id)),
            });
        let answers = wanted.filter_map(|(_, row)| parse_value(row.answer.as_bytes()).ok());
        Ok(answers
            .filter_map(|answer| self.signed_by_us(answer).ok())
            .collect())
    }

    async fn answers_here(&self, server: &ServerName) -> Result<Vec<KeyAnswerRow>, StoreError> {
        let rows = self.store().get(&KEY_ANSWERS, &(server.to_owned(),)).await?;
        Ok(rows.unwrap_or_default().answers)
    }
}

fn satisfies(rows: &[KeyAnswerRow], query: &KeyQuery) -> bool {
    let is_good = |row: &KeyAnswerRow| row.valid_until_ms >= query.minimum_valid_until_ts;
    let has = |id: &String| rows.iter().any(|row| is_good(row) && row.key_ids.contains(id));
    rows.first().is_some_and(is_good) && query.key_ids.iter().all(has)
}
