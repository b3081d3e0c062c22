//! Who flushes: the thread of a producer that holds the kernel's lock, unless a sidecar wants to.
//!
//! ```text
//! candidate:  SIDECAR (shared, at once given back: waits as long as a sidecar lives)
//!             -> FLUSHER
//! ```
//! There is no queue before FLUSHER: a process that is stopped while it waits for a lock does not wait, as far as
//! the kernel is concerned, but one that is stopped at the head of a queue would keep everybody behind it.
//!
//! All waiting is in the kernel, without a time limit: a lock that its holder's death frees needs none,
//! and an idle process does not wake up. The thread has a lock handle of its own, since locks of one
//! handle do not exclude each other.

use crate::attached::{Attached, Watcher};
use crate::flush::{Flusher, Hooks, Kind, Wish};
use crate::sys::{Epoch, FileId, LockFile, byte};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

/// Pause after a lock call that failed for no good reason (no memory for it, say).
const PAUSE: Duration = Duration::from_millis(100);

/// The threads of this process that wait, each for one lock file.
static SEATS: Mutex<Vec<Arc<Seat>>> = Mutex::new(Vec::new());

/// On whose behalf a thread waits. It cannot be called back from the kernel: when its log is dropped, it
/// goes on waiting for nobody, and the next attachment to the same lock file takes it over. So there are
/// never more threads than there were attachments at one time.
#[derive(Debug)]
struct Seat {
    id: FileId,
    epoch: Epoch,
    who: Mutex<Who>,
}

#[derive(Debug)]
struct Who {
    at: Option<Arc<Attached>>,
    /// The thread is on its way out.
    ended: bool,
}

impl Who {
    fn is_free(&self) -> bool {
        self.at.as_ref().is_none_or(|at| at.turn().stop)
    }
}

impl Seat {
    fn who(&self) -> MutexGuard<'_, Who> {
        self.who.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `None` if it cannot be had: a fork can leave it locked by a thread that the child does not have.
/// Then a thread is started too many, or waits longer than it is needed, and that is all.
fn seats() -> Option<MutexGuard<'static, Vec<Arc<Seat>>>> {
    for _ in 0..20 {
        match SEATS.try_lock() {
            Ok(seats) => return Some(seats),
            Err(TryLockError::Poisoned(p)) => return Some(p.into_inner()),
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
    None
}

/// Has a thread wait for `at` to be elected; false if there is none to be had.
pub(crate) fn stand(at: &Arc<Attached>) -> bool {
    let mut seats = seats();
    let id = at.lock.identity();
    for seat in seats.iter().flat_map(|s| s.iter()).filter(|s| s.id == id && s.epoch.is_current()) {
        let mut who = seat.who();
        if !who.ended && who.is_free() {
            who.at = Some(Arc::clone(at));
            return true;
        }
    }
    let who = Mutex::new(Who { at: Some(Arc::clone(at)), ended: false });
    let seat = Arc::new(Seat { id, epoch: at.born, who });
    let mine = Arc::clone(&seat);
    let thread = std::thread::Builder::new().name("crlog-flusher".into());
    let started = thread.spawn(move || run(&mine)).is_ok();
    if let Some(seats) = seats.as_mut().filter(|_| started) {
        seats.push(seat);
    }
    started
}

/// Nobody waits for `at` any more.
pub(crate) fn vacate(at: &Arc<Attached>) {
    let seats = seats();
    for seat in seats.iter().flat_map(|s| s.iter()).filter(|s| s.epoch.is_current()) {
        let mut who = seat.who();
        if who.at.as_ref().is_some_and(|w| Arc::ptr_eq(w, at)) {
            who.at = None;
        }
    }
}

/// The thread's last step, unless `only_if_free` and somebody sits there; true if it is to end.
fn end(seat: &Arc<Seat>, only_if_free: bool) -> bool {
    {
        let mut who = seat.who();
        if only_if_free && !who.is_free() {
            return false;
        }
        *who = Who { at: None, ended: true };
    }
    if let Some(mut seats) = seats() {
        seats.retain(|s| !Arc::ptr_eq(s, seat));
    }
    true
}

fn run(seat: &Arc<Seat>) {
    crate::sys::block_signals();
    let lock = loop {
        let at = seat.who().at.clone();
        match at.map(|at| at.lock.again()) {
            Some(Ok(lock)) => break lock,
            // No descriptor to be had, say.
            Some(Err(e)) if !e.is_absent() && !end(seat, true) => std::thread::sleep(PAUSE),
            _ => {
                end(seat, false);
                return;
            }
        }
    };
    while !end(seat, true) {
        if candidate(seat, &lock).is_err() {
            std::thread::sleep(PAUSE);
        }
    }
}

fn candidate(seat: &Seat, lock: &LockFile) -> std::io::Result<()> {
    lock.lock_shared(byte::SIDECAR)?;
    lock.unlock(byte::SIDECAR)?;
    lock.lock(byte::FLUSHER)?;
    let who = seat.who().at.clone();
    let Some(at) = who else { return lock.unlock(byte::FLUSHER) };
    let turn = if at.wish(lock) == Wish::GoOn { begin(&at) } else { None };
    let (mut gives_way, mut hooks) = (false, None);
    if turn.is_some() {
        let _watcher = Watcher::start(&at);
        hooks = at.hooks();
        // Whatever went wrong in it, the next turn begins as after a kill. This thread lets others have it first.
        let flush = || flush(&at, lock, hooks.as_mut());
        gives_way = catch_unwind(AssertUnwindSafe(flush)).unwrap_or_else(|panic| {
            at.tell_panic(&*panic);
            true
        });
    }
    let done = lock.unlock(byte::FLUSHER);
    drop(turn);
    if let Some(hooks) = &mut hooks {
        hooks.finish(&mut |_| {});
    }
    if gives_way {
        // Time for the others, who wait in the kernel; alone, we try again.
        std::thread::sleep(PAUSE);
    }
    done
}

/// One turn; true if this process met a limit of its own.
fn flush(at: &Arc<Attached>, lock: &LockFile, hooks: Option<&mut Hooks>) -> bool {
    let mut deaf = |_| {};
    let mut flusher = Flusher::take_over(at, lock, Kind::Thread, &mut deaf);
    at.set_settled(true);
    flusher.packs(Arc::downgrade(at));
    flusher.runs(hooks, Arc::downgrade(at));
    flusher.run(&mut || at.wish(lock));
    flusher.give_hooks_up();
    flusher.gives_way()
}

/// While it lives, whoever detaches waits for this thread to drain.
struct Turn<'a>(&'a Attached);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut turn = self.0.turn();
        (turn.flushing, turn.settled) = (false, false);
        drop(turn);
        self.0.ended.notify_all();
    }
}

/// `None` if its host has left already.
fn begin(at: &Attached) -> Option<Turn<'_>> {
    let mut turn = at.turn();
    turn.flushing = !turn.stop;
    turn.flushing.then(|| Turn(at))
}
