//! What a log is to be: plain data, checked once, when it is opened.

mod config;
mod rotator;

use crate::close::EndOptions;
use crate::error::OpenError;
pub use crate::escape::Escape;
use crate::hook::{self, Hook};
use crate::log::Log;
pub use crate::pack::Compression;
use crate::ring::layout::{Geometry, LEVELS, word};
use crate::ring::mem::Mem;
pub use crate::ring::note::Notes;
use crate::rotate::schedule::{Trigger, TriggerError};
use crate::rotate::template::Template;
use crate::rotate::{Names, Naming, Policy, Scheme, SizeRule};
use crate::sys::{self, Owner, SegmentKind};
use crate::writer::Severity;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

pub use config::Live;
#[cfg(any(test, fuzzing))]
pub use config::hostile;
pub(crate) use config::{Config, Keep};
use config::{NOBODY, TEXTS_MAX, nanos};
pub use rotator::Rotator;
pub(crate) use rotator::panic_text;

/// Bytes of a kibibyte.
pub const KIB: u64 = 1024;
/// Bytes of a mebibyte.
pub const MIB: u64 = 1024 * KIB;

/// Size of a chunk, the unit that one writing thread holds.
pub const CHUNK_BYTES: u32 = 16 * 1024;
/// Size of the ring unless asked otherwise.
pub const DEFAULT_RING_BYTES: u64 = 8 * MIB;
/// Smallest and largest ring that can be asked for.
pub const RING_BYTES_MIN: u64 = 256 * KIB;
/// See [`RING_BYTES_MIN`].
pub const RING_BYTES_MAX: u64 = 512 * MIB;
/// Processes that can be attached at once.
pub const PROCESSES_MAX: u32 = 4095;
/// Archives that are kept by default if they have numbers; with dated names all are kept.
pub const DEFAULT_BACKUPS: u32 = 10;
/// Longest terminator, in bytes.
pub const TERMINATOR_MAX: usize = 7;

/// When the log file is made to reach the disk itself. A record that was appended is safe from the
/// death of any process under each of these; they differ for a crash of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fsync {
    /// Never: the operating system decides.
    #[default]
    None,
    /// At most this long after a record reached the file.
    Interval(Duration),
    /// After every batch, before it counts as written.
    Batch,
}

/// What is done with a log file that is there, and not empty, when a log is opened by its first process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnStart {
    /// Writing goes on at its end.
    #[default]
    Append,
    /// It is rotated first.
    Rotate,
    /// It is emptied first: what was in it is gone. Records that a killed process has left in memory, and what it had written, stay.
    Truncate,
}

/// What a call does when the ring is full because records come faster than the disk takes them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenFull {
    /// Wait until there is room.
    #[default]
    Block,
    /// Wait this long, then refuse the record with [`AppendError::Full`](crate::AppendError::Full) and count it.
    BlockFor(Duration),
    /// Refuse the record at once and count it.
    Drop,
    /// Make room: if no process flushes at this moment, this call takes the flusher's lock and writes what
    /// is in the ring to the file itself, at once. Else wait like `Block`.
    WriteThrough,
}

impl WhenFull {
    /// In one word: `kind:2 | nanoseconds:62`.
    pub(crate) fn encode(self) -> u64 {
        match self {
            WhenFull::Block => 0,
            WhenFull::BlockFor(d) => 1 | nanos(d).min(u64::MAX >> 2) << 2,
            WhenFull::Drop => 2,
            WhenFull::WriteThrough => 3,
        }
    }

    pub(crate) fn decode(word: u64) -> WhenFull {
        match word & 3 {
            0 => WhenFull::Block,
            1 => WhenFull::BlockFor(Duration::from_nanos(word >> 2)),
            2 => WhenFull::Drop,
            _ => WhenFull::WriteThrough,
        }
    }

    /// The policy in force for a severity.
    pub(crate) fn of(mem: &impl Mem, level: u8) -> WhenFull {
        let i = usize::from(level).min(LEVELS - 1);
        WhenFull::decode(mem.load(word::WHEN_FULL + 8 * i, Relaxed))
    }
}

/// How a log is opened. What is not set here is inherited from a running log of the same path, or
/// takes its default; what is set and differs from the running log is reported by
/// [`Log::differences`], and the running log's setting holds.
///
/// ```no_run
/// use crlog::{MIB, Options};
/// let log = Options::new("app.log").max_bytes(10 * MIB).backups(5).open()?;
/// # Ok::<(), crlog::OpenError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) path: PathBuf,
    pub(crate) segment: SegmentKind,
    pub(crate) lock_dir: Option<PathBuf>,
    pub(crate) flusher_thread: bool,
    pub(crate) name: Option<String>,
    pub(crate) end: EndOptions,
    after_rotate: Vec<String>,
    after_rotate_timeout: Duration,
    after_rotate_in_thread: bool,
    pub(crate) rotator: Option<Rotator>,
    ring_bytes: Option<u64>,
    max_bytes: Option<u64>,
    backups: Option<u32>,
    size_rule: Option<SizeRule>,
    mode: Option<u32>,
    owner: Option<(Option<String>, Option<String>)>,
    fsync: Option<Fsync>,
    terminator: Option<Vec<u8>>,
    when_full: [Option<WhenFull>; LEVELS],
    reserve_bytes: Option<u64>,
    checksums: Option<bool>,
    notes: Option<Notes>,
    death_notes: Option<bool>,
    durable: Option<bool>,
    index: Option<bool>,
    escape: Option<Escape>,
    rotate_at: Option<String>,
    names: Option<Names>,
    direct: Option<bool>,
    on_start: Option<OnStart>,
    empty_files: Option<bool>,
    keep_age: Option<Duration>,
    keep_bytes: Option<u64>,
    min_free: Option<u64>,
    compress: Option<Compression>,
    compress_delay: Option<u32>,
    link: Option<PathBuf>,
}

impl Options {
    /// A log at `path`. Its directory must exist.
    pub fn new(path: impl AsRef<Path>) -> Options {
        Options {
            path: path.as_ref().to_owned(),
            segment: SegmentKind::Shm,
            lock_dir: None,
            flusher_thread: true,
            name: None,
            end: EndOptions::default(),
            after_rotate: Vec::new(),
            after_rotate_timeout: hook::TIMEOUT,
            after_rotate_in_thread: false,
            rotator: None,
            ring_bytes: None,
            max_bytes: None,
            backups: None,
            size_rule: None,
            mode: None,
            owner: None,
            fsync: None,
            terminator: None,
            when_full: [None; LEVELS],
            reserve_bytes: None,
            checksums: None,
            notes: None,
            death_notes: None,
            durable: None,
            index: None,
            escape: None,
            rotate_at: None,
            names: None,
            direct: None,
            on_start: None,
            empty_files: None,
            keep_age: None,
            keep_bytes: None,
            min_free: None,
            compress: None,
            compress_delay: None,
            link: None,
        }
    }

    /// Rotate when the file would grow beyond this many bytes; 0 (the default) never rotates.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Options {
        self.max_bytes = Some(bytes);
        self
    }

    /// Keep this many rotated files; with numbers `.1` (newest) to `.N`; default 10. With 0 and numbered names the file is
    /// emptied when [`max_bytes`](Options::max_bytes) is reached, what was in it is gone, and nothing else empties it. With
    /// dated names 0, the default, keeps all.
    #[must_use]
    pub fn backups(mut self, count: u32) -> Options {
        self.backups = Some(count);
        self
    }

    /// Which of the two rules decides at [`max_bytes`](Options::max_bytes); default strict.
    #[must_use]
    pub fn size_rule(mut self, rule: SizeRule) -> Options {
        self.size_rule = Some(rule);
        self
    }

    /// Rotate at times: `hourly`, `daily 03:00 Europe/Berlin`, `weekly Monday 03:00`, `monthly 1 00:00`, five fields like cron's,
    /// or as in Python `S`, `M`, `H`, `D`, `MIDNIGHT`, `W0` to `W6` with an interval: `H 6`; or `never`, the default. Also beside
    /// [`max_bytes`](Options::max_bytes). [`Options::open`] refuses other texts; `docs/rotation.md` has all of it.
    #[must_use]
    pub fn rotate_at(mut self, times: &str) -> Options {
        self.rotate_at = Some(times.to_owned());
        self
    }

    /// Whether [`rotate_at`](Options::rotate_at) takes this text; else a sentence that says what can be typed.
    pub fn check_times(text: &str) -> Result<(), String> {
        trigger(text).map(|_| ())
    }

    /// What archives are called; default dated with [`rotate_at`](Options::rotate_at), numbered without. With dated names, and
    /// templates with a date or `{seq}`, and [`backups`](Options::backups) 0, the default, all archives are kept.
    #[must_use]
    pub fn names(mut self, names: Names) -> Options {
        self.names = Some(names);
        self
    }

    /// The current file has its own name from the beginning, as archives have it, and nothing is ever renamed. The log's path is the name by
    /// which all processes find each other, and no file; [`link`](Options::link) may make it a link to the current one, and
    /// [`Log::current`] says what it is. Default no. Names are dated then, unless something else is asked for.
    #[must_use]
    pub fn direct(mut self, yes: bool) -> Options {
        self.direct = Some(yes);
        self
    }

    /// Whether [`names`](Options::names) takes this template, for a log of that file name; else a sentence that says what can be
    /// typed.
    pub fn check_names(template: &str, log: &str) -> Result<(), String> {
        Template::new(template, log).map(|_| ()).map_err(|e| e.to_string())
    }

    fn scheme(&self, names: &Names) -> Result<(Scheme, Option<String>), OpenError> {
        let text = match names {
            Names::Numbered => return Ok((Scheme::Numbered, None)),
            Names::Dated => return Ok((Scheme::Dated, None)),
            Names::Template(text) => text,
        };
        let log = self.path.file_name().and_then(|name| name.to_str()).unwrap_or("log");
        let naming = Naming::from_template(log, text).map_err(|e| OpenError::option(e.to_string()))?;
        Ok((naming.scheme(), Some(text.clone())))
    }

    /// Archives that were last written to longer ago than this are removed; zero (the default): never for their age.
    #[must_use]
    pub fn keep_age(mut self, age: Duration) -> Options {
        self.keep_age = Some(age);
        self
    }

    /// The oldest archives are removed when all files of the log together have more bytes than this; 0 (the default): no limit.
    #[must_use]
    pub fn keep_bytes(mut self, bytes: u64) -> Options {
        self.keep_bytes = Some(bytes);
        self
    }

    /// The oldest archives are removed when the file system has less free than this; 0 (the default): no limit.
    #[must_use]
    pub fn min_free(mut self, bytes: u64) -> Options {
        self.min_free = Some(bytes);
        self
    }

    /// What the first process that opens the log does with a file that is there; default append.
    #[must_use]
    pub fn on_start(mut self, what: OnStart) -> Options {
        self.on_start = Some(what);
        self
    }

    /// Whether a rotation at a time is made also if nothing was logged since the last one; default no.
    #[must_use]
    pub fn empty_files(mut self, yes: bool) -> Options {
        self.empty_files = Some(yes);
        self
    }

    /// Permissions of the log files, exact under any umask; default 0o640.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Options {
        self.mode = Some(mode);
        self
    }

    /// User and group of the log files that are made from now on, by name or number, right from the first instant; `None`:
    /// those of the process that makes them, the default. Names are looked up by whoever opens the log first; that one must be
    /// allowed to give files away, or [`Options::open`] refuses. A file that is there keeps its owner.
    #[must_use]
    pub fn owner(mut self, user: Option<&str>, group: Option<&str>) -> Options {
        self.owner = Some((user.map(str::to_owned), group.map(str::to_owned)));
        self
    }

    /// When to sync the file to the disk; default never.
    #[must_use]
    pub fn fsync(mut self, fsync: Fsync) -> Options {
        self.fsync = Some(fsync);
        self
    }

    /// What ends each record, at most 7 bytes; default a line feed. May be empty.
    #[must_use]
    pub fn terminator(mut self, bytes: &[u8]) -> Options {
        self.terminator = Some(bytes.to_vec());
        self
    }

    /// What to do with a record of any severity when the ring is full; default wait. It can be changed
    /// while the log is open, see [`Log::set_when_full`].
    #[must_use]
    pub fn when_full(mut self, policy: WhenFull) -> Options {
        self.when_full = [Some(policy); LEVELS];
        self
    }

    /// The same for records of one severity.
    #[must_use]
    pub fn when_full_for(mut self, severity: Severity, policy: WhenFull) -> Options {
        if let Some(place) = self.when_full.get_mut(severity as usize) {
            *place = Some(policy);
        }
        self
    }

    /// How much of the ring is kept for records of severity warn and above, rounded up to whole chunks and at
    /// most half of the ring; default a sixteenth. It can be changed, see [`Log::set_reserve_bytes`].
    #[must_use]
    pub fn reserve_bytes(mut self, bytes: u64) -> Options {
        self.reserve_bytes = Some(bytes);
        self
    }

    /// Whether each record carries a checksum in the ring, which the flusher proves before it writes the
    /// record; default only for a mapped file, whose pages can be of different ages after a power cut.
    #[must_use]
    pub fn checksums(mut self, yes: bool) -> Options {
        self.checksums = Some(yes);
        self
    }

    /// How crlog's own lines in the log look, above all the one that says how many records were dropped at this place;
    /// default a sentence, and none in a log without terminator.
    #[must_use]
    pub fn notes(mut self, notes: Notes) -> Options {
        self.notes = Some(notes);
        self
    }

    /// Whether a line in the log tells of processes that died without leaving; default no.
    #[must_use]
    pub fn death_notes(mut self, yes: bool) -> Options {
        self.death_notes = Some(yes);
        self
    }

    /// Size of the ring in bytes, rounded up to whole chunks of 16 KiB; default 8 MiB. A quarter of
    /// it is the longest record, but never more than about 32 MiB ([`Log::record_bytes_max`]).
    #[must_use]
    pub fn ring_bytes(mut self, bytes: u64) -> Options {
        self.ring_bytes = Some(bytes);
        self
    }

    /// Where the shared segment lives; default named shared memory. All processes must say the same.
    #[must_use]
    pub fn segment(mut self, kind: SegmentKind) -> Options {
        self.segment = kind;
        self
    }

    /// Directory of the lock file, made if absent; default beside the segment. It must be on a local
    /// file system, and the same for all processes.
    #[must_use]
    pub fn lock_dir(mut self, dir: impl AsRef<Path>) -> Options {
        self.lock_dir = Some(dir.as_ref().to_owned());
        self
    }

    /// Whether this process may start a thread that flushes when no other process does; default yes.
    /// Without it, a sidecar should run; else records reach the file when the ring is full, at
    /// [`Log::flush`] and when the log is dropped.
    #[must_use]
    pub fn flusher_thread(mut self, allowed: bool) -> Options {
        self.flusher_thread = allowed;
        self
    }

    /// Whether every call, of every process, returns only when its record is on the disk; default no. See
    /// [`Writer::append_durable`](crate::Writer::append_durable) for single records.
    #[must_use]
    pub fn durable(mut self, yes: bool) -> Options {
        self.durable = Some(yes);
        self
    }

    /// Whether the flusher keeps an index beside the log, with which [`Options::verify`] proves that no record is
    /// missing; default no. It is in the directory `.NAME.crlog` beside the log.
    #[must_use]
    pub fn index(mut self, yes: bool) -> Options {
        self.index = Some(yes);
        self
    }

    /// What of each record is written as an escape sequence; default nothing. With [`Escape::Lines`], text that comes from
    /// outside can neither forge a line nor steer the terminal of whoever reads the log.
    #[must_use]
    pub fn escape(mut self, escape: Escape) -> Options {
        self.escape = Some(escape);
        self
    }

    /// How rotated files are packed, by the flusher's process, in a thread of low priority; default not at all. A file that
    /// cannot be packed stays as it is, and is tried again later.
    #[must_use]
    pub fn compress(mut self, how: Compression) -> Options {
        self.compress = Some(how);
        self
    }

    /// How many of the newest rotated files are not packed; default none.
    #[must_use]
    pub fn compress_delay(mut self, files: u32) -> Options {
        self.compress_delay = Some(files);
        self
    }

    /// A symbolic link that always points to the current log file, made and replaced by whoever flushes; an empty path, the
    /// default: none. What stands there and is no link to a file of this log is left alone.
    #[must_use]
    pub fn link(mut self, path: impl AsRef<Path>) -> Options {
        self.link = Some(path.as_ref().to_owned());
        self
    }

    /// A program, with its arguments, that this process runs after each rotation that it has made; default none. Its
    /// environment is `PATH` and `CRLOG_LOG`, `CRLOG_FILE` (the rotated file), `CRLOG_CONTENT` (where it can be read whatever it is called), `CRLOG_FILE_BYTES`, `CRLOG_ATTEMPT`, and nothing else; no shell is
    /// involved. If it fails it is run again, some times. `docs/rotation.md` has the rest.
    ///
    /// This is an option of the process, not of the log: others do not inherit it, so nobody who attaches to a log can make
    /// another process run a program. And only a [`Sidecar`](crate::Sidecar) runs it, unless
    /// [`after_rotate_in_thread`](Options::after_rotate_in_thread) allows more.
    #[must_use]
    pub fn after_rotate<S: AsRef<str>>(mut self, argv: &[S]) -> Options {
        self.after_rotate = argv.iter().map(|word| word.as_ref().to_owned()).collect();
        self
    }

    /// When that program is killed, with all that it has started; default a minute.
    #[must_use]
    pub fn after_rotate_timeout(mut self, limit: Duration) -> Options {
        self.after_rotate_timeout = limit;
        self
    }

    /// Whether that program may also be started by the flushing thread of a process that logs; default no. Such a process
    /// gets a child it does not know of: a handler of SIGCHLD sees its end, and who waits for any child takes its status.
    #[must_use]
    pub fn after_rotate_in_thread(mut self, allowed: bool) -> Options {
        self.after_rotate_in_thread = allowed;
        self
    }

    /// What this process does in place of renaming the full file, when it is the one that rotates; default nothing else. Like
    /// [`after_rotate`](Options::after_rotate) it is not inherited: another process that rotates renames, so all that may
    /// flush should have it, and none of them be a sidecar.
    #[must_use]
    pub fn rotator(mut self, rotator: Rotator) -> Options {
        self.rotator = Some(rotator);
        self
    }

    /// What this process runs after rotations.
    pub(crate) fn hook(&self, sidecar: bool) -> Option<Hook> {
        let allowed = !self.after_rotate.is_empty() && (sidecar || self.after_rotate_in_thread);
        allowed.then(|| Hook { argv: self.after_rotate.clone(), timeout: self.after_rotate_timeout })
    }

    /// Name under which this process appears in statistics; default the program's.
    #[must_use]
    pub fn name(mut self, name: &str) -> Options {
        self.name = Some(name.to_owned());
        self
    }

    /// Opens the log, or attaches to the one that other processes have open.
    pub fn open(self) -> Result<Log, OpenError> {
        Log::open(self)
    }

    /// Whether these options are possible together: what opening would say about them, without opening
    /// anything. The log's path and the places of its parts are not looked at.
    pub fn check(&self) -> Result<(), OpenError> {
        self.geometry()?;
        self.config().map(|_| ())
    }

    pub(crate) fn geometry(&self) -> Result<Geometry, OpenError> {
        let bytes = self.ring_bytes.unwrap_or(DEFAULT_RING_BYTES);
        if !(RING_BYTES_MIN..=RING_BYTES_MAX).contains(&bytes) {
            return Err(OpenError::option(format!(
                "ring size {bytes} is out of range: choose {RING_BYTES_MIN} (256 KiB) to {RING_BYTES_MAX} (512 MiB) bytes"
            )));
        }
        let chunks = bytes.div_ceil(u64::from(CHUNK_BYTES)) as u32;
        Geometry::new(PROCESSES_MAX, chunks, CHUNK_BYTES)
            .ok_or_else(|| OpenError::option(format!("ring size {bytes} is not possible")))
    }

    pub(crate) fn config(&self) -> Result<Config, OpenError> {
        let terminator = self.terminator.clone().unwrap_or_else(|| b"\n".to_vec());
        if terminator.len() > TERMINATOR_MAX {
            return Err(OpenError::option(format!(
                "terminator of {} bytes is too long: at most {TERMINATOR_MAX}",
                terminator.len()
            )));
        }
        let mode = self.mode.unwrap_or(0o640);
        if mode & !0o777 != 0 || mode & 0o200 == 0 {
            return Err(OpenError::option(format!(
                "mode {mode:o} is not possible: the owner must be able to write, and only the nine permission bits count (for example 0640)"
            )));
        }
        if self.fsync == Some(Fsync::Interval(Duration::ZERO)) {
            return Err(OpenError::option("an fsync interval of 0 is not possible: use Fsync::Batch".into()));
        }
        let words = &self.after_rotate;
        if words.first().is_some_and(String::is_empty) || words.iter().any(|word| word.contains('\0')) {
            return Err(OpenError::option(format!(
                "{words:?} cannot be run: a program and its arguments are needed"
            )));
        }
        if self.after_rotate_timeout.is_zero() {
            return Err(OpenError::option(
                "a program that may run for no time at all is not possible".into(),
            ));
        }
        let compress = self.compress.unwrap_or_default();
        if !compress.is_possible() {
            return Err(OpenError::option(format!(
                "compression {compress:?} is not possible: levels are 1 to 9 for gzip, 1 to 19 for zstd"
            )));
        }
        let chunk = u64::from(CHUNK_BYTES);
        let ring = self.ring_bytes.unwrap_or(DEFAULT_RING_BYTES);
        let reserve = self.reserve_bytes.unwrap_or(ring / 16);
        if reserve > ring / 2 {
            return Err(OpenError::option(format!(
                "a reserve of {reserve} bytes is not possible: at most half of the ring, which is {} bytes",
                ring / 2
            )));
        }
        let rotate_at = self.rotate_at.as_deref().map_or(Ok(None), trigger).map_err(OpenError::option)?;
        let direct = self.direct.unwrap_or(false);
        let by_default = if rotate_at.is_some() || direct { Names::Dated } else { Names::Numbered };
        let (names, template) = self.scheme(self.names.as_ref().unwrap_or(&by_default))?;
        let file = self.segment != SegmentKind::Shm;
        let notes = if terminator.is_empty() { Notes::Off } else { Notes::Text };
        let config = Config {
            policy: Policy {
                max_bytes: self.max_bytes.unwrap_or(0),
                backups: self.backups.unwrap_or(if names == Scheme::Numbered { DEFAULT_BACKUPS } else { 0 }),
                rule: self.size_rule.unwrap_or(SizeRule::Strict),
                names,
                direct,
            },
            mode,
            owner: self.owner_asked_for()?.unwrap_or_default(),
            fsync: self.fsync.unwrap_or_default(),
            terminator,
            when_full: self.when_full.map(Option::unwrap_or_default),
            reserve: reserve.div_ceil(chunk),
            checksums: self.checksums.unwrap_or(file),
            notes: self.notes.unwrap_or(notes),
            death_notes: self.death_notes.unwrap_or(false),
            durable: self.durable.unwrap_or(false),
            index: self.index.unwrap_or(false),
            escape: self.escape.unwrap_or_default(),
            rotate_at,
            template,
            on_start: self.on_start.unwrap_or_default(),
            empty_files: self.empty_files.unwrap_or(false),
            keep: Keep {
                age: self.keep_age.unwrap_or_default(),
                bytes: self.keep_bytes.unwrap_or(0),
                min_free: self.min_free.unwrap_or(0),
            },
            compress,
            compress_delay: self.compress_delay.unwrap_or(0),
            link: self.link.as_deref().map_or(Ok(None), absolute).map_err(OpenError::option)?,
        };
        config.can_be_direct()?;
        let (len, max) = (config.texts().len(), TEXTS_MAX);
        if len > max {
            return Err(OpenError::option(format!(
                "the texts among the options have {len} bytes: at most {max}"
            )));
        }
        Ok(config)
    }

    /// What a running log is to be, as far as these options say it. Their reserve is left out: it is judged by the ring that
    /// runs, whose size they need not say.
    pub(crate) fn change_wanted(&self) -> Result<Config, OpenError> {
        Options { reserve_bytes: None, ..self.clone() }.config()
    }

    /// Puts what was asked for, and can be changed while a log is open, into its configuration. `wanted` is [`Options::config`].
    pub(crate) fn change(&self, running: &mut Config, wanted: &Config) {
        fn set<T: Clone, U>(to: &mut T, asked: Option<&U>, wanted: &T) {
            if asked.is_some() {
                *to = wanted.clone();
            }
        }
        let (policy, want) = (&mut running.policy, &wanted.policy);
        set(&mut policy.max_bytes, self.max_bytes.as_ref(), &want.max_bytes);
        set(&mut policy.backups, self.backups.as_ref(), &want.backups);
        set(&mut policy.rule, self.size_rule.as_ref(), &want.rule);
        if self.names.is_some() || (self.rotate_at.is_some() && !policy.direct) {
            // With times dated, unless something else was asked for.
            let were_all_kept = policy.names != Scheme::Numbered && policy.backups == 0;
            (policy.names, running.template) = (want.names, wanted.template.clone());
            if were_all_kept && self.backups.is_none() {
                policy.backups = want.backups;
            }
        }
        set(&mut running.mode, self.mode.as_ref(), &wanted.mode);
        set(&mut running.owner, self.owner.as_ref(), &wanted.owner);
        set(&mut running.fsync, self.fsync.as_ref(), &wanted.fsync);
        set(&mut running.notes, self.notes.as_ref(), &wanted.notes);
        set(&mut running.death_notes, self.death_notes.as_ref(), &wanted.death_notes);
        set(&mut running.rotate_at, self.rotate_at.as_ref(), &wanted.rotate_at);
        set(&mut running.compress, self.compress.as_ref(), &wanted.compress);
        set(&mut running.link, self.link.as_ref(), &wanted.link);
        set(&mut running.compress_delay, self.compress_delay.as_ref(), &wanted.compress_delay);
        set(&mut running.keep.age, self.keep_age.as_ref(), &wanted.keep.age);
        set(&mut running.keep.bytes, self.keep_bytes.as_ref(), &wanted.keep.bytes);
        set(&mut running.keep.min_free, self.min_free.as_ref(), &wanted.keep.min_free);
        set(&mut running.on_start, self.on_start.as_ref(), &wanted.on_start);
        set(&mut running.empty_files, self.empty_files.as_ref(), &wanted.empty_files);
    }

    fn owner_asked_for(&self) -> Result<Option<Owner>, OpenError> {
        let Some((user, group)) = &self.owner else { return Ok(None) };
        let user = number_of(user.as_deref(), "user", sys::user_id)?;
        let group = number_of(group.as_deref(), "group", sys::group_id)?;
        Ok(Some(Owner { user, group }))
    }

    pub(crate) fn reserve_asked_for(&self) -> Option<u64> {
        self.reserve_bytes
    }

    pub(crate) fn policies_asked_for(&self) -> impl Iterator<Item = (Severity, WhenFull)> {
        Severity::ALL.into_iter().zip(self.when_full).filter_map(|(severity, asked)| Some((severity, asked?)))
    }

    /// What was asked for explicitly and is not what the running log has.
    pub(crate) fn differences(&self, running: &Config, ring: &Geometry, live: &Live) -> Vec<Difference> {
        let mut d = Vec::new();
        let p = &running.policy;
        differ(&mut d, "max_bytes", self.max_bytes.as_ref(), &p.max_bytes);
        differ(&mut d, "backups", self.backups.as_ref(), &p.backups);
        differ(&mut d, "size_rule", self.size_rule.as_ref(), &p.rule);
        differ(&mut d, "mode", self.mode.as_ref(), &running.mode);
        let owner = self.owner_asked_for().ok().flatten().map(|owner| owner.to_string());
        differ(&mut d, "owner", owner.as_ref(), &running.owner.to_string());
        differ(&mut d, "fsync", self.fsync.as_ref(), &running.fsync);
        differ(&mut d, "terminator", self.terminator.as_ref(), &running.terminator);
        for ((severity, asked), runs) in Severity::ALL.into_iter().zip(&self.when_full).zip(&live.when_full) {
            if asked.is_some_and(|asked| asked != *runs) {
                let option = "when_full";
                let [asked, running] =
                    [asked.unwrap_or_default(), *runs].map(|p| format!("{severity}={p:?}"));
                d.push(Difference { option, asked, running });
            }
        }
        let reserve = self.reserve_bytes.map(|b| b.next_multiple_of(u64::from(CHUNK_BYTES)));
        differ(&mut d, "reserve_bytes", reserve.as_ref(), &live.reserve_bytes);
        differ(&mut d, "checksums", self.checksums.as_ref(), &running.checksums);
        differ(&mut d, "notes", self.notes.as_ref(), &running.notes);
        differ(&mut d, "death_notes", self.death_notes.as_ref(), &running.death_notes);
        differ(&mut d, "durable", self.durable.as_ref(), &running.durable);
        differ(&mut d, "index", self.index.as_ref(), &running.index);
        differ(&mut d, "escape", self.escape.as_ref(), &running.escape);
        let asked = self.rotate_at.as_deref().and_then(|text| trigger(text).ok());
        let asked = asked.map(|trigger| shown(trigger.as_ref()));
        let runs = shown(running.rotate_at.as_ref());
        differ(&mut d, "rotate_at", asked.as_ref(), &runs);
        differ(&mut d, "names", self.names.as_ref(), &running.names());
        differ(&mut d, "direct", self.direct.as_ref(), &p.direct);
        differ(&mut d, "on_start", self.on_start.as_ref(), &running.on_start);
        differ(&mut d, "empty_files", self.empty_files.as_ref(), &running.empty_files);
        differ(&mut d, "keep_age", self.keep_age.as_ref(), &running.keep.age);
        differ(&mut d, "keep_bytes", self.keep_bytes.as_ref(), &running.keep.bytes);
        differ(&mut d, "min_free", self.min_free.as_ref(), &running.keep.min_free);
        differ(&mut d, "compress", self.compress.as_ref(), &running.compress);
        differ(&mut d, "compress_delay", self.compress_delay.as_ref(), &running.compress_delay);
        let link = self.link.as_deref().map(|link| absolute(link).ok().flatten().unwrap_or_default());
        differ(&mut d, "link", link.as_ref(), &running.link.clone().unwrap_or_default());
        let rounded = self.ring_bytes.map(|b| b.next_multiple_of(u64::from(CHUNK_BYTES)));
        differ(&mut d, "ring_bytes", rounded.as_ref(), &ring.ring_bytes());
        d
    }
}

/// The number that a name means, or that it is.
fn number_of(
    name: Option<&str>,
    what: &str,
    look_up: fn(&str) -> std::io::Result<Option<u32>>,
) -> Result<Option<u32>, OpenError> {
    let Some(name) = name else { return Ok(None) };
    let refused = |why: String| Err(OpenError::option(format!("{what} {name:?} is not possible: {why}")));
    match look_up(name) {
        Ok(Some(id)) if id != NOBODY => return Ok(Some(id)),
        Err(e) => return refused(e.to_string()),
        Ok(_) => {}
    }
    match name.parse() {
        Ok(id) if id != NOBODY && name.bytes().all(|b| b.is_ascii_digit()) => Ok(Some(id)),
        _ => refused(format!("there is no {what} of that name here, and it is no number")),
    }
}

/// The same for every process; `None` for an empty path.
fn absolute(link: &Path) -> Result<Option<String>, String> {
    if link.as_os_str().is_empty() {
        return Ok(None);
    }
    let refused = |why: String| format!("the link {} is not possible: {why}", sys::Shown::from(link));
    let path = std::path::absolute(link).map_err(|e| refused(e.to_string()))?;
    match path.into_os_string().into_string() {
        Ok(path) if path.contains('\0') => Err(refused("a path cannot contain a NUL character".into())),
        Ok(path) => Ok(Some(path)),
        Err(_) => Err(refused("it must be Unicode".into())),
    }
}

fn shown(trigger: Option<&Trigger>) -> String {
    trigger.map_or_else(|| "never".to_owned(), Trigger::to_string)
}

/// `None` for `never`.
fn trigger(text: &str) -> Result<Option<Trigger>, String> {
    if text.trim().eq_ignore_ascii_case("never") {
        return Ok(None);
    }
    let trigger: Trigger = text.parse().map_err(|e: TriggerError| e.to_string())?;
    trigger.zone.find().map_err(|e| e.to_string())?;
    Ok(Some(trigger))
}

fn differ<T: PartialEq + std::fmt::Debug>(
    d: &mut Vec<Difference>,
    option: &'static str,
    asked: Option<&T>,
    runs: &T,
) {
    if let Some(asked) = asked
        && asked != runs
    {
        d.push(Difference { option, asked: format!("{asked:?}"), running: format!("{runs:?}") });
    }
}

/// An option that was asked for but is not in force, because the log is already open elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// Name of the option.
    pub option: &'static str,
    /// What this process asked for.
    pub asked: String,
    /// What the running log has, and keeps.
    pub running: String,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} stays {}, {} was asked for", self.option, self.running, self.asked)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
