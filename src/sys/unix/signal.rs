//! Signals: our threads take none, and tests stop their own process.

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

/// Stops this process until somebody continues it. The signal goes to the calling thread, which is
/// therefore stopped here: one sent to the process could be taken by another thread, and this one would
/// run on for a while.
pub fn stop_myself() {
    // SAFETY: raises a signal and touches no memory; it cannot fail for SIGSTOP.
    unsafe { libc::raise(libc::SIGSTOP) };
}
