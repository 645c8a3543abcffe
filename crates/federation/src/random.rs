//! Randomness for pauses. Where the operating system gives none, there is none: nothing here is a secret.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Where pauses get their length from. Cheap to clone; clones of a seeded one draw from the same sequence.
#[derive(Debug, Clone, Default)]
pub struct Randomness(Source);

#[derive(Debug, Clone, Default)]
enum Source {
    #[default]
    System,
    Seeded(Arc<AtomicU64>),
}

impl Randomness {
    /// The operating system's.
    pub fn system() -> Self {
        Self::default()
    }

    /// For simulations: the same sequence every time.
    pub fn seeded(seed: u64) -> Self {
        Self(Source::Seeded(Arc::new(AtomicU64::new(seed))))
    }

    /// A number from 0 up to, not including, 1.
    pub(crate) fn fraction(&self) -> f64 {
        let drawn = match &self.0 {
            Source::System => getrandom::u32().unwrap_or(0),
            Source::Seeded(state) => next(state),
        };
        f64::from(drawn) / (f64::from(u32::MAX) + 1.0)
    }

    /// A part of a time.
    pub(crate) fn part_of(&self, ms: u64) -> u64 {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "of hours, and never negative"
        )]
        let part = (ms as f64 * self.fraction()) as u64;
        part
    }
}

/// The upper half of the next number of the sequence (`SplitMix64`).
fn next(state: &AtomicU64) -> u32 {
    const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut mixed = state.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    u32::try_from((mixed ^ (mixed >> 31)) >> 32).unwrap_or(0)
}
