//! Errors, small and per operation. Each one's text is a line that says what to do.

use crate::segment::OpenError as SegmentError;
use crate::sys::Shown;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why a log could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// An option has a value that is not possible.
    #[error("{0}")]
    Option(String),
    /// The path cannot be a log's.
    #[error("cannot use {} as a log file: {}", named(path), without_name(path, cause))]
    Path {
        /// The path.
        path: PathBuf,
        /// Why not.
        cause: std::io::Error,
    },
    /// The log's files cannot be given to the owner that was asked for. Only whoever opens a log first meets this.
    #[error(
        "cannot give {path} to {owner}: {cause}: run as root, or ask for a group that this user is in, or for no owner"
    )]
    Owner {
        /// The log.
        path: PathBuf,
        /// Numbers of user and group.
        owner: String,
        /// The system's reason.
        cause: std::io::Error,
    },
    /// The shared segment or its lock file is not usable.
    #[error(transparent)]
    Segment(#[from] SegmentError),
    /// The configuration in the segment cannot be read.
    #[error(
        "the configuration in segment {segment} is damaged: stop all its processes and remove the segment"
    )]
    Config {
        /// Name of the segment.
        segment: String,
    },
    /// A forked child cannot attach, though its parent could.
    #[error(
        "this forked child cannot attach to {path}: {cause}. A child has to attach (Log::attach, or a record) before it gives up its rights or its root (setuid, chroot)"
    )]
    Forked {
        /// The log.
        path: PathBuf,
        /// Why it cannot.
        cause: Box<OpenError>,
    },
    /// As many processes as possible are attached.
    #[error("{0} processes are attached to this log already, which is the maximum: stop some")]
    TooManyProcesses(u32),
    /// A log that was opened to look at it, or to flush it, takes no records.
    #[error("this handle of {path} only looks or flushes: open the log with Options::open to write")]
    ReadOnly {
        /// The log.
        path: PathBuf,
    },
    /// [`Options::attach`](crate::Options::attach) found no log.
    #[error(
        "no process has {path} open, and nothing of it is left in memory: start a producer or crlog-flusher first"
    )]
    NotOpen {
        /// The log.
        path: PathBuf,
    },
}

/// The path; an empty one is seen, too.
fn named(path: &Path) -> String {
    if path.as_os_str().is_empty() { "\"\"".into() } else { Shown::from(path).to_string() }
}

/// The reason, without the path that it may begin with.
fn without_name(path: &Path, cause: &std::io::Error) -> String {
    let why = cause.to_string();
    let name = format!("{}: ", Shown::from(path));
    why.strip_prefix(&name).map_or_else(|| why.clone(), str::to_owned)
}

impl OpenError {
    pub(crate) fn option(text: String) -> OpenError {
        OpenError::Option(text)
    }
}

/// Why a record was not taken. Nothing of it will be in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The ring is full, and the policy says not to wait (any longer). Counted.
    #[error(
        "the ring is full and the record was dropped: see `crlog stat` for what holds the flusher up, or open with a larger ring"
    )]
    Full,
    /// The record is longer than this ring can take. Counted.
    #[error(
        "a record of {len} bytes is too long: this ring takes at most {max}; open the log with a larger ring or split the record"
    )]
    TooLong {
        /// Its length with the terminator, in bytes.
        len: usize,
        /// The most that is possible, in bytes.
        max: usize,
    },
    /// This process is not attached: it is a forked child that could not attach (or, in
    /// [`Writer::try_log`](crate::Writer::try_log), has not yet), or the segment was removed. Counted as a drop by its next
    /// attachment.
    #[error(
        "this process is not attached to the log at this moment (it was forked, or the segment was removed), and the record was not taken: Log::attach attaches, or says what prevents it"
    )]
    Detached,
    /// A handle that only looks, or flushes, takes no records: it was made by [`Options::attach`](crate::Options::attach).
    #[error("this handle of the log only looks or flushes: open it with Options::open to write")]
    ReadOnly,
    /// The call waited for room, and what was set by [`Writer::set_interrupt`](crate::Writer::set_interrupt) ended the wait.
    #[error("the wait for room in the ring was interrupted, and the record was not taken")]
    Interrupted,
    /// The log is durable throughout, and the disk did not confirm the record. It is in the file or will be, but
    /// may not survive a crash of the machine.
    #[error(
        "the record was taken, but the disk did not confirm it: it may not survive a crash of the machine; see `crlog stat` for the error"
    )]
    NotOnDisk,
}

/// Why [`Writer::append_durable`](crate::Writer::append_durable) failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DurableError {
    /// The record was not taken; nothing of it will be in the file.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The record was taken and is in the file or will be, but the disk has not confirmed it.
    #[error("the record was taken, but is not known to be on the disk: {0}")]
    Sync(FlushError),
}

/// Why [`Log::flush`](crate::Log::flush) or [`Log::sync`](crate::Log::sync) gave up. No record is lost by it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FlushError {
    /// The flusher did not get there in time.
    #[error("not everything reached the file within {waited:?}: {reason}")]
    Timeout {
        /// How long this call waited.
        waited: Duration,
        /// What is known of the cause.
        reason: String,
    },
    /// The system could not bring the file to the disk. What it had written may be there or not.
    #[error(
        "the disk refused: {reason}; the records are in the file, but may not survive a crash of the machine"
    )]
    Disk {
        /// The system's reason.
        reason: String,
    },
    /// A rotation was asked for that would empty the file, since the log keeps no archives.
    #[error(
        "not rotated: {} keeps no archives (backups 0), so what is in it would be gone. Keep some with `crlog set --backups 10 {}`, or empty it with `crlog rotate --discard {}`",
        path.display(), path.display(), path.display()
    )]
    Discards {
        /// The log.
        path: PathBuf,
    },
    /// The log file was removed or replaced (or, while no process wrote it, moved) before what stood in it was known to be on
    /// the disk. Logging goes on in a new file.
    #[error(
        "another program removed or replaced the log file before what stood in it was known to be on the disk; logging goes on in a new file"
    )]
    Removed,
    /// This process is not attached, and could not attach: it is a forked child, or the segment was removed.
    #[error("this process is not attached to the log and could not attach: {reason}")]
    Detached {
        /// What prevents it.
        reason: String,
    },
}
