//! What came of the rounds, in words.

use super::fault::{Fault, Tally};
use super::round::Outcome;
use crate::stress::watch::quantile;
use crate::units::{show_bytes, show_count, show_time};
use std::fmt::Write;
use std::time::{Duration, Instant};

/// A round in a line.
pub fn round(o: &Outcome, time: Duration) -> String {
    let judged = match o.verdict.verified() {
        true => "verified".to_string(),
        false => format!("NOT VERIFIED: {}", faults(o)),
    };
    format!(
        "{} records, {} faults, {} rotations, take-over {}, silence {}, {} with reading: {judged}",
        show_count(o.verdict.acknowledged),
        show_count(o.tally.total()),
        show_count(o.rotations),
        show_time(quantile(&o.takeovers, 1000)),
        show_time(o.silence),
        show_time(time)
    )
}

fn faults(o: &Outcome) -> String {
    let found = o.verdict.faults();
    let words: Vec<_> =
        found.iter().filter(|(_, n)| *n > 0).map(|(name, n)| format!("{} {name}", show_count(*n))).collect();
    format!("{}\n  {}", words.join(", "), o.verdict.examples.join("\n  "))
}

/// All rounds together.
#[derive(Debug)]
pub struct Total {
    begun: Instant,
    rounds: u32,
    verified: u32,
    tally: Tally,
    records: u64,
    bytes: u64,
    finished_after_death: u64,
    incarnations: u64,
    rotations: u64,
    silence: Duration,
    takeovers: Vec<Duration>,
    unmeasured: u64,
    no_mounts: Option<String>,
}

impl Total {
    /// Of no rounds. With a reason why no disk could be filled.
    pub fn new(no_mounts: Option<String>) -> Total {
        Total {
            begun: Instant::now(),
            rounds: 0,
            verified: 0,
            tally: Tally::default(),
            records: 0,
            bytes: 0,
            finished_after_death: 0,
            incarnations: 0,
            rotations: 0,
            silence: Duration::ZERO,
            takeovers: Vec::new(),
            unmeasured: 0,
            no_mounts,
        }
    }

    /// One more round.
    pub fn add(&mut self, o: &Outcome) {
        self.rounds += 1;
        self.verified += u32::from(o.verdict.verified());
        self.tally.add(&o.tally);
        self.records += o.verdict.acknowledged;
        self.bytes += o.verdict.bytes;
        self.finished_after_death += o.verdict.finished_after_death;
        self.incarnations += o.incarnations;
        self.rotations += o.rotations;
        self.silence = self.silence.max(o.silence);
        self.takeovers.extend(&o.takeovers);
        self.unmeasured += o.unmeasured;
    }

    /// A round that did not come to its end.
    pub fn broken(&mut self) {
        self.rounds += 1;
    }

    /// The table at the end.
    pub fn table(&mut self) -> String {
        self.takeovers.sort();
        let mut t = String::from("\n");
        for (fault, words, n) in self.tally.rows() {
            let number = match (&self.no_mounts, fault) {
                (Some(_), Fault::DiskFull) => "LEFT OUT".to_string(),
                _ => show_count(n),
            };
            let _ = writeln!(t, "{words:<52} {number:>10}");
        }
        let times = |per_mille| show_time(quantile(&self.takeovers, per_mille));
        let takeovers = format!(
            "{} measured ({} more were not: nobody could look), median {}, p99 {}, max {}",
            show_count(self.takeovers.len() as u64),
            show_count(self.unmeasured),
            times(500),
            times(990),
            times(1000)
        );
        let records = format!(
            "{} acknowledged by {} processes, {}; {} more of killed ones were finished",
            show_count(self.records),
            show_count(self.incarnations),
            show_bytes(self.bytes),
            show_count(self.finished_after_death)
        );
        let rows = [
            (
                "rounds",
                format!(
                    "{} begun, {} verified, {}",
                    self.rounds,
                    self.verified,
                    show_time(self.begun.elapsed())
                ),
            ),
            ("records", records),
            ("rotations", show_count(self.rotations)),
            ("take-over", takeovers),
            (
                "silence",
                format!(
                    "{} at most without an acknowledgement (disk not full, flusher not stopped)",
                    show_time(self.silence)
                ),
            ),
        ];
        for (name, value) in rows {
            let _ = writeln!(t, "{name:<13} {value}");
        }
        t
    }
}
