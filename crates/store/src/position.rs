//! The place of a commit in the one total order of everything that this store has accepted.

use std::fmt;

/// A place in the store's single sequence. Gap-free; visible to readers in order: when [`crate::Store::position`]
/// returns `n`, every write at `n` and before can be read.
///
/// Inside a [`crate::Batch`] a position may be *pending*: "the i-th that this commit is given". Pending positions
/// may stand in keys and values; the backend fills them in under its commit lock. They never reach a reader.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(u64);

const PENDING: u64 = 1 << 63;

impl Position {
    /// Before the first commit.
    pub const ZERO: Self = Self(0);
    /// After every commit that there can be.
    pub const MAX: Self = Self(PENDING - 1);

    /// The position with this number; `None` when out of range.
    pub const fn new(number: u64) -> Option<Self> {
        if number < PENDING {
            Some(Self(number))
        } else {
            None
        }
    }

    /// The `index`-th position (from 0) that the commit under construction will be given.
    pub(crate) const fn pending(index: u32) -> Self {
        Self(PENDING | index as u64)
    }

    /// The index within its commit, when this position is still pending.
    pub const fn pending_index(self) -> Option<u32> {
        #[expect(clippy::cast_possible_truncation, reason = "the low half is the index")]
        if self.0 & PENDING != 0 {
            Some(self.0 as u32)
        } else {
            None
        }
    }

    /// Its number, for tokens and metrics. A pending position's number has no meaning.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The next one in order; saturates at [`Self::MAX`].
    #[must_use]
    pub const fn next(self) -> Self {
        self.plus(1)
    }

    /// `count` further on; saturates at [`Self::MAX`].
    #[must_use]
    pub const fn plus(self, count: u32) -> Self {
        let number = self.0 + count as u64;
        if number < PENDING { Self(number) } else { Self::MAX }
    }

    /// The one before; `ZERO` stays `ZERO`.
    #[must_use]
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pending_index() {
            Some(index) => write!(f, "Position(pending {index})"),
            None => write!(f, "Position({})", self.0),
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
