//! Signals: our threads take none, the host's threads none on our account, and tests stop their own process.
//! One handler exists, for the sidecar's own process, which asks for it.

use std::io;
use std::marker::PhantomData;
use std::mem::zeroed;
use std::ptr::null_mut;

/// Blocks every signal in the calling thread, so that the host's handlers run in the host's threads.
pub fn block_signals() {
    let mut all = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigfillset initialises the set; both calls only read it afterwards, and a null old set
    // is allowed.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_BLOCK, all.as_ptr(), std::ptr::null_mut());
    }
}

/// While it lives, a file that would grow beyond the process's limit (`RLIMIT_FSIZE`) is an error (`EFBIG`) in
/// this thread, and not also a signal (SIGXFSZ), which would end the process.
#[derive(Debug)]
#[must_use]
pub struct SizeLimitIsAnError {
    /// What this thread did with the signal before; an earlier one is not ours to take away.
    was_blocked: bool,
    was_pending: bool,
    /// The mask is this thread's.
    _thread: PhantomData<*mut ()>,
}

impl SizeLimitIsAnError {
    /// From now on.
    #[allow(clippy::new_without_default, reason = "has an effect")]
    pub fn new() -> SizeLimitIsAnError {
        // SAFETY: all zeros are a valid set, which the call overwrites.
        let mut before: libc::sigset_t = unsafe { zeroed() };
        let only = size_signal();
        // SAFETY: both sets are locals; the second is initialised by the call.
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const only, &raw mut before) };
        let (was_blocked, was_pending) = (has_size_signal(&before), is_pending());
        SizeLimitIsAnError { was_blocked, was_pending, _thread: PhantomData }
    }
}

impl Drop for SizeLimitIsAnError {
    fn drop(&mut self) {
        let only = size_signal();
        if !self.was_pending && is_pending() {
            // SAFETY: a null info is allowed; the set and the time (zero: no waiting) are locals.
            unsafe {
                let now: libc::timespec = zeroed();
                libc::sigtimedwait(&raw const only, null_mut(), &raw const now);
            }
        }
        if !self.was_blocked {
            // SAFETY: reads a local; a null old set is allowed.
            unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const only, null_mut()) };
        }
    }
}

fn size_signal() -> libc::sigset_t {
    // SAFETY: all zeros are a valid set; both calls only write to it.
    unsafe {
        let mut set: libc::sigset_t = zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGXFSZ);
        set
    }
}

fn has_size_signal(set: &libc::sigset_t) -> bool {
    // SAFETY: reads an initialised set.
    unsafe { libc::sigismember(set, libc::SIGXFSZ) == 1 }
}

fn is_pending() -> bool {
    // SAFETY: all zeros are a valid set, which the call overwrites.
    let mut set: libc::sigset_t = unsafe { zeroed() };
    // SAFETY: writes to a local.
    unsafe { libc::sigpending(&raw mut set) };
    has_size_signal(&set)
}

/// Has the C library call this when the process ends normally; false if it has no room for it.
pub fn at_exit(function: extern "C" fn()) -> bool {
    // SAFETY: registers a function that touches no memory of the caller's; a library that holds it is not unloaded.
    unsafe { libc::atexit(function) == 0 }
}

/// Stops this process until somebody continues it. The signal goes to the calling thread, which is
/// therefore stopped here: one sent to the process could be taken by another thread, and this one would
/// run on for a while.
pub fn stop_myself() {
    // SAFETY: raises a signal and touches no memory; it cannot fail for SIGSTOP.
    unsafe { libc::raise(libc::SIGSTOP) };
}

/// Has this process say `TRUNCATED` on standard error before a bus error ends it. For a process of our own only:
/// a handler belongs to the whole process.
pub fn explain_bus_errors() -> io::Result<()> {
    let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) = bus_error;
    // SAFETY: zero is a valid value of every field of `sigaction`; the set is initialised by the call; the
    // handler has the signature that SA_SIGINFO asks for and does only what a handler may.
    let done = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as libc::sighandler_t;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        libc::sigemptyset(&raw mut action.sa_mask);
        libc::sigaction(libc::SIGBUS, &raw const action, std::ptr::null_mut())
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

const TRUNCATED: &[u8] = b"crlog-flusher: error: bus error, so this process ends: somebody truncated the segment while it \
was in use (or the disk under it failed), and what was in it is lost: end all processes of the log, remove segment and \
lock file, start them again\n";

extern "C" fn bus_error(signal: libc::c_int, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid `info`; write, signal and raise are async-signal-safe. A fault comes
    // back as soon as we return, and a signal that somebody sent is sent again: the default action ends us.
    unsafe {
        let faulted = (*info).si_code > 0;
        if faulted {
            let _ = libc::write(libc::STDERR_FILENO, TRUNCATED.as_ptr().cast(), TRUNCATED.len());
        }
        libc::signal(signal, libc::SIG_DFL);
        if !faulted {
            libc::raise(signal);
        }
    }
}

/// False only on proof that the calling thread is in no signal handler: it blocks no signal, is on no alternate stack, and
/// no handler of the process is one that may be interrupted by its own signal (`SA_NODEFER`). (A handler that unblocks
/// signals by itself is not noticed.) Async-signal-safe.
pub fn may_be_in_a_signal_handler() -> bool {
    // SAFETY: all zeros are valid values of these plain structures, which the calls overwrite; null stands for "no
    // change", so that they only ask.
    unsafe {
        let mut mask: libc::sigset_t = zeroed();
        if libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &raw mut mask) != 0 {
            return true;
        }
        let mut stack: libc::stack_t = zeroed();
        if libc::sigaltstack(std::ptr::null(), &raw mut stack) != 0 || stack.ss_flags & libc::SS_ONSTACK != 0
        {
            return true;
        }
        (1..=libc::SIGRTMAX()).any(|signal| {
            let mut action: libc::sigaction = zeroed();
            // The library's own two signals cannot be asked about.
            let known = libc::sigaction(signal, std::ptr::null(), &raw mut action) == 0;
            libc::sigismember(&raw const mask, signal) == 1
                || (known && action.sa_flags & libc::SA_NODEFER != 0)
        })
    }
}
