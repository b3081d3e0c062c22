//! The driver's hands on a long chain: archives that a rotation did not move at once are moved between two sweeps, some at a time.
//!
//! The pure [`Shift`] says which. As long as it is under way nothing else changes the names of archives: packing and retention wait for the
//! fraction of a second that it takes. A rotation in between makes the rest of the moves itself.
//!
//! | found | done |
//! |---|---|
//! | one that waits, at a take-over | moved on, whoever had begun it |
//! | a name that must be free is taken, no rights, disk full | it waits; told, counted, tried again after 1 s, doubling to 10 min |
//! | the turn ends because its host does | the rest is moved before |
//! | a helper's turn | rotations move all at once; what others put off stays as it is |

use super::{Flusher, Kind, Trouble};
use crate::ring::layout::word;
use crate::ring::mem::Mem;
use crate::rotate::{Failure, Shift};
use crate::sys;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// So many archives are moved by the rotation itself: that takes about a millisecond.
const AT_ONCE: u32 = 64;
/// How long the drain waits for moves, and how many times as long it has before the next ones.
const SLICE_NS: u64 = 300_000;
const RESTS: u64 = 3;
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(600);

/// What the flusher knows of moves that were put off.
#[derive(Debug)]
pub(super) struct Shifter {
    /// There may be some.
    due: bool,
    run: Option<Shift>,
    next_ns: u64,
    delay: Duration,
}

impl Default for Shifter {
    fn default() -> Shifter {
        Shifter { due: true, run: None, next_ns: 0, delay: Duration::ZERO }
    }
}

impl Flusher<'_> {
    /// How many archives a rotation moves itself.
    pub(super) fn moves_at_once(&self) -> u32 {
        if self.kind == Kind::Helper { u32::MAX } else { AT_ONCE }
    }

    /// Names have changed: what was seen of them counts no more. Perhaps a rotation has put moves off.
    pub(super) fn shift_anew(&mut self, put_off: bool) {
        self.shifter.run = None;
        if put_off {
            self.shifter = Shifter::default();
        }
    }

    /// Archives have other names from one slice to the next.
    pub(super) fn is_shifting(&self) -> bool {
        self.shifter.run.is_some()
    }

    /// At most until the next slice.
    pub(super) fn until_shifting(&self, limit: Duration) -> Duration {
        if self.kind == Kind::Helper || !self.shifter.due || !self.is_at_rest() {
            return limit;
        }
        let wait = self.shifter.next_ns.saturating_sub(sys::monotonic_ns());
        limit.min(Duration::from_nanos(wait.max(super::MS / 4)))
    }

    /// Between two sweeps: some moves.
    pub(super) fn shift(&mut self, now: u64) -> Result<(), Trouble> {
        let may = self.kind != Kind::Helper && self.shifter.due && self.is_at_rest();
        if !may || now < self.shifter.next_ns {
            return Ok(());
        }
        let done = self.shift_until(now + SLICE_NS);
        let end = sys::monotonic_ns();
        self.shifter.next_ns = self.shifter.next_ns.max(end + RESTS * end.saturating_sub(now));
        done
    }

    /// The turn ends, and nobody may come for a long time.
    pub(super) fn finish_shift(&mut self) -> Result<(), Trouble> {
        let may = self.kind != Kind::Helper && self.shifter.due && self.is_at_rest();
        if may { self.shift_until(u64::MAX) } else { Ok(()) }
    }

    fn shift_until(&mut self, end_ns: u64) -> Result<(), Trouble> {
        let mut shift = match self.shifter.run.take() {
            Some(shift) => shift,
            None => match self.begin_shift() {
                Ok(Some(shift)) => shift,
                Ok(None) => {
                    self.shifter.due = false;
                    return Ok(());
                }
                Err(trouble) => {
                    self.shift_failed(&trouble);
                    return Ok(());
                }
            },
        };
        self.forget_seen();
        while let Some(action) = shift.next() {
            if sys::monotonic_ns() >= end_ns {
                self.shifter.run = Some(shift);
                return Ok(());
            }
            match self.act(&action) {
                Err(Trouble::Deposed) => return Err(Trouble::Deposed),
                Err(trouble) => {
                    shift.report(Err(why(&trouble)));
                    if shift.failure().is_some() {
                        self.shift_failed(&trouble);
                        return Ok(());
                    }
                }
                Ok(()) => shift.report(Ok(())),
            }
        }
        // Once more: another one may wait. If not, that was all.
        if !std::mem::take(&mut self.shifter.delay).is_zero() {
            self.at.mem().store(word::FLUSHER_ERROR, 0, Relaxed);
        }
        self.keep_anew();
        self.pack_soon();
        Ok(())
    }

    fn begin_shift(&self) -> Result<Option<Shift>, Trouble> {
        let names = sys::dir::list(&self.at.dir).map_err(|e| Trouble::Io("list the directory of", e))?;
        Ok(Shift::start(&self.config.policy, &self.naming, &names))
    }

    fn shift_failed(&mut self, trouble: &Trouble) {
        let shifter = &mut self.shifter;
        shifter.delay = (shifter.delay * 2).clamp(RETRY_MIN, RETRY_MAX);
        let retry = shifter.delay;
        shifter.next_ns = sys::monotonic_ns() + u64::try_from(retry.as_nanos()).unwrap_or(u64::MAX);
        self.failed(trouble);
        self.complain(trouble, retry);
    }
}

fn why(trouble: &Trouble) -> Failure {
    match trouble {
        Trouble::Io(_, e) => Failure::from(e.kind()),
        _ => Failure::Other,
    }
}
