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

/// Stops this process until somebody continues it.
pub fn stop_myself() {
    // It cannot fail for the own process.
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP);
}
