//! Signals: handlers that log, and waits that are interrupted all the time.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, unsafe_code)]

mod common;

use common::os::{exit_now, fork, reap};
use common::{LOG, Place, ROLE, assert_complete, by_name};
use crlog::{AppendError, Escape, KIB, Notes, Options, Severity, Writer};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::Write;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64};
use std::time::{Duration, Instant};

/// Not a test: what the other processes do.
#[test]
fn child_role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let options = Options::new(std::env::var(LOG).unwrap()).ring_bytes(256 * KIB).notes(Notes::Off);
    match role.as_str() {
        "interrupted, without a flusher" => {
            handle(nothing);
            let log = options.flusher_thread(false).open().unwrap();
            let mut w = log.writer().unwrap();
            every(Duration::from_micros(200));
            for i in 0..200_000 {
                w.append(format!("p {i}").as_bytes()).unwrap();
            }
            log.flush(Duration::from_secs(10)).unwrap();
        }
        "logs in the handler" => logs_in_the_handler(options),
        other => panic!("no such role: {other}"),
    }
    exit_now(0);
}

/// Counts what the thread allocates or frees while its handler runs.
struct Counting;

thread_local! { static HANDLING: Cell<bool> = const { Cell::new(false) }; }
static ALLOCATED: AtomicU64 = AtomicU64::new(0);

fn count() {
    if HANDLING.get() {
        ALLOCATED.fetch_add(1, Relaxed);
    }
}

// SAFETY: passes every call on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

static WRITER: AtomicPtr<Writer> = AtomicPtr::new(std::ptr::null_mut());
static IN_USE: AtomicBool = AtomicBool::new(false);
static CALLS: AtomicU64 = AtomicU64::new(0);
static TAKEN: AtomicU64 = AtomicU64::new(0);
static FULL: AtomicU64 = AtomicU64::new(0);
static WRONG: AtomicU64 = AtomicU64::new(0);

extern "C" fn nothing(_: i32) {}

/// As docs/operating.md says: a writer of its own, one thread at a time, `try_log`.
extern "C" fn log_it(_: i32) {
    const ERRNO: i32 = 4711;
    if IN_USE.swap(true, SeqCst) {
        return;
    }
    HANDLING.set(true);
    // SAFETY: errno is this thread's.
    let before = unsafe { std::ptr::replace(libc::__errno_location(), ERRNO) };
    let mut line = [0u8; 32];
    let mut rest = &mut line[..];
    let _ = write!(rest, "handler {}", TAKEN.load(Relaxed));
    let len = 32 - rest.len();
    // SAFETY: made by `logs_in_the_handler`, never freed, and `IN_USE` gives it one user at a time.
    let writer = unsafe { &mut *WRITER.load(SeqCst) };
    match writer.try_log(Severity::Error, &line[..len]) {
        Ok(()) => TAKEN.fetch_add(1, Relaxed),
        Err(AppendError::Full) => FULL.fetch_add(1, Relaxed),
        Err(_) => WRONG.fetch_add(1, Relaxed),
    };
    CALLS.fetch_add(1, Relaxed);
    // SAFETY: as above.
    if unsafe { std::ptr::replace(libc::__errno_location(), before) } != ERRNO {
        WRONG.fetch_add(1, Relaxed);
    }
    HANDLING.set(false);
    IN_USE.store(false, SeqCst);
}

/// The thread that is interrupted logs too, allocates, and waits for room in a small ring.
fn logs_in_the_handler(options: Options) {
    let log = options.open().unwrap();
    WRITER.store(Box::into_raw(Box::new(log.writer().unwrap())), SeqCst);
    let mut w = log.writer().unwrap();
    handle(log_it);
    every(Duration::from_millis(1));
    let start = Instant::now();
    let mut i = 0u64;
    while start.elapsed() < Duration::from_secs(1) || CALLS.load(Relaxed) < 1000 {
        w.append(format!("thread {i} {:0100}", i).as_bytes()).unwrap();
        i += 1;
    }
    handle(nothing);
    log.flush(Duration::from_secs(10)).unwrap();
    let (calls, taken, full) = (CALLS.load(SeqCst), TAKEN.load(SeqCst), FULL.load(SeqCst));
    eprintln!("{i} records, {calls} signals in {:?}: {taken} taken, {full} full", start.elapsed());
    assert_eq!((WRONG.load(SeqCst), ALLOCATED.load(SeqCst)), (0, 0));
    std::fs::write(format!("{}.note", std::env::var(LOG).unwrap()), format!("{i} {taken}")).unwrap();
}

fn handle(handler: extern "C" fn(i32)) {
    // SAFETY: a handler that is made for it; without SA_RESTART, as most are.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as usize;
        assert_eq!(libc::sigaction(libc::SIGALRM, &raw const action, std::ptr::null_mut()), 0);
    }
}

/// Interrupts the calling thread, and no other, again and again.
fn every(time: Duration) {
    let each = libc::timespec { tv_sec: 0, tv_nsec: i64::from(time.subsec_nanos()) };
    let times = libc::itimerspec { it_interval: each, it_value: each };
    // SAFETY: all zeros are a valid event; the calls read and write locals.
    unsafe {
        let mut event: libc::sigevent = std::mem::zeroed();
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = libc::SIGALRM;
        event.sigev_notify_thread_id = libc::gettid();
        let mut timer: libc::timer_t = std::mem::zeroed();
        assert_eq!(libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, &raw mut timer), 0);
        assert_eq!(libc::timer_settime(timer, 0, &raw const times, std::ptr::null_mut()), 0);
    }
}

#[test]
fn a_producer_that_is_interrupted_all_the_time_still_helps_itself() {
    let place = Place::new();
    let mut child = place.child("interrupted, without a flusher", "");
    assert!(child.ends_well(Duration::from_secs(8)));
    let got = by_name(&place.lines());
    assert_complete(&got);
    assert_eq!(got["p"].len(), 200_000);
}

#[test]
fn a_handler_that_logs_a_thousand_times_a_second_disturbs_nobody() {
    let place = Place::new();
    let mut child = place.child("logs in the handler", "");
    assert!(child.ends_well(Duration::from_secs(30)));
    let note = std::fs::read_to_string(place.log().with_extension("log.note")).unwrap();
    let lines: Vec<String> =
        place.lines().iter().map(|l| l.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect();
    let got = by_name(&lines);
    assert_complete(&got);
    assert_eq!(format!("{} {}", got["thread"].len(), got["handler"].len()), note);
    assert!(got["handler"].len() > 500);
}

#[test]
fn what_may_not_wait_is_refused_instead_whatever_the_policy() {
    let place = Place::new();
    let options = place.options().ring_bytes(256 * KIB).notes(Notes::Off).escape(Escape::Lines);
    let log = options.flusher_thread(false).open().unwrap();
    let mut w = log.writer().unwrap();
    let mut taken = 0;
    HANDLING.set(true);
    let last = loop {
        match w.try_log(Severity::Info, b"0123456789\n\x1b0123456789") {
            Ok(()) => taken += 1,
            Err(e) => break e,
        }
    };
    HANDLING.set(false);
    assert_eq!((last, ALLOCATED.load(SeqCst)), (AppendError::Full, 0));
    log.flush(Duration::from_secs(5)).unwrap();
    let long = vec![b'x'; 16 * 1024];
    assert_eq!(
        w.try_log(Severity::Info, &long),
        Err(AppendError::TooLong { len: 16 * 1024 + 1, max: 16 * 1024 - 16 })
    );
    assert_eq!(
        log.stats()
            .unwrap()
            .producers
            .iter()
            .map(|p| (p.drops.iter().sum::<u64>(), p.too_long))
            .collect::<Vec<_>>(),
        [(1, 1)]
    );
    // A child is not attached; nothing can be done about that in a handler.
    reap(fork(|| {
        assert_eq!(w.try_log(Severity::Info, b"child"), Err(AppendError::Detached));
        w.append(b"child").unwrap();
        w.try_log(Severity::Info, b"child").unwrap();
    }));
    drop((w, log));
    assert_eq!(place.lines().len(), taken + 2);
}
