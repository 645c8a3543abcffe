//! Ranges of keys, written in the table's own terms.

use std::marker::PhantomData;

use crate::key::{Encoder, Prefix};

/// Which way a scan goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the smallest key on.
    Forward,
    /// From the largest key back.
    Backward,
}

/// A range of keys of a table with key `K`: half-open in bytes, `start <= key < end`.
///
/// ```
/// # use gatehouse_store::{Position, Range};
/// // Everything in one room after one position, up to and including another.
/// let range: Range<(String, Position)> = Range::all()
///     .after(&("!r:s".to_owned(), Position::ZERO))
///     .through(&("!r:s".to_owned(), Position::MAX));
/// ```
#[derive(Debug, Clone)]
pub struct Range<K> {
    pub(crate) start: Vec<u8>,
    /// `None`: to the table's end.
    pub(crate) end: Option<Vec<u8>>,
    key: PhantomData<fn() -> K>,
}

impl<K> Range<K> {
    /// The whole table.
    pub fn all() -> Self {
        Self {
            start: Vec::new(),
            end: None,
            key: PhantomData,
        }
    }

    /// All keys that begin with these parts.
    pub fn prefix(prefix: &impl Prefix<K>) -> Self {
        let start = encode(prefix);
        let end = successor(start.clone());
        Self {
            start,
            end,
            key: PhantomData,
        }
    }

    /// Narrows to keys at or after these parts.
    #[must_use]
    pub fn from(mut self, bound: &impl Prefix<K>) -> Self {
        self.start = encode(bound);
        self
    }

    /// Narrows to keys after all that begin with these parts.
    #[must_use]
    pub fn after(mut self, bound: &impl Prefix<K>) -> Self {
        match successor(encode(bound)) {
            Some(start) => self.start = start,
            None => self.end = Some(Vec::new()),
        }
        self
    }

    /// Narrows to keys before these parts.
    #[must_use]
    pub fn before(mut self, bound: &impl Prefix<K>) -> Self {
        self.end = Some(encode(bound));
        self
    }

    /// Narrows to keys up to and including all that begin with these parts.
    #[must_use]
    pub fn through(mut self, bound: &impl Prefix<K>) -> Self {
        self.end = successor(encode(bound));
        self
    }

    /// The bounds in bytes: `start <= key`, and `key < end` when there is an end.
    pub fn bytes(&self) -> (&[u8], Option<&[u8]>) {
        (&self.start, self.end.as_deref())
    }
}

fn encode<K>(prefix: &impl Prefix<K>) -> Vec<u8> {
    let mut out = Encoder::new();
    prefix.encode_prefix(&mut out);
    out.finish().0
}

/// The smallest bytes that are larger than everything that begins with `bytes`.
fn successor(mut bytes: Vec<u8>) -> Option<Vec<u8>> {
    while let Some(last) = bytes.last_mut() {
        if *last < 0xFF {
            *last += 1;
            return Some(bytes);
        }
        bytes.pop();
    }
    None
}
