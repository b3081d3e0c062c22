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
//! | write refused | batch taken back, tried again after 10 ms to 0.5 s; the ring fills meanwhile | `IoErrors` |
//! | log file in use by another segment's flusher | nothing is written; tried again | `IoErrors` |

use crate::attached::Attached;
use crate::error::FlushError;
use crate::options::{Config, Fsync};
use crate::ring::journal::{Cell, Found, Period};
use crate::ring::layout::{Counter, gate, word};
use crate::ring::mem::Mem;
use crate::ring::reclaim::{occupant, take_over};
use crate::ring::sweep::{BATCH_BYTES, Drainer, Manner, Piece, add_mine, bump};
use crate::rotate::schedule::{Dated, Schedule};
use crate::rotate::{Backoff, Naming};
use crate::sys::{self, LockFile, LogFile, byte};
use std::sync::atomic::Ordering::{Acquire, Relaxed, SeqCst};
use std::time::Duration;

mod direct;
mod event;
mod file;
mod hook;
mod index;
mod keep;
mod link;
mod notes;
mod pack;
mod retire;
mod shift;
mod sync;
mod time;
mod trouble;
mod unlinked;

pub use event::Event;
pub(crate) use hook::Hooks;
use index::Index;
pub(crate) use index::close as close_index;
use keep::Keeper;
pub(crate) use keep::limits_of;
use pack::Packer;
use shift::Shifter;
pub(crate) use trouble::EIO;
use trouble::Trouble;
pub(crate) use unlinked::ENOENT;

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
/// Delays between attempts to write after a failure.
const RETRY_MIN_NS: u64 = 10 * MS;
const RETRY_MAX_NS: u64 = 500 * MS;

/// Requests for rotations, those served, and whether they may empty the file.
const ROTATIONS: [(usize, usize, bool); 2] = [
    (word::ROTATE_REQUESTS, word::ROTATE_SERVED, false),
    (word::DISCARD_REQUESTS, word::DISCARD_SERVED, true),
];

/// What the flusher's host wants of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    GoOn,
    /// Drain what is there and end.
    Stop,
    /// Let somebody else have it.
    Yield,
    /// The segment is retired and the file let go: go on in its successor.
    Moved,
}

/// Who runs the flusher, as the segment's header says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Kind {
    Thread = 1,
    Sidecar = 2,
    Helper = 3,
}

/// A sweep's result.
#[derive(Clone, Copy, Debug, Default)]
struct Swept {
    records: u64,
    bytes: u64,
}

pub(crate) struct Flusher<'a> {
    at: &'a Attached,
    /// What holds now, and how often it had been changed.
    config: Config,
    config_changes: u64,
    lock: &'a LockFile,
    kind: Kind,
    tell: &'a mut dyn FnMut(Event),
    drainer: Drainer,
    cell: Cell,
    found: Option<Found>,
    file: Option<LogFile>,
    new_file: Option<LogFile>,
    /// `None`: this log has no index.
    index: Option<Index>,
    /// What the log's files are called. The templates from before are known as soon as the manifest was read.
    naming: Naming,
    /// The name of the log file, if that is not the log's; and of the one that is to be made.
    live: Option<String>,
    next: Option<direct::Next>,
    /// The stamp and the number of the last dated name that was chosen.
    last_copy: Option<Dated>,
    /// `None`: no rotation at times.
    schedule: Option<Schedule>,
    /// The period that the manifest knows.
    remembered: Period,
    keeper: Keeper,
    shifter: Shifter,
    /// `None`: this turn is too short to pack archives.
    packer: Option<Packer>,
    /// `None`: this process runs no program after rotations.
    hooks: Option<&'a mut Hooks>,
    /// It was told that the link cannot be made right.
    link_told: bool,
    backoff: Backoff,
    pieces: Vec<(*const u8, usize)>,
    /// How many bytes of the last batch the file took before it was refused the rest.
    taken: u64,
    truncated: u64,
    /// Unwritten trouble: not before, and how long the next delay is; 0 = none.
    retry_ns: u64,
    delay_ns: u64,
    /// This process met a limit of its own; another one may get on.
    hampered: bool,
    /// The file was another segment's.
    contended: bool,
    dirty_ns: Option<u64>,
    /// Bytes were written to the file since its last sync; and the archives have been synced in this turn.
    unsynced: bool,
    archives_synced: bool,
    /// Bytes that were not yet synced are gone with a file that was removed.
    gone_unsynced: bool,
    file_checked_ns: u64,
    dead_checked_ns: u64,
    orphan_checked_ns: u64,
    /// Since when the segment is retired.
    retired_ns: Option<u64>,
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
        let mut t = take_over(mem, at.geometry);
        let (config, config_changes) = at.configuration();
        t.drainer.manner = notes::manner(&config);
        let pid = sys::pid();
        mem.store(word::FLUSHER_PID, u64::from(pid), Relaxed);
        mem.store(word::FLUSHER_START, sys::own_start_time().unwrap_or(0), Relaxed);
        mem.store(word::FLUSHER_KIND, kind as u64, Relaxed);
        mem.store(word::FLUSHER_ERROR, 0, Relaxed);
        set_gate(mem, gate::RUN);
        bump(mem, Counter::Takeovers, 1);
        let (schedule, zone_trouble) = time::schedule_of(&config);
        let mut f = Flusher {
            at,
            config_changes,
            lock,
            kind,
            tell,
            drainer: t.drainer,
            cell: Cell::default(),
            found: Some(t.found),
            file: None,
            new_file: None,
            index: config.index.then(Index::default),
            naming: config.naming(&at.name),
            config,
            live: None,
            next: None,
            last_copy: None,
            schedule,
            remembered: Period::default(),
            keeper: Keeper::default(),
            shifter: Shifter::default(),
            packer: None,
            hooks: None,
            link_told: false,
            backoff: Backoff::default(),
            pieces: Vec::new(),
            taken: 0,
            truncated: 0,
            retry_ns: 0,
            delay_ns: 0,
            hampered: false,
            contended: false,
            dirty_ns: None,
            unsynced: true,
            archives_synced: false,
            gone_unsynced: false,
            file_checked_ns: 0,
            dead_checked_ns: 0,
            orphan_checked_ns: 0,
            retired_ns: at.is_retired().then(sys::monotonic_ns),
        };
        f.recall_note();
        f.look_for_a_successor(sys::monotonic_ns());
        if f.retired_ns.is_none() {
            f.settled();
        }
        if matches!(f.config.fsync, Fsync::Interval(_)) {
            // What the predecessor had written and not yet synced.
            f.dirty_ns = Some(sys::monotonic_ns());
        }
        let epoch = mem.load(word::EPOCH, Relaxed);
        (f.tell)(Event::Elected { epoch, truncated_bytes: f.truncated });
        f.tell_zone(zone_trouble);
        f
    }

    /// Sweeps, naps and sleeps until the host wishes otherwise. Before it ends, what is in the ring is
    /// in the file, unless the disk refuses.
    pub(crate) fn run(&mut self, wish: &mut dyn FnMut() -> Wish) -> Wish {
        let ended = self.run_turn(wish);
        self.stop_packing();
        ended
    }

    fn run_turn(&mut self, wish: &mut dyn FnMut() -> Wish) -> Wish {
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
                || self.gives_way()
                || last_sweeps >= STOP_SWEEPS
                || (last_sweeps > 0 && self.is_drained(swept))
            {
                if asked == Wish::Stop && self.finish_shift().is_err() {
                    return Wish::Yield;
                }
                self.tell_drops(true);
                self.sync_at_the_end();
                return asked;
            }
            if self.kind == Kind::Sidecar && self.has_left() {
                return Wish::Moved;
            }
            let now = sys::monotonic_ns();
            self.housekeeping(now);
            if self.shift(now).is_err() {
                return Wish::Yield;
            }
            self.keep(now);
            self.run_hooks(now);
            self.pack(now);
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
            } else if !self.tell_drops(false) && self.may_sleep() {
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
        self.tell_drops(true);
        self.sync_at_the_end();
        swept
    }

    /// The same for the last process: also leases that nothing gives up any more are taken back.
    pub(crate) fn help_last(&mut self) -> bool {
        self.drainer.revoke_all(self.at.mem());
        self.help()
    }

    /// The same for who has come to have retention applied, and has the time for it.
    pub(crate) fn tend(&mut self) -> bool {
        let helped = self.help();
        self.keep_if_asked();
        helped
    }

    /// True for a thread that met a limit of its own process. (A sidecar is there to stay, and a helper
    /// ends by itself.)
    pub(crate) fn gives_way(&self) -> bool {
        self.hampered && self.kind == Kind::Thread
    }

    /// True if records are kept back because the file cannot be written.
    pub(crate) fn is_stuck(&self) -> bool {
        self.retry_ns != 0
    }

    fn is_drained(&self, swept: Swept) -> bool {
        (swept.records == 0 && !self.drainer.has_deferred()) || self.retry_ns != 0
    }

    /// Everything that may be written now, with the rotations on the way.
    fn sweep(&mut self) -> Result<Swept, Trouble> {
        let now = sys::monotonic_ns();
        if self.retry_ns > now {
            return Ok(Swept::default());
        }
        self.look_for_a_successor(now);
        if self.retired_ns.is_some() {
            return self.sweep_retired(now);
        }
        self.obey_changes()?;
        if !self.settled() {
            return Ok(Swept::default());
        }
        self.serve_requests()?;
        self.rotate_in_time()?;
        self.remember_period();
        self.sweep_to_named_file(now)
    }

    fn sweep_to_file(&mut self, now: u64) -> Result<Swept, Trouble> {
        let mem = self.at.mem();
        // ORDER sync/acquire: BEFORE the collection, which then finds what these tickets are for.
        let tickets = mem.load(word::SYNC_WANT, Acquire);
        let n = self.drainer.collect(mem);
        if n > 0 && now.saturating_sub(self.file_checked_ns) >= CHECK_FILE_NS {
            self.check_file()?;
            self.file_checked_ns = now;
        }
        let mut swept = Swept::default();
        self.drainer.batch_max = BATCH_BYTES;
        loop {
            match self.write_batch(&mut swept) {
                Ok(true) => {}
                Ok(false) => break,
                // What has room is written, up to the last record.
                Err(trouble) if self.shrink_batch(&trouble) => _ = self.drainer.collect(self.at.mem()),
                Err(trouble) => return Err(trouble),
            }
        }
        self.swept_all();
        self.sync_if_due(now)?;
        self.serve_syncs(tickets);
        if self.retry_ns != 0 {
            self.recovered();
        }
        Ok(swept)
    }

    /// A sweep was completed.
    fn swept_all(&mut self) {
        self.announce_space(true);
        let mem = self.at.mem();
        mem.store(word::POOL, u64::from(self.drainer.free_chunks()), Relaxed);
        add_mine(mem, word::SWEEPS, 1);
    }

    /// One batch; false when nothing is left of the collection.
    fn write_batch(&mut self, swept: &mut Swept) -> Result<bool, Trouble> {
        // Somebody may truncate or prolong the file at any time: the shorter the time between this look
        // and the write, the less of theirs and ours is mixed up.
        self.check_before_write()?;
        let (policy, end) = (self.config.policy, self.cell.end);
        let may_rotate = self.backoff.is_due(sys::monotonic_ns() / MS);
        let full = |batch: u64, len: u64| may_rotate && policy.must_rotate_before(end + batch, len);
        let Some(batch) = self.drainer.next_batch(self.at.mem(), full) else { return Ok(false) };
        if batch.records + batch.lost > 0 {
            self.drainer.prepare(self.at.mem());
            self.write_prepared()?;
            self.index_batch(batch.bytes);
            self.cell.end += batch.bytes;
            self.cell.numbers = self.cell.numbers.with(batch.numbers);
            self.commit()?;
            swept.records += batch.records;
            swept.bytes += batch.bytes;
            self.announce_space(false);
        }
        if batch.rotate {
            let stage = self.config.policy.stage();
            self.rotate(stage)?;
        }
        Ok(true)
    }

    /// After a batch that the file took only in part, since the disk is full: true if a smaller one may fit.
    fn shrink_batch(&mut self, trouble: &Trouble) -> bool {
        let full = matches!(trouble, Trouble::Io(_, e) if is_full(e.kind()));
        let smaller = full && self.taken > 0 && self.taken < self.drainer.batch_max;
        if smaller {
            self.drainer.batch_max = self.taken;
        }
        smaller
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
        self.taken = done.as_ref().map_or_else(|e| e.written, |n| *n);
        done.map_err(|e| Trouble::Io("write to", e.cause))?;
        self.wrote()
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

    /// Somebody changed the configuration of the running log.
    fn obey_changes(&mut self) -> Result<(), Trouble> {
        if self.at.mem().load(word::CONFIG_CHANGES, Relaxed) == self.config_changes {
            return Ok(());
        }
        (self.config, self.config_changes) = self.at.configuration();
        let now_ns = self.drainer.manner.now_ns;
        self.drainer.manner = Manner { now_ns, ..notes::manner(&self.config) };
        self.rename_from_now_on();
        let (schedule, trouble) = time::schedule_of(&self.config);
        self.schedule = schedule;
        self.tell_zone(trouble);
        (self.backoff, self.last_copy) = (Backoff::default(), None);
        self.pack_anew();
        self.keep_anew();
        self.keep_link();
        // While there is no file to write to, the take-over that is under way does it.
        if self.found.is_none() { self.arm_again() } else { Ok(()) }
    }

    fn serve_requests(&mut self) -> Result<(), Trouble> {
        let mem = self.at.mem();
        for (requests, served, may_empty) in ROTATIONS {
            let asked = mem.load(requests, Relaxed);
            if asked == mem.load(served, Relaxed) || !self.backoff.is_due(sys::monotonic_ns() / MS) {
                continue;
            }
            if self.config.policy.empties() && !may_empty {
                let path = self.at.log_path.clone();
                (self.tell)(Event::NotRotated { what: FlushError::Discards { path }.to_string() });
            } else {
                if self.cell.end > 0 {
                    self.rotate(self.config.policy.stage())?;
                }
                // A rotation that failed is asked for until it has been made.
                if self.backoff.failures() > 0 {
                    continue;
                }
            }
            mem.store(served, asked, Relaxed);
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
        let dead: Vec<u32> = (0..self.at.geometry.slots()).filter(|&slot| self.reap(slot)).collect();
        if !dead.is_empty() {
            self.bury(&dead);
        }
    }

    /// First half: what the dead had leased is sealed.
    fn reap(&mut self, slot: u32) -> bool {
        let (at, lock) = (self.at, self.lock);
        if at.slot == Some(slot) || occupant(at.mem(), at.geometry, slot).is_none() {
            return false;
        }
        // Asked within `reap_begin`, which has read the slot's word by then: evidence on a former owner must
        // not be held against its successor.
        let dead = || occupant(at.mem(), at.geometry, slot).is_some_and(|now| is_dead(lock, slot, &now));
        self.drainer.reap_begin(at.mem(), slot, dead)
    }
}

/// There is no room on the disk, or not for this user or in this file.
fn is_full(kind: std::io::ErrorKind) -> bool {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(kind, StorageFull | QuotaExceeded | FileTooLarge)
}

/// Only the flusher closes the gate; a producer may open the very one that it rang at.
fn set_gate(mem: &impl Mem, mode: u64) {
    let gate = mem.load(word::GATE, Relaxed);
    mem.store(word::GATE, gate::next(gate, mode), Relaxed);
}

/// The kernel's word on a slot's owner: its lock is free, or its process is gone. Never time.
pub(crate) fn is_dead(lock: &LockFile, slot: u32, id: &crate::ring::reclaim::Identity) -> bool {
    if !lock.held_by_other(byte::slot(slot)).unwrap_or(true) {
        return true;
    }
    // 0: its namespace is unknown, and so is what its pid means.
    id.pid_ns != 0
        && id.pid_ns == sys::pid_namespace()
        && id.pid != 0
        && sys::process_gone(id.pid as u32, id.start)
}
