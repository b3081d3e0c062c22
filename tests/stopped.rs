//! A flusher that is stopped: what the producers do then, and how it goes on.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

mod common;

use common::{LOG, NAME, Place, ROLE, Role, assert_complete, by_name, until};
use crlog::{AppendError, FlushError, KIB, Log, Notes, Options, WhenFull};
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(20);

/// Not a test: what the other processes do.
#[test]
fn child_role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let options = Options::new(std::env::var(LOG).unwrap());
    let name = std::env::var(NAME).unwrap();
    match role.as_str() {
        "thread" => {
            let log = options.open().unwrap();
            let mut w = log.writer().unwrap();
            for i in 0u64.. {
                w.append(format!("{name} {i}").as_bytes()).unwrap();
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        "sidecar" => options.sidecar().unwrap().run(&crlog::Control::default()).unwrap(),
        other => panic!("no such role: {other}"),
    }
}

/// A log whose flusher is the child, and is stopped.
fn with_a_stopped_flusher(place: &Place, role: &str, policy: WhenFull) -> (Log, Role) {
    let log = place
        .options()
        .ring_bytes(256 * KIB)
        .notes(Notes::Off)
        .when_full(policy)
        .flusher_thread(false)
        .open()
        .unwrap();
    let flusher = place.child(role, "f");
    until(LONG, "the child's turn", || {
        log.stats().unwrap().flusher.is_some_and(|f| f.sidecar == (role == "sidecar"))
    });
    log.flush(LONG).unwrap();
    flusher.signal(libc::SIGSTOP);
    until(LONG, "the stop", || flusher.is_stopped());
    (log, flusher)
}

/// What `crlog stat` reads: the stopped one flushes, there is no error, and the lag stays.
fn stat_says_so(log: &Log, flusher: &Role, lag: u64) {
    let s = log.stats().unwrap();
    let f = s.flusher.unwrap();
    assert_eq!((f.pid as i32, s.error), (flusher.pid(), None));
    assert!(s.lag_records >= lag, "{} records wait, not {lag}", s.lag_records);
    let Err(FlushError::Timeout { reason, .. }) = log.flush(Duration::from_millis(50)) else {
        panic!("flushed by a stopped process");
    };
    assert!(reason.contains(&format!("process {} flushes", flusher.pid())), "{reason}");
    assert!(reason.contains("stopped"), "{reason}");
}

fn complete(place: &Place, n: u64) {
    let got = by_name(&place.lines());
    assert_complete(&got);
    assert_eq!(got["p"].len() as u64, n);
}

/// Writes until the ring is full; the policy refuses the next record.
fn fill(log: &Log, taken: &mut u64) -> Duration {
    let mut w = log.writer().unwrap();
    loop {
        let start = Instant::now();
        match w.append(format!("p {taken}").as_bytes()) {
            Ok(()) => *taken += 1,
            Err(e) => {
                assert_eq!(e, AppendError::Full);
                return start.elapsed();
            }
        }
    }
}

fn stopped_then_continued(role: &str) {
    let place = Place::new();
    let (log, flusher) = with_a_stopped_flusher(&place, role, WhenFull::Drop);
    let mut n = 0;
    let took = fill(&log, &mut n);
    assert!(took < Duration::from_secs(1), "a record was dropped after {took:?}");
    assert!(n > 5000, "{n} records filled the ring");
    stat_says_so(&log, &flusher, n);
    assert!(log.stats().unwrap().producers.iter().any(|p| p.drops.iter().sum::<u64>() == 1));
    flusher.signal(libc::SIGCONT);
    log.flush(LONG).unwrap();
    // There is room again, and nothing of what was taken is missing.
    let mut w = log.writer().unwrap();
    w.append(format!("p {n}").as_bytes()).unwrap();
    drop((w, log));
    drop(flusher);
    complete(&place, n + 1);
}

#[test]
fn records_wait_for_a_stopped_thread_and_are_dropped_by_policy_when_the_ring_is_full() {
    stopped_then_continued("thread");
}

#[test]
fn records_wait_for_a_stopped_sidecar_and_are_dropped_by_policy_when_the_ring_is_full() {
    stopped_then_continued("sidecar");
}

#[test]
fn a_producer_waits_for_a_stopped_flusher_as_long_as_its_policy_says() {
    let place = Place::new();
    let limit = Duration::from_millis(300);
    let (log, flusher) = with_a_stopped_flusher(&place, "sidecar", WhenFull::BlockFor(limit));
    let mut n = 0;
    let took = fill(&log, &mut n);
    assert!(took >= limit && took < 10 * limit, "{took:?}");
    assert!(log.stats().unwrap().producers.iter().any(|p| p.blocked >= limit));
    flusher.signal(libc::SIGCONT);
    log.flush(LONG).unwrap();
    drop((log, flusher));
    complete(&place, n);
}

#[test]
fn a_producer_that_waits_for_ever_goes_on_when_the_flusher_does() {
    let place = Place::new();
    let (log, flusher) = with_a_stopped_flusher(&place, "thread", WhenFull::Block);
    let mut w = log.writer().unwrap();
    let writing = std::thread::spawn(move || {
        (0..50_000u64).for_each(|i| w.append(format!("p {i}").as_bytes()).unwrap());
    });
    let mut lag = 0;
    until(LONG, "a full ring", || {
        std::thread::sleep(Duration::from_millis(100));
        lag == std::mem::replace(&mut lag, log.stats().unwrap().lag_records) && lag > 5000
    });
    assert!(!writing.is_finished());
    stat_says_so(&log, &flusher, lag);
    flusher.signal(libc::SIGCONT);
    until(LONG, "the writer's end", || writing.is_finished());
    writing.join().unwrap();
    drop((log, flusher));
    complete(&place, 50_000);
}

#[test]
fn a_stopped_flusher_that_is_killed_has_a_successor_and_the_records_arrive() {
    for role in ["thread", "sidecar"] {
        let place = Place::new();
        let (log, mut flusher) = with_a_stopped_flusher(&place, role, WhenFull::Block);
        let successor = place.child("thread", "s");
        until(LONG, "the successor to stand", || {
            log.stats().unwrap().producers.iter().any(|p| p.pid as i32 == successor.pid())
        });
        let mut w = log.writer().unwrap();
        (0..3000u64).for_each(|i| w.append(format!("p {i}").as_bytes()).unwrap());
        stat_says_so(&log, &flusher, 3000);
        flusher.kill();
        let took = until(LONG, "the successor's turn", || {
            log.stats().unwrap().flusher.is_some_and(|f| f.pid as i32 == successor.pid())
        });
        log.flush(LONG).unwrap();
        eprintln!("{role}: the successor was at work after {took:?}");
        assert!(took < Duration::from_secs(1), "{took:?}");
        drop((w, log, successor));
        complete(&place, 3000);
    }
}
