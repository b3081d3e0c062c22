//! Ends by a signal, which end a process before `atexit` could run.
//!
//! Constraints: what Python shows of a signal (`signal.getsignal`), what its handlers are given, and what the process
//! ends with stay as they are; other handlers of C, and signals that are ignored, are left alone; nothing here runs
//! Python.
//!
//! | the signal's action | done |
//! |---|---|
//! | the default | replaced by ours, which has a thread close all logs, within their limits, and then takes the default action |
//! | Python's handler, SIGTERM and SIGQUIT | ours first notes that the process is ending, then calls Python's: from then on [`Outlook::Ending`] |
//! | another one | left alone |
//!
//! A host may change the action at any time, through Python or not; the next record looks again, if there are not too
//! many.
//!
//! **Invariant (E1):** The handler does what is async-signal-safe: atomics, `getpid`, the clock, `sigaction`, `raise`, one
//! futex call.
//! **Invariant (E2):** A handler of Python's is known by its place in Python's own object file, and takes one number.
#![allow(unsafe_code)]

use std::mem::{transmute, zeroed};
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicI32, AtomicI64, AtomicU32, AtomicUsize, Ordering::Relaxed};

use libc::{SIG_DFL, SIGHUP, SIGINT, SIGQUIT, SIGTERM, c_int, c_void, siginfo_t};

/// Signals whose default action ends a process in order.
const SIGNALS: [c_int; 4] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];
/// Those that a server takes for the request to end gracefully.
const ENDS_GRACEFULLY: [c_int; 2] = [SIGQUIT, SIGTERM];
/// How long a process that caught such a signal may take to end, in milliseconds.
const ENDING_MS: i64 = 300_000;
/// Of the records of this many milliseconds, so many look at the actions.
const LOOKS_MS: i64 = 100;
const LOOKS_MAX: u32 = 32;
/// How many records of a process of which nothing is known are waited for.
const UNKNOWN_MAX: u32 = 200;
/// A host that changes its handlers more often than this gets these records once, in milliseconds.
const UNKNOWN_APART_MS: i64 = 10_000;
/// A thread that only waits.
const STACK_BYTES: usize = 256 * 1024;

/// The process whose thread waits for [`REQUEST`]; in a forked child it is the parent's number, whose thread is not here.
static OWNER: AtomicI32 = AtomicI32::new(0);
/// The signal that is to end this process; 0 for none. The thread waits on it.
static REQUEST: AtomicU32 = AtomicU32::new(0);
/// By place in [`SIGNALS`]: Python's handler, which ours calls; 0 if ours stands for the default action.
static CHAINED: [AtomicUsize; 4] = [const { AtomicUsize::new(0) }; 4];
/// When the process was asked to end, in milliseconds of [`now_ms`]; 0 if it was not.
static ASKED: AtomicI64 = AtomicI64::new(0);
/// How many more records are written with [`Outlook::Unknown`].
static UNKNOWN_RECORDS: AtomicU32 = AtomicU32::new(UNKNOWN_MAX);
/// When this began, in milliseconds of [`now_ms`]; 0 if it did not.
static UNKNOWN_AT: AtomicI64 = AtomicI64::new(0);
/// When looks are counted again from 0, in milliseconds of [`now_ms`].
static LOOKS_UNTIL: AtomicI64 = AtomicI64::new(0);
static LOOKS: AtomicU32 = AtomicU32::new(0);

/// What can be known of a process that has just written a record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Outlook {
    /// It goes on.
    GoesOn,
    /// It has just begun, is a forked child, which often ends by `os._exit`, or may have been asked to end before we could see it.
    Unknown,
    /// It was asked to end, and its own handler was called: each record may be its last.
    Ending,
}

/// Of this process, for one record.
pub fn outlook() -> Outlook {
    let asked = ASKED.load(Relaxed);
    if asked != 0 && now_ms() - asked < ENDING_MS {
        return Outlook::Ending;
    }
    let left = UNKNOWN_RECORDS.load(Relaxed);
    if left == 0 {
        return Outlook::GoesOn;
    }
    UNKNOWN_RECORDS.store(left - 1, Relaxed);
    Outlook::Unknown
}

/// To be called once, before a fork.
pub fn watch_forks() {
    // SAFETY: the function stores words, which a forked child may do.
    unsafe { libc::pthread_atfork(None, None, Some(in_a_forked_child)) };
}

/// Looks at the actions, for a record; not for each of many.
pub fn look_again(may_thread: bool) {
    let now = now_ms();
    let mut looks = LOOKS.load(Relaxed);
    if now >= LOOKS_UNTIL.load(Relaxed) {
        LOOKS_UNTIL.store(now + LOOKS_MS, Relaxed);
        looks = 0;
    }
    if looks < LOOKS_MAX {
        LOOKS.store(looks + 1, Relaxed);
        arm(may_thread);
    }
}

/// Puts our handler where a signal would end this process without notice. Without a thread only before Python's handlers.
pub fn arm(may_thread: bool) {
    for (place, number) in SIGNALS.into_iter().enumerate() {
        let Some(current) = action(number) else { continue };
        // The first process of a container is not ended by a default action.
        if current.sa_sigaction == SIG_DFL {
            if may_thread && process() != 1 && has_thread() {
                install(place, 0, &current);
            }
        } else if ENDS_GRACEFULLY.contains(&number) && is_pythons(&current) {
            install(place, current.sa_sigaction, &current);
            begin_unknown();
        }
    }
}

/// A handler may have been called before we saw that it is there.
fn begin_unknown() {
    let now = now_ms().max(1);
    let before = UNKNOWN_AT.swap(now, Relaxed);
    if before == 0 || now - before > UNKNOWN_APART_MS {
        UNKNOWN_RECORDS.store(UNKNOWN_MAX, Relaxed);
    }
}

fn install(place: usize, chained: usize, before: &libc::sigaction) {
    CHAINED[place].store(chained, Relaxed);
    let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) = on_signal;
    // An interrupted call of the host's goes on while the thread closes the logs.
    let restart = if chained == 0 { libc::SA_RESTART } else { 0 };
    let mut ours = *before;
    ours.sa_sigaction = handler as usize;
    ours.sa_flags = (before.sa_flags & !libc::SA_RESETHAND) | libc::SA_SIGINFO | libc::SA_ONSTACK | restart;
    // SAFETY: the handler has the type that SA_SIGINFO asks for and keeps invariant E1; the structures are locals.
    unsafe { libc::sigaction(SIGNALS[place], &raw const ours, null_mut()) };
}

extern "C" fn on_signal(number: c_int, _: *mut siginfo_t, _: *mut c_void) {
    // SAFETY: the C library's errno of this thread, which the interrupted code may be about to read.
    let errno = unsafe { *libc::__errno_location() };
    let place = SIGNALS.iter().position(|one| *one == number).unwrap_or(0);
    let chained = CHAINED[place].load(Relaxed);
    if chained == 0 {
        end(number);
    } else {
        ASKED.store(now_ms().max(1), Relaxed);
    }
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
    if chained != 0 {
        // SAFETY: the address of a handler that the kernel would have called in the same way (invariant E2).
        unsafe { transmute::<usize, extern "C" fn(c_int)>(chained)(number) };
    }
}

/// Has the thread end this process. In a child of a fork there is none, and nothing to be closed.
fn end(number: c_int) {
    if OWNER.load(Relaxed) != process() {
        default_action(number);
    } else if REQUEST.swap(number as u32, Relaxed) == 0 {
        futex(libc::FUTEX_WAKE, 1);
    }
}

/// Ends the process as the signal does by default. Inside of the signal's handler: as soon as it returns.
fn default_action(number: c_int) {
    // SAFETY: zeros are the default action without flags; `raise` takes any number.
    unsafe {
        let default: libc::sigaction = zeroed();
        libc::sigaction(number, &raw const default, null_mut());
        libc::raise(number);
    }
}

/// Whether the thread that closes the logs is there; starts it if this process has none.
fn has_thread() -> bool {
    let me = process();
    if OWNER.load(Relaxed) == me {
        return true;
    }
    REQUEST.store(0, Relaxed);
    let thread = std::thread::Builder::new().name("crlog-signals".into()).stack_size(STACK_BYTES);
    let started = signals_blocked(|| thread.spawn(close_and_end)).is_ok();
    if started {
        OWNER.store(me, Relaxed);
    }
    started
}

/// Its parent's thread is not there, whatever numbers processes get.
extern "C" fn in_a_forked_child() {
    OWNER.store(0, Relaxed);
    ASKED.store(0, Relaxed);
    UNKNOWN_RECORDS.store(UNKNOWN_MAX, Relaxed);
}

/// The thread: waits for a signal, closes all logs, and takes the signal's default action.
fn close_and_end() {
    loop {
        let number = REQUEST.load(Relaxed);
        if number == 0 {
            futex(libc::FUTEX_WAIT, 0);
            continue;
        }
        crate::shared::close_all();
        let number = number as c_int;
        // SAFETY: a local set that the calls initialise and read.
        unsafe {
            let mut only: libc::sigset_t = zeroed();
            libc::sigemptyset(&raw mut only);
            libc::sigaddset(&raw mut only, number);
            libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const only, null_mut());
        }
        default_action(number);
        REQUEST.store(0, Relaxed); // the host put a handler there in the last moment, and lives
    }
}

/// Threads that begin in `start` take no signals.
fn signals_blocked<T>(start: impl FnOnce() -> T) -> T {
    // SAFETY: both sets are locals, initialised by the calls; the mask of this thread is put back.
    let before = unsafe {
        let (mut all, mut before): (libc::sigset_t, libc::sigset_t) = (zeroed(), zeroed());
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        before
    };
    let done = start();
    // SAFETY: as above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, null_mut()) };
    done
}

fn action(number: c_int) -> Option<libc::sigaction> {
    // SAFETY: a null new action only asks; the answer is a local.
    unsafe {
        let mut current: libc::sigaction = zeroed();
        (libc::sigaction(number, null(), &raw mut current) == 0).then_some(current)
    }
}

/// Whether a handler is Python's own, which calls those of the `signal` module.
fn is_pythons(action: &libc::sigaction) -> bool {
    let plain = action.sa_flags & libc::SA_SIGINFO == 0 && action.sa_sigaction > libc::SIG_IGN;
    let python = pyo3::ffi::PyErr_CheckSignals as *const c_void;
    plain
        && object_of(action.sa_sigaction as *const c_void)
            .is_some_and(|object| Some(object) == object_of(python))
}

/// Where the object file that an address belongs to is loaded.
fn object_of(address: *const c_void) -> Option<usize> {
    // SAFETY: the address is only compared with those of loaded objects; the answer is a local.
    unsafe {
        let mut found: libc::Dl_info = zeroed();
        (libc::dladdr(address, &raw mut found) != 0).then_some(found.dli_fbase as usize)
    }
}

fn futex(operation: c_int, value: u32) {
    let word: *const AtomicU32 = &raw const REQUEST;
    // SAFETY: the word is static; waiting has no time limit, which a null one says, and waking reads none.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word,
            operation | libc::FUTEX_PRIVATE_FLAG,
            value,
            null::<libc::timespec>(),
        )
    };
}

fn process() -> c_int {
    // SAFETY: has no conditions.
    unsafe { libc::getpid() }
}

fn now_ms() -> i64 {
    // SAFETY: the answer is a local.
    unsafe {
        let mut now: libc::timespec = zeroed();
        libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &raw mut now);
        now.tv_sec * 1000 + now.tv_nsec / 1_000_000
    }
}
