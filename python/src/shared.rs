//! The part of a [`Log`](crate::log::Log) that a thread without Python can close, and the list of those that are open.

use crlog::{CloseError, Writer};
use std::io::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use std::time::{Duration, Instant};

/// More writers than this at one time are made for one record each.
const WRITERS_MAX: usize = 64;
/// How long the end of the process waits for calls that are inside of a record, or for a lock.
const INSIDE: Duration = Duration::from_millis(100);
/// The logs that this process, and before a fork its parent, has open.
static OPEN: Mutex<Vec<(u32, Weak<Shared>)>> = Mutex::new(Vec::new());

/// A log and its writers.
pub struct Shared {
    /// There until it is closed.
    log: Mutex<Option<crlog::Log>>,
    /// Locked for some nanoseconds, never while anything waits, and nobody waits for it: a thread that does not get it makes
    /// a writer for one record. With the interpreter's lock held that does not happen.
    pool: Mutex<WriterPool>,
    /// Whether what is left when a signal ends the process is reported on standard error.
    report_at_exit: bool,
}

#[derive(Default)]
struct WriterPool {
    /// Writers that nothing uses at this moment.
    free: Vec<Writer>,
    /// How many calls are inside of a record.
    used: usize,
    /// No more are taken or kept.
    closed: bool,
}

impl Shared {
    pub fn new(log: crlog::Log, report_at_exit: bool) -> Arc<Shared> {
        let shared = Arc::new(Shared { log: Mutex::new(Some(log)), pool: Mutex::default(), report_at_exit });
        if let Some(mut open) = lock_soon(&OPEN) {
            let me = std::process::id();
            open.retain(|(process, log)| *process == me && log.strong_count() > 0);
            open.push((me, Arc::downgrade(&shared)));
        }
        shared
    }

    /// The log, unless it is closed.
    pub fn log(&self) -> Option<crlog::Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A writer that nothing uses, if there is one, for a call that begins.
    pub fn take(&self) -> Option<Writer> {
        let mut pool = lock_now(&self.pool)?;
        pool.used += 1;
        pool.free.pop()
    }

    /// Takes back the writer of a call that ends, if it got one.
    pub fn give_back(&self, writer: Option<Writer>) {
        let Some(mut pool) = lock_now(&self.pool) else { return };
        pool.used = pool.used.saturating_sub(1);
        if !pool.closed && pool.free.len() < WRITERS_MAX {
            pool.free.extend(writer);
        }
    }

    /// Everything that keeps this process attached.
    pub fn take_apart(&self) -> (Vec<Writer>, Option<crlog::Log>) {
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        pool.closed = true;
        let writers = std::mem::take(&mut pool.free);
        drop(pool);
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner).take();
        (writers, log)
    }

    /// Closes the log while other threads may use it, which are about to end with the process. Returns what is left.
    fn close(&self, begun: Instant) -> Option<CloseError> {
        let mut pool = lock_soon(&self.pool)?;
        pool.closed = true;
        let writers = std::mem::take(&mut pool.free);
        drop(pool);
        drop(writers);
        let end = Instant::now() + INSIDE;
        while Instant::now() < end && lock_soon(&self.pool).is_some_and(|pool| pool.used > 0) {
            std::thread::sleep(Duration::from_micros(200));
        }
        let log = lock_soon(&self.log).and_then(|mut log| log.take())?;
        let limit = log.close_timeout().saturating_sub(begun.elapsed());
        log.close_within(limit).err()
    }
}

/// Closes all logs of this process, which is about to end. Each has its own limit, all have the longest of them.
pub fn close_all() {
    let Some(open) = lock_soon(&OPEN).map(|mut open| std::mem::take(&mut *open)) else { return };
    let (me, now) = (std::process::id(), Instant::now());
    for log in open.iter().filter(|(process, _)| *process == me).filter_map(|(_, log)| log.upgrade()) {
        if let Some(left) = log.close(now)
            && log.report_at_exit
        {
            let _ = writeln!(std::io::stderr(), "crlog: {left}");
        }
    }
}

fn lock_now<T>(lock: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match lock.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(p)) => Some(p.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// A lock that a fork may have left held by a thread that is not in this process.
fn lock_soon<T>(lock: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    let end = Instant::now() + INSIDE;
    loop {
        if let Some(guard) = lock_now(lock) {
            return Some(guard);
        }
        if Instant::now() >= end {
            return None;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}
