//! One process's attachment to a segment: mapping, locks, slot, and its flusher's thread.

use crate::close::{CloseError, EndOptions};
use crate::election;
use crate::error::OpenError;
use crate::flush::{Flusher, Hooks, Kind, Wish, close_index, is_dead};
use crate::hook::Hook;
use crate::options::{Compression, Config, Live, Options, PROCESSES_MAX, Rotator, panic_text};
use crate::ring::layout::{Counter, Geometry, Phase, SlotPhase, SlotWord, State, counter, gate, slot, word};
use crate::ring::look;
use crate::ring::mem::Mem;
use crate::ring::reclaim::{Identity, deregister, occupant, register};
use crate::segment::{self, Departure, Segment, SegmentSpec};
use crate::sys::{self, Epoch, FileError, FileId, LockFile, Mapping, SizeLimitIsAnError, Watch, byte};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicI32};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a process of the superuser waits until its thread has opened the file.
const FIRST_TURN_MS: u32 = 100;
/// How long the last one out waits for a flusher that is about to let go.
const LAST_PATIENCE: Duration = Duration::from_secs(1);

/// Tells the flusher at once when the segment or its lock file is removed: sleeping, it would not look.
pub(crate) struct Watcher(Option<Arc<Watch>>);

impl Watcher {
    /// Without it (no descriptor, no thread) the flusher finds out when it wakes up next.
    pub(crate) fn start(at: &Arc<Attached>) -> Watcher {
        let watch = Watch::new(&[at.mem().path(), at.lock.path()]).map(Arc::new);
        let Ok(watch) = watch else { return Watcher(None) };
        let (at, mine) = (Arc::downgrade(at), Arc::clone(&watch));
        let run = move || {
            sys::block_signals();
            while mine.wait() {
                let Some(at) = at.upgrade() else { return };
                at.ring();
            }
        };
        let started = std::thread::Builder::new().name("crlog-watch".into()).spawn(run).is_ok();
        Watcher(started.then_some(watch))
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        if let Some(watch) = &self.0 {
            watch.end();
        }
    }
}

/// What is wanted of an attachment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Writes records; takes a slot.
    Producer,
    /// Flushes only.
    Sidecar,
    /// Makes no segment; looks, and leaves things as they are, or recovers them.
    Guest,
}

/// A turn of the embedded flusher.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    pub(crate) stop: bool,
    pub(crate) flushing: bool,
    /// It has begun with the file.
    pub(crate) settled: bool,
    /// A thread waits to be elected, or flushes.
    pub(crate) candidate: bool,
    /// A thread helps on behalf of a call that has no time for it.
    pub(crate) helping: bool,
}

#[derive(Debug)]
pub(crate) struct Attached {
    pub(crate) segment: Segment,
    pub(crate) geometry: Geometry,
    /// As it was when we attached: for what cannot be changed. See [`Attached::configuration`].
    pub(crate) config: Config,
    pub(crate) log_path: PathBuf,
    pub(crate) dir: PathBuf,
    pub(crate) name: String,
    /// Holds ATTACH and the slot; never the flusher's bytes.
    pub(crate) lock: LockFile,
    pub(crate) slot: Option<u32>,
    role: Role,
    pub(crate) born: Epoch,
    pub(crate) turn: Mutex<Turn>,
    /// The turn has ended.
    pub(crate) ended: Condvar,
    target: Target,
    program: Option<String>,
    next: Mutex<Option<Arc<Membership>>>,
    /// What `/` was when we attached.
    root: Option<FileId>,
    direct_name: Mutex<Option<String>>,
    /// This process has left the segment; handles that are still there keep the memory mapped.
    has_ended: AtomicBool,
    /// Why this process could not become the flusher, when it last tried: an error number, 0 for none.
    refused: AtomicI32,
    /// What is left was reported to the caller, or on stderr.
    is_reported: AtomicBool,
}

/// Why a sync did not come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotSynced {
    /// The time is over.
    Late,
    /// The system said no.
    Refused,
}

/// Resolves the log's name and checks the options: what all attachments of a log share.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) spec: SegmentSpec,
    pub(crate) dir: PathBuf,
    pub(crate) name: String,
    /// What this process runs after rotations: as a sidecar, or in a thread of its own.
    hooks: [Option<Arc<Hook>>; 2],
    rotator: Option<Rotator>,
    end: EndOptions,
}

impl Target {
    pub(crate) fn new(options: &Options) -> Result<Target, OpenError> {
        let bad = |cause| OpenError::Path { path: options.path.clone(), cause };
        let log_path = segment::canonical(&options.path).map_err(bad)?;
        let invalid = |why: &str| bad(std::io::Error::new(std::io::ErrorKind::InvalidInput, why));
        let name = log_path.file_name().and_then(|n| n.to_str());
        let name = name.ok_or_else(|| invalid("its name must be Unicode"))?.to_owned();
        let dir = log_path.parent().map_or_else(|| PathBuf::from("/"), Path::to_owned);
        let config = options.config()?;
        config.fits(&name)?; // perhaps another name than that of the link by which the log was named
        if config
            .link
            .as_deref()
            .is_some_and(|l| sys::in_real_parent(Path::new(l)).is_ok_and(|l| l == log_path))
            && !config.policy.direct
            && !sys::is_direct(&log_path)
        {
            return Err(OpenError::option(format!("the link {} is the log itself", log_path.display())));
        }
        let spec = SegmentSpec {
            id: segment::segment_id(&log_path),
            log_path,
            kind: options.segment.clone(),
            geometry: options.geometry()?,
            lock_dir: options.lock_dir.clone(),
            mode: 0o600,
            config: config.encode(),
            generation: 1,
        };
        let hooks = [true, false].map(|sidecar| options.hook(sidecar).map(Arc::new));
        Ok(Target { spec, dir, name, hooks, rotator: options.rotator.clone(), end: options.end })
    }
}

fn absent(error: segment::OpenError, target: &Target) -> OpenError {
    match error {
        segment::OpenError::Absent { .. } => OpenError::NotOpen { path: target.spec.log_path.clone() },
        other => other.into(),
    }
}

/// A log whose files could never be given to their owner is refused when it is opened for the first time.
fn may_give(target: &Target, config: &Config) -> Result<(), OpenError> {
    sys::can_give(&target.dir, config.owner).map_err(|cause| OpenError::Owner {
        path: target.spec.log_path.clone(),
        owner: config.owner.to_string(),
        cause,
    })
}

/// From now on the log's path is a name only, whatever stands there.
fn may_be_direct(target: &Target, config: &Config) -> Result<(), OpenError> {
    let path = &target.spec.log_path;
    let marked =
        if config.policy.direct { sys::mark_direct(path, config.rights_of_directory()) } else { Ok(()) };
    marked.map_err(|cause| OpenError::Path { path: path.clone(), cause })
}

impl Attached {
    pub(crate) fn new(target: &Target, role: Role, program: Option<&str>) -> Result<Attached, OpenError> {
        let _limit = SizeLimitIsAnError::new();
        let (segment, lock, report) = match role {
            Role::Guest => Segment::enter_existing(&target.spec).map_err(|e| absent(e, target))?,
            Role::Producer | Role::Sidecar => Segment::enter(&target.spec)?,
        };
        let config = Config::read(segment.mapping()).map(|(config, _)| config);
        let config = config.ok_or_else(|| OpenError::Config { segment: target.spec.id.clone() })?;
        if report.created && target.spec.generation == 1 {
            // Nothing is in it yet: left now, it leaves no file behind that would belong to somebody else.
            may_give(target, &config).inspect_err(|_| drop(segment.release(&lock, |_| true)))?;
            may_be_direct(target, &config).inspect_err(|_| drop(segment.release(&lock, |_| true)))?;
        }
        let geometry = *segment.geometry();
        let mut attached = Attached {
            segment,
            geometry,
            config,
            log_path: target.spec.log_path.clone(),
            dir: target.dir.clone(),
            name: target.name.clone(),
            lock,
            slot: None,
            role,
            born: Epoch::now(),
            turn: Mutex::default(),
            ended: Condvar::new(),
            target: target.clone(),
            program: program.map(str::to_owned),
            next: Mutex::default(),
            root: sys::dir::root(),
            direct_name: Mutex::default(),
            has_ended: AtomicBool::new(false),
            refused: AtomicI32::new(0),
            is_reported: AtomicBool::new(false),
        };
        if role == Role::Producer {
            attached.take_slot(program)?;
        }
        Ok(attached)
    }

    /// How the log ends in this process.
    pub(crate) fn end_options(&self) -> EndOptions {
        self.target.end
    }

    /// What is left was reported, or nothing is left: the end of the attachment says nothing more.
    pub(crate) fn set_reported(&self, yes: bool) {
        self.is_reported.store(yes, Relaxed);
    }

    /// True if another living process has the log open: a producer, or what flushes.
    pub(crate) fn has_others(&self) -> bool {
        let Ok(lock) = self.lock.again() else { return false };
        let lives =
            |slot| self.slot != Some(slot) && self.is_dead(&lock, slot).is_some_and(|(_, dead)| !dead);
        let foreign = self.mem().load(word::FLUSHER_PID, Relaxed) != u64::from(sys::pid());
        (0..self.geometry.slots()).any(lives) || (foreign && self.has_flusher())
    }

    /// What this process does in place of renaming the log.
    pub(crate) fn rotator(&self) -> Option<&Rotator> {
        self.target.rotator.as_ref()
    }

    /// What this process runs after rotations.
    pub(crate) fn hooks(&self) -> Option<Hooks> {
        let [sidecar, thread] = &self.target.hooks;
        let hook = if self.role == Role::Sidecar { sidecar } else { thread };
        hook.clone().map(Hooks::new)
    }

    #[inline]
    pub(crate) fn mem(&self) -> &Mapping {
        self.segment.mapping()
    }

    /// What the log file was last called, if it has a name of its own: a hint, so that it is not looked for each time.
    pub(crate) fn direct_name(&self) -> MutexGuard<'_, Option<String>> {
        self.direct_name.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn turn(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What holds now, and how often it was changed. If somebody has damaged it: what held when we attached.
    pub(crate) fn configuration(&self) -> (Config, u64) {
        let changes = self.mem().load(word::CONFIG_CHANGES, Relaxed);
        Config::read(self.mem()).unwrap_or_else(|| (self.config.clone(), changes))
    }

    /// Changes what holds, for all processes.
    pub(crate) fn reconfigure(&self, change: impl FnOnce(&mut Config)) -> Result<(), OpenError> {
        let damaged = || OpenError::Config { segment: self.target.spec.id.clone() };
        let mem = self.mem();
        // A handle of its own: a lock keeps out other handles, not other threads.
        let lock = self.lock.again().map_err(segment::OpenError::from)?;
        let done = self.segment.alone(&lock, "changing the configuration", || {
            let (before, changes) = Config::read(mem)?;
            let mut config = before.clone();
            change(&mut config);
            if config != before {
                config.write(mem, changes.wrapping_add(1));
            }
            Some(())
        });
        done?.ok_or_else(damaged)?;
        self.ring();
        Ok(())
    }

    /// True if somebody removed the segment or its lock file: nobody new would find us.
    pub(crate) fn is_orphaned(&self) -> bool {
        let gone = self.mem().links().is_ok_and(|n| n == 0);
        gone || self.lock.is_current().is_ok_and(|yes| !yes)
    }

    /// False for one that took the place of a removed one.
    pub(crate) fn is_first_segment(&self) -> bool {
        self.segment.header().generation <= 1
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.mem().load(word::RETIRED, Relaxed) != 0
    }

    /// This process's attachment to the segment that comes after this one: the one that others have made by
    /// now, or a new one with the same sizes and configuration.
    pub(crate) fn successor(&self) -> Result<Arc<Membership>, OpenError> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = next.as_ref().filter(|next| next.0.born.is_current()) {
            let mut last = Arc::clone(known);
            while last.0.is_retired() {
                last = last.0.successor()?;
            }
            *next = Some(Arc::clone(&last));
            return Ok(last);
        }
        // As long as the old name is there, newcomers would still come here.
        let unlinked = self.mem().unlink();
        unlinked.map_err(|cause| OpenError::Path { path: self.mem().path().to_owned(), cause })?;
        let live = Live::read(self.mem());
        let config = Config {
            when_full: live.when_full,
            reserve: self.mem().load(word::RESERVE, Relaxed),
            ..self.configuration().0
        };
        let mut target = self.target.clone();
        target.spec.geometry = self.geometry;
        target.spec.config = config.encode();
        target.spec.generation = self.segment.header().generation.wrapping_add(1);
        let attached = Attached::new(&target, self.role, self.program.as_deref())?;
        let member = Membership::new(attached);
        *next = Some(Arc::clone(&member));
        Ok(member)
    }

    fn take_slot(&mut self, program: Option<&str>) -> Result<(), OpenError> {
        let pid = sys::pid();
        let id = Identity {
            pid: u64::from(pid),
            start: sys::own_start_time().unwrap_or(0),
            pid_ns: sys::pid_namespace(),
            attached_ns: sys::unix_ns(),
            name: program.map_or_else(sys::program_name, str::to_owned),
        };
        for attempt in 0..2 {
            for slot in 0..self.geometry.slots() {
                if self.try_slot(slot, &id) {
                    self.slot = Some(slot);
                    return Ok(());
                }
            }
            if attempt == 0 {
                // Perhaps the slots are those of the dead: clean up, if nobody is there to do it.
                self.help();
            }
        }
        Err(OpenError::TooManyProcesses(PROCESSES_MAX))
    }

    fn try_slot(&self, number: u32, id: &Identity) -> bool {
        let at = self.geometry.slot(number) + slot::WORD;
        if SlotWord(self.mem().load(at, Relaxed)).phase() != Some(SlotPhase::Free) {
            return false;
        }
        if !self.lock.try_lock(byte::slot(number)).unwrap_or(false) {
            return false;
        }
        if register(self.mem(), self.geometry, number, id) {
            return true;
        }
        // It can only fail for a stale handle, which holds no lock.
        let _ = self.lock.unlock(byte::slot(number));
        false
    }

    /// Wakes the flusher, whatever it is doing.
    pub(crate) fn ring(&self) {
        let mem = self.mem();
        let gate = mem.load(word::GATE, Relaxed);
        // ORDER bell/release: what the bell is rung for is before it.
        mem.add(word::BELL, 1, Release);
        mem.wake(word::BELL, true);
        // The others need not ring, too. Last of all: whoever is stopped or killed before it leaves the gate
        // closed, and the next one rings. And only the gate that stood before the bell.
        let _ = mem.cas(word::GATE, gate, gate::opened(gate), Relaxed, Relaxed);
    }

    /// If nobody flushes, this thread does: all that is in the ring now. True if it did.
    pub(crate) fn help(&self) -> bool {
        self.help_within(Duration::ZERO)
    }

    /// The same for a call that may not take longer than it was told: the file takes as long as the disk
    /// does, so a thread writes, if this process may have any. True if the caller need not wait for that.
    pub(crate) fn help_for(self: &Arc<Self>, limited: bool) -> bool {
        let mut turn = self.turn();
        if !limited || !turn.candidate {
            drop(turn);
            return self.help();
        }
        if turn.helping || self.has_flusher() {
            return false;
        }
        turn.helping = true;
        drop(turn);
        let helping = Helping(Arc::clone(self));
        let help = move || {
            sys::block_signals();
            helping.0.help();
        };
        // Without a thread nobody helps: then the limit is what counts.
        let _ = std::thread::Builder::new().name("crlog-helper".into()).spawn(help);
        false
    }

    pub(crate) fn help_within(&self, patience: Duration) -> bool {
        self.take_a_turn(patience, |flusher| flusher.help())
    }

    /// The same for who has come to have retention applied: that is done, too.
    pub(crate) fn tend(&self) -> bool {
        self.take_a_turn(Duration::ZERO, |flusher| flusher.tend())
    }

    fn take_a_turn(&self, patience: Duration, turn: impl FnOnce(&mut Flusher<'_>) -> bool) -> bool {
        let lock = match self.lock.again() {
            Ok(lock) => lock,
            Err(e) => {
                self.set_refused(&e);
                return false;
            }
        };
        if !lock.lock_within(byte::FLUSHER, patience).unwrap_or(false) {
            return false;
        }
        let _limit = SizeLimitIsAnError::new();
        let mut deaf = |_| {};
        // Whatever went wrong in it, the next turn begins as after a kill; the host's call goes on.
        let turn = || turn(&mut Flusher::take_over(self, &lock, Kind::Helper, &mut deaf));
        catch_unwind(AssertUnwindSafe(turn)).unwrap_or_else(|panic| {
            self.tell_panic(&*panic);
            false
        })
    }

    /// For people: a flusher of this process ended by a panic.
    pub(crate) fn tell_panic(&self, panic: &(dyn std::any::Any + Send)) {
        let text = format!("the flusher of process {} panicked: {}", sys::pid(), panic_text(panic));
        crate::ring::fault::store(self.mem(), crate::flush::EIO, &text);
    }

    /// Notes why this process cannot become the flusher.
    pub(crate) fn set_refused(&self, error: &FileError) {
        self.refused.store(error.errno().unwrap_or(0), Relaxed);
    }

    /// Why this process could not become the flusher, when it last tried.
    pub(crate) fn refused(&self) -> Option<std::io::Error> {
        let errno = self.refused.load(Relaxed);
        (errno != 0).then(|| std::io::Error::from_raw_os_error(errno))
    }

    /// True if some flusher holds the lock right now.
    pub(crate) fn has_flusher(&self) -> bool {
        // This handle never has that byte, so it may ask.
        self.lock.held_by_other(byte::FLUSHER).unwrap_or(false)
    }

    /// This process sees other files under the paths of this log than when it attached: it has called `chroot`.
    pub(crate) fn is_elsewhere(&self) -> bool {
        sys::dir::root() != self.root
    }

    /// Starts the thread that waits to be elected, once.
    pub(crate) fn start_flusher(self: &Arc<Self>) {
        let mut turn = self.turn();
        if !turn.candidate && !turn.stop {
            // Without a thread, producers help themselves when the ring is full: slower, not wrong.
            turn.candidate = election::stand(self);
        }
        drop(turn);
        if sys::user() == 0 {
            self.wait_for_file();
        }
    }

    /// A process that may give up its rights or its root at once has the file open by then, if it is to write it.
    fn wait_for_file(&self) {
        for _ in 0..FIRST_TURN_MS {
            let turn = self.turn();
            if turn.settled || turn.stop || !turn.candidate || (!turn.flushing && self.has_flusher()) {
                return;
            }
            let waited = self.ended.wait_timeout(turn, Duration::from_millis(1));
            drop(waited);
        }
    }

    /// This process's thread has the file open, or cannot have it.
    pub(crate) fn set_settled(&self, yes: bool) {
        self.turn().settled = yes;
        self.ended.notify_all();
    }

    /// Waits until all that was in the ring before is in the file; false when `limit` has passed.
    pub(crate) fn flush(self: &Arc<Self>, limit: Duration) -> bool {
        let mem = self.mem();
        let deadline =
            sys::monotonic_ns().saturating_add(u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX));
        // ORDER space/fence: this thread's commits are visible before the count is read, so that the sweep
        // behind the one under way finds them.
        mem.fence(SeqCst);
        let target = mem.load(word::SWEEPS, Relaxed).wrapping_add(2);
        let mut wait = Duration::from_millis(1);
        loop {
            mem.store(word::SWEEPS_WANT, 1, Relaxed);
            // ORDER space/fence: want is visible before the last look; the flusher fences in between too.
            mem.fence(SeqCst);
            let now = mem.load(word::SWEEPS, Relaxed);
            if now.wrapping_sub(target) < u64::MAX / 2 {
                return true;
            }
            self.ring();
            if sys::monotonic_ns() >= deadline {
                // Nothing waits: then there is nothing to wait for either.
                return look::lag(mem, self.geometry).records == 0;
            }
            if mem.wait(word::SWEEPS, now as u32, wait) {
                continue;
            }
            self.help_for(limit < Duration::MAX);
            wait = (wait * 2).min(Duration::from_millis(50));
        }
    }

    /// How often the log file was removed by others.
    pub(crate) fn removals(&self) -> u64 {
        self.mem().load(counter(Counter::FilesRemoved), Relaxed)
    }

    /// Waits until all that was in the ring or in the file before is on the disk.
    pub(crate) fn sync(self: &Arc<Self>, limit: Duration) -> Result<(), NotSynced> {
        let mem = self.mem();
        let deadline =
            sys::monotonic_ns().saturating_add(u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX));
        // ORDER sync/release: the sweep that reads this ticket finds what was committed before it was drawn.
        let ticket = mem.add(word::SYNC_WANT, 1, Release).wrapping_add(1);
        let mut wait = Duration::from_millis(1);
        loop {
            mem.store(word::SYNC_WAITING, 1, Relaxed);
            // ORDER space/fence: waiting is visible before the last look; the flusher fences in between too.
            mem.fence(SeqCst);
            // ORDER sync/acquire.
            let done = mem.load(word::SYNC_DONE, Acquire);
            if done.wrapping_sub(ticket) < u64::MAX / 2 {
                let failed = |at| mem.load(at, Relaxed);
                let (from, to) = (failed(word::SYNC_FAILED_FROM), failed(word::SYNC_FAILED_TO));
                let refused = from != 0 && (from..=to).contains(&ticket);
                return if refused { Err(NotSynced::Refused) } else { Ok(()) };
            }
            self.ring();
            if sys::monotonic_ns() >= deadline {
                return Err(NotSynced::Late);
            }
            if mem.wait(word::SYNC_DONE, done as u32, wait) {
                continue;
            }
            self.help_for(limit < Duration::MAX);
            wait = (wait * 2).min(Duration::from_millis(50));
        }
    }

    /// Ends the attachment: the thread's turn ends, and if nobody else flushes, the ring is drained.
    pub(crate) fn leave(self: &Arc<Self>) {
        let flushing = {
            let mut turn = self.turn();
            turn.stop = true;
            let turn = self.ended.wait_while(turn, |turn| turn.helping);
            turn.unwrap_or_else(PoisonError::into_inner).flushing
        };
        election::vacate(self);
        if flushing {
            self.ring();
            let turn = self.ended.wait_while(self.turn(), |turn| turn.flushing);
            drop(turn);
        } else if self.role == Role::Producer {
            // A guest leaves things as they are.
            self.help();
        }
        let next = self.next.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(next);
        if let Some(number) = self.slot {
            deregister(self.mem(), self.geometry, number);
            // It can only fail for a stale handle, which holds no lock.
            let _ = self.lock.unlock(byte::slot(number));
        }
    }

    /// The last process compresses what is due, for a bounded time, and only as long as it is alone: another one has
    /// records that must not wait for it.
    fn compress_at_end(self: &Arc<Self>) {
        let limit = self.target.end.compress_timeout;
        let wanted = self.role != Role::Guest && !limit.is_zero();
        if !wanted || self.configuration().0.compress == Compression::None || self.has_others() {
            return;
        }
        self.take_a_turn(Duration::ZERO, |flusher| {
            flusher.packs(Arc::downgrade(self));
            flusher.finish_compression(limit, &|| !self.has_others());
            true
        });
    }

    /// For the last one out: true if nothing is left. Nobody else is attached by now, so the flusher's
    /// lock is free or about to be; a flusher that ended meanwhile had its last look before our records.
    fn drain(&self) -> bool {
        let empty = || Attached::is_empty(self.mem(), &self.geometry);
        let help = || self.help_within(LAST_PATIENCE) && empty();
        // The leases of threads that are parked with a writer are taken back when all else is written.
        let last = || self.take_a_turn(LAST_PATIENCE, |flusher| flusher.help_last()) && empty();
        let drained = empty() || (self.role != Role::Guest && (help() || last()));
        if drained {
            close_index(self);
        }
        drained
    }

    /// True if no chunk holds anything.
    pub(crate) fn is_empty(mem: &impl Mem, geometry: &Geometry) -> bool {
        // A word of no known phase holds nothing that anybody could read.
        let free =
            |c| matches!(State(mem.load(geometry.state(c), Relaxed)).phase(), Some(Phase::Free) | None);
        (0..geometry.chunks()).all(free)
    }

    /// Whether the kernel says that the owner of a slot is dead.
    pub(crate) fn is_dead(&self, lock: &LockFile, number: u32) -> Option<(Identity, bool)> {
        let id = occupant(self.mem(), self.geometry, number)?;
        let dead = self.slot != Some(number) && is_dead(lock, number, &id);
        Some((id, dead))
    }
}

/// A thread that helps; whoever detaches waits for it.
struct Helping(Arc<Attached>);

impl Drop for Helping {
    fn drop(&mut self) {
        self.0.turn().helping = false;
        self.0.ended.notify_all();
    }
}

/// What users' handles share: dropped with the last of them, on the thread that drops it.
#[derive(Debug)]
pub(crate) struct Membership(pub(crate) Arc<Attached>);

impl Membership {
    pub(crate) fn new(attached: Attached) -> Arc<Membership> {
        let at_exit = attached.role == Role::Producer && attached.target.end.at_exit;
        let member = Arc::new(Membership(Arc::new(attached)));
        if at_exit {
            crate::exit::register(&member);
        }
        member
    }

    /// Leaves the segment, once. Handles that are still there keep the memory mapped.
    pub(crate) fn end(&self) {
        let at = &self.0;
        // Relaxed: the threads that may end it hold the one handle, or run at the process's exit.
        if !at.born.is_current() || at.has_ended.swap(true, Relaxed) {
            return; // a forked child's copy: everything in it is the parent's
        }
        let _limit = SizeLimitIsAnError::new();
        at.leave();
        at.compress_at_end();
        // If it fails, the segment stays for the next process that opens the log, as after a kill. Not if it was
        // removed: then none can find it.
        let left = at.segment.release(&at.lock, |_| at.drain());
        if left.is_err() && at.is_orphaned() {
            at.drain();
        }
        let all_left = !matches!(left, Ok(Departure::OthersRemain));
        let report = all_left && at.role == Role::Producer && at.target.end.report;
        if report && !at.is_reported.load(Relaxed) {
            CloseError::of(at, false).inspect(CloseError::report);
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.end();
    }
}

impl Attached {
    pub(crate) fn wish(&self, lock: &LockFile) -> Wish {
        if self.turn().stop {
            return Wish::Stop;
        }
        let called = self.mem().load(word::SIDECAR, Relaxed);
        if called == 0 {
            return Wish::GoOn;
        }
        if lock.held_by_other(byte::SIDECAR).unwrap_or(false) {
            return Wish::Yield;
        }
        // It died. A swap, so that the call of one that came this moment stays.
        let _ = self.mem().cas(word::SIDECAR, called, 0, Relaxed, Relaxed);
        Wish::GoOn
    }
}
