//! Signals: handlers that log, and waits that are interrupted all the time.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, unsafe_code)]

mod common;

use common::os::exit_now;
use common::{LOG, Place, ROLE, assert_complete, by_name};
use crlog::{KIB, Options};
use std::time::Duration;

/// Not a test: what the other processes do.
#[test]
fn child_role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let options = Options::new(std::env::var(LOG).unwrap()).ring_bytes(256 * KIB);
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
        other => panic!("no such role: {other}"),
    }
    exit_now(0);
}

extern "C" fn nothing(_: i32) {}

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
