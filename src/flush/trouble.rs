//! What can go wrong with the file, and how it is told, counted and tried again.

use super::{Event, Flusher, RETRY_MAX_NS, RETRY_MIN_NS};
use crate::ring::layout::{Counter, word};
use crate::ring::mem::Mem;
use crate::ring::sweep::{Deposed, bump};
use crate::rotate::Failure;
use crate::sys::{self, FileError};
use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Error numbers for troubles that are not the system's, for `stat` to show.
pub(super) const EIO: i32 = 5;
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
            Trouble::File(FileError::Io { source, .. }) => (source.raw_os_error(), source.kind()),
            Trouble::Busy => (Some(EBUSY), io::ErrorKind::Other),
            Trouble::File(FileError::Symlink { .. }) => (Some(ELOOP), io::ErrorKind::Other),
            Trouble::File(FileError::NotRegular { what: "a directory", .. }) => {
                (Some(EISDIR), io::ErrorKind::Other)
            }
            Trouble::File(_) => (Some(EINVAL), io::ErrorKind::Other),
            Trouble::Rotation(_) | Trouble::Deposed => return Failure::Other, // told where it happened
        };
        self.hampered |= matches!(errno, Some(EMFILE | EFBIG));
        self.at.mem().store(word::FLUSHER_ERROR, errno.unwrap_or(EIO) as u64, Relaxed);
        Failure::from(kind)
    }

    pub(super) fn note(&mut self, trouble: &Trouble) {
        self.delay_ns = (self.delay_ns * 2).clamp(RETRY_MIN_NS, RETRY_MAX_NS);
        self.retry_ns = sys::monotonic_ns() + self.delay_ns;
        self.failed(trouble);
        self.complain(trouble, Duration::from_nanos(self.delay_ns));
    }

    pub(super) fn complain(&mut self, trouble: &Trouble, retry: Duration) {
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

    pub(super) fn recovered(&mut self) {
        (self.retry_ns, self.delay_ns) = (0, 0);
        self.at.mem().store(word::FLUSHER_ERROR, 0, Relaxed);
        (self.tell)(Event::Recovered);
    }
}
