//! Threads that work only when nobody else wants to.

use rustix::process::setpriority_process;

/// Lowest priority of a process or thread.
const LOWEST: i32 = 19;

/// The calling thread gives way to every other one, for the processor and for the disk. Where the system refuses, it
/// works on as before.
pub fn give_way() {
    // On Linux a priority is a thread's own, and 0 means the one that calls.
    let _ = setpriority_process(None, LOWEST);
    idle_disk();
}

/// For schedulers of the disk that know priorities (bfq, and mq-deadline in part); the others ignore it.
#[cfg(target_os = "linux")]
fn idle_disk() {
    const THREAD: libc::c_int = 1;
    const IDLE: libc::c_int = 3 << 13;
    // SAFETY: takes integers and touches no memory of ours; 0 means the thread that calls.
    unsafe { libc::syscall(libc::SYS_ioprio_set, THREAD, 0, IDLE) };
}

#[cfg(not(target_os = "linux"))]
fn idle_disk() {}

#[cfg(test)]
mod tests {
    use super::give_way;

    #[test]
    fn only_the_calling_thread_gives_way() {
        let mine = || rustix::process::getpriority_process(None).unwrap_or(i32::MAX);
        // SAFETY: takes integers and touches no memory of ours; 0 means the thread that calls.
        let disk = || unsafe { libc::syscall(libc::SYS_ioprio_get, 1, 0) };
        let before = (mine(), disk());
        let other = std::thread::spawn(move || {
            give_way();
            (mine(), disk())
        });
        assert_eq!(other.join().ok(), Some((19, 3 << 13)));
        assert_eq!((mine(), disk()), before);
        assert_ne!(before.1, 3 << 13, "or nothing is proved");
    }
}
