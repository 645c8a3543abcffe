//! How all tables share one tree: each key begins with the two bytes of its table's number.
//!
//! Number 0 is the store's own: the format, the last position, and the numbers of the tables by name.

use std::collections::HashMap;

use bytes::Bytes;
use fjall::{Keyspace, OwnedWriteBatch as WriteBatch, Readable as _, Snapshot};
use gatehouse_store::{Position, group::GroupWrites};

use crate::open_error::OpenError;

/// The layout that this program writes.
const FORMAT: u8 = 1;

const FORMAT_KEY: &[u8] = &[0, 0, 0];
const POSITION_KEY: &[u8] = &[0, 0, 1];
const TABLE_PREFIX: &[u8] = &[0, 0, 2];
const TABLE_PREFIX_END: &[u8] = &[0, 0, 3];

/// The number of a table: the first two bytes of its keys.
pub(crate) type TableNumber = u16;

/// The numbers of the tables that have ever been written to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tables {
    numbers: HashMap<String, TableNumber>,
}

impl Tables {
    /// The table's number; `None` when nothing was ever written to it.
    pub(crate) fn number(&self, table: &str) -> Option<TableNumber> {
        self.numbers.get(table).copied()
    }

    fn next_number(&self) -> Option<TableNumber> {
        self.numbers.values().max().copied().unwrap_or(0).checked_add(1)
    }
}

/// The stored key of a row.
pub(crate) fn row_key(table: TableNumber, key: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(2 + key.len());
    bytes.extend_from_slice(&table.to_be_bytes());
    bytes.extend_from_slice(key);
    bytes
}

/// The bounds of a scan: first key, and the key after the last. `None`: the range is empty.
pub(crate) fn bounds(table: TableNumber, start: &[u8], end: Option<&[u8]>) -> Option<(Vec<u8>, Vec<u8>)> {
    let start = row_key(table, start);
    let end = match end {
        Some(end) => row_key(table, end),
        // `Tables::next_number` never gives out the last number, so there is always one after.
        None => table.saturating_add(1).to_be_bytes().to_vec(),
    };
    (start < end).then_some((start, end))
}

/// What the store knows of itself when it opens.
pub(crate) struct Recovered {
    pub(crate) position: Position,
    pub(crate) tables: Tables,
}

/// Reads the store's own rows; writes the format into a new store.
pub(crate) fn recover(snapshot: &Snapshot, rows: &Keyspace) -> Result<Recovered, OpenError> {
    match snapshot.get(rows, FORMAT_KEY)?.as_deref() {
        Some([FORMAT]) => {}
        Some(other) => {
            return Err(OpenError::Format {
                found: other.first().copied().unwrap_or(0),
                known: FORMAT,
            });
        }
        None => rows.insert(FORMAT_KEY, [FORMAT])?,
    }
    let position = match snapshot.get(rows, POSITION_KEY)? {
        Some(bytes) => <[u8; 8]>::try_from(&*bytes)
            .ok()
            .and_then(|bytes| Position::new(u64::from_be_bytes(bytes)))
            .ok_or(OpenError::Layout("the last position"))?,
        None => Position::ZERO,
    };
    let mut numbers = HashMap::new();
    for row in snapshot.range(rows, TABLE_PREFIX..TABLE_PREFIX_END) {
        let (key, value) = row.into_inner()?;
        let name = key
            .get(TABLE_PREFIX.len()..)
            .and_then(|name| std::str::from_utf8(name).ok());
        let number = <[u8; 2]>::try_from(&*value).ok().map(TableNumber::from_be_bytes);
        let (Some(name), Some(number)) = (name, number) else {
            return Err(OpenError::Layout("the list of tables"));
        };
        numbers.insert(name.to_owned(), number);
    }
    Ok(Recovered {
        position,
        tables: Tables { numbers },
    })
}

/// Adds a group's rows to `out`, with the position that they lead to. Returns the tables when new ones came up.
/// `Err`: there are too many tables.
pub(crate) fn stage(
    writes: GroupWrites,
    position: Position,
    tables: &Tables,
    rows: &Keyspace,
    out: &mut WriteBatch,
) -> Result<Option<Tables>, TooManyTables> {
    let mut grown: Option<Tables> = None;
    for (table, changes) in writes {
        let known = grown.as_ref().unwrap_or(tables);
        let number = if let Some(number) = known.number(table) {
            number
        } else {
            let number = known
                .next_number()
                .filter(|number| *number < TableNumber::MAX)
                .ok_or(TooManyTables)?;
            grown
                .get_or_insert_with(|| tables.clone())
                .numbers
                .insert(table.to_owned(), number);
            out.insert(
                rows,
                [TABLE_PREFIX, table.as_bytes()].concat(),
                number.to_be_bytes(),
            );
            number
        };
        for (key, value) in changes {
            match value {
                Some(value) => out.insert(rows, row_key(number, &key), Vec::<u8>::from(value)),
                None => out.remove(rows, row_key(number, &key)),
            }
        }
    }
    out.insert(rows, POSITION_KEY, position.number().to_be_bytes());
    Ok(grown)
}

/// There is no number left for another table.
#[derive(Debug)]
pub(crate) struct TooManyTables;

/// The value of a row in a snapshot.
pub(crate) fn read(
    snapshot: &Snapshot,
    rows: &Keyspace,
    table: TableNumber,
    key: &[u8],
) -> Result<Option<Bytes>, fjall::Error> {
    // Copied, so that a caller that keeps one value does not keep the whole block that it was read from.
    Ok(snapshot
        .get(rows, row_key(table, key))?
        .map(|value| Bytes::copy_from_slice(&value)))
}
