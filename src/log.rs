//! An open log: what users hold.

use crate::attached::{Attached, Membership, NotSynced, Role, Target};
use crate::close::EndOptions;
use crate::error::{AppendError, FlushError, OpenError};
use crate::options::{CHUNK_BYTES, Difference, Live, Options, WhenFull};
use crate::own_writer::OwnWriters;
use crate::reattach::Reattach;
use crate::ring::journal::{self, Found};
use crate::ring::layout::{Counter, LEVELS, Phase, State, counter, word};
use crate::ring::look;
use crate::ring::mem::Mem;
use crate::ring::reclaim::{Death, deaths, drops, own_drops, reported};
use crate::rotate::Standing;
use crate::segment;
use crate::stats::{Counters, DeathInfo, FlusherInfo, ProducerInfo, Stats};
use crate::sys::{self, Create, FileError, LogFile};
use crate::writer::{Severity, Writer};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::Duration;

/// A log that this process has open. Cheap to clone; clones are the same log.
///
/// Dropping the last handle (log and writers) drains what is in the ring, if no other process is
/// there to do it, and detaches.
#[derive(Clone, Debug)]
pub struct Log {
    core: Arc<Core>,
    own: Arc<OwnWriters>,
}

// A panic between two calls leaves nothing half done: a record is taken by one store, and no function of the host runs
// while a lock is held.
impl UnwindSafe for Log {}
impl RefUnwindSafe for Log {}

/// What [`Log`] and [`Writer`](crate::Writer) share: how to attach, and the present attachment.
pub(crate) struct Core {
    options: Options,
    target: Target,
    role: Role,
    pub(crate) current: Mutex<Arc<Membership>>,
    pub(crate) reattach: Reattach,
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core").field("path", &self.target.spec.log_path).finish_non_exhaustive()
    }
}

impl Core {
    fn new(options: Options, role: Role) -> Result<Arc<Core>, OpenError> {
        let target = Target::new(&options)?;
        let attached = Attached::new(&target, role, options.name.as_deref())?;
        let current = Mutex::new(Membership::new(attached));
        Ok(Arc::new(Core { options, target, role, current, reattach: Reattach::new() }))
    }

    pub(crate) fn may_flush(&self) -> bool {
        self.options.flusher_thread && self.role == Role::Producer
    }

    /// This process's attachment; a forked child makes its own at the first call.
    pub(crate) fn membership(&self) -> Result<Arc<Membership>, OpenError> {
        // A fork can leave this lock held by a thread that the child does not have. Whoever cannot
        // get it soon attaches for itself alone, which costs a slot and nothing else.
        for _ in 0..100 {
            let mut current = match self.current.try_lock() {
                Ok(current) => current,
                Err(TryLockError::Poisoned(p)) => PoisonError::into_inner(p),
                Err(TryLockError::WouldBlock) => {
                    std::thread::sleep(Duration::from_millis(1));
                    continue;
                }
            };
            let next = if !current.0.born.is_current() {
                self.attach().map_err(|e| self.in_child(e))?
            } else if current.0.is_retired() {
                current.0.successor()?
            } else {
                return Ok(Arc::clone(&current));
            };
            let old = std::mem::replace(&mut *current, Arc::clone(&next));
            drop(current); // the last one out of the old segment drains it, and others need not wait for that
            drop(old);
            self.reattach.deliver(&next.0);
            self.reattach.drop_parked();
            return Ok(next);
        }
        self.attach()
    }

    fn in_child(&self, e: OpenError) -> OpenError {
        OpenError::Forked { path: self.target.spec.log_path.clone(), cause: Box::new(e) }
    }

    /// The last attachment, of this process or of its parent.
    fn last(&self) -> Arc<Membership> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn attach(&self) -> Result<Arc<Membership>, OpenError> {
        let attached = Attached::new(&self.target, self.role, self.options.name.as_deref())?;
        Ok(Membership::new(attached))
    }
}

impl Log {
    pub(crate) fn open(options: Options) -> Result<Log, OpenError> {
        let log = Log { core: Core::new(options, Role::Producer)?, own: OwnWriters::new() };
        log.check_file()?;
        Ok(log)
    }

    /// A log that can never be written is refused when it is opened, not when its ring is full. A full
    /// disk is no such reason: it may have room again before the ring has none.
    pub(crate) fn check_file(&self) -> Result<(), OpenError> {
        let at = self.core.membership()?;
        if at.0.config.policy.direct {
            return Ok(()); // which file it is to be is the flusher's business
        }
        match LogFile::open(&at.0.log_path, at.0.config.rights(), Create::IfMissing) {
            Err(FileError::Io { cause, .. }) if has_no_room(&cause) => Ok(()),
            Err(e) => Err(segment::OpenError::from(e).into()),
            Ok(file) => not_twice(&at.0, &file),
        }
    }

    /// Attaches without a slot and without a thread.
    pub(crate) fn visit(options: Options, role: Role) -> Result<Log, OpenError> {
        Ok(Log { core: Core::new(options, role)?, own: OwnWriters::new() })
    }

    pub(crate) fn end_options(&self) -> EndOptions {
        self.core.options.end
    }

    pub(crate) fn attached(&self) -> Result<Arc<Membership>, OpenError> {
        self.core.membership()
    }

    /// A handle for one thread. Cheap: it takes room in the ring at its first record.
    pub fn writer(&self) -> Result<Writer, OpenError> {
        if self.core.role != Role::Producer {
            return Err(OpenError::ReadOnly { path: self.path().to_owned() });
        }
        let at = self.core.membership()?;
        at.0.start_flusher_if(self.core.may_flush());
        Ok(Writer::new(Arc::clone(&self.core), at))
    }

    pub(crate) fn own_writers(&self) -> &OwnWriters {
        &self.own
    }

    /// A record that finds no writer: refused and counted, if this handle might have had one.
    pub(crate) fn no_writer(&self, severity: Severity, e: &OpenError) -> AppendError {
        if matches!(e, OpenError::ReadOnly { .. }) {
            return AppendError::ReadOnly;
        }
        self.core.reattach.count(severity as u8, 1);
        AppendError::Detached
    }

    /// Attaches this process to the log, if it is not attached: a forked child does that at its first record by itself, and
    /// so does each process after somebody removed the segment. Called before, it says what prevents it, which
    /// [`AppendError::Detached`] cannot, and it does the waiting that
    /// [`Writer::try_log`] may not do.
    pub fn attach(&self) -> Result<(), OpenError> {
        let at = self.core.membership()?;
        at.0.start_flusher_if(self.core.may_flush());
        Ok(())
    }

    /// Waits until everything that any process had written before this call is in the file.
    ///
    /// "In the file" means handed to the operating system; for the disk itself see
    /// [`Fsync`](crate::Fsync). [`Duration::ZERO`] asks whether it is so already.
    pub fn flush(&self, limit: Duration) -> Result<(), FlushError> {
        let at = self.core.membership().map_err(|e| detached(&e))?;
        if at.0.flush(limit) {
            return Ok(());
        }
        Err(FlushError::Timeout { waited: limit, reason: reason(&at.0, limit) })
    }

    /// Waits until everything that any process had written before this call is on the disk, whatever
    /// [`Fsync`](crate::Fsync) says. All who wait at one time, in all processes, share one sync of the file.
    pub fn sync(&self, limit: Duration) -> Result<(), FlushError> {
        let at = self.core.membership().map_err(|e| detached(&e))?;
        at.0.sync(limit).map_err(|failed| failed.tell(&at.0, limit))
    }

    /// Canonical path of the log.
    pub fn path(&self) -> &Path {
        &self.core.target.spec.log_path
    }

    /// The file that is written now; `None` if there is none yet, or it has gone. It is [`Log::path`], but for
    /// [`Options::direct`].
    pub fn current(&self) -> Option<PathBuf> {
        let at = self.core.membership().ok()?;
        at.0.current_name().map(|name| at.0.dir.join(name))
    }

    /// Longest record that this log takes, in bytes, terminator included.
    pub fn record_bytes_max(&self) -> usize {
        self.core.membership().unwrap_or_else(|_| self.core.last()).0.geometry.record_max()
    }

    /// Which of the options asked for are not in force, because the log was already open.
    pub fn differences(&self) -> Result<Vec<Difference>, OpenError> {
        let at = self.core.membership()?;
        let (config, live) = (at.0.configuration().0, Live::read(at.0.mem()));
        Ok(self.core.options.differences(&config, &at.0.geometry, &live))
    }

    /// Asks the flusher to rotate the file now. An empty file is not rotated, and neither is that of a log that keeps no
    /// archives: the flusher says so (an event, see [`Stats::error`] too).
    pub fn request_rotation(&self) -> Result<(), OpenError> {
        self.request(word::ROTATE_REQUESTS)
    }

    /// Rotates the file and waits until it is done. What any process logged before this call stands in the archive; an
    /// empty file is not rotated. A rotation that fails is tried again, also after `limit`.
    ///
    /// # Errors
    /// A log that keeps no archives is not rotated ([`FlushError::Discards`]): see [`Log::rotate_or_discard`].
    pub fn rotate(&self, limit: Duration) -> Result<(), FlushError> {
        let at = self.core.membership().map_err(|e| detached(&e))?;
        if at.0.configuration().0.policy.empties() {
            return Err(FlushError::Discards { path: self.path().to_owned() });
        }
        self.rotate_by(limit, word::ROTATE_REQUESTS, word::ROTATE_SERVED)
    }

    /// The same also for a log that keeps no archives (backups 0): its file is emptied, and what was in it is gone.
    pub fn rotate_or_discard(&self, limit: Duration) -> Result<(), FlushError> {
        self.rotate_by(limit, word::DISCARD_REQUESTS, word::DISCARD_SERVED)
    }

    fn rotate_by(&self, limit: Duration, requests: usize, served: usize) -> Result<(), FlushError> {
        let deadline = std::time::Instant::now().checked_add(limit);
        self.flush(limit)?;
        let at = self.core.membership().map_err(|e| detached(&e))?;
        let (at, mem) = (&at.0, at.0.mem());
        let asked = mem.add(requests, 1, Relaxed).wrapping_add(1);
        let mut wait = Duration::from_millis(1);
        while mem.load(served, Relaxed).wrapping_sub(asked) >= u64::MAX / 2 {
            at.ring();
            if deadline.is_some_and(|end| std::time::Instant::now() >= end) {
                return Err(FlushError::Timeout { waited: limit, reason: reason(at, limit) });
            }
            if !at.has_flusher() {
                at.help_for(limit < Duration::MAX);
            }
            std::thread::sleep(wait);
            wait = (wait * 2).min(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Asks the flusher to look whether the file was moved or deleted, and to make a new one if so.
    pub fn request_reopen(&self) -> Result<(), OpenError> {
        self.request(word::REOPEN_REQUESTS)
    }

    /// What can be changed by [`Log::change`], besides what [`Stats::live`] has: name and value, for people.
    pub fn settings(&self) -> Result<Vec<(&'static str, String)>, OpenError> {
        Ok(self.core.membership()?.0.configuration().0.shown())
    }

    /// Changes what the running log does, for all processes and at once, to what these options say. What they do not say stays
    /// as it is. Returns what was asked for but takes effect only when all processes of the log have ended: sizes of the ring,
    /// terminator, checksums, escaping, index, durable. Bad values change nothing.
    pub fn change(&self, options: &Options) -> Result<Vec<Difference>, OpenError> {
        options.geometry()?;
        let wanted = options.change_wanted()?;
        let at = self.core.membership()?;
        let at = &at.0;
        let mut all = at.configuration().0;
        options.change(&mut all, &wanted);
        all.fits(&at.name)?;
        if let Some(bytes) = options.reserve_asked_for() {
            self.set_reserve_bytes(bytes)?;
        }
        for (severity, policy) in options.policies_asked_for() {
            self.set_when_full(severity, policy)?;
        }
        at.reconfigure(|config| options.change(config, &wanted))?;
        Ok(options.differences(&at.configuration().0, &at.geometry, &Live::read(at.mem())))
    }

    /// Changes what records of a severity do when the ring is full, for all processes and at once: also for
    /// those that wait at this moment.
    pub fn set_when_full(&self, severity: Severity, policy: WhenFull) -> Result<(), OpenError> {
        let at = self.core.membership()?;
        at.0.mem().store(word::WHEN_FULL + 8 * severity as usize, policy.encode(), Relaxed);
        self.wake_waiting(&at.0);
        Ok(())
    }

    /// Changes how much of the ring is kept for records of severity warn and above, for all processes. Rounded
    /// up to whole chunks; more than half of the ring is refused.
    pub fn set_reserve_bytes(&self, bytes: u64) -> Result<(), OpenError> {
        let at = self.core.membership()?;
        let half = at.0.geometry.ring_bytes() / 2;
        if bytes > half {
            return Err(OpenError::option(format!(
                "a reserve of {bytes} bytes is not possible: at most half of the ring, which is {half} bytes"
            )));
        }
        at.0.mem().store(word::RESERVE, bytes.div_ceil(u64::from(CHUNK_BYTES)), Relaxed);
        self.wake_waiting(&at.0);
        Ok(())
    }

    fn wake_waiting(&self, at: &Attached) {
        at.mem().add(word::SPACE, 1, Relaxed);
        at.mem().wake(word::SPACE, true);
    }

    fn request(&self, what: usize) -> Result<(), OpenError> {
        let at = self.core.membership()?;
        at.0.mem().add(what, 1, Relaxed);
        at.0.ring();
        Ok(())
    }

    /// What can be seen of the log, from outside, without disturbing it. An error says that this process, a forked
    /// child for example, could not attach.
    pub fn stats(&self) -> Result<Stats, OpenError> {
        let at = self.core.membership()?;
        let at: &Attached = &at.0;
        let mem = at.mem();
        let g = at.geometry;
        let policy = at.configuration().0.policy;
        let lag = look::lag(mem, g);
        let (error, error_text) = fault(at).unzip();
        let file_bytes = match journal::read(mem).1 {
            Found::Cell(cell) => cell.end,
            _ => 0,
        };
        Ok(Stats {
            path: at.log_path.clone(),
            segment: mem.path().display().to_string(),
            lock_file: at.lock.path().display().to_string(),
            layout_version: crate::ring::layout::LAYOUT_VERSION,
            removed: mem.links().is_ok_and(|n| n == 0),
            segment_bytes: mem.len() as u64,
            ring_bytes: g.ring_bytes(),
            record_bytes_max: g.record_max() as u64,
            chunks: g.chunks(),
            chunks_in_use: lag.chunks,
            flusher: flusher(at),
            producers: producers(at),
            lag_records: lag.records,
            lag_bytes: lag.bytes,
            counters: counters(at),
            drops: sum(at, |slot| drops(mem, g, slot)),
            drops_told: sum(at, |slot| reported(mem, g, slot)),
            deaths: deaths(mem).1.into_iter().map(death_info).collect(),
            live: Live::read(mem),
            error,
            error_text,
            max_bytes: policy.max_bytes,
            backups: policy.backups,
            file_bytes,
            current: at.current_name().map(|name| at.dir.join(name)),
            files: files(at),
        })
    }
}

/// Whether some flusher, of whatever segment, has this file as its log at this moment. Takes nothing.
pub fn is_being_written(path: &Path) -> std::io::Result<bool> {
    let file = LogFile::open(path, 0, Create::Never).map_err(std::io::Error::other)?;
    file.is_owned_by_other()
}

impl Options {
    /// Attaches to a log that is open or has records left in memory, to look at it or to flush it.
    /// Makes no segment, starts no thread, writes no records.
    pub fn attach(self) -> Result<Log, OpenError> {
        Log::visit(self, Role::Guest)
    }
}

impl NotSynced {
    pub(crate) fn tell(self, at: &Attached, waited: Duration) -> FlushError {
        match self {
            NotSynced::Late => FlushError::Timeout { waited, reason: reason(at, waited) },
            NotSynced::Refused => {
                let errno = at.mem().load(word::SYNC_ERROR, Relaxed) as i32;
                if errno == crate::flush::ENOENT {
                    return FlushError::Removed;
                }
                FlushError::Disk { reason: std::io::Error::from_raw_os_error(errno).to_string() }
            }
        }
    }
}

/// A file with two names is two logs to crlog, of which only one can write it: refused while the other one does.
fn not_twice(at: &Attached, file: &LogFile) -> Result<(), OpenError> {
    let elsewhere = |file: &LogFile| {
        file.names().is_ok_and(|n| n > 1) && file.is_owned_by_other().unwrap_or(false) && !at.has_flusher()
    };
    // A flusher of this log that ends at this moment lets go of the file before its lock.
    if !elsewhere(file) || !elsewhere(file) {
        return Ok(());
    }
    let why = "it has another name (a hard link), under which another log writes it: use one name for both";
    Err(OpenError::Path { path: at.log_path.clone(), cause: std::io::Error::other(why) })
}

fn detached(e: &OpenError) -> FlushError {
    FlushError::Detached { reason: e.to_string() }
}

fn has_no_room(e: &std::io::Error) -> bool {
    matches!(e.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}

/// Errno and text of the flusher's last failed action.
fn fault(at: &Attached) -> Option<(i32, String)> {
    let (errno, text) = crate::ring::fault::load(at.mem())?;
    let text = if text.is_empty() { std::io::Error::from_raw_os_error(errno).to_string() } else { text };
    Some((errno, text))
}

/// Shorter waits say nothing about a flusher: a sweep begun before may take as long.
const TELLING: Duration = Duration::from_millis(200);

/// Why a wait of this length was in vain.
pub(crate) fn reason(at: &Attached, waited: Duration) -> String {
    if let Some((_, why)) = fault(at) {
        return format!("the flusher cannot write {}: {why}", at.log_path.display());
    }
    match flusher(at) {
        Some(f) if sys::is_stopped(f.pid, f.start) => {
            format!(
                "process {} flushes, but is stopped: continue it (kill -CONT {}), or end it",
                f.pid, f.pid
            )
        }
        Some(f) if waited < TELLING => {
            format!("process {} flushes, and had no time to: wait longer, or again", f.pid)
        }
        Some(f) => {
            format!("process {} flushes, but does not get on: it is stopped, or the disk is slow", f.pid)
        }
        None => match at.refused() {
            Some(why) => format!("this process could not become the flusher: {why}"),
            None => "no process could become the flusher".into(),
        },
    }
}

pub(crate) fn flusher(at: &Attached) -> Option<FlusherInfo> {
    at.has_flusher().then(|| FlusherInfo {
        pid: at.mem().load(word::FLUSHER_PID, Relaxed),
        start: at.mem().load(word::FLUSHER_START, Relaxed),
        sidecar: at.mem().load(word::FLUSHER_KIND, Relaxed) == 2,
        epoch: at.mem().load(word::EPOCH, Relaxed),
    })
}

pub(crate) fn producers(at: &Attached) -> Vec<ProducerInfo> {
    let Ok(lock) = at.lock.again() else { return Vec::new() };
    let mem = at.mem();
    let states = (0..at.geometry.chunks()).map(|c| State(mem.load(at.geometry.state(c), Relaxed)));
    let busy: Vec<u32> = states.filter(|s| s.phase() == Some(Phase::Busy)).map(State::slot).collect();
    let one = |number: u32| {
        let (id, dead) = at.is_dead(&lock, number)?;
        let did = look::work(mem, at.geometry, number);
        Some(ProducerInfo {
            slot: number,
            pid: id.pid,
            start: id.start,
            name: id.name,
            alive: !dead,
            records: did.records,
            bytes: did.bytes,
            drops: own_drops(mem, at.geometry, number),
            too_long: did.too_long,
            inside: busy.iter().filter(|&&owner| owner == number).count() as u32,
            blocked: Duration::from_nanos(did.blocked_ns),
            attached_unix_ns: id.attached_ns,
        })
    };
    (0..at.geometry.slots()).filter_map(one).collect()
}

pub(crate) fn counters(at: &Attached) -> Counters {
    let read = |c: Counter| at.mem().load(counter(c), Relaxed);
    Counters {
        records: read(Counter::Records),
        bytes: read(Counter::Bytes),
        batches: read(Counter::Batches),
        rotations: read(Counter::Rotations),
        takeovers: read(Counter::Takeovers),
        truncated_bytes: read(Counter::TruncatedBytes),
        reaped: read(Counter::Reaped),
        lost_unfinished: read(Counter::LostUnfinished),
        revoked: read(Counter::Revoked),
        corrupt_chunks: read(Counter::CorruptChunks),
        lost_corrupt: read(Counter::LostCorrupt),
        io_errors: read(Counter::IoErrors),
        file_surprises: read(Counter::FileSurprises),
        bad_checksums: read(Counter::BadChecksums),
        notes: read(Counter::Notes),
        syncs: read(Counter::Syncs),
        index_errors: read(Counter::IndexErrors),
        packed: read(Counter::Packed),
        pack_errors: read(Counter::PackErrors),
        removed: read(Counter::Removed),
        owner_errors: read(Counter::OwnerErrors),
        hook_errors: read(Counter::HookErrors),
        files_removed: read(Counter::FilesRemoved),
    }
}

/// Adds up what each slot has, by severity.
fn sum(at: &Attached, of: impl Fn(u32) -> [u64; LEVELS]) -> [u64; LEVELS] {
    (0..at.geometry.slots())
        .map(of)
        .fold([0; LEVELS], |sum, n| std::array::from_fn(|i| sum[i].wrapping_add(n[i])))
}

fn death_info(d: Death) -> DeathInfo {
    DeathInfo {
        pid: d.id.pid,
        start: d.id.start,
        name: d.id.name,
        attached_unix_ns: d.id.attached_ns,
        died_unix_ns: d.died_ns,
        records: d.records,
        unfinished: d.unfinished,
    }
}

fn files(at: &Attached) -> Vec<(String, u64)> {
    let names = crate::sys::dir::list(&at.dir).unwrap_or_default();
    let naming = crate::manifest::naming(&at.dir, &at.name, Some(&at.configuration().0));
    let current = at.current_name();
    let place = |name: &str| Some((current.as_deref() != Some(name), naming.place(name)?));
    let mut found: Vec<_> = names.into_iter().filter_map(|n| Some((place(&n)?, n))).collect();
    // A link to the current file is not another one.
    found.retain(|((_, (_, standing)), name)| {
        *standing != Standing::Log || !crate::sys::dir::is_link(&at.dir.join(name))
    });
    found.sort();
    let size = |name: &String| std::fs::metadata(at.dir.join(name)).map_or(0, |m| m.len());
    found.into_iter().map(|(_, name)| (name.clone(), size(&name))).collect()
}

impl Attached {
    pub(crate) fn start_flusher_if(self: &Arc<Self>, wanted: bool) {
        if wanted {
            self.start_flusher();
        }
    }
}
