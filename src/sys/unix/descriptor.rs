//! Descriptors that carry a kernel lock, and how a forked child gives them up.
//!
//! Constraints: a lock of an open file description lives as long as any copy of its descriptor. A
//! child that keeps one keeps its parent's locks alive after the parent's death, even if the child
//! never logs. So the fork handler must find every such descriptor without a lock or an allocation,
//! and there must be no moment at which a lock is carried by a descriptor that is not in the table.
//!
//! - *Opening*: a table entry is claimed, the file opened, the descriptor stored. If a fork ran
//!   meanwhile, the child may hold a copy that the handler did not find: the descriptor is thrown
//!   away, before it ever carried a lock, and the file is opened anew.
//! - *Closing*: all locks are released first, then the entry is cleared, then the descriptor closed.
//!   A fork in between leaks a descriptor without locks.
//! - *In the child* the entries are cleared and closed; handles made before the fork are stale
//!   ([`Epoch`]) and refuse to work, and dropping them does nothing.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, SeqCst};
use std::time::{Duration, Instant};

use super::fork::{Epoch, Quiet};
use super::lock;

/// How many lock-carrying files one process may hold.
pub(super) const LIMIT: usize = 1024;
const FREE: RawFd = -1;
const CLAIMED: RawFd = -2;
/// How long an opening waits for a moment without a fork.
const PATIENCE: Duration = Duration::from_secs(5);

static TABLE: [AtomicI32; LIMIT] = [const { AtomicI32::new(FREE) }; LIMIT];

/// A descriptor that does not survive a fork.
#[derive(Debug)]
pub(super) struct Descriptor {
    entry: &'static AtomicI32,
    epoch: Epoch,
}

/// Why there is no descriptor.
#[derive(Debug)]
pub(super) enum DescriptorError {
    TableFull,
    Open(io::Error),
}

impl Descriptor {
    /// Opens with `open`, which may be called more than once and must not create anything.
    pub(super) fn open(open: impl Fn() -> io::Result<OwnedFd>) -> Result<Descriptor, DescriptorError> {
        let epoch = Epoch::now();
        let entry = claim().ok_or(DescriptorError::TableFull)?;
        let claimed = Descriptor { entry, epoch };
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if let Some(quiet) = Quiet::now() {
                let raw = open().map_err(DescriptorError::Open)?.into_raw_fd();
                // ORDER fork/seqcst: the descriptor is in the table before we ask whether a fork ran.
                entry.store(raw, SeqCst);
                if quiet.lasted() {
                    return Ok(claimed);
                }
                close(entry.swap(CLAIMED, SeqCst));
            }
            std::thread::sleep(Duration::from_micros(100));
        }
        let busy = "other threads of this process fork all the time";
        Err(DescriptorError::Open(io::Error::new(io::ErrorKind::TimedOut, busy)))
    }

    /// The descriptor, unless we are a child of the process that opened it.
    pub(super) fn fd(&self) -> io::Result<BorrowedFd<'_>> {
        let raw = self.entry.load(Relaxed);
        if raw < 0 || !self.epoch.is_current() {
            return Err(io::Error::other("opened before a fork: the child must open it anew"));
        }
        // SAFETY: within its epoch the entry is cleared by our own drop only, so the descriptor is
        // open for as long as `self` is borrowed.
        Ok(unsafe { BorrowedFd::borrow_raw(raw) })
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        if !self.epoch.is_current() {
            return;
        }
        if let Ok(fd) = self.fd() {
            lock::release_all(fd.as_raw_fd());
        }
        // ORDER entry/acqrel: whoever claims the entry next finds it let go.
        close(self.entry.swap(FREE, AcqRel));
    }
}

fn claim() -> Option<&'static AtomicI32> {
    // ORDER entry/acquire.
    TABLE
        .iter()
        .find(|e| e.load(Relaxed) == FREE && e.compare_exchange(FREE, CLAIMED, Acquire, Relaxed).is_ok())
}

fn close(raw: RawFd) {
    if raw >= 0 {
        // SAFETY: the caller took `raw` out of the table, so nobody else closes or uses it.
        drop(unsafe { OwnedFd::from_raw_fd(raw) });
    }
}

/// Closes what a child inherited. Async-signal-safe: atomics and close(2).
pub(super) fn close_inherited() {
    for entry in &TABLE {
        // ORDER fork/seqcst.
        let raw = entry.swap(FREE, SeqCst);
        if raw >= 0 {
            // SAFETY: the descriptor is this child's own copy, and its entry was taken out.
            unsafe { libc::close(raw) };
        }
    }
}
