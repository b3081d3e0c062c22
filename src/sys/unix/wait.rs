//! Sleeping on a word of the segment, across processes.
//!
//! Constraints: no sleep without a time limit; a wake is a hint and may be lost with whoever should
//! have sent it; the futex is shared, not private to the process; and a signal is neither a wake nor the
//! end of the time, or whoever gets one every millisecond would never look whether anybody still flushes.

use std::io;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::thread::futex;
use rustix::time::Timespec;

use super::map::Mapping;

impl Mapping {
    /// Sleeps until the low half of the word at `at` is not `expected` or somebody wakes us, at most
    /// `limit`. `false` = the time passed. Look at the word again in either case.
    pub fn wait(&self, at: usize, expected: u32, limit: Duration) -> bool {
        let started = Instant::now();
        loop {
            let left = limit.saturating_sub(started.elapsed());
            let time = Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            };
            match futex::wait(self.low_half(at), futex::Flags::empty(), expected, Some(&time)) {
                Err(Errno::INTR) => {}
                done => return done != Err(Errno::TIMEDOUT),
            }
        }
    }

    /// Wakes one sleeper on the word at `at`, or all of them. Returns how many there were.
    pub fn wake(&self, at: usize, all: bool) -> usize {
        let count = if all { i32::MAX.cast_unsigned() } else { 1 };
        futex::wake(self.low_half(at), futex::Flags::empty(), count).unwrap_or(0)
    }

    fn low_half(&self, at: usize) -> &AtomicU32 {
        let word = self.word(at).as_ptr().cast::<u32>();
        // SAFETY: the low half of a little-endian word is its first four bytes, which `word` proved
        // to be ours and aligned. Only the kernel looks at them; we never access the half itself, so
        // accesses of different sizes do not mix.
        unsafe { AtomicU32::from_ptr(word) }
    }
}

/// A full memory barrier in every running thread of every process (`membarrier`, some milliseconds).
/// `false` if the kernel cannot.
pub fn full_barrier_everywhere() -> bool {
    const GLOBAL: libc::c_int = 1;
    // SAFETY: this command takes integers and touches no memory of ours.
    let done = unsafe { libc::syscall(libc::SYS_membarrier, GLOBAL, 0, 0) };
    debug_assert!(done == 0 || io::Error::last_os_error().raw_os_error() != Some(libc::EFAULT));
    done == 0
}
