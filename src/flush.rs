//! The one driver: asks the pure machines (drain, rotation) what to do, and does it.
//!
//! Only whoever holds the flusher's lock runs it: a thread of a producer, the sidecar, or a producer
//! that helps itself. A take-over is the only way to start, so recovery is exercised every time.
//!
//! | found | done | counted |
//! |---|---|---|
//! | file longer than the journal says, by at most a batch | cut to the journal's end | `TruncatedBytes` |
//! | file longer by more, or shorter | left alone; writing goes on at its end | `FileSurprises` |
//! | file moved, deleted, replaced | a new file, or the one that is there, at its end | `FileSurprises` |
//! | rotation under way | finished, or abandoned with the old file kept | `Rotations` |
//! | write refused | batch taken back, tried again after 10 ms to 1 s; the ring fills meanwhile | `IoErrors` |
//! | log file in use by another segment's flusher | nothing is written; tried again | `IoErrors` |

use crate::attached::Attached;
use crate::options::Fsync;
use crate::ring::journal::{Cell, Found};
use crate::ring::layout::{Counter, Geometry, gate, word};
use crate::ring::mem::Mem;
use crate::ring::reclaim::{occupant, take_over};
use crate::ring::sweep::{BATCH_BYTES, Deposed, Drainer, Piece, add_mine, bump};
use crate::rotate::{Action, At, Backoff, Failure, Machine, Member, Outcome, Stage, View};
use crate::sys::{self, Create, FileError, FileId, LockFile, LogFile, byte};
use std::io;
use std::sync::atomic::Ordering::{Acquire, Relaxed, SeqCst};
use std::time::Duration;

const MS: u64 = 1_000_000;
/// How long the flusher goes on napping after the last record before it goes to sleep.
const AWAKE_NS: u64 = 50 * MS;
/// Naps: after a sweep that found much, and at most.
const NAP_MIN: Duration = Duration::from_millis(1);
const NAP_MAX: Duration = Duration::from_millis(5);
/// A sleep that nobody ends; a lost wake would be a delay of this, not a hang.
const SLEEP: Duration = Duration::from_secs(60);
/// The same where the kernel offers no barrier that spans processes.
const SLEEP_UNSURE: Duration = Duration::from_secs(1);
/// Sweeps after a wish to stop, at most.
const STOP_SWEEPS: u32 = 2;
/// A sweep that wrote this much is followed by another without a nap.
const BUSY_BYTES: u64 = 64 * 1024;
/// How often, while awake, the file is compared with its name, and dead producers are looked for.
const CHECK_FILE_NS: u64 = 20 * MS;
const CHECK_DEAD_NS: u64 = 1000 * MS;
const CHECK_DEAD_PRESSED_NS: u64 = 10 * MS;
/// Error numbers for troubles that are not the system's, for `stat` to show.
const EIO: i32 = 5;
const EBUSY: i32 = 16;
const EINVAL: i32 = 22;
/// Delays between attempts to write after a failure.
const RETRY_MIN_NS: u64 = 10 * MS;
const RETRY_MAX_NS: u64 = 1000 * MS;

/// What the flusher has to tell; the sidecar prints it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Another sidecar runs; this one waits for it to end.
    Waiting {
        /// Its process id; 0 if not known.
        pid: u64,
    },
    /// This process flushes from now on.
    Elected {
        /// How many flushers the segment has had.
        epoch: u64,
        /// Bytes of the predecessor's unfinished batch that were cut from the file.
        truncated_bytes: u64,
    },
    /// The file was rotated.
    Rotated {
        /// Size of the file that was put away.
        file_bytes: u64,
    },
    /// The file was opened anew: on request, or because it was moved or deleted.
    Reopened,
    /// Something failed; it is tried again.
    Error {
        /// What failed, and what to do about it.
        what: String,
        /// The system's error number, 0 if there is none.
        errno: i32,
        /// When it is tried again.
        retry: Duration,
    },
    /// What had failed works again.
    Recovered,
    /// A producer was found dead and cleaned up.
    Reaped {
        /// Its process id.
        pid: u64,
        /// Its program.
        name: String,
        /// True if it died in the middle of a record (which it was never told was written).
        lost_unfinished: bool,
    },
    /// This process flushes no longer.
    Stopped,
}

/// What the flusher's host wants of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    GoOn,
    /// Drain what is there and end.
    Stop,
    /// Let somebody else have it.
    Yield,
}

/// Who runs the flusher, as the segment's header says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Kind {
    Thread = 1,
    Sidecar = 2,
    Helper = 3,
}

enum Trouble {
    Io(&'static str, io::Error),
    File(FileError),
    Busy,
    Rotation(Failure),
    Deposed,
}

impl From<Deposed> for Trouble {
    fn from(_: Deposed) -> Trouble {
        Trouble::Deposed
    }
}

impl From<FileError> for Trouble {
    fn from(e: FileError) -> Trouble {
        Trouble::File(e)
    }
}

/// A sweep's result.
#[derive(Clone, Copy, Debug, Default)]
struct Swept {
    records: u64,
    bytes: u64,
}

pub(crate) struct Flusher<'a> {
    at: &'a Attached,
    lock: &'a LockFile,
    tell: &'a mut dyn FnMut(Event),
    drainer: Drainer,
    cell: Cell,
    found: Option<Found>,
    file: Option<LogFile>,
    new_file: Option<LogFile>,
    backoff: Backoff,
    pieces: Vec<(*const u8, usize)>,
    truncated: u64,
    /// Unwritten trouble: not before, and how long the next delay is; 0 = none.
    retry_ns: u64,
    delay_ns: u64,
    dirty_ns: Option<u64>,
    file_checked_ns: u64,
    dead_checked_ns: u64,
}

impl<'a> Flusher<'a> {
    /// Starts this process's turn. The caller holds the flusher's lock through `lock`.
    pub(crate) fn take_over(
        at: &'a Attached,
        lock: &'a LockFile,
        kind: Kind,
        tell: &'a mut dyn FnMut(Event),
    ) -> Flusher<'a> {
        let mem = at.mem();
        let t = take_over(mem, at.geometry);
        let pid = sys::pid();
        mem.store(word::FLUSHER_PID, u64::from(pid), Relaxed);
        mem.store(word::FLUSHER_START, sys::start_time(pid).unwrap_or(0), Relaxed);
        mem.store(word::FLUSHER_KIND, kind as u64, Relaxed);
        mem.store(word::FLUSHER_ERROR, 0, Relaxed);
        set_gate(mem, gate::RUN);
        bump(mem, Counter::Takeovers, 1);
        let mut f = Flusher {
            at,
            lock,
            tell,
            drainer: t.drainer,
            cell: Cell::default(),
            found: Some(t.found),
            file: None,
            new_file: None,
            backoff: Backoff::default(),
            pieces: Vec::new(),
            truncated: 0,
            retry_ns: 0,
            delay_ns: 0,
            dirty_ns: None,
            file_checked_ns: 0,
            dead_checked_ns: 0,
        };
        f.settled();
        if matches!(f.at.config.fsync, Fsync::Interval(_)) {
            // What the predecessor had written and not yet synced.
            f.dirty_ns = Some(sys::monotonic_ns());
        }
        let epoch = mem.load(word::EPOCH, Relaxed);
        (f.tell)(Event::Elected { epoch, truncated_bytes: f.truncated });
        f
    }

    /// Sweeps, naps and sleeps until the host wishes otherwise. Before it ends, what is in the ring is
    /// in the file, unless the disk refuses.
    pub(crate) fn run(&mut self, wish: &mut dyn FnMut() -> Wish) -> Wish {
        let mut quiet_since = sys::monotonic_ns();
        let mut nap = NAP_MIN;
        let mut last_sweeps = 0;
        loop {
            // ORDER bell/acquire.
            let seen = self.at.mem().load(word::BELL, Acquire) as u32;
            let asked = wish();
            let swept = match self.sweep() {
                Ok(swept) => swept,
                Err(Trouble::Deposed) => return Wish::Yield,
                Err(trouble) => {
                    self.note(&trouble);
                    Swept::default()
                }
            };
            // One sweep from beginning to end after the wish finds all that its host had written; others,
            // who may never pause, have flushers of their own.
            last_sweeps += u32::from(asked == Wish::Stop);
            if asked == Wish::Yield
                || last_sweeps >= STOP_SWEEPS
                || (last_sweeps > 0 && self.is_drained(swept))
            {
                self.sync_at_the_end();
                return asked;
            }
            let now = sys::monotonic_ns();
            self.housekeeping(now);
            if swept.records > 0 {
                quiet_since = now;
            }
            if self.wake_flushers() || swept.bytes >= BUSY_BYTES || asked == Wish::Stop {
                nap = NAP_MIN;
                continue;
            }
            nap = if swept.bytes > 0 { NAP_MIN.max(nap / 2) } else { (nap * 2).min(NAP_MAX) };
            if now.saturating_sub(quiet_since) < AWAKE_NS || self.retry_ns != 0 || self.drainer.has_deferred()
            {
                self.pause(gate::NAP, seen, nap);
            } else {
                self.go_to_sleep(seen);
                quiet_since = sys::monotonic_ns();
            }
        }
    }

    /// For a producer that helps itself: two sweeps, so that all that was in the ring is out.
    pub(crate) fn help(&mut self) -> bool {
        for _ in 0..2 {
            if let Err(trouble) = self.sweep() {
                self.note(&trouble);
                return false;
            }
            self.wake_flushers();
        }
        self.housekeeping(sys::monotonic_ns());
        // What the dead had leased is sealed now; once more, and it is free.
        let swept = self.sweep().is_ok();
        self.sync_at_the_end();
        swept
    }

    /// True if records are kept back because the file cannot be written.
    pub(crate) fn is_stuck(&self) -> bool {
        self.retry_ns != 0
    }

    /// A turn that ends leaves nothing unsynced to a successor that would not know of it.
    fn sync_at_the_end(&mut self) {
        if self.dirty_ns.take().is_some()
            && let Some(file) = &self.file
            && let Err(e) = file.sync_data()
        {
            self.note(&Trouble::Io("sync", e));
        }
    }

    fn is_drained(&self, swept: Swept) -> bool {
        (swept.records == 0 && !self.drainer.has_deferred()) || self.retry_ns != 0
    }

    /// Everything that may be written now, with the rotations on the way.
    fn sweep(&mut self) -> Result<Swept, Trouble> {
        let now = sys::monotonic_ns();
        if self.retry_ns > now || !self.settled() {
            return Ok(Swept::default());
        }
        self.serve_requests()?;
        let mem = self.at.mem();
        let n = self.drainer.collect(mem);
        if n > 0 && now.saturating_sub(self.file_checked_ns) >= CHECK_FILE_NS {
            self.check_file()?;
            self.file_checked_ns = now;
        }
        let mut swept = Swept::default();
        while self.write_batch(&mut swept)? {}
        self.announce_space(true);
        mem.store(word::POOL, u64::from(self.drainer.free_chunks()), Relaxed);
        add_mine(mem, word::SWEEPS, 1);
        self.sync_if_due(now)?;
        if self.retry_ns != 0 {
            self.recovered();
        }
        Ok(swept)
    }

    /// One batch; false when nothing is left of the collection.
    fn write_batch(&mut self, swept: &mut Swept) -> Result<bool, Trouble> {
        // Somebody may truncate or prolong the file at any time: the shorter the time between this look
        // and the write, the less of theirs and ours is mixed up.
        self.check_end()?;
        let (policy, end) = (self.at.config.policy, self.cell.end);
        let may_rotate = self.backoff.is_due(sys::monotonic_ns() / MS);
        let full = |batch: u64, len: u64| may_rotate && policy.must_rotate_before(end + batch, len);
        let Some(batch) = self.drainer.next_batch(self.at.mem(), full) else { return Ok(false) };
        if batch.records + batch.lost > 0 {
            self.drainer.prepare(self.at.mem());
            if let Err(trouble) = self.write_pieces() {
                self.drainer.abort(self.at.mem());
                let cut = self.file.as_ref().map_or(Ok(()), |file| file.truncate(self.cell.end));
                if cut.is_err() {
                    // Cut it before anything else, or part of the batch would be taken for somebody's.
                    self.found = Some(Found::Cell(self.cell));
                }
                return Err(trouble);
            }
            self.cell.end += batch.bytes;
            self.commit()?;
            swept.records += batch.records;
            swept.bytes += batch.bytes;
            self.announce_space(false);
        }
        if batch.rotate {
            let stage = self.at.config.policy.stage();
            self.rotate(stage)?;
        }
        Ok(true)
    }

    fn commit(&mut self) -> Result<(), Trouble> {
        Ok(self.drainer.commit(self.at.mem(), &self.cell)?)
    }

    fn write_pieces(&mut self) -> Result<(), Trouble> {
        let Some(file) = &self.file else { return Err(Trouble::Busy) };
        self.pieces.clear();
        for piece in self.drainer.pieces() {
            self.pieces.push(match *piece {
                Piece::Ring { at, len } => (self.at.mem().raw(at, len), len),
                Piece::Staged { at, len } => match self.drainer.staging().get(at..at + len) {
                    Some(bytes) => (bytes.as_ptr(), len),
                    None => continue,
                },
            });
        }
        // SAFETY: (I5) every piece is a range of the mapping, checked against its length when it was
        // made, or of the staging buffer, which is not touched until the write is done; the mapping
        // lives as long as `self.at`.
        #[allow(unsafe_code)]
        let done = unsafe { file.write_pieces(&self.pieces, self.cell.end) };
        done.map_err(|e| Trouble::Io("write to", e.source))?;
        match self.at.config.fsync {
            Fsync::Batch => file.sync_data().map_err(|e| Trouble::Io("sync", e))?,
            Fsync::Interval(_) => {
                self.dirty_ns.get_or_insert_with(sys::monotonic_ns);
            }
            Fsync::None => {}
        }
        Ok(())
    }

    fn sync_if_due(&mut self, now: u64) -> Result<(), Trouble> {
        let (Fsync::Interval(every), Some(since)) = (self.at.config.fsync, self.dirty_ns) else {
            return Ok(());
        };
        if u128::from(now.saturating_sub(since)) >= every.as_nanos() {
            if let Some(file) = &self.file {
                file.sync_data().map_err(|e| Trouble::Io("sync", e))?;
            }
            self.dirty_ns = None;
        }
        Ok(())
    }

    /// Chunks became free: wakes producers that wait for room.
    fn announce_space(&mut self, last: bool) {
        // Not for each chunk: who waits sleeps until a burst of records has room.
        if self.drainer.freed() == 0 || (!last && self.drainer.free_chunks() < self.at.geometry.chunks() / 4)
        {
            return;
        }
        self.drainer.take_freed();
        let mem = self.at.mem();
        mem.add(word::SPACE, 1, Relaxed);
        // ORDER space/fence: pairs with the one between want = 1 and the producer's last look.
        mem.fence(SeqCst);
        if mem.load(word::SPACE_WANT, Relaxed) != 0 {
            mem.store(word::SPACE_WANT, 0, Relaxed);
            mem.wake(word::SPACE, true);
        }
    }

    /// A sweep was completed: wakes those who wait for a flush; true if there were any.
    fn wake_flushers(&mut self) -> bool {
        if self.retry_ns != 0 {
            return false;
        }
        let mem = self.at.mem();
        // ORDER space/fence: as above, for SWEEPS.
        mem.fence(SeqCst);
        if mem.load(word::SWEEPS_WANT, Relaxed) == 0 {
            return false;
        }
        mem.store(word::SWEEPS_WANT, 0, Relaxed);
        mem.wake(word::SWEEPS, true);
        true
    }

    /// Waits for the bell, at most `limit`.
    fn pause(&mut self, how: u64, seen: u32, limit: Duration) {
        let mem = self.at.mem();
        set_gate(mem, how);
        mem.wait(word::BELL, seen, self.until_next_duty(limit));
        set_gate(mem, gate::RUN);
    }

    fn until_next_duty(&self, limit: Duration) -> Duration {
        let (Fsync::Interval(every), Some(since)) = (self.at.config.fsync, self.dirty_ns) else {
            return limit;
        };
        let past = Duration::from_nanos(sys::monotonic_ns().saturating_sub(since));
        limit.min(every.saturating_sub(past))
    }

    /// The gate says SLEEP, then every running thread of every process passes a barrier: whoever read
    /// the gate before has its commit visible, and one more sweep finds it; whoever reads it after
    /// rings. So producers need no fence of their own.
    fn go_to_sleep(&mut self, seen: u32) {
        let mem = self.at.mem();
        set_gate(mem, gate::SLEEP);
        // ORDER gate/fence.
        mem.fence(SeqCst);
        let sure = sys::full_barrier_everywhere();
        if !sure {
            std::thread::sleep(NAP_MAX);
        }
        let found = self.drainer.collect(mem) > 0 || self.drainer.has_deferred();
        if !found {
            let limit = if sure { SLEEP } else { SLEEP_UNSURE };
            mem.wait(word::BELL, seen, self.until_next_duty(limit));
        }
        set_gate(mem, gate::RUN);
    }

    fn serve_requests(&mut self) -> Result<(), Trouble> {
        let mem = self.at.mem();
        let asked = mem.load(word::ROTATE_REQUESTS, Relaxed);
        let may_rotate = self.backoff.is_due(sys::monotonic_ns() / MS);
        if asked != mem.load(word::ROTATE_SERVED, Relaxed) && may_rotate {
            if self.cell.end > 0 {
                self.rotate(self.at.config.policy.stage())?;
            }
            // A rotation that failed is asked for until it has been made.
            if self.backoff.failures() == 0 {
                mem.store(word::ROTATE_SERVED, asked, Relaxed);
            }
        }
        let asked = mem.load(word::REOPEN_REQUESTS, Relaxed);
        if asked != mem.load(word::REOPEN_SERVED, Relaxed) {
            mem.store(word::REOPEN_SERVED, asked, Relaxed);
            self.file_checked_ns = 0; // should it fail, nothing is written before it is done again
            self.check_file()?;
        }
        Ok(())
    }

    /// Dead producers are cleaned up, and when chunks get scarce, idle leases are taken back.
    fn housekeeping(&mut self, now: u64) {
        let chunks = self.at.geometry.chunks();
        let waited_for = self.at.mem().load(word::SPACE_WANT, Relaxed) != 0;
        let pressed = waited_for || self.drainer.free_chunks() < chunks / 8;
        let every = if pressed { CHECK_DEAD_PRESSED_NS } else { CHECK_DEAD_NS };
        if pressed {
            self.drainer.revoke_idle(self.at.mem());
        }
        if now.saturating_sub(self.dead_checked_ns) < every {
            return;
        }
        self.dead_checked_ns = now;
        for slot in 0..self.at.geometry.slots() {
            self.reap(slot);
        }
    }

    fn reap(&mut self, slot: u32) {
        let (at, lock) = (self.at, self.lock);
        let Some(mut id) = occupant(at.mem(), at.geometry, slot) else { return };
        if at.slot == Some(slot) {
            return;
        }
        let unfinished = counter_value(at, Counter::LostUnfinished);
        // Asked within `reap`, which has read the slot's word by then: evidence on a former owner must not
        // be held against its successor.
        let dead = || {
            occupant(at.mem(), at.geometry, slot).is_some_and(|now| {
                id = now;
                is_dead(lock, slot, &id)
            })
        };
        if self.drainer.reap(at.mem(), slot, dead) {
            let lost = counter_value(at, Counter::LostUnfinished) != unfinished;
            (self.tell)(Event::Reaped { pid: id.pid, name: id.name, lost_unfinished: lost });
        }
    }

    // ---- the file ----

    /// Brings the file in line with the journal, once per turn, again until it succeeds.
    fn settled(&mut self) -> bool {
        let Some(found) = self.found else { return true };
        match self.settle(found) {
            Ok(()) => {
                self.found = None;
                true
            }
            Err(trouble) => {
                self.note(&trouble);
                false
            }
        }
    }

    fn settle(&mut self, found: Found) -> Result<(), Trouble> {
        let Found::Cell(cell) = found else {
            if found == Found::Damaged {
                bump(self.at.mem(), Counter::FileSurprises, 1);
            }
            let file = self.open(Create::IfMissing)?;
            return self.adopt(file, 1);
        };
        self.cell = cell;
        let id = FileId { dev: cell.dev, ino: cell.ino };
        let view = self.look(id)?;
        self.file = self.find(id, &view)?;
        if let Some(file) = &self.file {
            own(file)?;
        }
        let stage = Stage::try_from(cell.op).unwrap_or(Stage::None);
        if stage == Stage::None {
            self.align()?;
        }
        match self.run_machine(stage, &view)? {
            Outcome::Kept(failure) | Outcome::Held(failure) if self.file.is_none() => {
                Err(Trouble::Rotation(failure))
            }
            Outcome::Held(failure) => Err(Trouble::Rotation(failure)),
            _ if self.file.is_none() => Err(Trouble::Rotation(Failure::NotFound)),
            _ => self.check_end(),
        }
    }

    /// Cuts the half-written batch of a dead flusher; believes no journal that wants more than that.
    /// While a rotation is under way nothing is written, so there is nothing to cut.
    fn align(&mut self) -> Result<(), Trouble> {
        let Some(file) = &self.file else { return Ok(()) };
        let size = file.size().map_err(|e| Trouble::Io("read the size of", e))?;
        if size > self.cell.end && size - self.cell.end <= batch_max(&self.at.geometry) {
            file.truncate(self.cell.end).map_err(|e| Trouble::Io("truncate", e))?;
            self.truncated = size - self.cell.end;
            bump(self.at.mem(), Counter::TruncatedBytes, self.truncated);
        }
        Ok(())
    }

    fn open(&self, create: Create) -> Result<LogFile, Trouble> {
        let file = LogFile::open(&self.at.log_path, self.at.config.mode, create)?;
        own(&file)?;
        Ok(file)
    }

    /// Goes on at the end of this file, and says so in the journal.
    fn adopt(&mut self, file: LogFile, number: u64) -> Result<(), Trouble> {
        let end = file.size().map_err(|e| Trouble::Io("read the size of", e))?;
        let id = file.identity();
        self.cell = Cell { file: number, end, dev: id.dev, ino: id.ino, op: 0 };
        self.file = Some(file);
        self.commit()
    }

    /// What the directory holds, and where in it the file `id` is.
    fn look(&self, id: FileId) -> Result<View, Trouble> {
        let names = sys::dir::list(&self.at.dir).map_err(|e| Trouble::Io("list the directory of", e))?;
        let here = self.identity_of(&self.at.name)?;
        let newest = self.identity_of(&Member::NEWEST.name(&self.at.name))?;
        let at = match here {
            Some(found) if found == id => At::Same,
            Some(_) => At::Other,
            None if newest == Some(id) => At::Archived,
            None => At::Missing,
        };
        Ok(View { names, at })
    }

    fn identity_of(&self, name: &str) -> Result<Option<FileId>, Trouble> {
        sys::dir::identity_at(&self.at.dir.join(name)).map_err(|e| Trouble::Io("look at", e))
    }

    /// Opens the journalled file, under whatever name of the directory it has by now.
    fn find(&self, id: FileId, view: &View) -> Result<Option<LogFile>, Trouble> {
        let ours = |name: &&String| name.starts_with(&self.at.name);
        for name in view.names.iter().filter(ours) {
            if self.identity_of(name)? == Some(id) {
                let file = LogFile::open(&self.at.dir.join(name), self.at.config.mode, Create::Never)?;
                if file.identity() == id {
                    return Ok(Some(file));
                }
            }
        }
        Ok(None)
    }

    /// Rotates now.
    fn rotate(&mut self, stage: Stage) -> Result<(), Trouble> {
        let file_bytes = self.cell.end;
        let view = self.look(FileId { dev: self.cell.dev, ino: self.cell.ino })?;
        let outcome = self.run_machine(stage, &view)?;
        self.backoff.note(outcome, sys::monotonic_ns() / MS);
        match outcome {
            Outcome::Rotated | Outcome::Truncated => {
                self.at.mem().store(word::FLUSHER_ERROR, 0, Relaxed);
                (self.tell)(Event::Rotated { file_bytes });
                Ok(())
            }
            Outcome::Kept(failure) => {
                self.complain(
                    &Trouble::Rotation(failure),
                    Duration::from_millis(self.backoff.due_ms().saturating_sub(sys::monotonic_ns() / MS)),
                );
                Ok(())
            }
            Outcome::Held(failure) => {
                self.found = Some(Found::Cell(self.cell));
                Err(Trouble::Rotation(failure))
            }
            Outcome::Reopened => {
                (self.tell)(Event::Reopened);
                Ok(())
            }
            Outcome::Unchanged => Ok(()),
        }
    }

    /// Runs the rotation machine to its end. What it decides is done here, one system call at a time.
    fn run_machine(&mut self, stage: Stage, view: &View) -> Result<Outcome, Trouble> {
        let mut machine = Machine::start(&self.at.config.policy, &self.at.name, stage, view);
        loop {
            let action = machine.next();
            if let Action::Done(outcome) = action {
                if matches!(outcome, Outcome::Rotated | Outcome::Truncated) {
                    bump(self.at.mem(), Counter::Rotations, 1);
                }
                return Ok(outcome);
            }
            let done = match self.act(&action) {
                Err(Trouble::Deposed) => return Err(Trouble::Deposed),
                Err(trouble) => Err(self.failed(&trouble)),
                Ok(()) => Ok(()),
            };
            machine.report(done);
        }
    }

    fn failed(&mut self, trouble: &Trouble) -> Failure {
        bump(self.at.mem(), Counter::IoErrors, 1);
        let (errno, kind) = match trouble {
            Trouble::Io(_, e) => (e.raw_os_error(), e.kind()),
            Trouble::File(FileError::Io { source, .. }) => (source.raw_os_error(), source.kind()),
            Trouble::Busy => (Some(EBUSY), io::ErrorKind::Other),
            Trouble::File(_) => (Some(EINVAL), io::ErrorKind::Other),
            Trouble::Rotation(_) | Trouble::Deposed => return Failure::Other, // told where it happened
        };
        self.at.mem().store(word::FLUSHER_ERROR, errno.unwrap_or(EIO) as u64, Relaxed);
        Failure::from(kind)
    }

    fn act(&mut self, action: &Action) -> Result<(), Trouble> {
        let path = |name: &String| self.at.dir.join(name);
        match action {
            Action::Journal(stage) => {
                self.cell.op = u64::from(*stage);
                self.commit()
            }
            Action::Rename { from, to, replaces: true } => {
                sys::dir::rename(&path(from), &path(to)).map_err(|e| Trouble::Io("rename", e))
            }
            Action::Rename { from, to, replaces: false } => {
                sys::dir::rename_new(&path(from), &path(to)).map_err(|e| Trouble::Io("rename", e))
            }
            Action::Remove { name } => sys::dir::remove(&path(name)).map_err(|e| Trouble::Io("remove", e)),
            Action::Truncate => match &self.file {
                Some(file) => file.truncate(0).map_err(|e| Trouble::Io("truncate", e)),
                None => Err(Trouble::Busy),
            },
            Action::Create => {
                // What an attempt that failed later on has left would be in the way: it owns the file.
                self.new_file = None;
                self.new_file = Some(self.open(Create::IfMissing)?);
                Ok(())
            }
            Action::Finish => self.finish(),
            Action::Abandon => {
                self.cell.op = 0;
                self.check_end()?;
                self.commit()
            }
            Action::Done(_) => Ok(()),
        }
    }

    /// The new file, or the truncated one, is the log from here on.
    fn finish(&mut self) -> Result<(), Trouble> {
        if self.at.config.fsync != Fsync::None
            && let Some(old) = &self.file
        {
            old.sync_data().map_err(|e| Trouble::Io("sync", e))?;
            sys::dir::sync(&self.at.dir).map_err(|e| Trouble::Io("sync the directory of", e))?;
            self.dirty_ns = None;
        }
        match self.new_file.take().or_else(|| self.file.take()) {
            Some(file) => self.adopt(file, self.cell.file.wrapping_add(1)),
            None => Err(Trouble::Busy),
        }
    }

    /// Has somebody moved, replaced, deleted, truncated or prolonged the file?
    fn check_file(&mut self) -> Result<(), Trouble> {
        let id = FileId { dev: self.cell.dev, ino: self.cell.ino };
        if self.identity_of(&self.at.name)? == Some(id) {
            return self.check_end();
        }
        bump(self.at.mem(), Counter::FileSurprises, 1);
        let view = self.look(id)?;
        let at = if view.at == At::Archived { At::Missing } else { view.at };
        match self.run_machine(Stage::None, &View { at, ..view })? {
            Outcome::Kept(failure) | Outcome::Held(failure) => Err(Trouble::Rotation(failure)),
            _ => {
                (self.tell)(Event::Reopened);
                Ok(())
            }
        }
    }

    fn check_end(&mut self) -> Result<(), Trouble> {
        let Some(file) = &self.file else { return Ok(()) };
        let size = file.size().map_err(|e| Trouble::Io("read the size of", e))?;
        if size == self.cell.end {
            return Ok(());
        }
        bump(self.at.mem(), Counter::FileSurprises, 1);
        self.cell.end = size;
        // Never while a batch is prepared: this commit would count it as written.
        self.commit()
    }

    // ---- trouble ----

    fn note(&mut self, trouble: &Trouble) {
        self.delay_ns = (self.delay_ns * 2).clamp(RETRY_MIN_NS, RETRY_MAX_NS);
        self.retry_ns = sys::monotonic_ns() + self.delay_ns;
        self.failed(trouble);
        self.complain(trouble, Duration::from_nanos(self.delay_ns));
    }

    fn complain(&mut self, trouble: &Trouble, retry: Duration) {
        let path = self.at.log_path.display();
        let (what, errno) = match trouble {
            Trouble::Io(doing, e) => (format!("cannot {doing} {path}: {e}"), e.raw_os_error().unwrap_or(0)),
            Trouble::File(e) => (e.to_string(), 0),
            Trouble::Busy => (
                format!(
                    "{path} is being written by another flusher with another segment or lock directory: give all processes the same --segment and --lock-dir"
                ),
                0,
            ),
            Trouble::Rotation(failure) => {
                let errno = self.at.mem().load(word::FLUSHER_ERROR, Relaxed) as i32;
                let why = io::Error::from_raw_os_error(errno);
                let why = if errno == 0 { format!("{failure:?}") } else { why.to_string() };
                (format!("cannot rotate {path}: {why}; nothing is lost, it is tried again"), errno)
            }
            Trouble::Deposed => (format!("another process flushes {path}"), 0),
        };
        (self.tell)(Event::Error { what, errno, retry });
    }

    fn recovered(&mut self) {
        (self.retry_ns, self.delay_ns) = (0, 0);
        self.at.mem().store(word::FLUSHER_ERROR, 0, Relaxed);
        (self.tell)(Event::Recovered);
    }
}

/// Only the flusher closes the gate; a producer may open the very one that it rang at.
fn set_gate(mem: &impl Mem, mode: u64) {
    let gate = mem.load(word::GATE, Relaxed);
    mem.store(word::GATE, gate::next(gate, mode), Relaxed);
}

fn own(file: &LogFile) -> Result<(), Trouble> {
    match file.try_own() {
        Ok(true) => Ok(()),
        Ok(false) => Err(Trouble::Busy),
        Err(e) => Err(Trouble::Io("lock", e)),
    }
}

/// What a dead flusher can have written beyond the journal.
fn batch_max(geometry: &Geometry) -> u64 {
    BATCH_BYTES.max(geometry.record_max() as u64)
}

/// The kernel's word on a slot's owner: its lock is free, or its process is gone. Never time.
pub(crate) fn is_dead(lock: &LockFile, slot: u32, id: &crate::ring::reclaim::Identity) -> bool {
    if !lock.held_by_other(byte::slot(slot)).unwrap_or(true) {
        return true;
    }
    id.pid_ns == sys::pid_namespace() && id.pid != 0 && sys::process_gone(id.pid as u32, id.start)
}

fn counter_value(at: &Attached, c: Counter) -> u64 {
    at.mem().load(crate::ring::layout::counter(c), Relaxed)
}
