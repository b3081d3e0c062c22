//! What the facts mean. Pure: the same facts, the same findings.
//!
//! Each part gives at least one finding, `ok` if nothing else. Where one thing explains another, only the cause is
//! told: a stopped flusher, and not that records wait as well.

mod counters;
mod files;
mod flusher;
mod memory;
mod place;
mod producers;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;

use super::facts::{Facts, Seen};
use super::finding::{Finding, Severity};
use crlog::Stats;
use std::time::Duration;

/// Two looks at a running log.
struct Looks<'a> {
    facts: &'a Facts,
    first: &'a Stats,
    last: &'a Stats,
    apart: Duration,
}

impl Looks<'_> {
    /// Records that reached the file between the looks.
    fn progress(&self) -> u64 {
        self.last.counters.records.wrapping_sub(self.first.counters.records)
    }

    /// Records waited at both looks and none reached the file in between.
    fn stands_still(&self) -> bool {
        self.first.lag_records > 0 && self.last.lag_records > 0 && self.progress() == 0
    }

    fn alive(&self) -> usize {
        self.last.producers.iter().filter(|p| p.alive).count()
    }
}

/// All findings, the worst first.
pub fn examine(facts: &Facts) -> Vec<Finding> {
    let mut found = place::examine(facts);
    let hopeless =
        found.iter().any(|f| f.severity == Severity::Problem && matches!(f.id, "directory" | "file"));
    found.extend(memory::examine(facts, hopeless));
    if let Seen::Twice(stats, apart) = &facts.seen {
        let looks = Looks { facts, first: &stats[0], last: &stats[1], apart: *apart };
        found.extend(flusher::examine(&looks));
        found.extend(producers::examine(&looks));
        found.extend(files::examine(&looks));
        found.extend(counters::examine(&looks));
    }
    found.sort_by_key(|f| std::cmp::Reverse(f.severity));
    found
}

/// Numbers with their noun.
fn count(n: u64, what: &str) -> String {
    let end = if n == 1 {
        ""
    } else if what.ends_with('s') {
        "es"
    } else {
        "s"
    };
    format!("{} {what}{end}", crate::units::show_count(n))
}
