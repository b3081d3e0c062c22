//! When a rotation that failed is tried again.
use super::machine::Outcome;

/// Milliseconds until the first retry.
pub const FIRST_DELAY_MS: u64 = 100;
/// No delay is longer.
pub const DELAY_MS_MAX: u64 = 30_000;

/// Doubling delays between attempts that fail: 100 ms, 200 ms, ... 30 s.
///
/// Times are those of any clock that does not go back; a process starts with a new one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    failures: u32,
    due_ms: u64,
}

impl Backoff {
    /// Whether an attempt may be made now.
    #[must_use]
    pub fn is_due(&self, now_ms: u64) -> bool {
        now_ms >= self.due_ms
    }

    /// When the next attempt may be made; 0 if nothing failed.
    #[must_use]
    pub fn due_ms(&self) -> u64 {
        self.due_ms
    }

    /// How many attempts have failed in a row.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Takes note of how an attempt ended. Anything but a failure ends the waiting.
    pub fn note(&mut self, outcome: Outcome, now_ms: u64) {
        if outcome.failure().is_none() {
            *self = Self::default();
            return;
        }
        let delay_ms = FIRST_DELAY_MS.saturating_mul(1 << self.failures.min(16)).min(DELAY_MS_MAX);
        self.failures = self.failures.saturating_add(1);
        self.due_ms = now_ms.saturating_add(delay_ms);
    }
}

#[cfg(test)]
#[path = "retry_tests.rs"]
mod tests;
