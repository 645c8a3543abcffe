//! What happened, line by line, each with its time. The same seed gives the same lines.

use std::fmt;

use parking_lot::Mutex;
use tokio::time::Instant;

/// The lines of one world.
#[derive(Debug)]
pub struct Trace {
    began: Instant,
    lines: Mutex<Vec<String>>,
}

impl Trace {
    /// Begins now.
    pub fn begin() -> Self {
        Self {
            began: Instant::now(),
            lines: Mutex::default(),
        }
    }

    /// Milliseconds since the beginning.
    pub fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Adds a line.
    pub fn note(&self, what: fmt::Arguments<'_>) {
        let line = format!("{:>8} {what}", self.now_ms());
        self.lines.lock().push(line);
    }

    /// All lines.
    pub fn into_lines(self) -> Vec<String> {
        self.lines.into_inner()
    }

    /// A copy of all lines.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().clone()
    }
}
