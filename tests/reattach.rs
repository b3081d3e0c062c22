//! Calls that may not wait, `try_log` above all, in processes that have lost their attachment.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, unsafe_code)]

mod common;

use common::os::{fork, reap};
use common::{LOG, Place, ROLE};
use crlog::{AppendError, FlushError, Notes, Severity, Writer};
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(30);

/// Not a test: what the other processes do.
#[test]
fn child_role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    assert_eq!(role, "flushes");
    let log = crlog::Options::new(std::env::var(LOG).unwrap()).open().unwrap();
    let _w = log.writer().unwrap();
    std::fs::write(log.path().with_extension("up"), "").unwrap();
    std::thread::sleep(LONG);
}

/// Calls `try_log` until some calls were refused and some more were taken: how many in all.
fn try_until(w: &mut Writer, name: &str) -> (usize, u64) {
    let (start, mut taken, mut refused, mut taken_since) = (Instant::now(), 0, 0, 0);
    while taken_since < 50 {
        assert!(start.elapsed() < LONG, "{taken} taken, {refused} refused");
        match w.try_log(Severity::Warn, format!("{name} {taken}").as_bytes()) {
            Ok(()) => (taken, taken_since) = (taken + 1, taken_since + usize::from(refused > 0)),
            Err(AppendError::Detached) => refused += 1,
            Err(e) => panic!("{e}"),
        }
        std::thread::sleep(Duration::from_micros(100));
    }
    (taken, refused)
}

/// Removes the segment, and waits until the flusher has made its successor.
fn remove_segment(log: &crlog::Log) {
    let id = crlog::names::segment_id(&crlog::names::canonical(log.path()).unwrap());
    let segment = std::path::Path::new("/dev/shm").join(id);
    std::fs::remove_file(&segment).unwrap();
    common::until(LONG, "a new segment", || segment.exists());
}

fn expected(name: &str, n: usize) -> Vec<String> {
    (0..n).map(|i| format!("{name} {i}")).collect()
}

fn of<'a>(lines: &'a [String], name: &str) -> Vec<&'a String> {
    lines.iter().filter(|l| l.starts_with(name)).collect()
}

#[test]
fn try_log_alone_follows_removals_of_the_segment() {
    let place = Place::new();
    let log = place.options().notes(Notes::Off).open().unwrap();
    let mut w = log.writer().unwrap();
    w.append(b"first").unwrap();
    let mut all = vec!["first".to_owned()];
    for round in 0..5 {
        // Nothing but `try_log` is called between two of these.
        remove_segment(&log);
        let name = format!("round{round}");
        let (taken, _) = try_until(&mut w, &name);
        all.extend(expected(&name, taken));
    }
    log.flush(LONG).unwrap();
    assert_eq!(place.lines_now(), all);
}

#[test]
fn try_log_in_forked_child_attaches_and_counts() {
    let place = Place::new();
    let log = place.options().open().unwrap();
    let mut w = log.writer().unwrap();
    w.append(b"parent 0").unwrap();
    for born in 0..3 {
        let name = format!("child{born}");
        reap(fork(|| {
            let (taken, refused) = try_until(&mut w, &name);
            assert!(refused > 0 && taken == 50);
            let mine = u64::from(std::process::id());
            let stats = log.stats().unwrap();
            let me = stats.producers.iter().find(|p| p.pid == mine).unwrap();
            assert_eq!(me.drops, [0, 0, 0, refused, 0, 0]);
        }));
    }
    w.append(b"parent 1").unwrap();
    log.flush(LONG).unwrap();
    let lines = place.lines_now();
    for born in 0..3 {
        let name = format!("child{born}");
        assert_eq!(of(&lines, &name), expected(&name, 50).iter().collect::<Vec<_>>());
    }
    assert_eq!(of(&lines, "parent").len(), 2);
    assert!(!of(&lines, "crlog: ").is_empty(), "the log says what is missing: {lines:?}");
}

#[test]
fn try_log_moves_while_another_process_flushes() {
    let place = Place::new();
    let _other = place.child("flushes", "");
    common::until(LONG, "the other", || place.log().with_extension("up").exists());
    let log = place.options().notes(Notes::Off).open().unwrap();
    let mut w = log.writer().unwrap();
    w.append(b"first").unwrap();
    remove_segment(&log);
    let (taken, _) = try_until(&mut w, "x");
    log.flush(LONG).unwrap();
    let lines = place.lines_now();
    assert_eq!(of(&lines, "x "), expected("x", taken).iter().collect::<Vec<_>>());
    assert_eq!(lines.len() - of(&lines, "crlog: ").len(), taken + 1);
}

/// Each signal's handler tries to log in the child; no call of it may start a thread.
#[test]
fn try_log_in_handler_of_child_starts_no_thread() {
    static WRITER: std::sync::atomic::AtomicPtr<Writer> =
        std::sync::atomic::AtomicPtr::new(std::ptr::null_mut());
    static TAKEN: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    extern "C" fn handler(_: i32) {
        // SAFETY: the writer is this handler's alone, and the signal is blocked while it runs.
        let w = unsafe { &mut *WRITER.load(std::sync::atomic::Ordering::SeqCst) };
        if w.try_log(Severity::Error, b"handler").is_ok() {
            TAKEN.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
    }
    let place = Place::new();
    let log = place.options().open().unwrap();
    let mut w = log.writer().unwrap();
    w.append(b"parent").unwrap();
    WRITER.store(Box::into_raw(Box::new(log.writer().unwrap())), std::sync::atomic::Ordering::SeqCst);
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    for flags in [0, libc::SA_NODEFER] {
        reap(fork(|| {
            // SAFETY: a handler of the right signature; the structure's other fields are zero.
            unsafe {
                let mut action: libc::sigaction = std::mem::zeroed();
                action.sa_sigaction = handler as *const () as usize;
                action.sa_flags = flags;
                assert_eq!(libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut()), 0);
            }
            for _ in 0..5 {
                // SAFETY: raises a signal in this thread.
                unsafe { libc::raise(libc::SIGUSR1) };
                std::thread::sleep(Duration::from_millis(30));
            }
            assert_eq!((threads(), TAKEN.load(std::sync::atomic::Ordering::SeqCst)), (1, 0));
            log.attach().unwrap();
            // SAFETY: as above.
            unsafe { libc::raise(libc::SIGUSR1) };
            assert_eq!(TAKEN.load(std::sync::atomic::Ordering::SeqCst), 1, "somebody else attached");
            w.append(b"child").unwrap();
        }));
    }
    log.flush(LONG).unwrap();
    let lines = place.lines_now();
    assert_eq!((of(&lines, "handler").len(), of(&lines, "child").len()), (2, 2));
}

/// The soft limit of descriptors, which can be raised again.
fn may_open(files: u64) {
    // SAFETY: all zeros are a valid limit; the calls write to and read a local.
    unsafe {
        let mut limit: libc::rlimit = std::mem::zeroed();
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit), 0);
        limit.rlim_cur = files;
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit), 0);
    }
}

#[test]
fn calls_of_process_that_cannot_attach_return_errors() {
    let place = Place::new();
    let log = place.options().open().unwrap();
    let mut w = log.writer().unwrap();
    w.append(b"parent").unwrap();
    reap(fork(|| {
        may_open(3);
        let why = "Too many open files";
        assert!(log.stats().unwrap_err().to_string().contains(why));
        assert!(log.attach().unwrap_err().to_string().contains(why));
        assert!(log.settings().is_err() && log.differences().is_err());
        assert!(log.request_rotation().is_err() && log.request_reopen().is_err());
        match log.flush(Duration::from_secs(1)) {
            Err(FlushError::Detached { reason }) => assert!(reason.contains(why), "{reason}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(w.append(b"refused"), Err(AppendError::Detached));
        may_open(100);
        w.append(b"child").unwrap();
        let mine = u64::from(std::process::id());
        let drops: Vec<_> =
            log.stats().unwrap().producers.iter().filter(|p| p.pid == mine).map(|p| p.drops).collect();
        assert_eq!(drops, [[0, 0, 1, 0, 0, 0]]);
    }));
}
