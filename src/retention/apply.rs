//! Retention at once, for who asks: by the flusher if the log is open, else by hand, while the log file is ours.
//!
//! | the log | done by | limits |
//! |---|---|---|
//! | is open, and somebody flushes | the flusher, which is asked through the segment | the log's; others are refused |
//! | is open or was left by the killed, and nobody flushes | us, as flusher for a moment | likewise |
//! | is not open | us: who owns the log file is the only one to write the manifest | those that are given |
//!
//! What went is seen by a look before and one after.

use super::{Limits, Retention, Row, Verdict, enforce, files_of, look};
use crate::attached::{Attached, Target};
use crate::error::{FlushError, OpenError};
use crate::flush::limits_of;
use crate::index::{directory, parse_name};
use crate::log::{Log, reason};
use crate::manifest::{Hidden, Store};
use crate::options::Options;
use crate::ring::layout::{kept, word};
use crate::ring::mem::Mem;
use crate::rotate::manifest::State;
use crate::rotate::retention::{Directory, Now, Removal, adopt, decide, reconcile};
use crate::sys::{self, Create, FileError, LogFile};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// What was done.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Applied {
    /// The limits that were applied.
    pub limits: Limits,
    /// Archives that were removed, oldest first, each with its reason.
    pub removed: Vec<Row>,
    /// Those that had to go and are still there.
    pub left: Vec<Row>,
    /// How many archives the manifest has taken in.
    pub adopted: usize,
}

/// Why it was not done, or not all of it. What was removed by then had to go.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// The log cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The log is open, and has limits of its own.
    #[error(
        "{path} is open and has its own limits: change them with `crlog set`, which takes effect at once"
    )]
    OtherLimits {
        /// The log.
        path: PathBuf,
    },
    /// The flusher did not do it in time.
    #[error(transparent)]
    Late(#[from] FlushError),
    /// It could not be done.
    #[error("the archives of {path} could not all be dealt with: {cause}")]
    Failed {
        /// The log.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The log is not open, and there is no file of its name either: nothing says who else is at work.
    #[error(
        "there is no {path}, and no process has it open: nothing is removed; start the program that logs to it"
    )]
    NoLog {
        /// The log.
        path: PathBuf,
    },
    /// Somebody has begun to write the log file.
    #[error(
        "{path} is in use by a process of another place: give the same --segment and --lock-dir as its programs, or try again"
    )]
    InUse {
        /// The log.
        path: PathBuf,
    },
    /// The log is not open, and has an index, which only a flusher may write to.
    #[error(
        "{path} has an index, which must tell of each archive that is removed: do this while a program has the log open"
    )]
    Indexed {
        /// The log.
        path: PathBuf,
    },
}

impl Options {
    /// Removes at once what has to go. If the log is open, by its flusher and by its own limits (`limits` must say nothing else); if not,
    /// by these limits. With `adopt` the archives that crlog does not know are taken into the manifest before: from then on they are
    /// its own. Waits so long for the flusher.
    pub fn apply_retention(self, limits: Limits, adopt: bool, wait: Duration) -> Result<Applied, ApplyError> {
        let target = Target::new(&self)?;
        match self.attach() {
            Ok(log) => ask(&log, &target, limits, adopt, wait),
            Err(OpenError::NotOpen { .. }) => by_hand(&target, limits, adopt),
            Err(e) => Err(e.into()),
        }
    }
}

fn ask(
    log: &Log,
    target: &Target,
    limits: Limits,
    adopt: bool,
    wait: Duration,
) -> Result<Applied, ApplyError> {
    let member = log.attached()?;
    let at = &member.0;
    let running = limits_of(&at.configuration().0);
    let path = || target.spec.log_path.clone();
    if super::with_those_of(at, limits) != running {
        return Err(ApplyError::OtherLimits { path: path() });
    }
    let failed = |cause| ApplyError::Failed { path: path(), cause };
    let before = look(&target.dir, &target.name, Some(at)).map_err(failed)?.judged(running, adopt);
    let errno = request(at, adopt, wait)?;
    let after = look(&target.dir, &target.name, Some(at)).map_err(failed)?.judged(running, false);
    match errno {
        0 => Ok(difference(before, &after)),
        kept::UNKNOWN => Err(failed(io::Error::other("the flusher says why"))),
        errno => Err(failed(io::Error::from_raw_os_error(errno.into()))),
    }
}

/// The errno of what was asked for, once it was done.
fn request(at: &Attached, adopt: bool, limit: Duration) -> Result<u16, FlushError> {
    let deadline = Instant::now().checked_add(limit);
    let (requests, done) = match adopt {
        true => (word::ADOPT_REQUESTS, word::ADOPT_DONE),
        false => (word::KEEP_REQUESTS, word::KEEP_DONE),
    };
    let mem = at.mem();
    let asked = mem.add(requests, 1, Relaxed).wrapping_add(1);
    let mut wait = Duration::from_millis(1);
    loop {
        if let Some(errno) = kept::result(mem.load(done, Relaxed), asked) {
            return Ok(errno);
        }
        at.ring();
        if deadline.is_some_and(|end| Instant::now() >= end) {
            return Err(FlushError::Timeout { waited: limit, reason: reason(at, limit) });
        }
        if !at.has_flusher() {
            at.tend();
        }
        std::thread::sleep(wait);
        wait = (wait * 2).min(Duration::from_millis(20));
    }
}

/// What had to go before, and is no more, or still is.
fn difference(before: Retention, after: &Retention) -> Applied {
    let stands = |row: &Row| {
        let same = |now: &&Row| now.id == row.id && now.bytes == row.bytes && now.verdict != Verdict::Live;
        after.rows.iter().any(|now| same(&now))
    };
    let goes = before.rows.into_iter().filter(|row| matches!(row.verdict, Verdict::Goes(_)));
    let (left, removed) = goes.partition(stands);
    Applied { limits: before.limits, removed, left, adopted: before.adopted }
}

/// The log is not open. As long as the log file is ours, no flusher of whatever segment begins to work.
fn by_hand(target: &Target, limits: Limits, adopting: bool) -> Result<Applied, ApplyError> {
    let path = || target.spec.log_path.clone();
    let failed = |cause| ApplyError::Failed { path: path(), cause };
    let live = live_path(target).map_err(failed)?.ok_or_else(|| ApplyError::NoLog { path: path() })?;
    let file = match LogFile::open(&live, 0, Create::Never) {
        Err(FileError::Io { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => {
            return Err(ApplyError::NoLog { path: path() });
        }
        opened => opened.map_err(|e| failed(io::Error::other(e.to_string())))?,
    };
    let named = || sys::dir::identity_at(&live).map(|id| id == Some(file.identity()));
    if !file.try_own().map_err(failed)? || !named().map_err(failed)? {
        return Err(ApplyError::InUse { path: path() });
    }
    let before = look(&target.dir, &target.name, None).map_err(failed)?.judged(limits, adopting);
    let mode = file.looks().map_err(failed)?.mode;
    let has_index = has_index(&target.dir, &target.name).map_err(failed)?;
    match keep(target, &file, mode, limits, adopting, has_index) {
        Ok(true) => {}
        Ok(false) => return Err(ApplyError::Indexed { path: path() }),
        Err(e) => return Err(failed(e)),
    }
    let after = look(&target.dir, &target.name, None).map_err(failed)?.judged(limits, false);
    Ok(difference(before, &after))
}

/// The file in which the next process would go on; `None` if there is none.
fn live_path(target: &Target) -> io::Result<Option<PathBuf>> {
    let log = &target.spec.log_path;
    if !sys::is_direct(log) {
        return Ok(Some(log.clone()));
    }
    let store = Store::load(Hidden::new(&target.dir.join(directory(&target.name)), 0, false))?;
    let live = store.manifest().entries().rev().find(|entry| entry.state == State::Live);
    let name = live.and_then(|entry| entry.plain.as_ref()).and_then(|form| form.fixed());
    Ok(name.map(|name| target.dir.join(name)))
}

fn has_index(dir: &Path, log: &str) -> io::Result<bool> {
    match sys::dir::list(&dir.join(directory(log))) {
        Ok(names) => Ok(names.iter().any(|name| parse_name(name).is_some())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

/// What a flusher would do; `false` if it must not, because of the index.
fn keep(
    target: &Target,
    file: &LogFile,
    mode: u32,
    limits: Limits,
    adopting: bool,
    has_index: bool,
) -> io::Result<bool> {
    let mut store = Store::load(Hidden::new(&target.dir.join(directory(&target.name)), mode, true))?;
    let naming = crate::manifest::naming(&target.dir, &target.name, None);
    let seen = files_of(&target.dir, &naming, store.manifest())?;
    let directory = Directory { naming: &naming, live: Some(file.identity()), seen: &seen };
    let news = reconcile(store.manifest(), &directory);
    if !news.is_empty() {
        store.tell(&news)?;
    }
    if adopting {
        let news = adopt(store.manifest(), &directory);
        store.tell(&news)?;
    }
    let now = Now { ns: sys::unix_ns(), free_bytes: sys::dir::free_bytes(&target.dir)? };
    if has_index && !decide(store.manifest(), &directory, &limits, &now).is_empty() {
        return Ok(false);
    }
    let remove = |removal: &Removal| sys::dir::remove_if(&target.dir.join(&removal.name), removal.id);
    enforce(&mut store, &directory, &limits, &now, remove).1?;
    Ok(true)
}
