//! What the parts of a node's backend share.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
};

use gatehouse_store::{Position, watch::Notifier};
use parking_lot::RwLock;
use tokio::sync::watch;

/// The number of a table in the database.
pub(crate) type TableNumber = i16;

/// Positions, watchers and the numbers of tables.
pub(crate) struct Shared {
    position: AtomicU64,
    /// Up to where watchers have been told.
    pub(crate) told: watch::Sender<Position>,
    pub(crate) notifier: Notifier,
    /// The channel on which nodes tell each other of commits.
    pub(crate) channel: String,
    /// The name under which this node notes its commits.
    pub(crate) node: String,
    tables: RwLock<HashMap<String, TableNumber>>,
}

impl Shared {
    pub(crate) fn new(position: Position, channel: String, node: String) -> Self {
        Self {
            position: position.number().into(),
            told: watch::Sender::new(position),
            notifier: Notifier::default(),
            channel,
            node,
            tables: RwLock::default(),
        }
    }

    /// The last position known to this node.
    pub(crate) fn position(&self) -> Position {
        Position::new(self.position.load(Ordering::Acquire)).unwrap_or_default()
    }

    /// Everything up to here can be read.
    pub(crate) fn advance(&self, position: Position) {
        self.position.fetch_max(position.number(), Ordering::AcqRel);
    }

    /// The table's number, when this node has met it before.
    pub(crate) fn table(&self, name: &str) -> Option<TableNumber> {
        self.tables.read().get(name).copied()
    }

    /// Keeps the table's number, which never changes.
    pub(crate) fn learn_table(&self, name: &str, number: TableNumber) {
        self.tables.write().insert(name.to_owned(), number);
    }
}

/// A position as the database gives it.
pub(crate) fn position_of(number: i64) -> Option<Position> {
    u64::try_from(number).ok().and_then(Position::new)
}

/// A position as the database takes it.
pub(crate) fn number_of(position: Position) -> i64 {
    i64::try_from(position.number()).unwrap_or(i64::MAX)
}
