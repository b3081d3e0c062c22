//! The sidecar: a process whose only work is to flush, preferred over producers' threads.

use crate::attached::{Attached, Membership, Role, Watcher};
use crate::error::OpenError;
use crate::flush::{Event, Flusher, Hooks, Kind, Wish};
use crate::log::Log;
use crate::options::{Difference, Options};
use crate::ring::layout::word;
use crate::ring::mem::Mem;
use crate::sys::{self, LockFile, SizeLimitIsAnError, byte};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// How often a sidecar that waits for a lock looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(50);
/// The same for one that is next: whoever flushes now gives way at its next sweep.
const SOON: Duration = Duration::from_millis(1);

/// Asks a running [`Sidecar`] for things; may be used from a signal-handling thread.
#[derive(Clone, Debug, Default)]
pub struct Control {
    asked: Arc<Asked>,
}

#[derive(Debug, Default)]
struct Asked {
    stop: AtomicBool,
    rotate: AtomicU64,
    reopen: AtomicU64,
    running: std::sync::Mutex<Option<Arc<Attached>>>,
}

impl Control {
    /// Drain, and end.
    pub fn stop(&self) {
        self.asked.stop.store(true, Relaxed);
        self.ring();
    }

    /// Rotate the file now.
    pub fn rotate(&self) {
        self.asked.rotate.fetch_add(1, Relaxed);
        self.ring();
    }

    /// Look whether the file was moved or deleted, and make a new one if so.
    pub fn reopen(&self) {
        self.asked.reopen.fetch_add(1, Relaxed);
        self.ring();
    }

    fn stopped(&self) -> bool {
        self.asked.stop.load(Relaxed)
    }

    fn ring(&self) {
        let running = self.asked.running.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(at) = running.as_ref() {
            at.ring();
        }
    }

    fn set_running(&self, at: Option<Arc<Attached>>) {
        *self.asked.running.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = at;
    }

    /// Passes requests on to the segment, where the flusher looks for them.
    fn pass_on(&self, at: &Attached) {
        for (count, word) in
            [(&self.asked.rotate, word::ROTATE_REQUESTS), (&self.asked.reopen, word::REOPEN_REQUESTS)]
        {
            let n = count.swap(0, Relaxed);
            if n > 0 {
                at.mem().add(word, n, Relaxed);
            }
        }
    }
}

/// Why a sidecar ended before it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// A lock could not be asked for.
    #[error("cannot lock {path}: {cause}")]
    Lock {
        /// The lock file.
        path: std::path::PathBuf,
        /// The system's reason.
        cause: std::io::Error,
    },
    /// The log could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Records are left in the ring, because the file cannot be written.
    #[error(
        "stopped with records left in memory, because the file cannot be written: they are kept for the next flusher"
    )]
    Undrained,
}

/// A flusher that has the process's thread for itself.
pub struct Sidecar {
    log: Log,
    tell: Box<dyn FnMut(Event) + Send>,
}

impl std::fmt::Debug for Sidecar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sidecar").field("log", &self.log).finish_non_exhaustive()
    }
}

impl Options {
    /// Opens the log to flush it: makes the segment if there is none, and writes no records.
    pub fn sidecar(self) -> Result<Sidecar, OpenError> {
        let log = Log::visit(self, Role::Sidecar)?;
        log.check_file()?;
        Ok(Sidecar { log, tell: Box::new(|_| {}) })
    }
}

impl Sidecar {
    /// Calls `tell` with everything that is worth telling, from the thread that runs. A panic of it ends neither that
    /// thread nor the flushing; it is called again with the next event.
    pub fn on_event(&mut self, mut tell: impl FnMut(Event) + Send + 'static) {
        self.tell = Box::new(move |event| {
            // What there is to say of it, the host's own panic hook has said.
            let _ = catch_unwind(AssertUnwindSafe(|| tell(event)));
        });
    }

    /// Has this process say on standard error why it ends, if somebody truncates the segment under it: the
    /// bus error is still fatal. It installs a handler of SIGBUS for the whole process, so it is for programs
    /// that do nothing but flush.
    pub fn explain_bus_errors() -> std::io::Result<()> {
        sys::explain_bus_errors()
    }

    /// The log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// As [`Log::differences`].
    pub fn differences(&self) -> Result<Vec<Difference>, OpenError> {
        self.log.differences()
    }

    /// Flushes until [`Control::stop`]; then drains and returns.
    pub fn run(&mut self, control: &Control) -> Result<(), RunError> {
        let mut hooks = self.log.attached()?.0.hooks();
        loop {
            let member: Arc<Membership> = self.log.attached()?;
            let at = &member.0;
            control.set_running(Some(Arc::clone(at)));
            let limit = SizeLimitIsAnError::new();
            let done = self.run_attached(at, control, hooks.as_mut());
            drop(limit);
            control.set_running(None);
            // Else its segment was removed by somebody, and the log goes on in another.
            if !matches!(done, Ok(Wish::Moved)) {
                if let Some(hooks) = &mut hooks {
                    hooks.finish(&mut *self.tell);
                }
                done?;
                (self.tell)(Event::Stopped);
                return Ok(());
            }
        }
    }

    fn run_attached(
        &mut self,
        at: &Arc<Attached>,
        control: &Control,
        mut hooks: Option<&mut Hooks>,
    ) -> Result<Wish, RunError> {
        let path = at.lock.path().to_owned();
        let io = |cause| RunError::Lock { path: path.clone(), cause };
        let lock = at.lock.again().map_err(|e| io(std::io::Error::other(e)))?;
        if !self.wait_for(at, &lock, byte::SIDECAR, control).map_err(&io)? {
            return Ok(Wish::Stop);
        }
        at.mem().store(word::SIDECAR, u64::from(sys::pid()), Relaxed);
        at.ring();
        let (mut drained, mut ended) = (true, Wish::Stop);
        // Again if somebody has overwritten the epoch, which deposes whoever flushes.
        while self.wait_for(at, &lock, byte::FLUSHER, control).map_err(&io)? {
            let wish = &mut || {
                control.pass_on(at);
                if control.stopped() { Wish::Stop } else { Wish::GoOn }
            };
            let mut flusher = Flusher::take_over(at, &lock, Kind::Sidecar, &mut *self.tell);
            flusher.packs(Arc::downgrade(at));
            flusher.runs(hooks.as_deref_mut(), Arc::downgrade(at));
            let _watcher = Watcher::start(at);
            ended = flusher.run(wish);
            if ended == Wish::Stop {
                flusher.give_hooks_up();
            }
            drained = !flusher.is_stuck();
            lock.unlock(byte::FLUSHER).map_err(&io)?;
            if ended != Wish::Yield {
                break;
            }
        }
        at.mem().store(word::SIDECAR, 0, Relaxed);
        lock.unlock(byte::SIDECAR).map_err(&io)?;
        if drained || ended == Wish::Moved { Ok(ended) } else { Err(RunError::Undrained) }
    }

    /// Waits for a byte of the lock file; false if it is to stop instead.
    fn wait_for(
        &mut self,
        at: &Attached,
        lock: &LockFile,
        which: u64,
        control: &Control,
    ) -> std::io::Result<bool> {
        let mut told = which != byte::SIDECAR;
        let mut nap = if which == byte::SIDECAR { LOOK } else { SOON };
        loop {
            if control.stopped() {
                return Ok(false);
            }
            if lock.lock_within(which, Duration::ZERO)? {
                return Ok(true);
            }
            std::thread::sleep(nap);
            nap = (nap * 2).min(LOOK);
            if !told {
                told = true;
                (self.tell)(Event::Waiting { pid: at.mem().load(word::SIDECAR, Relaxed) });
            }
        }
    }
}
