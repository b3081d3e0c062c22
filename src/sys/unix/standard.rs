//! Keeping descriptors 0 to 2 for the host.
//!
//! Constraints: a host may have closed its standard input, output or error. The kernel gives the lowest
//! free number to what is opened next, and what the host prints would go into our segment, lock file or
//! log. What is closed stays closed for the host: it may be about to open something there itself.
//!
//! So while one of our files is opened, the free ones of these numbers are taken by descriptors that can
//! neither be read nor written (`O_PATH`); the host meets `EBADF` there, as before.
//!
//! | found | done |
//! |---|---|
//! | another thread of the host closes one of them at that very moment | the file gets another number at once |
//! | a fork left the turn taken by a thread that the child does not have | the child goes on without it |

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, TryLockError};
use std::time::Duration;

use rustix::fs::{Mode, OFlags, open};
use rustix::io::fcntl_dupfd_cloexec;

/// The first number that is not the host's.
const FIRST: i32 = 3;

/// One thread at a time: another's plugs must not be taken for the host's files.
static TURN: Mutex<()> = Mutex::new(());

/// Opens a file of ours at a number that is not the host's.
pub(super) fn above(opening: impl FnOnce() -> io::Result<OwnedFd>) -> io::Result<OwnedFd> {
    let fd = plugged(opening)?;
    if fd.as_raw_fd() >= FIRST {
        return Ok(fd);
    }
    Ok(fcntl_dupfd_cloexec(&fd, FIRST)?)
}

/// Runs `opening`, which may open anything, while no number of the host's is free.
pub(super) fn plugged<T>(opening: impl FnOnce() -> T) -> T {
    let turn = turn();
    let plugs = plugs();
    let turn = if plugs.is_empty() { None } else { turn };
    let done = opening();
    drop(plugs);
    drop(turn);
    done
}

fn turn() -> Option<MutexGuard<'static, ()>> {
    for _ in 0..20 {
        match TURN.try_lock() {
            Ok(turn) => return Some(turn),
            Err(TryLockError::Poisoned(p)) => return Some(p.into_inner()),
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
    None
}

fn plugs() -> Vec<OwnedFd> {
    let mut plugs = Vec::new();
    // Without a descriptor to be had for a plug, there is none to be had for a file.
    while let Ok(plug) = open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        && plug.as_raw_fd() < FIRST
    {
        plugs.push(plug);
    }
    plugs
}
