//! What the flusher has to tell.

use crate::rotate::retention::Reason;
use std::time::Duration;

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
    /// A rotation that was asked for is not made, since it would empty the file.
    NotRotated {
        /// Why, and what to do.
        what: String,
    },
    /// Retention removed an archive.
    Removed {
        /// Its file name.
        name: String,
        /// Its length.
        bytes: u64,
        /// Why, with the figures.
        reason: Reason,
    },
    /// The log file was removed, or another file was renamed onto it. Logging goes on in a new file.
    FileRemoved {
        /// The length that the old one had: what is gone with it.
        bytes: u64,
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
        /// Records that it had written; all of them are in the file.
        records: u64,
    },
    /// Somebody removed the segment from shared memory: all move to a new one, nothing is lost.
    Moved,
    /// The index cannot be written. The log goes on, and so does the index, later; what is logged until then cannot
    /// be verified.
    IndexInterrupted {
        /// What failed.
        what: String,
        /// The system's error number, 0 if there is none.
        errno: i32,
        /// When it is tried again.
        retry: Duration,
    },
    /// The index is written again.
    IndexResumed,
    /// An archive was compressed.
    Packed {
        /// What it is called now; the next rotation may shift it.
        name: String,
        /// Its size before.
        from_bytes: u64,
        /// Its size now.
        to_bytes: u64,
    },
    /// An archive could not be compressed. It stays as it is.
    PackFailed {
        /// What failed.
        what: String,
        /// The system's error number, 0 if there is none.
        errno: i32,
        /// When it, or another one, is tried.
        retry: Duration,
    },
    /// A new log file could not be given to the owner that is configured. It belongs to the flusher's user, and the log
    /// goes on.
    OwnerRefused {
        /// What failed.
        what: String,
        /// The system's error number, 0 if there is none.
        errno: i32,
    },
    /// The link to the current log file cannot be made, or something else stands in its place. The log goes on.
    LinkFailed {
        /// What failed.
        what: String,
        /// The system's error number, 0 if there is none.
        errno: i32,
    },
    /// The program that is run after each rotation has ended well.
    HookRan {
        /// What the file was called when it was rotated.
        name: String,
    },
    /// It failed, or could not be run.
    HookFailed {
        /// What failed.
        what: String,
        /// When it is tried again; `None`: it was given up.
        retry: Option<Duration>,
    },
    /// The flusher ended before the program was run for all rotations.
    HooksLeft {
        /// For so many it was not run.
        rotations: usize,
    },
    /// This process flushes no longer.
    Stopped,
}
