//! The end of a log in this process: what is in the ring reaches the file within a bound, or is reported.
//!
//! | how a process ends | what becomes of its records |
//! |---|---|
//! | [`Log::close`], or the last handle is dropped | in the file; what is not is reported, see [`CloseError`] |
//! | returns from `main`, calls `exit` (also C's) while a log is open, in a `static` say | the same, by a function that `exit` calls ([`crate::exit`]) |
//! | `_exit`, `abort`, a signal's default action, `kill -9` | in memory: another process of the log writes them at once, else the next one that opens it, or `crlog recover` |

use crate::attached::Attached;
use crate::log::{Log, reason};
use crate::options::{Options, WhenFull};
use crate::ring::look;
use crate::ring::mem::Mem;
use crate::writer::Severity;
use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How long the end of a process waits by default until its records are in the file.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// The same for a log whose records are dropped when the ring is full.
pub const CLOSE_TIMEOUT_DROP: Duration = Duration::from_secs(1);

/// How long the last process of a log waits at its end until due archives are compressed.
pub const COMPRESS_TIMEOUT: Duration = Duration::from_secs(2);

/// Records that were not in the file when a log was closed. They are not lost: they stay in memory, as long as the
/// machine runs and this user's shared memory is not cleaned up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CloseError {
    /// The log.
    pub path: PathBuf,
    /// Records that wait, of all processes of the log.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The memory in which they wait.
    pub segment: PathBuf,
    /// Why they could not be written.
    pub reason: String,
    /// Another process has the log open, and writes them as soon as it can.
    pub in_use: bool,
}

impl CloseError {
    /// `None`: nothing waits.
    pub(crate) fn of(at: &Attached, in_use: bool) -> Option<CloseError> {
        let lag = look::lag(at.mem(), at.geometry);
        (lag.records > 0).then(|| CloseError {
            path: at.log_path.clone(),
            records: lag.records,
            bytes: lag.bytes,
            segment: at.mem().path().to_owned(),
            reason: reason(at, Duration::MAX),
            in_use,
        })
    }

    /// One line on stderr. That it cannot be written is nothing that could be reported.
    pub(crate) fn report(&self) {
        let line = format!("crlog: {self}\n");
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
}

impl fmt::Display for CloseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CloseError { path, records, segment, reason, .. } = self;
        let path = path.display();
        let (noun, verb, them) =
            if *records == 1 { ("record", "is", "it") } else { ("records", "are", "them") };
        write!(
            f,
            "{records} {noun} of {path} {verb} not in the file: {reason}; kept in {}",
            segment.display()
        )?;
        if self.in_use {
            write!(f, ", another process that has the log open writes {them} as soon as it can")
        } else {
            write!(f, "; the next process that opens the log writes {them}, or `crlog recover {path}`")
        }
    }
}

impl std::error::Error for CloseError {}

/// How a log ends in this process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EndOptions {
    timeout: Option<Duration>,
    pub(crate) report: bool,
    pub(crate) at_exit: bool,
    pub(crate) compress_timeout: Duration,
}

impl Default for EndOptions {
    fn default() -> EndOptions {
        EndOptions { timeout: None, report: true, at_exit: true, compress_timeout: COMPRESS_TIMEOUT }
    }
}

impl EndOptions {
    /// The limit that was asked for, or the default under the log's present policy.
    pub(crate) fn timeout(&self, mem: &impl Mem) -> Duration {
        self.timeout.unwrap_or_else(|| match WhenFull::of(mem, Severity::Info as u8) {
            WhenFull::Drop => CLOSE_TIMEOUT_DROP,
            _ => CLOSE_TIMEOUT,
        })
    }
}

impl Options {
    /// How long [`Log::close`] and the normal end of the process wait until what is in memory is in the file;
    /// default 5 s, and 1 s if records are dropped when the ring is full. Holds for this process only.
    #[must_use]
    pub fn close_timeout(mut self, limit: Duration) -> Options {
        self.end.timeout = Some(limit);
        self
    }

    /// How long the last process of the log waits at its end until archives that are due are compressed; default
    /// 2 s. What is left is compressed by the next process, however short it runs.
    #[must_use]
    pub fn compress_timeout(mut self, limit: Duration) -> Options {
        self.end.compress_timeout = limit;
        self
    }

    /// Whether a normal end of the process ends the log, if it is still open then; default yes. A host with an
    /// order of its own at the end, such as an interpreter, closes its logs itself.
    #[must_use]
    pub fn close_at_exit(mut self, yes: bool) -> Options {
        self.end.at_exit = yes;
        self
    }

    /// Whether the end of the log in this process says on stderr, in one line, what is not in the file; default
    /// yes. It is the only thing that this library prints. [`Log::close`] returns it instead.
    #[must_use]
    pub fn report_at_exit(mut self, yes: bool) -> Options {
        self.end.report = yes;
        self
    }
}

impl Log {
    /// Closes this handle, after what any process had written before is in the file; waits at most for
    /// [`Options::close_timeout`]. The other handles and the writers stay usable.
    ///
    /// # Errors
    /// What is not in the file, and why. It stays in memory, and the next opener of the log writes it.
    pub fn close(self) -> Result<(), CloseError> {
        let limit = self.close_timeout();
        self.close_within(limit)
    }

    /// As [`Log::close`], with a limit for this call: for a process that closes several logs within one.
    ///
    /// # Errors
    /// As [`Log::close`].
    pub fn close_within(self, limit: Duration) -> Result<(), CloseError> {
        let Ok(at) = self.attached() else {
            return Ok(()); // this process has written nothing that could wait
        };
        let left = finish(&at.0, limit);
        drop(self);
        at.0.set_reported(left.is_some());
        left.map_or(Ok(()), Err)
    }

    /// How long [`Log::close`] waits at most: what [`Options::close_timeout`] says, or the default under the log's
    /// present policy.
    pub fn close_timeout(&self) -> Duration {
        self.attached().map_or(CLOSE_TIMEOUT, |at| self.end_options().timeout(at.0.mem()))
    }
}

/// Waits until all that was in the ring is in the file; else says what is left.
pub(crate) fn finish(at: &Arc<Attached>, limit: Duration) -> Option<CloseError> {
    if at.flush(limit) {
        return None;
    }
    CloseError::of(at, at.has_others())
}
