//! A thread's handle for writing.

use crate::attached::{Attached, Membership};
use crate::error::{AppendError, DurableError, FlushError};
use crate::escape::{Escape, Escaped};
use crate::log::Core;
use crate::options::{TERMINATOR_MAX, WhenFull};
use crate::ring::append::{Lessee, Line, Parts, Payload, Producer, Refused};
use crate::ring::layout::{gate, slot, word};
use crate::ring::mem::Mem;
use crate::ring::note::LEVEL_NAMES;
use crate::sys::{self, Epoch};
use crossbeam_utils::Backoff;
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, Release, SeqCst};
use std::sync::atomic::compiler_fence;
use std::time::Duration;

/// How urgent a record is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Severity {
    /// Finest detail.
    Trace = 0,
    /// For developers.
    Debug = 1,
    /// The ordinary course of things.
    #[default]
    Info = 2,
    /// Something to look at.
    Warn = 3,
    /// Something failed.
    Error = 4,
    /// Everything failed.
    Critical = 5,
}

impl Severity {
    /// All of them, from the finest.
    pub const ALL: [Severity; 6] = [
        Severity::Trace,
        Severity::Debug,
        Severity::Info,
        Severity::Warn,
        Severity::Error,
        Severity::Critical,
    ];

    /// Its name in lower case, such as `warn`.
    pub fn name(self) -> &'static str {
        LEVEL_NAMES.get(self as usize).copied().unwrap_or_default()
    }
}

impl std::fmt::Display for Severity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// How often one call follows a log to a successor segment.
const MOVES_MAX: usize = 100;
/// How long a call that moves to a successor waits until the old segment is drained.
const MOVE_MIN: Duration = Duration::from_millis(50);
const MOVE_MAX: Duration = Duration::from_secs(30);
/// Longest single wait for room before the writer looks whether anybody still flushes.
const WAIT_MAX: Duration = Duration::from_millis(50);

/// Writes records: one per thread, made by [`Log::writer`](crate::Log::writer).
///
/// When a call returns `Ok`, the record is out of the process: it reaches the file even if this
/// process is killed in the next instant. While the flusher is awake a call makes no system call.
/// Between records a writer holds at most one chunk of the ring, and nothing that others wait for.
pub struct Writer {
    core: Arc<Core>,
    at: Arc<Membership>,
    producer: Producer,
    epoch: Epoch,
    end: [u8; TERMINATOR_MAX],
    end_len: usize,
    when_full: Option<WhenFull>,
    durable: bool,
    escape: Escape,
    interrupt: Option<Interrupt>,
}

// As for `Log`: a panic of the host's between two calls, or of what it has the writer ask, finds each record taken or not.
impl UnwindSafe for Writer {}
impl RefUnwindSafe for Writer {}

/// Asked while a call waits for room: whether it is to give up.
pub type Interrupt = Arc<dyn Fn() -> bool + Send + Sync>;

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer")
            .field("core", &self.core)
            .field("producer", &self.producer)
            .finish_non_exhaustive()
    }
}

impl Writer {
    pub(crate) fn new(core: Arc<Core>, at: Arc<Membership>) -> Writer {
        let a = &at.0;
        let mut end = [0; TERMINATOR_MAX];
        let end_len = a.config.terminator.len().min(TERMINATOR_MAX);
        for (to, from) in end.iter_mut().zip(&a.config.terminator) {
            *to = *from;
        }
        let number = a.slot.unwrap_or(0);
        // Spread the starting points, so that new producers do not all try the same chunk.
        let hint = number.wrapping_mul(0x9e37) % a.geometry.chunks();
        let mem = a.mem();
        let at_slot = a.geometry.slot(number);
        let who = Lessee {
            writer: mem.add(word::WRITERS, 1, Relaxed),
            pid: mem.load(at_slot + slot::PID, Relaxed),
            start: mem.load(at_slot + slot::START, Relaxed),
        };
        let producer = Producer::new(a.geometry, number, hint).named(who, a.config.checksums);
        let (epoch, durable, escape) = (a.born, a.config.durable, a.config.escape);
        Writer { core, at, producer, epoch, end, end_len, when_full: None, durable, escape, interrupt: None }
    }

    /// What this writer does when the ring is full, whatever the log says; `None`: what the log says.
    pub fn set_when_full(&mut self, policy: Option<WhenFull>) {
        self.when_full = policy;
    }

    /// What is asked some times a second while a call waits for room in the ring; if the answer is true, the call gives up with
    /// [`AppendError::Interrupted`]. For hosts with signals or deadlines of their own. It must not use this writer.
    pub fn set_interrupt(&mut self, interrupt: Option<Interrupt>) {
        self.interrupt = interrupt;
    }

    /// Records that this writer has committed, since it was made or attached anew after a fork.
    pub fn written(&self) -> u64 {
        self.producer.written()
    }

    /// Writes one record of severity Info: `bytes` and the terminator.
    #[inline]
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), AppendError> {
        self.log(Severity::Info, bytes)
    }

    /// Writes one record: `bytes` and the terminator.
    #[inline]
    pub fn log(&mut self, severity: Severity, bytes: &[u8]) -> Result<(), AppendError> {
        if self.escape != Escape::None {
            return self.log_escaped(severity, bytes);
        }
        self.log_as_is(severity, bytes)
    }

    /// Writes one record if that can be done at once. `false`: nothing was done and nothing counted, [`Writer::log`] would
    /// have to wait for room or for the disk, to attach anew, or refuse the record. For callers that hold something others
    /// wait for, such as an interpreter's lock: they let go of it and call `log`.
    #[inline]
    pub fn log_at_once(&mut self, severity: Severity, bytes: &[u8]) -> bool {
        if self.durable || !self.epoch.is_current() {
            return false;
        }
        let (end, end_len) = (self.end, self.end_len);
        let end = end.get(..end_len).unwrap_or(&[]);
        let level = severity as u8;
        let done = if self.escape == Escape::None {
            self.producer.append(self.at.0.mem(), level, &Line { bytes, end })
        } else {
            let bytes = &self.escape.whole(bytes);
            self.producer.append(self.at.0.mem(), level, &Line { bytes, end })
        };
        self.ring_if_needed();
        done.is_ok()
    }

    #[inline]
    fn log_as_is(&mut self, severity: Severity, bytes: &[u8]) -> Result<(), AppendError> {
        let (end, end_len) = (self.end, self.end_len);
        self.put(severity, &Line { bytes, end: end.get(..end_len).unwrap_or(&[]) })
    }

    #[inline(never)]
    fn log_escaped(&mut self, severity: Severity, bytes: &[u8]) -> Result<(), AppendError> {
        self.log_as_is(severity, &self.escape.whole(bytes))
    }

    /// Writes one record, and returns when it is on the disk: when a sync that covers it is done. All who wait
    /// at one time, in all processes, share one sync. `limit` is for the disk alone, see [`Log::sync`](crate::Log::sync).
    pub fn append_durable(
        &mut self,
        severity: Severity,
        bytes: &[u8],
        limit: Duration,
    ) -> Result<(), DurableError> {
        let before = self.removals();
        self.log(severity, bytes)?;
        self.at.0.sync(limit).map_err(|failed| DurableError::Sync(failed.tell(&self.at.0, limit)))?;
        if self.removed_since(before) { Err(DurableError::Sync(FlushError::Removed)) } else { Ok(()) }
    }

    /// Of which segment, and how often its log file was removed by others.
    fn removals(&self) -> (*const Attached, u64) {
        (Arc::as_ptr(&self.at.0), self.at.0.removals())
    }

    /// Then nobody knows whether a record that was written since is gone with the file. (In another segment than before, the
    /// sync alone tells.)
    fn removed_since(&self, (segment, before): (*const Attached, u64)) -> bool {
        let (now, after) = self.removals();
        segment == now && before != after
    }

    /// Writes one record without ever waiting, allocating or locking: the only call of crlog that a signal
    /// handler may make, through a writer that nothing else uses.
    ///
    /// Whatever would take more than that is refused: a full ring ([`AppendError::Full`], counted as a drop,
    /// whatever the policy says), a record longer than a chunk takes ([`AppendError::TooLong`]), and a record of a process
    /// that is not attached at this moment ([`AppendError::Detached`]): a forked child's first one, or one right after somebody
    /// removed the segment. In a log that is durable throughout it does not wait for the disk either.
    ///
    /// After [`AppendError::Detached`] a thread of its own attaches, usually within milliseconds, and a later call succeeds.
    /// What was refused until then is counted as dropped. Only a call that may be in a signal handler starts no thread:
    /// then another call has to attach, of any writer of this log, or [`Log::attach`](crate::Log::attach).
    pub fn try_log(&mut self, severity: Severity, bytes: &[u8]) -> Result<(), AppendError> {
        if !self.epoch.is_current() && !self.take_fresh() {
            return self.refuse_detached(severity);
        }
        let (end, end_len) = (self.end, self.end_len);
        let end = end.get(..end_len).unwrap_or(&[]);
        if self.escape == Escape::None {
            self.try_put(severity, &Line { bytes, end })
        } else {
            self.try_put(severity, &Escaped::new(self.escape, bytes, end))
        }
    }

    fn try_put(&mut self, severity: Severity, record: &impl Payload) -> Result<(), AppendError> {
        let (len, max) = (record.len(), self.at.0.geometry.inline_max());
        if len > max {
            self.count(slot::TOO_LONG, 1);
            return Err(AppendError::TooLong { len, max });
        }
        match self.try_here(severity, record) {
            Some(done) => done,
            None => self.try_put_moved(severity, record),
        }
    }

    /// One attempt in the present segment; `None` if it is retired.
    #[inline]
    fn try_here(&mut self, severity: Severity, record: &impl Payload) -> Option<Result<(), AppendError>> {
        let done = self.producer.append(self.at.0.mem(), severity as u8, record);
        self.ring_if_needed();
        match done {
            Ok(_) => Some(Ok(())),
            Err(Refused::Full | Refused::TooLong) => {
                self.count_drops(severity, 1);
                Some(Err(AppendError::Full))
            }
            Err(Refused::Retired) => None,
        }
    }

    /// The segment is retired: in its successor, if this process is attached to that by now.
    #[cold]
    fn try_put_moved(&mut self, severity: Severity, record: &impl Payload) -> Result<(), AppendError> {
        self.producer.seal(self.at.0.mem());
        if !self.at.0.may_be_left() || !self.take_fresh() {
            return self.refuse_detached(severity);
        }
        self.try_here(severity, record).unwrap_or_else(|| self.refuse_detached(severity))
    }

    /// Goes on with this process's attachment, if there is one. Neither waits nor allocates.
    #[cold]
    fn take_fresh(&mut self) -> bool {
        match self.core.take_fresh(&self.at) {
            Some(fresh) => self.go_on_with(fresh),
            None => return false,
        }
        true
    }

    #[cold]
    fn refuse_detached(&self, severity: Severity) -> Result<(), AppendError> {
        self.core.reattach.count(severity as u8, 1);
        self.core.reattach.ask(&self.core);
        Err(AppendError::Detached)
    }

    fn go_on_with(&mut self, at: Arc<Membership>) {
        let (when_full, interrupt) = (self.when_full, self.interrupt.take());
        *self = Writer::new(Arc::clone(&self.core), at);
        (self.when_full, self.interrupt) = (when_full, interrupt);
    }

    /// Writes one record that consists of several parts, without putting them together first.
    pub fn append_vectored(&mut self, severity: Severity, parts: &[&[u8]]) -> Result<(), AppendError> {
        if self.escape != Escape::None {
            // A character may begin in one part and end in the next.
            return self.log_escaped(severity, &parts.concat());
        }
        let (end, end_len) = (self.end, self.end_len);
        let mut all: Vec<&[u8]> = Vec::with_capacity(parts.len() + 1);
        all.extend_from_slice(parts);
        all.push(end.get(..end_len).unwrap_or(&[]));
        self.put(severity, &Parts(&all))
    }

    /// Writes several records, each with its terminator; returns how many were taken: all, unless one in the
    /// middle could not be. Call again with the rest, and the error says why: an error means that not even the
    /// first was taken. If the ring is full and the policy gives up, it means that all of them are dropped and counted.
    ///
    /// Records that share a chunk become visible together and cost one commit.
    pub fn append_batch(&mut self, severity: Severity, records: &[&[u8]]) -> Result<usize, AppendError> {
        if self.escape == Escape::None {
            return self.append_lines(severity, records);
        }
        let escaped: Vec<_> = records.iter().map(|bytes| self.escape.whole(bytes)).collect();
        let records: Vec<&[u8]> = escaped.iter().map(AsRef::as_ref).collect();
        self.append_lines(severity, &records)
    }

    fn append_lines(&mut self, severity: Severity, records: &[&[u8]]) -> Result<usize, AppendError> {
        self.stay_attached(severity, records.len() as u64)?;
        let (end, end_len) = (self.end, self.end_len);
        let end = end.get(..end_len).unwrap_or(&[]);
        let lines: Vec<Line<'_>> = records.iter().map(|bytes| Line { bytes, end }).collect();
        let mut done = 0;
        while let Some(rest) = lines.get(done..)
            && !rest.is_empty()
        {
            let at = Arc::clone(&self.at);
            let level = severity as u8;
            let taken = match self.producer.append_batch(at.0.mem(), level, rest) {
                Ok(n) => Ok(n),
                Err(Refused::TooLong) if done > 0 => break, // the next call says so
                Err(refused) => {
                    let count = if done == 0 { rest.len() as u64 } else { 0 };
                    let len = rest.first().map_or(0, Payload::len);
                    self.refused(refused, severity, len, count, |p| p.append_batch(at.0.mem(), level, rest))
                }
            };
            self.ring_if_needed();
            match taken {
                Ok(n) => done += n,
                Err(Denied::Retired) => self.move_on(severity)?,
                Err(Denied::Error(e)) if done == 0 => return Err(e),
                Err(Denied::Error(_)) => break,
            }
        }
        if self.durable && done > 0 {
            self.wait_for_the_disk()?;
        }
        Ok(done)
    }

    /// Writes half of the record, stops its own process (SIGSTOP), and writes the rest when it is
    /// continued: what a stopped producer looks like, for tests.
    #[doc(hidden)]
    pub fn append_stopping_in_the_middle(&mut self, bytes: &[u8]) -> Result<(), AppendError> {
        let (end, end_len) = (self.end, self.end_len);
        let line = Line { bytes, end: end.get(..end_len).unwrap_or(&[]) };
        self.put(Severity::Info, &Stopping(line))
    }

    #[inline]
    fn put(&mut self, severity: Severity, record: &impl Payload) -> Result<(), AppendError> {
        if self.durable { self.put_durably(severity, record) } else { self.put_now(severity, record) }
    }

    /// In a log that is durable throughout.
    #[cold]
    #[inline(never)]
    fn put_durably(&mut self, severity: Severity, record: &impl Payload) -> Result<(), AppendError> {
        let before = self.removals();
        self.put_now(severity, record)?;
        self.wait_for_the_disk()?;
        if self.removed_since(before) { Err(AppendError::NotOnDisk) } else { Ok(()) }
    }

    #[inline]
    fn put_now(&mut self, severity: Severity, record: &impl Payload) -> Result<(), AppendError> {
        self.stay_attached(severity, 1)?;
        let done = match self.producer.append(self.at.0.mem(), severity as u8, record) {
            Ok(_) => Ok(()),
            Err(refused) => self.put_slowly(refused, severity, record),
        };
        self.ring_if_needed();
        done
    }

    #[cold]
    fn wait_for_the_disk(&self) -> Result<(), AppendError> {
        self.at.0.sync(Duration::MAX).map_err(|_| AppendError::NotOnDisk)
    }

    #[cold]
    #[inline(never)]
    fn put_slowly(
        &mut self,
        refused: Refused,
        severity: Severity,
        record: &impl Payload,
    ) -> Result<(), AppendError> {
        let mut refused = refused;
        for _ in 0..MOVES_MAX {
            if refused == Refused::Retired {
                self.move_on(severity)?;
                match self.producer.append(self.at.0.mem(), severity as u8, record) {
                    Ok(_) => return Ok(()),
                    Err(again) => refused = again,
                }
                continue;
            }
            let at = Arc::clone(&self.at);
            let again = |p: &mut Producer| p.append(at.0.mem(), severity as u8, record).map(|_| ());
            match self.refused(refused, severity, record.len(), 1, again) {
                Err(Denied::Retired) => refused = Refused::Retired,
                Err(Denied::Error(e)) => return Err(e),
                Ok(()) => return Ok(()),
            }
        }
        Err(AppendError::Detached)
    }

    /// The segment is retired: this writer goes on in its successor, behind all that stands in the old one.
    fn move_on(&mut self, severity: Severity) -> Result<(), AppendError> {
        self.producer.seal(self.at.0.mem());
        let policy = self.when_full.unwrap_or_else(|| WhenFull::of(self.at.0.mem(), severity as u8));
        let limit = match policy {
            WhenFull::Drop => MOVE_MIN,
            WhenFull::BlockFor(limit) => limit.clamp(MOVE_MIN, MOVE_MAX),
            WhenFull::Block | WhenFull::WriteThrough => MOVE_MAX,
        };
        // If the disk is stuck, the old records come late, but they come.
        let _ = self.at.0.flush(limit);
        self.attach_again(severity, 1)
    }

    /// The flusher looks at the ring by itself as long as it is awake.
    #[inline]
    fn ring_if_needed(&self) {
        let at: &Attached = &self.at.0;
        // ORDER gate/relaxed: read after the commit; whoever reads it too early has its record found
        // by the sweep behind the flusher's barrier.
        compiler_fence(SeqCst);
        let gate = gate::mode(at.mem().load(word::GATE, Relaxed));
        if gate != gate::RUN && (gate == gate::SLEEP || self.producer.pool_is_low(at.mem())) {
            at.ring();
        }
    }

    /// A forked child has its parent's handles in its hands, and attaches as a process of its own.
    #[inline]
    fn stay_attached(&mut self, severity: Severity, records: u64) -> Result<(), AppendError> {
        if self.epoch.is_current() { Ok(()) } else { self.attach_again(severity, records) }
    }

    #[cold]
    #[inline(never)]
    fn attach_again(&mut self, severity: Severity, records: u64) -> Result<(), AppendError> {
        let Ok(at) = self.core.membership() else {
            self.core.reattach.count(severity as u8, records);
            return Err(AppendError::Detached);
        };
        at.0.start_flusher_if(self.core.may_flush());
        self.go_on_with(at);
        Ok(())
    }

    /// What to do with `count` records of one severity, of which the ring did not take the first.
    fn refused<T>(
        &mut self,
        first: Refused,
        severity: Severity,
        len: usize,
        count: u64,
        mut again: impl FnMut(&mut Producer) -> Result<T, Refused>,
    ) -> Result<T, Denied> {
        let at = Arc::clone(&self.at);
        let at: &Arc<Attached> = &at.0;
        if first == Refused::TooLong {
            self.count(slot::TOO_LONG, 1);
            return Err(Denied::Error(AppendError::TooLong { len, max: at.geometry.record_max() }));
        }
        if first == Refused::Retired {
            return Err(Denied::Retired);
        }
        let start = sys::monotonic_ns();
        let own = (self.when_full, self.interrupt.as_ref());
        let result = wait_for_room(at, own, severity as u8, start, || again(&mut self.producer));
        self.count(slot::BLOCKED_NS, sys::monotonic_ns().saturating_sub(start));
        if matches!(result, Err(Denied::Error(AppendError::Full))) {
            self.count_drops(severity, count);
        }
        result
    }

    fn count_drops(&mut self, severity: Severity, n: u64) {
        self.count(slot::DROPS + 8 * severity as usize, n);
        self.producer.note_drop();
    }

    fn count(&self, what: usize, n: u64) {
        let at = &self.at.0;
        if let Some(number) = at.slot {
            // ORDER drops/release: who tells of dropped records finds what was committed before them.
            at.mem().add(at.geometry.slot(number) + what, n, Release);
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if self.epoch.is_current() {
            self.producer.seal(self.at.0.mem());
        }
    }
}

/// Why a record was not taken here.
enum Denied {
    Error(AppendError),
    /// The segment's successor takes it.
    Retired,
}

/// Tries until it works or the time is over. After each wait that nobody ended, this thread looks
/// whether anybody flushes, and does it itself if not: nobody waits because somebody died.
fn wait_for_room<T>(
    at: &Arc<Attached>,
    (own, interrupt): (Option<WhenFull>, Option<&Interrupt>),
    level: u8,
    start: u64,
    mut again: impl FnMut() -> Result<T, Refused>,
) -> Result<T, Denied> {
    let mem = at.mem();
    let backoff = Backoff::new();
    let mut wait = Duration::from_millis(1);
    at.ring();
    loop {
        let seen = mem.load(word::SPACE, Relaxed) as u32;
        if backoff.is_completed() {
            mem.store(word::SPACE_WANT, 1, Relaxed);
            // ORDER space/fence: want is visible before the last look; the flusher fences in between too.
            mem.fence(SeqCst);
        }
        match again() {
            Ok(done) => return Ok(done),
            Err(Refused::Full) => {}
            Err(_) => return Err(Denied::Retired),
        }
        // Looked at again each time: it may be changed while we wait.
        let policy = own.unwrap_or_else(|| WhenFull::of(mem, level));
        let limit = match policy {
            WhenFull::Drop => Duration::ZERO,
            WhenFull::BlockFor(limit) => limit,
            WhenFull::Block | WhenFull::WriteThrough => Duration::MAX,
        };
        if u128::from(sys::monotonic_ns().saturating_sub(start)) >= limit.as_nanos() {
            return Err(Denied::Error(AppendError::Full));
        }
        if policy == WhenFull::WriteThrough && at.help() {
            continue;
        }
        if !backoff.is_completed() {
            backoff.snooze();
        } else if !mem.wait(word::SPACE, seen, wait) {
            if !at.help_for(limit < Duration::MAX) {
                at.ring();
            }
            // A panic of the host's function ends the wait, too, and no more than that.
            if interrupt.is_some_and(|asked| catch_unwind(AssertUnwindSafe(|| asked())).unwrap_or(true)) {
                return Err(Denied::Error(AppendError::Interrupted));
            }
            wait = (wait * 2).min(WAIT_MAX);
        }
    }
}

/// A record whose copying stops the process half way.
struct Stopping<'a>(Line<'a>);

impl Payload for Stopping<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn copy<M: Mem>(&self, mem: &M, at: usize, from: usize, to: usize) {
        let middle = from + (to - from) / 2;
        self.0.copy(mem, at, from, middle);
        sys::stop_myself();
        self.0.copy(mem, at + (middle - from), middle, to);
    }
    fn checksum(&self, seed: u32) -> u32 {
        self.0.checksum(seed)
    }
}
