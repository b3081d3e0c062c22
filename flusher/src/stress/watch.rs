//! What is measured while processes suffer.

use std::time::{Duration, Instant};

/// The longest time in which no running producer got a record acknowledged.
#[derive(Debug)]
pub struct Silence {
    progress: Vec<u64>,
    since: Instant,
    longest: Duration,
}

impl Silence {
    /// From now on.
    pub fn new(now: Instant) -> Silence {
        Silence { progress: Vec::new(), since: now, longest: Duration::ZERO }
    }

    /// Looks at how far each producer is; `waived` if silence is no wonder: all paused, or none running.
    pub fn look(&mut self, progress: Vec<u64>, waived: bool, now: Instant) {
        if waived || progress != self.progress {
            self.longest = self.longest.max(if waived { Duration::ZERO } else { now - self.since });
            self.since = now;
            self.progress = progress;
        } else {
            self.longest = self.longest.max(now - self.since);
        }
    }

    /// The longest so far.
    pub fn longest(&self) -> Duration {
        self.longest
    }
}

/// Times from the death of a flusher until another one is at work.
#[derive(Debug, Default)]
pub struct Takeovers {
    waiting: Option<(u64, Instant)>,
    times: Vec<Duration>,
}

impl Takeovers {
    /// The flusher of this epoch was killed at that time.
    pub fn killed(&mut self, epoch: u64, at: Instant) {
        self.waiting.get_or_insert((epoch, at));
    }

    /// True while a successor is awaited.
    pub fn waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// What is waited for is no measure any more.
    pub fn forget(&mut self) {
        self.waiting = None;
    }

    /// The flusher at work is of this epoch.
    pub fn seen(&mut self, epoch: u64, now: Instant) {
        if let Some((old, at)) = self.waiting
            && epoch != old
        {
            self.times.push(now - at);
            self.waiting = None;
        }
    }

    /// All times, shortest first.
    pub fn sorted(mut self) -> Vec<Duration> {
        self.times.sort();
        self.times
    }
}

/// The time that `per_mille` thousandths of the sorted times do not exceed.
pub fn quantile(sorted: &[Duration], per_mille: usize) -> Duration {
    let rank = (sorted.len() * per_mille).div_ceil(1000).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_time_without_progress_that_is_not_waived() {
        let t = Instant::now();
        let ms = |n| t + Duration::from_millis(n);
        let mut s = Silence::new(t);
        s.look(vec![1, 0], false, ms(3));
        s.look(vec![1, 0], false, ms(10));
        s.look(vec![1, 1], false, ms(14));
        assert_eq!(s.longest(), Duration::from_millis(11));
        s.look(vec![1, 1], true, ms(90));
        s.look(vec![1, 2], false, ms(95));
        assert_eq!(s.longest(), Duration::from_millis(11));
    }

    #[test]
    fn a_takeover_is_from_the_kill_to_another_epoch() {
        let t = Instant::now();
        let ms = |n| t + Duration::from_millis(n);
        let mut k = Takeovers::default();
        k.seen(4, ms(0));
        k.killed(4, ms(10));
        k.seen(4, ms(11));
        assert!(k.waiting());
        k.seen(5, ms(14));
        assert!(!k.waiting());
        assert_eq!(k.sorted(), [Duration::from_millis(4)]);
    }

    #[test]
    fn quantiles_are_of_the_sample() {
        let sorted: Vec<_> = (1..=100).map(Duration::from_secs).collect();
        assert_eq!(quantile(&sorted, 500), Duration::from_secs(50));
        assert_eq!(quantile(&sorted, 990), Duration::from_secs(99));
        assert_eq!(quantile(&sorted, 1000), Duration::from_secs(100));
        assert_eq!(quantile(&[], 500), Duration::ZERO);
    }
}
