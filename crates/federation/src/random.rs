//! Randomness for pauses. Where the operating system gives none, there is none: nothing here is a secret.

/// A number from 0 up to, not including, 1.
pub(crate) fn fraction() -> f64 {
    let drawn = getrandom::u32().unwrap_or(0);
    f64::from(drawn) / (f64::from(u32::MAX) + 1.0)
}

/// A part of a time.
pub(crate) fn part_of(ms: u64) -> u64 {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "of hours, and never negative"
    )]
    let part = (ms as f64 * fraction()) as u64;
    part
}
