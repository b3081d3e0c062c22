//! Kinds of faults, how often each is drawn, and how often each was done.

use crate::stress::rng::Rng;
use std::time::{Duration, Instant};

/// Something bad to do, or something that must not disturb.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Fault {
    KillProducer,
    KillFlusher,
    KillEverybody,
    StopAnywhere,
    StopInRecord,
    StopFlusher,
    ForkWrites,
    ForkKilled,
    ForkOutlives,
    ForkSilent,
    SidecarComes,
    SidecarGoes,
    DiskFull,
    RotateAsked,
    RotateSignal,
    Reopen,
    LogMoved,
    LogTruncated,
    Stat,
}

/// All kinds: how much more often than the rarest each is drawn, and its words in the report.
pub const ALL: [(Fault, u64, &str); 19] = [
    (Fault::KillProducer, 40, "producer killed"),
    (Fault::KillFlusher, 40, "flusher killed"),
    (Fault::KillEverybody, 1, "everybody killed at once"),
    (Fault::StopAnywhere, 20, "producer stopped anywhere"),
    (Fault::StopInRecord, 20, "producer stopped inside a record"),
    (Fault::StopFlusher, 4, "flusher stopped"),
    (Fault::ForkWrites, 8, "fork, the child writes and ends"),
    (Fault::ForkKilled, 8, "fork, the child writes and is killed"),
    (Fault::ForkOutlives, 8, "fork, the parent is killed, the child writes on"),
    (Fault::ForkSilent, 4, "fork, the parent is killed, the child does nothing"),
    (Fault::SidecarComes, 3, "sidecar comes"),
    (Fault::SidecarGoes, 3, "sidecar goes"),
    (Fault::DiskFull, 3, "disk filled up, later room again"),
    (Fault::RotateAsked, 6, "rotation asked for"),
    (Fault::RotateSignal, 3, "rotation asked for by a signal"),
    (Fault::Reopen, 6, "reopening asked for"),
    (Fault::LogMoved, 6, "log file moved away"),
    (Fault::LogTruncated, 3, "log file copied and truncated"),
    (Fault::Stat, 8, "crlog stat run"),
];

/// How often each kind was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally([u64; ALL.len()]);

impl Tally {
    /// So many more.
    pub fn count(&mut self, fault: Fault, times: u64) {
        if let Some(i) = ALL.iter().position(|(f, _, _)| *f == fault) {
            self.0[i] += times;
        }
    }

    /// Those of another round.
    pub fn add(&mut self, other: &Tally) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }

    /// All kinds with their words and numbers.
    pub fn rows(&self) -> impl Iterator<Item = (Fault, &'static str, u64)> {
        ALL.iter().zip(self.0).map(|((fault, _, words), n)| (*fault, *words, n))
    }

    /// All together.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

/// Faults at random times.
#[derive(Debug)]
pub struct Storm {
    /// Also for choosing victims and times.
    pub rng: Rng,
    kinds: Vec<(Fault, u64)>,
    /// So far: the first ones are one of each kind, so that a short round has them all.
    count: usize,
    every: Duration,
    next: Instant,
}

impl Storm {
    /// Of these kinds, in the mean one in this time.
    pub fn new(rng: Rng, kinds: &[Fault], every: Duration, now: Instant) -> Storm {
        let weighed = ALL.iter().filter(|(f, _, _)| kinds.contains(f)).map(|(f, w, _)| (*f, *w));
        Storm { rng, kinds: weighed.collect(), count: 0, every, next: now + 4 * every }
    }

    /// A fault, if it is time for one.
    pub fn due(&mut self, now: Instant) -> Option<Fault> {
        if now < self.next {
            return None;
        }
        self.next = now + Duration::from_micros(self.rng.between(0, 2 * self.every.as_micros() as u64));
        let drawn = self.draw()?;
        self.count += 1;
        Some(self.kinds.get(self.count - 1).map_or(drawn, |(fault, _)| *fault))
    }

    fn draw(&mut self) -> Option<Fault> {
        let mut left = self.rng.below(self.kinds.iter().map(|(_, w)| w).sum());
        let hit = self.kinds.iter().find(|(_, w)| {
            let here = left < *w;
            left = left.saturating_sub(*w);
            here
        });
        hit.map(|(fault, _)| *fault)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_has_each_of_its_kinds_and_no_other_and_is_the_same_for_the_same_seed() {
        let kinds = [Fault::KillFlusher, Fault::DiskFull, Fault::Stat];
        let storm = |seed| {
            let now = Instant::now();
            let mut s = Storm::new(Rng::new(seed), &kinds, Duration::from_millis(1), now);
            (0..500).filter_map(|ms| s.due(now + Duration::from_millis(ms))).collect::<Vec<_>>()
        };
        let faults = storm(3);
        assert_eq!(faults[..3], kinds);
        assert_eq!(faults, storm(3));
        assert_ne!(faults, storm(4));
        assert!(faults.iter().all(|f| kinds.contains(f)));
        let count = |f| faults.iter().filter(|x| **x == f).count();
        assert!(count(Fault::KillFlusher) > count(Fault::DiskFull));
    }

    #[test]
    fn a_tally_adds_up() {
        let mut a = Tally::default();
        a.count(Fault::Reopen, 2);
        let mut b = a.clone();
        b.count(Fault::KillProducer, 1);
        a.add(&b);
        assert_eq!(a.total(), 5);
        assert_eq!(a.rows().find(|r| r.0 == Fault::Reopen).unwrap().2, 4);
    }
}
