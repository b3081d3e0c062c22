//! Who a process is, and proof that one is gone.
//!
//! The kernel's locks are the first evidence of life; this is the second, and what people are shown.
//! A pid means something only within its pid namespace, and a start time only within its time
//! namespace, so [`pid_namespace`] names both: compare it before asking [`process_gone`]. Both come from
//! `/proc`, which may be missing, or be that of another namespace.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use rustix::time::{ClockId, Timespec, clock_gettime};

/// Longest name that [`program_name`] gives.
const NAME_BYTES: usize = 48;

/// Our process id.
pub fn pid() -> u32 {
    std::process::id()
}

/// Our effective user.
pub fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// When a process started, in the kernel's ticks since boot; with the pid it names a process.
pub(super) fn start_time(pid: u32) -> Option<u64> {
    parse_start(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// Whether the process with that pid and start time is stopped, by a signal or a debugger. False if that is not known, as in
/// another pid namespace.
pub fn is_stopped(pid: u64, start: u64) -> bool {
    let Ok(stat) = fs::read(format!("/proc/{pid}/stat")) else { return false };
    let state = stat.iter().rposition(|&b| b == b')').and_then(|end| stat.get(end + 2));
    matches!(state, Some(b'T' | b't')) && parse_start(&stat) == Some(start)
}

/// Our own start time. By another name than our pid, which means somebody else where `/proc` is that of
/// another pid namespace.
pub fn own_start_time() -> Option<u64> {
    parse_start(&fs::read("/proc/self/stat").ok()?)
}

/// Field 22 of `/proc/<pid>/stat`. The name in field 2 may hold anything, also `)` and spaces, so
/// counting starts after the last parenthesis.
pub(super) fn parse_start(stat: &[u8]) -> Option<u64> {
    let end = stat.iter().rposition(|&b| b == b')')?;
    let rest = std::str::from_utf8(&stat[end + 1..]).ok()?;
    rest.split_ascii_whitespace().nth(22 - 3)?.parse().ok()
}

/// The pid namespace (low half) and time namespace (high half) we are in; 0 if unknown, which is not a
/// namespace: two that do not know theirs have nothing in common.
pub fn pid_namespace() -> u64 {
    let number = |name: &str| fs::metadata(Path::new("/proc/self/ns").join(name)).map(|m| m.ino());
    match number("pid") {
        Ok(pid) => pid & 0xffff_ffff | number("time").unwrap_or(0) << 32,
        Err(_) => 0,
    }
}

/// Whether this process is proved to be gone: there is no such pid, or it is another process's by
/// now. A zombie is not proved to be gone (its other threads may run). `start` 0 = unknown.
pub fn process_gone(pid: u32, start: u64) -> bool {
    let Some(target) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return false;
    };
    if test_kill_process(target) == Err(Errno::SRCH) {
        return true;
    }
    start != 0 && proc_is_ours() && start_time(pid).is_some_and(|found| found != start)
}

/// Whether `/proc` speaks of our own pid namespace.
fn proc_is_ours() -> bool {
    fs::read_link("/proc/self").is_ok_and(|me| me.as_os_str() == OsStr::new(&pid().to_string()))
}

/// Nanoseconds of a clock that never goes back.
pub fn monotonic_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::Monotonic))
}

/// Nanoseconds since 1970.
pub fn unix_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::Realtime))
}

fn nanoseconds(t: Timespec) -> u64 {
    t.tv_sec.cast_unsigned().wrapping_mul(1_000_000_000).wrapping_add(t.tv_nsec.cast_unsigned())
}

/// Our program's name for people, at most 48 bytes, without control characters.
pub fn program_name() -> String {
    let called = std::env::args_os().next().filter(|a| !a.is_empty());
    let path = called.map(Into::into).or_else(|| std::env::current_exe().ok());
    let name = path.as_deref().and_then(Path::file_name).unwrap_or(OsStr::new("?"));
    shorten(&name.to_string_lossy())
}

pub(super) fn shorten(name: &str) -> String {
    let mut out: String = name.chars().filter(|c| !c.is_control()).collect();
    while out.len() > NAME_BYTES {
        out.pop();
    }
    out
}

/// Which boot this is; zeros if unknown.
pub fn boot_id() -> [u8; 16] {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    parse_uuid(&text).unwrap_or_default()
}

/// A random number of 16 bytes in the form of a version 4 UUID.
pub fn uuid() -> std::io::Result<[u8; 16]> {
    let mut id = [0; 16];
    let mut done = 0;
    while done < id.len() {
        match rustix::rand::getrandom(&mut id[done..], rustix::rand::GetRandomFlags::empty()) {
            Ok(n) => done += n,
            Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    id[6] = id[6] & 0x0f | 0x40;
    id[8] = id[8] & 0x3f | 0x80;
    Ok(id)
}

pub(super) fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let digits: String = text.trim().chars().filter(|&c| c != '-').collect();
    (digits.len() == 32).then_some(())?;
    u128::from_str_radix(&digits, 16).ok().map(u128::to_be_bytes)
}
