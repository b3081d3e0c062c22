//! Who suffers next. All of it follows from the seed and from who is there.

use super::plan::Plan;
use super::rng::Rng;
use std::time::{Duration, Instant};

/// Stops last at most this long.
pub const STOP_MAX: Duration = Duration::from_millis(30);

/// Something bad to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blow {
    /// Kill a process that writes.
    KillProducer,
    /// Kill whoever writes the file.
    KillFlusher,
    /// Stop a process that writes, wherever it is, for so long.
    Stop(Duration),
    /// Stop it inside a record.
    StopInside(Duration),
}

/// Blows at random times.
#[derive(Debug)]
pub struct Chaos {
    /// Also for choosing the victim.
    pub rng: Rng,
    kinds: Vec<Kind>,
    /// Blows so far: the first ones are one of each kind, so that a short run has them all.
    count: usize,
    every: Duration,
    next: Instant,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    KillProducer,
    KillFlusher,
    Stop,
}

impl Chaos {
    /// What the plan allows.
    pub fn new(plan: &Plan, now: Instant) -> Chaos {
        let mut kinds = Vec::new();
        kinds.extend(plan.kill_producers.then_some(Kind::KillProducer));
        kinds.extend(plan.kill_flushers.then_some(Kind::KillFlusher));
        kinds.extend(plan.stop_producers.then_some(Kind::Stop));
        Chaos { rng: Rng::new(plan.seed), kinds, count: 0, every: plan.every, next: now + plan.every }
    }

    /// A blow, if it is time for one.
    pub fn due(&mut self, now: Instant) -> Option<Blow> {
        if now < self.next {
            return None;
        }
        let micros = self.every.as_micros() as u64;
        self.next = now + Duration::from_micros(self.rng.between(0, 2 * micros));
        let time = Duration::from_micros(self.rng.between(100, STOP_MAX.as_micros() as u64));
        let any = self.rng.pick(&self.kinds)?;
        self.count += 1;
        match self.kinds.get(self.count - 1).copied().unwrap_or(any) {
            Kind::KillProducer => Some(Blow::KillProducer),
            Kind::KillFlusher => Some(Blow::KillFlusher),
            Kind::Stop if self.rng.below(2) == 0 => Some(Blow::StopInside(time)),
            Kind::Stop => Some(Blow::Stop(time)),
        }
    }
}
