//! What a call does when the ring is full.

use crate::common::{Place, until};
use crate::{LONG, small, stopped_sidecar};
use crlog::{AppendError, KIB, Log, Severity, WhenFull, Writer};
use std::time::{Duration, Instant};

/// Writes trace records, which are dropped when the ring is full, until one is; returns how many were taken.
fn fill(w: &mut Writer) -> u64 {
    for i in 0.. {
        match w.log(Severity::Trace, format!("fill {i}").as_bytes()) {
            Ok(()) => {}
            Err(e) => {
                assert_eq!(e, AppendError::Full);
                return i;
            }
        }
    }
    0
}

/// A call on a thread of its own, which is seen to wait.
fn waiting(log: &Log, severity: Severity) -> std::thread::JoinHandle<Result<(), AppendError>> {
    let mut w = log.writer().unwrap();
    let call = std::thread::spawn(move || w.log(severity, b"waited 0"));
    let blocked = |log: &Log| log.stats().unwrap().producers[0].blocked;
    let before = blocked(log);
    std::thread::sleep(Duration::from_millis(200));
    assert!(!call.is_finished(), "a {severity} record did not wait");
    assert_eq!(blocked(log), before, "counted when the waiting is over");
    call
}

#[test]
fn each_severity_has_its_own_policy() {
    let place = Place::new();
    let limit = Duration::from_millis(300);
    let log = small(&place)
        .reserve_bytes(0)
        .when_full_for(Severity::Trace, WhenFull::Drop)
        .when_full_for(Severity::Debug, WhenFull::BlockFor(limit))
        .when_full_for(Severity::Info, WhenFull::Block)
        .when_full_for(Severity::Warn, WhenFull::WriteThrough)
        .open()
        .unwrap();
    let flusher = stopped_sidecar(&place, &log);
    let mut w = log.writer().unwrap();
    let taken = fill(&mut w);
    assert!(taken > 5000, "{taken} records filled the ring");

    let start = Instant::now();
    assert_eq!(w.log(Severity::Trace, b"no"), Err(AppendError::Full));
    assert!(start.elapsed() < limit, "dropped after {:?}", start.elapsed());
    let start = Instant::now();
    assert_eq!(w.log(Severity::Debug, b"no"), Err(AppendError::Full));
    let took = start.elapsed();
    assert!(took >= limit && took < 20 * limit, "gave up after {took:?}");

    let calls = [waiting(&log, Severity::Info), waiting(&log, Severity::Warn)];
    flusher.signal(libc::SIGCONT);
    for call in calls {
        until(LONG, "a call that waited", || call.is_finished());
        call.join().unwrap().unwrap();
    }
    log.flush(LONG).unwrap();
    assert_eq!(log.stats().unwrap().drops, [2, 1, 0, 0, 0, 0]);
    drop((w, flusher, log));
    let lines = place.lines();
    assert_eq!(lines.iter().filter(|l| l.starts_with("fill ")).count() as u64, taken);
    assert_eq!(lines.iter().filter(|l| *l == "waited 0").count(), 2);
}

#[test]
fn warnings_and_errors_use_the_reserve_when_others_are_refused() {
    let place = Place::new();
    let log = small(&place).reserve_bytes(64 * KIB).when_full(WhenFull::Drop).open().unwrap();
    let flusher = stopped_sidecar(&place, &log);
    let mut w = log.writer().unwrap();
    fill(&mut w);
    let free = log.stats().unwrap().chunks - log.stats().unwrap().chunks_in_use;
    assert_eq!(free, 4, "the reserve is free");
    let mut urgent = 0;
    for severity in [Severity::Warn, Severity::Error, Severity::Critical] {
        // As many as a chunk takes, so that each severity is seen to take one.
        for _ in 0..16_000 / 116 {
            w.log(severity, format!("urgent {urgent:0>93}").as_bytes()).unwrap();
            urgent += 1;
            for other in [Severity::Trace, Severity::Debug, Severity::Info] {
                assert_eq!(w.log(other, b"no"), Err(AppendError::Full), "{other} beside {severity}");
            }
        }
    }
    let s = log.stats().unwrap();
    assert!(s.chunks - s.chunks_in_use <= 1, "{} chunks are free", s.chunks - s.chunks_in_use);
    // The reserve has an end, too.
    until(LONG, "a full reserve", || w.log(Severity::Error, &[b'e'; 1000]) == Err(AppendError::Full));
    assert_eq!(log.stats().unwrap().drops[4], 1);
    flusher.signal(libc::SIGCONT);
    log.flush(LONG).unwrap();
    drop((w, flusher, log));
    let lines = place.lines();
    let found: Vec<&String> = lines.iter().filter(|l| l.starts_with("urgent ")).collect();
    assert!(found.iter().map(|l| l[7..].parse::<u64>().unwrap()).eq(0..urgent));
}

#[test]
fn a_reserve_can_be_changed_while_the_ring_is_full() {
    let place = Place::new();
    let log = small(&place).reserve_bytes(64 * KIB).when_full(WhenFull::Drop).open().unwrap();
    let flusher = stopped_sidecar(&place, &log);
    let mut w = log.writer().unwrap();
    fill(&mut w);
    log.set_when_full(Severity::Info, WhenFull::Block).unwrap();
    let call = waiting(&log, Severity::Info);
    log.set_reserve_bytes(0).unwrap();
    until(LONG, "a call that waited", || call.is_finished());
    call.join().unwrap().unwrap();
    assert!(log.set_reserve_bytes(129 * KIB).is_err(), "more than half of the ring");
    assert_eq!(log.stats().unwrap().live.reserve_bytes, 0);
    drop((w, flusher, log));
    assert!(place.lines().contains(&"waited 0".to_owned()));
}

#[test]
fn a_changed_policy_ends_the_waiting_of_calls() {
    let place = Place::new();
    let log = small(&place).reserve_bytes(0).when_full_for(Severity::Trace, WhenFull::Drop).open().unwrap();
    let flusher = stopped_sidecar(&place, &log);
    fill(&mut log.writer().unwrap());
    let calls: Vec<_> = (0..4).map(|_| waiting(&log, Severity::Info)).collect();
    let other = place.options().attach().unwrap();
    let start = Instant::now();
    other.set_when_full(Severity::Info, WhenFull::Drop).unwrap();
    for call in calls {
        until(LONG, "a call that waited", || call.is_finished());
        assert_eq!(call.join().unwrap(), Err(AppendError::Full));
    }
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!(log.stats().unwrap().drops, [1, 0, 4, 0, 0, 0]);
    assert!(flusher.is_stopped());
}

#[test]
fn write_through_drains_by_itself_when_nobody_flushes_and_drop_does_not() {
    let place = Place::new();
    let log = small(&place)
        .when_full(WhenFull::WriteThrough)
        .when_full_for(Severity::Trace, WhenFull::Drop)
        .open()
        .unwrap();
    let mut w = log.writer().unwrap();
    let taken = fill(&mut w);
    assert_eq!((log.stats().unwrap().counters.records, log.stats().unwrap().drops[0]), (0, 1));
    for i in 0..10_000 {
        w.append(format!("through {i} {:0>100}", 0).as_bytes()).unwrap();
    }
    let s = log.stats().unwrap();
    assert!(s.counters.records > taken, "{} records are in the file", s.counters.records);
    assert_eq!((s.flusher, s.drops[2]), (None, 0), "nobody stays to flush, nothing is dropped");
    drop((w, log));
    let lines = place.lines();
    let through: Vec<u64> =
        lines.iter().filter_map(|l| l.strip_prefix("through ")?.split(' ').next()?.parse().ok()).collect();
    assert!(through.into_iter().eq(0..10_000));
}
