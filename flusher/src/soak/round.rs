//! One round: start, suffer, recover, drain, verify.

use super::INTERRUPTED;
use super::disk::Disk;
use super::draw::{ASKED_MAX, Script};
use super::fault::{Storm, Tally};
use super::offspring::Brood;
use super::order::Order;
use crate::console::Failure;
use crate::stress::acks::Acks;
use crate::stress::herd::Herd;
use crate::stress::record::INCARNATIONS;
use crate::stress::verify::{self, Claim, Verdict};
use crate::stress::watch::{Silence, Takeovers};
use crlog::{Log, Stats};
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// No acknowledgement for so long is a stall. No stop and no full disk lasts a tenth of it.
const STALL: Duration = Duration::from_secs(30);
/// A longer time between two looks is too long to measure anything.
const BLIND: Duration = Duration::from_millis(100);
/// How long the end of a round may take before it counts as hanging.
const PATIENCE: Duration = Duration::from_secs(60);

/// What came of a round.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Whether all is there.
    pub verdict: Verdict,
    /// What was done.
    pub tally: Tally,
    /// Longest time without any acknowledgement while there should have been some.
    pub silence: Duration,
    /// Times of take-over.
    pub takeovers: Vec<Duration>,
    /// Take-overs that were not measured, because nobody could look.
    pub unmeasured: u64,
    /// Processes that wrote.
    pub incarnations: u64,
    /// Files that were rotated.
    pub rotations: u64,
}

/// A failure, and what was seen when it happened.
#[derive(Debug)]
pub struct Broken {
    /// What is wrong.
    pub failure: Failure,
    /// The log at that time.
    pub stats: Option<Box<Stats>>,
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Broken {
        Broken { failure, stats: None }
    }
}

/// All that a round consists of while it runs.
pub(super) struct Round<'a> {
    pub(super) script: &'a Script,
    pub(super) disk: &'a Disk,
    pub(super) acks: &'a Acks,
    pub(super) log: &'a Log,
    pub(super) herd: Herd<'a>,
    pub(super) brood: Brood,
    pub(super) storm: Storm,
    pub(super) tally: Tally,
    pub(super) order: Order,
    pub(super) takeovers: Takeovers,
    pub(super) begun: Instant,
    /// Rotations that were asked for.
    pub(super) asked: u32,
    /// Log files that were moved or copied.
    pub(super) by_hand: u64,
    /// Until when the disk stays full.
    pub(super) full_until: Option<Instant>,
    full_lately: Instant,
    /// The flusher that is stopped, and until when.
    pub(super) stopped: Option<(u64, Instant)>,
    /// Runs of `crlog stat`, with the time by which they must have ended.
    pub(super) lookers: Vec<(std::process::Child, Instant)>,
    looked: Instant,
    unmeasured: u64,
    silence: Silence,
    moving: (u64, Instant),
}

/// Does all that the script says, for `time` at most.
pub fn run(
    script: &Script,
    disk: &Disk,
    time: Duration,
    interrupted: &AtomicBool,
) -> Result<Outcome, Broken> {
    let plan = &script.plan;
    plan.check()?;
    let acks = Acks::create(&plan.acks, INCARNATIONS).map_err(Failure::failed)?;
    acks.limit(1);
    // Keeps the log in being when all others are dead at once; never flushes while they live.
    let log = plan.share.options("crlog soak").flusher_thread(false).open().map_err(Failure::failed)?;
    let begun = Instant::now();
    let mut round = Round {
        script,
        disk,
        acks: &acks,
        log: &log,
        herd: Herd::start(plan, &acks)?,
        brood: Brood::default(),
        storm: Storm::new(script.rng.clone(), &script.faults, plan.every, begun),
        tally: Tally::default(),
        order: Order::default(),
        takeovers: Takeovers::default(),
        begun,
        asked: 0,
        by_hand: 0,
        full_until: None,
        full_lately: begun,
        stopped: None,
        lookers: Vec::new(),
        looked: begun,
        unmeasured: 0,
        silence: Silence::new(begun),
        moving: (0, begun),
    };
    let seen = |failure| Broken { failure, stats: log.stats().ok().map(Box::new) };
    while begun.elapsed() < time {
        if interrupted.load(Ordering::Relaxed) {
            return Err(Failure {
                status: INTERRUPTED,
                message: "interrupted: this round was not verified".into(),
            }
            .into());
        }
        round.tick(time).map_err(seen)?;
    }
    let (claims, outcome, order) = round.end().map_err(seen)?;
    drop(log);
    judge(script, &claims, outcome, &order)
}

fn judge(script: &Script, claims: &[Claim], outcome: Outcome, order: &Order) -> Result<Outcome, Broken> {
    let share = &script.plan.share;
    if outcome.rotations > u64::from(share.backups) {
        return Err(Failure::failed(format!(
            "{} files were rotated and only {} are kept: this run cannot be judged, which is its own fault",
            outcome.rotations, share.backups
        ))
        .into());
    }
    let files = order.files(&share.path).map_err(Failure::failed)?;
    let verdict = verify::verify_files(&files, script.plan.maker(), claims).map_err(Failure::failed)?;
    Ok(Outcome { verdict, ..outcome })
}

impl Round<'_> {
    fn tick(&mut self, time: Duration) -> Result<(), Failure> {
        let now = Instant::now();
        self.herd.sidecars_may_fail = self.full_until.is_some() || now < self.full_lately;
        self.herd.tend(true)?;
        self.tend_offspring(now);
        self.pace(now, time);
        self.mend(now)?;
        self.tend_lookers()?;
        if let Some(fault) = self.storm.due(now) {
            let done = self.strike(fault)?;
            self.tally.count(fault, u64::from(done));
        }
        self.look(Instant::now())?;
        let rest = if self.takeovers.waiting() { 100 } else { 500 };
        std::thread::sleep(Duration::from_micros(rest));
        Ok(())
    }

    pub(super) fn tend_offspring(&mut self, now: Instant) {
        let present: Vec<u32> = self.herd.producers.iter().map(|p| p.id).collect();
        for place in self.brood.tend(self.acks, &self.script.plan.acks, &present, now) {
            self.kill_producer(place);
        }
    }

    /// No faster than the files can hold until time is up; who writes more waits for the next share.
    fn pace(&self, now: Instant, time: Duration) {
        let parts = self.script.bursts;
        let share = (now - self.begun).as_secs_f64() / time.as_secs_f64();
        let part = ((parts as f64 * share) as u64 + 1).min(parts);
        self.acks.limit(self.script.capacity() / parts * part);
    }

    /// Whose time is over: room on the disk again, the flusher goes on.
    pub(super) fn mend(&mut self, now: Instant) -> Result<(), Failure> {
        if self.full_until.is_some_and(|until| now >= until) {
            self.make_room();
        }
        if self.stopped.is_some_and(|(_, until)| now >= until) {
            self.let_go();
        }
        Ok(())
    }

    pub(super) fn make_room(&mut self) {
        self.full_until = None;
        // The flusher's next attempt may be a second away.
        self.full_lately = Instant::now() + Duration::from_secs(3);
        self.disk.empty();
    }

    fn tend_lookers(&mut self) -> Result<(), Failure> {
        let mut bad = None;
        self.lookers.retain_mut(|(child, by)| match child.try_wait() {
            Ok(Some(status)) if status.success() => false,
            Ok(None) if Instant::now() < *by => true,
            Ok(None) => {
                bad = Some("crlog stat hangs".to_string());
                true
            }
            other => {
                bad = Some(format!("crlog stat failed while the log was in use: {other:?}"));
                false
            }
        });
        bad.map_or(Ok(()), |why| Err(Failure::failed(why)))
    }

    fn look(&mut self, now: Instant) -> Result<(), Failure> {
        let mut progress = self.herd.progress();
        progress.extend(self.brood.progress(self.acks));
        let sum = progress.iter().sum();
        if sum != self.moving.0 || self.acks.starved() {
            self.moving = (sum, now);
        } else if now - self.moving.1 >= STALL {
            return Err(Failure::failed(format!(
                "stalled: no record was acknowledged for {} s",
                STALL.as_secs()
            )));
        }
        // What came to pass while this process did something else, or had no turn, is no measure.
        let blind = now - self.looked > BLIND;
        self.looked = now;
        if blind && self.takeovers.waiting() {
            self.takeovers.forget();
            self.unmeasured += 1;
        }
        let waived = blind
            || self.acks.starved()
            || self.full_until.is_some()
            || now < self.full_lately
            || self.stopped.is_some()
            || self.herd.running().is_empty();
        self.silence.look(progress, waived, now);
        if self.takeovers.waiting()
            && let Some(flusher) = self.log.stats().ok().and_then(|stats| stats.flusher)
        {
            self.takeovers.seen(flusher.epoch, Instant::now());
        }
        Ok(())
    }

    /// Runs `crlog stat` beside everything.
    pub(super) fn run_stat(&mut self) -> Result<bool, Failure> {
        if self.lookers.len() >= 4 {
            return Ok(false);
        }
        let share = &self.script.plan.share;
        let mut command = crate::tool::again()?;
        command.args(["stat", "--json"]).args(share.place.typed()).arg(&share.path);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().map_err(Failure::failed)?;
        self.lookers.push((child, Instant::now() + STALL));
        Ok(true)
    }

    /// What is asked for on top of what sizes bring about, so that no file falls off the end.
    pub(super) fn may_ask_for_rotation(&mut self) -> bool {
        let may = self.asked < ASKED_MAX - 4;
        self.asked += u32::from(may);
        may
    }

    fn end(mut self) -> Result<(Vec<Claim>, Outcome, Order), Failure> {
        self.make_room();
        self.let_go();
        let mut claims = self.herd.finish_producers(PATIENCE)?;
        self.herd.finish_sidecars(PATIENCE)?;
        self.herd.nobody_left(PATIENCE)?;
        claims.extend(self.brood.claims(self.acks)?);
        let begun = Instant::now();
        while !self.lookers.is_empty() && begun.elapsed() < PATIENCE {
            self.tend_lookers()?;
            std::thread::sleep(Duration::from_millis(1));
        }
        self.log
            .flush(PATIENCE)
            .map_err(|e| Failure::failed(format!("the ring is not drained at the end: {e}")))?;
        let stats = self.log.stats().map_err(Failure::failed)?;
        if stats.lag_records != 0 || stats.counters.corrupt_chunks + stats.counters.lost_corrupt != 0 {
            return Err(Failure::failed(format!(
                "{} records are left in the ring, {} chunks are corrupt, {} records lost by that",
                stats.lag_records, stats.counters.corrupt_chunks, stats.counters.lost_corrupt
            )));
        }
        let outcome = Outcome {
            verdict: Verdict::default(),
            tally: std::mem::take(&mut self.tally),
            silence: self.silence.longest(),
            takeovers: std::mem::take(&mut self.takeovers).sorted(),
            unmeasured: self.unmeasured,
            incarnations: claims.len() as u64,
            rotations: stats.counters.rotations,
        };
        Ok((claims, outcome, std::mem::take(&mut self.order)))
    }
}

/// However a round ends, nobody of it is left.
impl Drop for Round<'_> {
    fn drop(&mut self) {
        self.acks.stop();
        self.herd.kill_all();
        self.brood.kill_all();
        for (child, _) in &mut self.lookers {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The segment of a broken round is nobody's any more.
pub fn clean_up(script: &Script) {
    if let Ok(log) = script.plan.share.options("crlog soak").flusher_thread(false).open() {
        let segment = log.stats().map(|stats| stats.segment).unwrap_or_default();
        let _ = log.flush(Duration::from_secs(5));
        drop(log);
        if Path::new(&segment).exists() {
            let _ = std::fs::remove_file(&segment);
            let _ = std::fs::remove_file(format!("{segment}.lock"));
        }
    }
}
