//! What can go wrong with the file, and how it is told, counted and tried again.

use super::{Event, Flusher, RETRY_MAX_NS, RETRY_MIN_NS};
use crate::ring::fault;
use crate::ring::layout::{Counter, word};
use crate::ring::mem::Mem;
use crate::ring::sweep::{Deposed, bump};
use crate::rotate::Failure;
use crate::sys::{self, FileError};
use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Error numbers for troubles that are not the system's, for `stat` to show.
pub(crate) const EIO: i32 = 5;
const EBUSY: i32 = 16;
const EISDIR: i32 = 21;
const EINVAL: i32 = 22;
/// Error numbers of the process's own limits, which another process may not have.
const EMFILE: i32 = 24;
const EFBIG: i32 = 27;
const ELOOP: i32 = 40;

pub(super) enum Trouble {
    Io(&'static str, io::Error),
    File(FileError),
    Busy,
    Rotation(Failure),
    /// The file lost its name while a batch was written to it.
    Unlinked,
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

impl Flusher<'_> {
    pub(super) fn failed(&mut self, trouble: &Trouble) -> Failure {
        bump(self.at.mem(), Counter::IoErrors, 1);
        let (errno, kind) = match trouble {
            Trouble::Io(_, e) => (e.raw_os_error(), e.kind()),
            Trouble::File(FileError::Io { cause, .. }) => (cause.raw_os_error(), cause.kind()),
            Trouble::Busy => (Some(EBUSY), io::ErrorKind::Other),
            Trouble::Unlinked => (Some(super::ENOENT), io::ErrorKind::Other),
            Trouble::File(FileError::Symlink { .. }) => (Some(ELOOP), io::ErrorKind::Other),
            Trouble::File(FileError::NotRegular { what: "a directory", .. }) => {
                (Some(EISDIR), io::ErrorKind::Other)
            }
            Trouble::File(_) => (Some(EINVAL), io::ErrorKind::Other),
            Trouble::Rotation(_) | Trouble::Deposed => return Failure::Other, // told where it happened
        };
        self.hampered |= matches!(errno, Some(EMFILE | EFBIG));
        fault::store(self.at.mem(), errno.unwrap_or(EIO), &self.in_words(trouble).0);
        Failure::from(kind)
    }

    pub(super) fn note(&mut self, trouble: &Trouble) {
        self.delay_ns = (self.delay_ns * 2).clamp(RETRY_MIN_NS, RETRY_MAX_NS);
        self.retry_ns = sys::monotonic_ns() + self.delay_ns;
        self.failed(trouble);
        self.complain(trouble, Duration::from_nanos(self.delay_ns));
    }

    pub(super) fn complain(&mut self, trouble: &Trouble, retry: Duration) {
        let (what, errno) = self.in_words(trouble);
        (self.tell)(Event::Error { what, errno, retry });
    }

    /// What failed, and the system's error number, 0 if there is none.
    fn in_words(&self, trouble: &Trouble) -> (String, i32) {
        let path = self.at.log_path.display();
        match trouble {
            Trouble::Io(doing, e) => (format!("cannot {doing} {path}: {e}"), e.raw_os_error().unwrap_or(0)),
            Trouble::File(e) => (e.to_string(), 0),
            Trouble::Busy if self.has_two_names() => (
                format!(
                    "{path} has another name (a hard link), under which another log writes it: use one name for both"
                ),
                0,
            ),
            Trouble::Busy => (
                format!(
                    "{path} is being written by another flusher with another segment or lock directory: give all processes the same --segment and --lock-dir"
                ),
                0,
            ),
            Trouble::Rotation(failure) => {
                // What failed was said where it happened.
                let (errno, why) = fault::load(self.at.mem()).unwrap_or_else(|| (0, format!("{failure:?}")));
                (format!("cannot rotate {path}: {why}; nothing is lost, it is tried again"), errno)
            }
            Trouble::Unlinked => (format!("{path} is removed again and again: find out what does that"), 0),
            Trouble::Deposed => (format!("another process flushes {path}"), 0),
        }
    }

    fn has_two_names(&self) -> bool {
        let path = self.at.dir.join(self.live_name());
        sys::dir::look(&path).is_ok_and(|seen| seen.is_some_and(|seen| seen.links > 1))
    }

    pub(super) fn recovered(&mut self) {
        (self.retry_ns, self.delay_ns) = (0, 0);
        self.at.mem().store(word::FLUSHER_ERROR, 0, Relaxed);
        (self.tell)(Event::Recovered);
    }
}
