//! What one commit does: expectations, puts, deletes, positions and topics. Plain data.

use crate::{
    Key, Position, Table, Topic, Value,
    key::{Encoder, Slot},
};

/// An atomic, durable change in the making.
#[derive(Debug, Default, Clone)]
pub struct Batch {
    pub(crate) expectations: Vec<Expectation>,
    pub(crate) writes: Vec<Write>,
    pub(crate) positions: u32,
    pub(crate) topics: Vec<Topic>,
}

/// "This key still holds what I read."
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    /// The table's name.
    pub table: &'static str,
    /// The encoded key.
    pub key: Vec<u8>,
    /// The encoded value, or `None`: there is no such row.
    pub value: Option<Vec<u8>>,
}

/// One row to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The table's name.
    pub table: &'static str,
    /// The encoded key.
    pub key: Vec<u8>,
    /// Where pending positions stand in the key.
    pub key_slots: Vec<Slot>,
    /// The encoded value, or `None`: delete the row.
    pub value: Option<Vec<u8>>,
    /// Where pending positions stand in the value.
    pub value_slots: Vec<Slot>,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one more of this commit's positions, in order. The result may stand in keys and values of this batch.
    pub fn next_position(&mut self) -> Position {
        let position = Position::pending(self.positions);
        self.positions += 1;
        position
    }

    /// Takes `count` further positions that nothing stands at yet, and says which is the first. What is written there
    /// later lies before everything that this commit and those after it write.
    pub fn reserve_positions(&mut self, count: u32) -> Position {
        let first = Position::pending(self.positions);
        self.positions = self.positions.saturating_add(count);
        first
    }

    /// The commit fails with a conflict unless the row is as given (`None`: absent).
    pub fn expect<K: Key, V: Value>(&mut self, table: &Table<K, V>, key: &K, value: Option<&V>) {
        let (key, _) = encode_key(key);
        let value = value.map(|value| encode_value(value).0);
        self.expectations.push(Expectation {
            table: table.name,
            key,
            value,
        });
    }

    /// Writes a row, replacing what is there. The last write of a key in a batch wins.
    pub fn put<K: Key, V: Value>(&mut self, table: &Table<K, V>, key: &K, value: &V) {
        let (key, key_slots) = encode_key(key);
        let (value, value_slots) = encode_value(value);
        self.writes.push(Write {
            table: table.name,
            key,
            key_slots,
            value: Some(value),
            value_slots,
        });
    }

    /// Deletes a row; nothing happens when there is none.
    pub fn delete<K: Key, V: Value>(&mut self, table: &Table<K, V>, key: &K) {
        let (key, key_slots) = encode_key(key);
        self.writes.push(Write {
            table: table.name,
            key,
            key_slots,
            value: None,
            value_slots: Vec::new(),
        });
    }

    /// Takes all of another batch in, to be committed together. Its positions come after those taken here so far.
    pub fn append(&mut self, other: Self) {
        let shift = self.positions;
        self.expectations.extend(other.expectations);
        self.writes.extend(other.writes.into_iter().map(|mut write| {
            for slot in write.key_slots.iter_mut().chain(&mut write.value_slots) {
                slot.index += shift;
            }
            write
        }));
        self.positions += other.positions;
        for topic in other.topics {
            self.touch(topic);
        }
    }

    /// Tells watchers that something about this room or user changed.
    pub fn touch(&mut self, topic: Topic) {
        if !self.topics.contains(&topic) {
            self.topics.push(topic);
        }
    }

    /// Whether it would do nothing.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.topics.is_empty() && self.expectations.is_empty()
    }

    /// How many positions the commit takes: those asked for, and one for watchers when there are topics.
    pub fn position_count(&self) -> u32 {
        if self.topics.is_empty() {
            self.positions
        } else {
            self.positions.max(1)
        }
    }

    /// What must hold for the commit.
    pub fn expectations(&self) -> &[Expectation] {
        &self.expectations
    }

    /// The rows to write, in order, with positions still pending.
    pub fn writes(&self) -> &[Write] {
        &self.writes
    }

    /// What watchers are told.
    pub fn topics(&self) -> &[Topic] {
        &self.topics
    }

    /// The rows to write with their positions filled in: the first of the commit's is `first`.
    pub fn into_resolved(self, first: Position) -> impl Iterator<Item = ResolvedWrite> {
        self.writes.into_iter().map(move |mut write| {
            fill(&mut write.key, &write.key_slots, first);
            if let Some(value) = &mut write.value {
                fill(value, &write.value_slots, first);
            }
            ResolvedWrite {
                table: write.table,
                key: write.key,
                value: write.value,
            }
        })
    }
}

/// A row to write, ready for the backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedWrite {
    /// The table's name.
    pub table: &'static str,
    /// The encoded key.
    pub key: Vec<u8>,
    /// The encoded value, or `None`: delete.
    pub value: Option<Vec<u8>>,
}

fn fill(bytes: &mut [u8], slots: &[Slot], first: Position) {
    for slot in slots {
        if let Some(target) = bytes.get_mut(slot.offset..slot.offset + 8) {
            target.copy_from_slice(&first.plus(slot.index).number().to_be_bytes());
        }
    }
}

fn encode_key<K: Key>(key: &K) -> (Vec<u8>, Vec<Slot>) {
    let mut out = Encoder::new();
    key.encode_key(&mut out);
    out.finish()
}

fn encode_value<V: Value>(value: &V) -> (Vec<u8>, Vec<Slot>) {
    let mut out = Encoder::new();
    value.encode_value(&mut out);
    out.finish()
}
