//! What the operating system does to processes: fork, limits, signals, descriptors.
#![allow(unsafe_code)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Forks; the child runs `child` and ends by _exit, without destructors: status 0, or 101 if it panicked.
pub fn fork(child: impl FnOnce()) -> i32 {
    // SAFETY: what the child uses of the process (allocator, files, the log) is made to be used after a
    // fork: that is what is tested.
    match unsafe { libc::fork() } {
        0 => {
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child));
            exit_now(if done.is_ok() { 0 } else { 101 })
        }
        pid => {
            assert!(pid > 0, "fork: {}", std::io::Error::last_os_error());
            pid
        }
    }
}

/// Ends the process without destructors and without exit handlers.
pub fn exit_now(status: i32) -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(status) }
}

/// How a child ended, as waitpid(2) says; `None` if it still runs after `limit`, and is killed then.
pub fn wait_within(limit: Duration, pid: i32) -> Option<i32> {
    let start = Instant::now();
    loop {
        let mut status = 0;
        // SAFETY: waits for our own child, into a local.
        match unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG) } {
            0 if start.elapsed() > limit => {
                signal(pid, libc::SIGKILL);
                // SAFETY: as above.
                unsafe { libc::waitpid(pid, &raw mut status, 0) };
                return None;
            }
            0 => std::thread::sleep(Duration::from_millis(1)),
            found => {
                assert_eq!(found, pid);
                return Some(status);
            }
        }
    }
}

/// Waits for a child that has to end well, soon.
pub fn reap(pid: i32) {
    assert_eq!(wait_within(Duration::from_secs(60), pid), Some(0), "how process {pid} ended");
}

pub fn signal(pid: i32, signal: i32) {
    // SAFETY: kill(2) touches no memory.
    unsafe { libc::kill(pid, signal) };
}

/// Sets both the soft and the hard limit.
pub fn limit(resource: libc::__rlimit_resource_t, n: u64) {
    let limit = libc::rlimit { rlim_cur: n, rlim_max: n };
    // SAFETY: reads a local.
    assert_eq!(unsafe { libc::setrlimit(resource, &raw const limit) }, 0);
}

pub fn is_root() -> bool {
    // SAFETY: asks for a number.
    unsafe { libc::geteuid() == 0 }
}

/// What the descriptors of a process lead to; those that cannot be read are left out.
pub fn descriptors(pid: i32) -> Vec<(i32, PathBuf)> {
    let Ok(found) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    found
        .flatten()
        .filter_map(|e| {
            let number = e.file_name().to_str()?.parse().ok()?;
            Some((number, std::fs::read_link(e.path()).ok()?))
        })
        .collect()
}

/// Whether a process has any part of this log mapped or open: its segment, lock file, or log files.
pub fn traces(pid: i32, log: &Path) -> Vec<String> {
    let id = crlog::names::segment_id(&crlog::names::canonical(log).unwrap());
    let ours = |text: &str| text.contains(&id) || text.contains(log.to_str().unwrap());
    let mut found: Vec<String> = std::fs::read_to_string(format!("/proc/{pid}/maps"))
        .unwrap_or_default()
        .lines()
        .filter(|l| ours(l))
        .map(str::to_owned)
        .collect();
    found.extend(
        descriptors(pid).into_iter().map(|(n, p)| format!("{n} -> {}", p.display())).filter(|l| ours(l)),
    );
    found
}

/// Whether no thread of a process runs: SIGSTOP stops them one after the other, and kill(2) does not wait for that.
pub fn is_stopped(pid: i32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let mut states = threads.map(|t| std::fs::read_to_string(t.unwrap().path().join("stat")));
    // "pid (name) T …"; one that has just ended has no file any more.
    states.all(|s| s.map_or(true, |s| s.rsplit(')').next().unwrap().starts_with(" T")))
}
