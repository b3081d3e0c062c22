//! The normal end of a process whose logs are still open: a log in a `static`, `exit` in the middle of a call.
//!
//! Rust drops no statics, so C's `exit` calls [`at_exit`], registered with the first attachment. For each
//! attachment of this process it waits until the records are in the file (bounded, [`crate::close`]), detaches, and
//! reports what is left. What other threads log meanwhile or afterwards stays in memory, as after a kill, unless
//! they attach again, which registers the function once more.
//!
//! **Constraints.** Threads may hold any lock, and a fork may have copied a held one: nothing here waits for a lock
//! longer than [`LOCK_TRIES`] ms. No panic leaves the function.

use crate::attached::Membership;
use crate::close::finish;
use crate::sys;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use std::time::{Duration, Instant};

const LOCK_TRIES: u32 = 20;

/// Attachments of this process, and before a fork of its parent.
static OPEN: Mutex<Vec<Weak<Membership>>> = Mutex::new(Vec::new());
/// The function is registered and has not run since. A forked child inherits both.
static REGISTERED: AtomicBool = AtomicBool::new(false);

fn open() -> Option<MutexGuard<'static, Vec<Weak<Membership>>>> {
    for _ in 0..LOCK_TRIES {
        match OPEN.try_lock() {
            Ok(open) => return Some(open),
            Err(TryLockError::Poisoned(p)) => return Some(PoisonError::into_inner(p)),
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
    None
}

/// Has the end of the process end this attachment, too.
pub(crate) fn register(member: &Arc<Membership>) {
    let Some(mut open) = open() else { return };
    open.retain(|known| known.strong_count() > 0);
    open.push(Arc::downgrade(member));
    // Relaxed: under the lock of OPEN; at exit the function runs in whatever thread calls `exit`.
    if !REGISTERED.swap(true, Relaxed) && !sys::at_exit(at_exit) {
        REGISTERED.store(false, Relaxed);
    }
}

/// Called by the C library when the process ends normally.
extern "C" fn at_exit() {
    REGISTERED.store(false, Relaxed);
    // A panic must not unwind into C.
    let _ = catch_unwind(AssertUnwindSafe(end_all));
}

fn end_all() {
    let mut members: Vec<Arc<Membership>> = Vec::new();
    if let Some(mut open) = open() {
        members.extend(open.drain(..).filter_map(|known| known.upgrade()));
    }
    members.retain(|member| member.0.born.is_current());
    let began = Instant::now();
    for member in &members {
        let end = member.0.end_options();
        let limit = end.timeout(member.0.mem()).saturating_sub(began.elapsed());
        let left = finish(&member.0, limit);
        member.0.set_reported(left.is_some());
        if let Some(left) = left.filter(|_| end.report) {
            left.report();
        }
        member.end();
    }
    // Handles may be used after this: what they hold is not freed under them.
    members.into_iter().for_each(std::mem::forget);
}
