//! Attaching again for calls that may not wait: [`Writer::try_log`](crate::Writer::try_log).
//!
//! Such a call neither attaches nor drops an attachment: both allocate and wait. It takes over what another call, or the
//! thread that is started here, has put into the log's core, and leaves its old attachment for later.
//!
//! A thread is started only where that is proved to interrupt nothing ([`sys::may_be_in_a_signal_handler`]); within a signal
//! handler a writer waits until another call of its process attaches.
//!
//! | found | done | counted |
//! |---|---|---|
//! | a forked child, or a retired segment | a thread attaches, at most one every [`PAUSE_NS`] | the refused record, as a drop of the next attachment |
//! | the old segment still holds records of this process | refused, so that no record overtakes an older one | likewise |
//! | no thread to be had, or attaching fails | refused; tried again after [`PAUSE_NS`] | likewise |
//! | too many old attachments wait to be dropped | refused | likewise |

use crate::attached::{Attached, Membership};
use crate::log::Core;
use crate::ring::layout::{LEVELS, Phase, State, retired, slot, word};
use crate::ring::mem::Mem;
use crate::sys;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

/// Shortest time between two threads that attach.
const PAUSE_NS: u64 = 100_000_000;
/// How long the thread waits until the records of a retired segment are in the file.
const DRAINED: Duration = Duration::from_secs(30);
/// Old attachments that wait to be dropped, at most.
const PARKED_MAX: usize = 1024;
/// How often, and how many times, the thread looks for old attachments before it ends.
const LOOK: Duration = Duration::from_millis(50);
const LOOKS: u32 = 20;

/// What the handles of one log share to attach again.
#[derive(Debug)]
pub(crate) struct Reattach {
    /// Left by calls that may not drop them.
    parked: Mutex<Vec<Arc<Membership>>>,
    /// Refused records by severity, not yet counted in a segment, and the process that they are of.
    refused: [AtomicU64; LEVELS],
    refused_pid: AtomicU32,
    /// The process whose thread attaches at this moment; and when the next one may.
    at_work: AtomicU32,
    due_ns: AtomicU64,
    due_pid: AtomicU32,
}

impl Reattach {
    pub(crate) fn new() -> Reattach {
        Reattach {
            parked: Mutex::new(Vec::with_capacity(PARKED_MAX)),
            refused: [const { AtomicU64::new(0) }; LEVELS],
            refused_pid: AtomicU32::new(0),
            at_work: AtomicU32::new(0),
            due_ns: AtomicU64::new(0),
            due_pid: AtomicU32::new(0),
        }
    }

    /// Counts records that were refused for want of an attachment. Safe in a signal handler.
    pub(crate) fn count(&self, severity: u8, n: u64) {
        let pid = sys::pid();
        if self.refused_pid.swap(pid, Relaxed) != pid {
            // A forked child: what its parent has not delivered is the parent's.
            self.refused.iter().for_each(|count| count.store(0, Relaxed));
        }
        if let Some(count) = self.refused.get(usize::from(severity)) {
            count.fetch_add(n, Relaxed);
        }
    }

    /// Counts them as drops of this attachment. Safe in a signal handler.
    pub(crate) fn deliver(&self, at: &Attached) {
        if self.refused_pid.load(Relaxed) != sys::pid() {
            return;
        }
        let Some(number) = at.slot else { return };
        for (severity, count) in self.refused.iter().enumerate() {
            let n = count.swap(0, Relaxed);
            if n > 0 {
                let to = at.geometry.slot(number) + slot::DROPS + 8 * severity;
                // ORDER drops/release: they were refused after whatever this process had committed.
                at.mem().add(to, n, Release);
            }
        }
    }

    /// Drops what was left here.
    pub(crate) fn drop_parked(&self) {
        let left: Vec<_> = {
            let Ok(mut parked) = self.parked.try_lock() else { return };
            parked.drain(..).collect()
        };
        drop(left);
    }

    /// Has a thread attach, if none is at it and nothing is interrupted by that.
    pub(crate) fn ask(&self, core: &Arc<Core>) {
        let (pid, now) = (sys::pid(), sys::monotonic_ns());
        let early = self.due_pid.load(Relaxed) == pid && now < self.due_ns.load(Relaxed);
        let at_work = self.at_work.load(Relaxed);
        if early || at_work == pid {
            return;
        }
        self.due_ns.store(now.saturating_add(PAUSE_NS), Relaxed);
        self.due_pid.store(pid, Relaxed);
        if sys::may_be_in_a_signal_handler()
            || self.at_work.compare_exchange(at_work, pid, Relaxed, Relaxed).is_err()
        {
            return;
        }
        let core = Arc::downgrade(core);
        let attach = move || {
            sys::block_signals();
            run(&core);
        };
        if std::thread::Builder::new().name("crlog-attach".into()).spawn(attach).is_err() {
            self.at_work.store(0, Relaxed);
        }
    }
}

fn run(core: &Weak<Core>) {
    let retired = core.upgrade().and_then(|core| core.retired());
    if let Some(old) = retired {
        // Whoever moves before that would overtake them.
        old.flush(DRAINED);
    }
    if let Some(core) = core.upgrade() {
        // Should it fail, it is tried again when the next record is refused.
        if let Ok(at) = core.membership() {
            at.0.start_flusher_if(core.may_flush());
        }
        core.reattach.at_work.store(0, Relaxed);
    }
    for _ in 0..LOOKS {
        std::thread::sleep(LOOK);
        let Some(core) = core.upgrade() else { return };
        core.reattach.drop_parked();
    }
}

impl Core {
    /// The present attachment, if it is retired.
    fn retired(&self) -> Option<Arc<Attached>> {
        let current = self.current.try_lock().ok()?;
        let at = &current.0;
        (at.born.is_current() && at.is_retired()).then(|| Arc::clone(at))
    }

    /// This process's attachment to a segment that is in use, if there is one by now, for who had `old`. That one is kept,
    /// since to drop the last handle of an attachment drains and frees. Safe in a signal handler.
    pub(crate) fn take_fresh(&self, old: &Arc<Membership>) -> Option<Arc<Membership>> {
        let mut parked = self.reattach.parked.try_lock().ok()?;
        let current = self.current.try_lock().ok()?;
        let usable = current.0.born.is_current() && !current.0.is_retired() && !Arc::ptr_eq(&current, old);
        if !usable || parked.len() >= parked.capacity() {
            return None;
        }
        parked.push(Arc::clone(old));
        self.reattach.deliver(&current.0);
        Some(Arc::clone(&current))
    }
}

impl Attached {
    /// Whether a writer of this process may leave this segment: nothing that was committed here can come behind what
    /// is written to the successor. Bounded, and without a system call.
    pub(crate) fn may_be_left(&self) -> bool {
        let mem = self.mem();
        if Attached::is_empty(mem, &self.geometry) {
            return true;
        }
        let states = || (0..self.geometry.chunks()).map(|c| State(mem.load(self.geometry.state(c), Relaxed)));
        let holds = |s: State| !matches!(s.phase(), Some(Phase::Free) | None);
        // The file is the successor's: a stopped process keeps a chunk, and its record comes when it goes on.
        mem.load(word::RETIRED, Relaxed) == retired::LEFT
            && !states().any(|s| holds(s) && self.slot == Some(s.slot()))
    }
}
