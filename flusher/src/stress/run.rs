//! A run from beginning to end: start, suffer, stop, drain, verify.

use super::acks::Acks;
use super::chaos::{Blow, Chaos};
use super::herd::Herd;
use super::plan::Plan;
use super::record::INCARNATIONS;
use super::verify::{self, Verdict};
use super::watch::{Silence, Takeovers};
use crate::console::Failure;
use crlog::{Log, Stats};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long the end of a run may take before it counts as hanging.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was done to the processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Blows {
    pub producers_killed: u64,
    pub flushers_killed: u64,
    pub stopped: u64,
    pub stopped_inside: u64,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Whether all is there.
    pub verdict: Verdict,
    /// What was done.
    pub blows: Blows,
    /// Processes that wrote, one after the other.
    pub incarnations: u64,
    /// From the first start to the end of the last writing process.
    pub writing: Duration,
    /// Whether it was slowed down so that the files hold everything: its rate says little then.
    pub paced: bool,
    /// Longest time without any acknowledgement.
    pub silence: Duration,
    /// Times of take-over, shortest first.
    pub takeovers: Vec<Duration>,
    /// The log at the end.
    pub stats: Stats,
}

/// What a caller may want to tell while it goes on.
#[derive(Clone, Copy, Debug)]
pub enum News {
    /// A process that writes was killed.
    ProducerKilled(u64),
    /// The process that writes the file was killed.
    FlusherKilled(u64),
    /// All processes have ended.
    Written,
}

/// Does all that the plan says.
pub fn run(plan: &Plan, tell: &mut dyn FnMut(News)) -> Result<Outcome, Failure> {
    plan.check()?;
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted)).map_err(Failure::failed)?;
    }
    let acks = Acks::create(&plan.acks, INCARNATIONS)
        .map_err(|e| Failure::failed(format!("{} cannot be made: {e}", plan.acks.display())))?;
    // Keeps the log in being when all others are dead at once; never flushes while they live.
    let log = plan.share.options("crlog stress").flusher_thread(false).open().map_err(Failure::failed)?;
    let begun = Instant::now();
    let mut round = Round {
        plan,
        acks: &acks,
        log: &log,
        herd: Herd::start(plan, &acks)?,
        chaos: Chaos::new(plan, begun),
        begun,
        blows: Blows::default(),
        paced: false,
        silence: Silence::new(begun),
        takeovers: Takeovers::default(),
        tell,
    };
    while !round.over() {
        if interrupted.load(Ordering::Relaxed) {
            return Err(Failure { status: 130, message: "interrupted: nothing was verified".into() });
        }
        round.tick()?;
    }
    let ended = round.end()?;
    drop(log);
    leave_nothing(plan, &ended.outcome.stats.segment);
    let verdict = verify::verify(&plan.share.path, plan.maker(), &ended.claims)
        .map_err(|e| Failure::failed(format!("the files cannot be read: {e}")))?;
    if plan.share.index {
        verify_index(plan, verdict.lines)?;
    }
    Ok(Outcome { verdict, incarnations: ended.claims.len() as u64, ..ended.outcome })
}

/// What the index says must agree with what was read.
fn verify_index(plan: &Plan, records: u64) -> Result<(), Failure> {
    let found = plan.share.options("crlog stress").verify().map_err(Failure::failed)?;
    if found.is_complete() && found.records == records {
        return Ok(());
    }
    Err(Failure::failed(format!(
        "the files hold {records} records, crlog verify finds {} and {:?}",
        found.records, found.findings
    )))
}

/// Whoever leaves last removes the segment, unless it was killed before it could: then this one does,
/// as any later start would.
fn leave_nothing(plan: &Plan, segment: &str) {
    if Path::new(segment).exists()
        && let Ok(log) = plan.share.options("crlog stress").flusher_thread(false).open()
    {
        // Failing is no news: what is missing in the files is found there.
        let _ = log.flush(PATIENCE);
    }
}

struct Round<'a> {
    plan: &'a Plan,
    acks: &'a Acks,
    log: &'a Log,
    herd: Herd<'a>,
    chaos: Chaos,
    begun: Instant,
    blows: Blows,
    paced: bool,
    silence: Silence,
    takeovers: Takeovers,
    tell: &'a mut dyn FnMut(News),
}

struct Ended {
    outcome: Outcome,
    claims: Vec<verify::Claim>,
}

impl Round<'_> {
    fn over(&self) -> bool {
        self.herd.all_done() || self.plan.time.is_some_and(|time| self.begun.elapsed() >= time)
    }

    fn tick(&mut self) -> Result<(), Failure> {
        let now = Instant::now();
        self.herd.tend(true)?;
        self.pace(now);
        if let Some(blow) = self.chaos.due(now) {
            self.strike(blow);
        }
        self.look();
        let rest = if self.takeovers.waiting() { 100 } else { 500 };
        std::thread::sleep(Duration::from_micros(rest));
        Ok(())
    }

    /// Without a fixed number of records, no faster than the files can hold until time is up.
    fn pace(&mut self, now: Instant) {
        let (None, Some(time)) = (self.plan.records, self.plan.time) else { return };
        let capacity = self.plan.capacity();
        if capacity == u64::MAX {
            return;
        }
        let share = (now - self.begun).as_secs_f64() / time.as_secs_f64();
        // A fifth is left for what is written between two looks, and as a start.
        let allowed = capacity as f64 * (0.05 + 0.75 * share.min(1.0));
        let pause = self.herd.bytes() as f64 > allowed;
        self.paced |= pause;
        self.acks.pause(pause);
    }

    fn look(&mut self) {
        let nobody = self.acks.paused() || self.herd.running().is_empty();
        let progress = self.herd.progress();
        self.silence.look(progress, nobody, Instant::now());
        if self.takeovers.waiting()
            && let Some(flusher) = self.log.stats().ok().and_then(|stats| stats.flusher)
        {
            self.takeovers.seen(flusher.epoch, Instant::now());
        }
    }

    fn strike(&mut self, blow: Blow) {
        if blow == Blow::KillFlusher {
            return self.kill_flusher();
        }
        let running = self.herd.running();
        // At least half of the processes are left running.
        if running.len() * 2 <= self.herd.producers.len() && self.herd.producers.len() > 1 {
            return;
        }
        let Some(place) = self.chaos.rng.pick(&running) else { return };
        match blow {
            Blow::KillProducer => self.kill_producer(place),
            Blow::Stop(time) => {
                self.herd.stop(place, time);
                self.blows.stopped += 1;
            }
            Blow::StopInside(time) => {
                self.blows.stopped_inside += u64::from(self.herd.stop_inside_a_record(place, time));
            }
            Blow::KillFlusher => {}
        }
    }

    fn kill_producer(&mut self, place: usize) {
        let pid = self.herd.pid(place);
        let flusher = self.log.stats().ok().and_then(|stats| stats.flusher).filter(|f| Some(f.pid) == pid);
        self.herd.kill(place);
        self.blows.producers_killed += 1;
        if let Some(flusher) = flusher {
            self.blows.flushers_killed += 1;
            self.takeovers.killed(flusher.epoch, Instant::now());
        }
        (self.tell)(News::ProducerKilled(pid.unwrap_or_default()));
    }

    fn kill_flusher(&mut self) {
        if self.takeovers.waiting() {
            return;
        }
        let Some(flusher) = self.log.stats().ok().and_then(|stats| stats.flusher) else { return };
        let at = Instant::now();
        if self.herd.kill_pid(flusher.pid) {
            self.blows.flushers_killed += 1;
            self.blows.producers_killed += u64::from(!flusher.sidecar);
            self.takeovers.killed(flusher.epoch, at);
            (self.tell)(News::FlusherKilled(flusher.pid));
        }
    }

    fn end(mut self) -> Result<Ended, Failure> {
        let claims = self.herd.finish_producers(PATIENCE)?;
        let writing = self.begun.elapsed();
        (self.tell)(News::Written);
        let undrained = self
            .log
            .flush(PATIENCE)
            .map_err(|e| Failure::failed(format!("the ring is not drained at the end: {e}")));
        let stats = self.log.stats().map_err(Failure::failed)?;
        undrained?;
        self.herd.finish_sidecars(PATIENCE)?;
        let outcome = Outcome {
            verdict: Verdict::default(),
            blows: self.blows,
            incarnations: 0,
            writing,
            paced: self.paced,
            silence: self.silence.longest(),
            takeovers: self.takeovers.sorted(),
            stats,
        };
        Ok(Ended { outcome, claims })
    }
}
