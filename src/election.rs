//! Who flushes: the thread of a producer that holds the kernel's lock, unless a sidecar wants to.
//!
//! ```text
//! candidate:  SIDECAR (shared, at once given back: waits as long as a sidecar lives)
//!             -> STANDBY -> FLUSHER, and STANDBY is given back: one waits for the lock, the others for its place
//! ```
//! All waiting is in the kernel, without a time limit: a lock that its holder's death frees needs none,
//! and an idle process does not wake up. The thread has a lock handle of its own, since locks of one
//! handle do not exclude each other.

use crate::attached::Attached;
use crate::flush::{Flusher, Kind, Wish};
use crate::sys::{LockFile, byte};
use std::sync::Arc;
use std::time::Duration;

/// Pause after a lock call that failed for no good reason (no memory for it, say).
const PAUSE: Duration = Duration::from_millis(100);

pub(crate) fn run(at: &Arc<Attached>) {
    crate::sys::block_signals();
    let Some(lock) = open(at) else { return };
    while !at.turn().stop {
        if candidate(at, &lock).is_err() {
            std::thread::sleep(PAUSE);
        }
    }
}

/// A handle of this thread's own; `None` if the lock file is gone or was replaced under us: who joins
/// from now on uses another segment.
fn open(at: &Attached) -> Option<LockFile> {
    while !at.turn().stop {
        match LockFile::existing(at.lock.path(), at.segment_mode()) {
            Ok(lock) => return (lock.identity() == at.lock.identity()).then_some(lock),
            Err(e) if e.is_absent() => return None,
            // No descriptor to be had, say.
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
    None
}

fn candidate(at: &Arc<Attached>, lock: &LockFile) -> std::io::Result<()> {
    lock.lock_shared(byte::SIDECAR)?;
    lock.unlock(byte::SIDECAR)?;
    lock.lock(byte::STANDBY)?;
    let won = lock.lock(byte::FLUSHER);
    lock.unlock(byte::STANDBY)?;
    won?;
    if at.wish(lock) == Wish::GoOn && begin(at) {
        let mut deaf = |_| {};
        Flusher::take_over(at, lock, Kind::Thread, &mut deaf).run(&mut || at.wish(lock));
        at.turn().flushing = false;
    }
    lock.unlock(byte::FLUSHER)
}

/// From here on, whoever detaches waits for this thread to drain; false if that has happened already.
fn begin(at: &Attached) -> bool {
    let mut turn = at.turn();
    turn.flushing = !turn.stop;
    turn.flushing
}
