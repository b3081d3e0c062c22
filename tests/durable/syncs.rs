//! Group commit: how many syncs, and what becomes of those who wait.

use crate::common::{Place, assert_complete, by_name, until};
use crate::harness::{Disk, LONG, record};
use crlog::{AppendError, DurableError, FlushError, Fsync, Log, Options, Severity};
use std::time::{Duration, Instant};

const EACH: u64 = 50;

pub fn write_durably(options: Options, name: &str) {
    let log = options.flusher_thread(false).open().unwrap();
    let mut w = log.writer().unwrap();
    for i in 0..EACH {
        w.append_durable(Severity::Info, format!("{name} {i}").as_bytes(), LONG).unwrap();
    }
}

/// The end of a log, as far as it is written: its last 64 kB.
fn tail(log: &Log) -> Vec<u8> {
    let bytes = std::fs::read(log.path()).unwrap();
    bytes[bytes.len().saturating_sub(64 << 10)..].to_vec()
}

/// Sixteen threads write durably; each record must stand in the file, and be synced, when its call returns.
fn sixteen(options: Options) -> (Log, u64) {
    let log = options.open().unwrap();
    let first = log.stats().unwrap().counters.syncs;
    let all: Vec<_> = (0..16)
        .map(|n| {
            let log = log.clone();
            std::thread::spawn(move || {
                let mut w = log.writer().unwrap();
                for i in 0..EACH {
                    let line = format!("p{n} {i}");
                    w.append_durable(Severity::Info, line.as_bytes(), LONG).unwrap();
                    let tail = String::from_utf8(tail(&log)).unwrap();
                    assert!(tail.lines().any(|l| l == line), "{line} is not in the file");
                }
            })
        })
        .collect();
    all.into_iter().for_each(|t| t.join().unwrap());
    let syncs = log.stats().unwrap().counters.syncs - first;
    (log, syncs)
}

#[test]
fn sixteen_threads_share_their_syncs() {
    let place = Place::new();
    let (log, syncs) = sixteen(place.options());
    eprintln!("{} durable records, {syncs} syncs", 16 * EACH);
    assert!(syncs >= EACH, "{syncs} syncs: the calls of one thread cannot share one");
    assert!(syncs < 16 * EACH / 2, "{syncs} syncs for {} records", 16 * EACH);
    drop(log);
    let got = by_name(&place.lines());
    assert_complete(&got);
    assert!(got.values().all(|n| n.len() as u64 == EACH) && got.len() == 16);
}

#[test]
fn sixteen_processes_share_their_syncs() {
    let place = Place::new();
    let log = place.options().flusher_thread(false).open().unwrap();
    let sidecar = place.child("sidecar", "f");
    until(LONG, "a sidecar at work", || log.stats().unwrap().flusher.is_some_and(|f| f.sidecar));
    let mut all: Vec<_> = (0..16).map(|n| place.child("write durably", &format!("p{n}"))).collect();
    assert!(all.iter_mut().all(|p| p.ends_well(LONG)));
    let syncs = log.stats().unwrap().counters.syncs;
    eprintln!("{} durable records of 16 processes, {syncs} syncs", 16 * EACH);
    assert!((EACH..16 * EACH * 3 / 4).contains(&syncs), "{syncs} syncs");
    assert_complete(&by_name(&place.lines_now()));
    drop(sidecar);
}

#[test]
fn an_ordinary_record_costs_no_sync_and_a_durable_log_syncs_each() {
    let place = Place::new();
    let log = place.options().open().unwrap();
    let mut w = log.writer().unwrap();
    (0..100).for_each(|i| w.append(format!("a {i}").as_bytes()).unwrap());
    log.flush(LONG).unwrap();
    assert_eq!(log.stats().unwrap().counters.syncs, 0);
    drop((w, log));
    let log = place.options().durable(true).open().unwrap();
    let mut w = log.writer().unwrap();
    for i in 0..20u64 {
        w.append(format!("b {i}").as_bytes()).unwrap();
        assert!(log.stats().unwrap().counters.syncs > i, "record {i} was not synced");
        assert_eq!(log.stats().unwrap().lag_records, 0);
    }
    assert_eq!(w.append_batch(Severity::Info, &[b"b 20", b"b 21"]).unwrap(), 2);
    assert!(log.stats().unwrap().counters.syncs < 30, "a batch shares its sync");
    drop((w, log));
    assert_complete(&by_name(&place.lines_now()));
}

#[test]
fn rotations_in_between_leave_nothing_unsynced() {
    let disk = Disk::plain();
    let log = disk.options().max_bytes(2_000).backups(99).flusher_thread(false).open().unwrap();
    let Some(sidecar) = disk.failing_sidecar(&log, &["-e", "trace=fdatasync,renameat2,rename"]) else {
        return;
    };
    let mut w = log.writer().unwrap();
    for i in 0..60 {
        // Ordinary records fill the file, the durable one comes after the rotation or before it.
        w.append(record(2 * i).as_bytes()).unwrap();
        w.append_durable(Severity::Info, record(2 * i + 1).as_bytes(), LONG).unwrap();
    }
    let s = log.stats().unwrap();
    assert!(s.counters.rotations > 2, "{:?}", s.counters);
    // Each file that was put away is synced before, the new one for each call.
    let syncs = sidecar.count("fdatasync(") as u64;
    assert!(syncs >= 60 + s.counters.rotations - 1, "{syncs} syncs, {} rotations", s.counters.rotations);
    disk.assert_holds(120);
}

#[test]
fn a_sync_that_fails_is_told_to_those_who_wait_and_later_ones_succeed() {
    let disk = Disk::plain();
    let log = disk.options().flusher_thread(false).open().unwrap();
    let fail = ["-e", "inject=fdatasync:error=EIO:when=2..3"];
    let Some(sidecar) = disk.failing_sidecar(&log, &fail) else { return };
    let mut w = log.writer().unwrap();
    let mut failed = Vec::new();
    for i in 0..10 {
        match w.append_durable(Severity::Info, record(i).as_bytes(), LONG) {
            Ok(()) => {}
            Err(DurableError::Sync(FlushError::Disk { reason })) => {
                assert!(reason.contains("Input/output error"), "{reason}");
                failed.push(i);
            }
            Err(e) => panic!("{e}"),
        }
    }
    assert_eq!((failed, sidecar.count("(INJECTED)")), (vec![1, 2], 2));
    assert_eq!(log.stats().unwrap().counters.io_errors, 2);
    assert_eq!(log.stats().unwrap().error, None);
    disk.assert_holds(10);
}

#[test]
fn in_a_durable_log_every_call_hears_of_a_sync_that_fails() {
    let disk = Disk::plain();
    let log = disk.options().durable(true).flusher_thread(false).open().unwrap();
    let fail = ["-e", "inject=fdatasync:error=EIO:when=2..2"];
    let Some(_sidecar) = disk.failing_sidecar(&log, &fail) else { return };
    let mut w = log.writer().unwrap();
    let said: Vec<_> = (0..4).map(|i| w.append(record(i).as_bytes())).collect();
    assert_eq!(said, [Ok(()), Err(AppendError::NotOnDisk), Ok(()), Ok(())]);
    disk.assert_holds(4);
}

#[test]
fn a_sync_that_takes_too_long_is_given_up_in_time_and_done_all_the_same() {
    for fsync in [Fsync::None, Fsync::Batch] {
        let disk = Disk::plain();
        let log = disk.options().fsync(fsync).flusher_thread(false).open().unwrap();
        let slow = ["-e", "inject=fdatasync:delay_enter=1500000:when=2"];
        let Some(sidecar) = disk.failing_sidecar(&log, &slow) else { return };
        let mut w = log.writer().unwrap();
        w.append_durable(Severity::Info, record(0).as_bytes(), LONG).unwrap();
        let start = Instant::now();
        let said = w.append_durable(Severity::Info, record(1).as_bytes(), Duration::from_millis(200));
        let took = start.elapsed();
        assert!(matches!(said, Err(DurableError::Sync(FlushError::Timeout { .. }))), "{said:?}");
        assert!(took >= Duration::from_millis(200) && took < Duration::from_millis(1300), "{took:?}");
        w.append_durable(Severity::Info, record(2).as_bytes(), LONG).unwrap();
        assert_eq!(log.stats().unwrap().error, None);
        drop((w, log, sidecar));
        disk.assert_holds(3);
    }
}

#[test]
fn callers_that_wait_are_served_by_another_flusher_when_theirs_is_killed() {
    let disk = Disk::plain();
    let log = disk.options().flusher_thread(false).open().unwrap();
    let never = ["-e", "inject=fdatasync:delay_enter=60000000:when=2+"];
    let Some(mut sidecar) = disk.failing_sidecar(&log, &never) else { return };
    let mut w = log.writer().unwrap();
    w.append_durable(Severity::Info, record(0).as_bytes(), LONG).unwrap();
    let write = |i: u64| {
        let mut w = log.writer().unwrap();
        let call = std::thread::spawn(move || w.append_durable(Severity::Info, record(i).as_bytes(), LONG));
        until(LONG, "the record in the file", || disk.content().len() as u64 >= (i + 1) * 16);
        call
    };
    let first = write(1);
    until(LONG, "a sync that hangs", || sidecar.count("fdatasync(") >= 2);
    assert!(!first.is_finished());
    let start = Instant::now();
    sidecar.kill();
    until(LONG, "the call", || first.is_finished());
    first.join().unwrap().unwrap();
    eprintln!("served {:?} after the kill", start.elapsed());
    assert!(log.stats().unwrap().counters.takeovers >= 2);
    disk.assert_holds(2);
}
