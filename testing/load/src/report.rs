//! What was measured, as JSON.

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use crate::crowd::Timing;

/// One phase: operations of one kind.
#[derive(Serialize)]
pub(crate) struct Phase {
    pub(crate) name: String,
    pub(crate) at_once: usize,
    pub(crate) operations: usize,
    pub(crate) per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// CPU of the server's process, all its threads, divided by the operations.
    pub(crate) server_cpu_ms: f64,
}

/// A single figure.
#[derive(Serialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
}

/// Everything.
#[derive(Default, Serialize)]
pub(crate) struct Report {
    pub(crate) phases: Vec<Phase>,
    pub(crate) figures: Vec<Figure>,
}

impl Report {
    pub(crate) fn figure(&mut self, name: &str, value: f64, unit: &'static str) {
        eprintln!("  {name}: {value:.2} {unit}");
        self.figures.push(Figure {
            name: name.to_owned(),
            value,
            unit,
        });
    }

    /// Add a phase that used so many seconds of the server's CPU.
    pub(crate) fn phase(
        &mut self,
        name: &str,
        at_once: usize,
        mut timing: Timing,
        cpu_seconds: f64,
    ) -> Result<()> {
        timing.each.sort_unstable();
        let count = f64::from(u32::try_from(timing.each.len())?);
        let phase = Phase {
            name: name.to_owned(),
            at_once,
            operations: timing.each.len(),
            per_second: count / timing.all.as_secs_f64(),
            p50_ms: percentile_ms(&timing.each, 50),
            p99_ms: percentile_ms(&timing.each, 99),
            server_cpu_ms: cpu_seconds * 1000.0 / count,
        };
        eprintln!(
            "  {name}, {at_once} at once: {:.0}/s, p50 {:.2} ms, p99 {:.2} ms, {:.3} ms of CPU each",
            phase.per_second, phase.p50_ms, phase.p99_ms, phase.server_cpu_ms
        );
        self.phases.push(phase);
        Ok(())
    }
}

/// Milliseconds below which so many of a hundred lie.
pub(crate) fn percentile_ms(sorted: &[Duration], of_a_hundred: usize) -> f64 {
    let rank = (sorted.len() * of_a_hundred).div_ceil(100);
    sorted
        .get(rank.saturating_sub(1))
        .map_or(0.0, |duration| duration.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_measured_value() {
        let sorted: Vec<Duration> = (1..=100).map(Duration::from_millis).collect();
        assert!((percentile_ms(&sorted, 99) - 99.0).abs() < 1e-9);
        assert!(percentile_ms(&[], 50).abs() < 1e-9);
    }
}
