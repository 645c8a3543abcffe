//! The keys of other servers that are here. Which of two answers wins is decided here
//! (security.md I06).

use std::{collections::btree_map::Entry, sync::Arc};

use gatehouse_store::{Batch, CommitError, Direction, Range, StoreError};
use ruma::ServerName;

use crate::{
    Federation,
    key_answer::KeyAnswer,
    key_ring::Keys,
    tables::{KEY_ANSWERS, KeyAnswerRow, KeyAnswersRow, KeyRow, SERVER_KEYS},
};

/// Keys of one server that are stored, of each kind of source. Whoever changes keys daily reaches that after months.
const MAX_STORED: usize = 256;

/// Answers of one server that are kept.
const MAX_ANSWERS: usize = 4;

/// How often storing is tried again when another node stores the same.
const MAX_ATTEMPTS: u32 = 3;

/// Where keys come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// The server itself, over TLS.
    Direct,
    /// A server that we trust with it.
    Notary,
}

impl Source {
    fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Notary => "notary",
        }
    }
}

impl Federation {
    /// The keys of a server that are here. Denied ones are not, whenever they were stored (E08).
    pub(crate) async fn known_keys(&self, server: &ServerName) -> Result<Arc<Keys>, StoreError> {
        if let Some(known) = self.key_ring().servers.get(server) {
            return Ok(known);
        }
        let direct = self.stored(server, Source::Direct).await?;
        let notary = self.stored(server, Source::Notary).await?;
        let mut keys = both(direct, notary);
        keys.retain(|_, key| !self.config().denied_keys.contains(&key.key));
        let keys = Arc::new(keys);
        self.key_ring()
            .servers
            .insert(server.to_owned(), Arc::clone(&keys));
        Ok(keys)
    }

    async fn stored(&self, server: &ServerName, source: Source) -> Result<Keys, StoreError> {
        let range = Range::prefix(&(server.to_owned(),));
        let rows = self
            .store()
            .scan(&SERVER_KEYS, &range, Direction::Forward, 2 * MAX_STORED)
            .await?;
        let of_source = rows
            .into_iter()
            .filter(|((_, _, name), _)| name == source.name())
            .map(|((_, id, _), row)| (id, row));
        Ok(of_source.collect())
    }

    /// Keeps what an answer says, as far as it does not contradict what was said before.
    pub(crate) async fn keep(&self, answer: &KeyAnswer, source: Source) -> Result<(), StoreError> {
        for _ in 0..MAX_ATTEMPTS {
            let stored = self.stored(&answer.server, source).await?;
            let mut batch = Batch::new();
            let mut room = MAX_STORED.saturating_sub(stored.len());
            for (id, said) in &answer.keys {
                let before = stored.get(id);
                let row = merged(before, said);
                let is_new = before.is_none();
                if before == Some(&row) || (is_new && room == 0) {
                    continue;
                }
                room -= usize::from(is_new);
                let key = (answer.server.clone(), id.clone(), source.name().to_owned());
                batch.expect(&SERVER_KEYS, &key, before);
                batch.put(&SERVER_KEYS, &key, &row);
            }
            if source == Source::Direct {
                let key = (answer.server.clone(),);
                let known = self.store().get(&KEY_ANSWERS, &key).await?;
                batch.put(
                    &KEY_ANSWERS,
                    &key,
                    &answers(answer, known.unwrap_or_default().answers),
                );
            }
            if !batch.is_empty() {
                match self.store().commit(batch).await {
                    Ok(_) => {}
                    Err(CommitError::Conflict { .. }) => continue,
                    Err(CommitError::Store(error)) => return Err(error),
                }
            }
            self.key_ring().servers.remove(&answer.server);
            return Ok(());
        }
        // Another node keeps the same at this very moment.
        self.key_ring().servers.remove(&answer.server);
        Ok(())
    }
}

/// What a server said last, and of what it said before that which names keys that it has forgotten since.
fn answers(newest: &KeyAnswer, before: Vec<KeyAnswerRow>) -> KeyAnswersRow {
    let mut answers = vec![KeyAnswerRow {
        answer: newest.json.clone(),
        valid_until_ms: newest.valid_until_ms,
        key_ids: newest.keys.keys().cloned().collect(),
    }];
    for row in before {
        let is_named = |id: &String| answers.iter().any(|newer| newer.key_ids.contains(id));
        if answers.len() < MAX_ANSWERS && !row.key_ids.iter().all(is_named) {
            answers.push(row);
        }
    }
    KeyAnswersRow { answers }
}

/// What is kept of a key when the same kind of source speaks of it again: the first public key wins, unless the other is
/// good for longer. That a server has stopped to use a key it may always say.
fn merged(before: Option<&KeyRow>, said: &KeyRow) -> KeyRow {
    let Some(before) = before else {
        return said.clone();
    };
    if before.key == said.key {
        return match (before.is_old, said.is_old) {
            (_, true) => said.clone(),
            (_, false) => KeyRow {
                valid_until_ms: before.valid_until_ms.max(said.valid_until_ms),
                ..said.clone()
            },
        };
    }
    if said.valid_until_ms > before.valid_until_ms && !said.is_old {
        said.clone()
    } else {
        before.clone()
    }
}

/// What holds when both kinds of source spoke: a notary never overrules the server. That the same key is good for longer
/// it may bring, as the key's owner has signed that.
fn both(direct: Keys, notary: Keys) -> Keys {
    let mut keys = direct;
    for (id, said) in notary {
        match keys.entry(id) {
            Entry::Vacant(entry) => {
                entry.insert(said);
            }
            Entry::Occupied(mut entry) => {
                let row = entry.get_mut();
                if row.key == said.key && !row.is_old && !said.is_old {
                    row.valid_until_ms = row.valid_until_ms.max(said.valid_until_ms);
                }
            }
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row() -> impl Strategy<Value = KeyRow> {
        ("[ab]", 0_u64..4, any::<bool>()).prop_map(|(key, valid_until_ms, is_old)| KeyRow {
            key,
            valid_until_ms,
            is_old,
        })
    }

    fn of(row: &KeyRow) -> Keys {
        Keys::from([("ed25519:a".to_owned(), row.clone())])
    }

    proptest! {
        #[test]
        fn i06_a_notary_never_changes_what_the_server_said_but_for_how_long(direct in row(), notary in row()) {
            let held = both(of(&direct), of(&notary))["ed25519:a"].clone();
            prop_assert_eq!((&held.key, held.is_old), (&direct.key, direct.is_old));
            prop_assert!(held.valid_until_ms >= direct.valid_until_ms);
            if direct.key != notary.key || direct.is_old {
                prop_assert_eq!(held, direct);
            }
        }

        #[test]
        fn i06_another_key_under_the_same_id_wins_only_when_it_is_good_for_longer(before in row(), said in row()) {
            let kept = merged(Some(&before), &said);
            if before.key != said.key && (said.valid_until_ms <= before.valid_until_ms || said.is_old) {
                prop_assert_eq!(&kept, &before);
            }
            prop_assert_eq!(merged(Some(&kept), &said), kept);
        }

        #[test]
        fn e07_a_key_that_its_server_gave_up_is_not_good_for_longer(before in row(), said in row()) {
            if before.key == said.key && said.is_old {
                prop_assert_eq!(merged(Some(&before), &said), said);
            }
        }
    }
}
