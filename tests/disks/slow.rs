//! A disk that stalls: whoever gave a time limit gets it, and everything acknowledged arrives.

use crate::harness::{Disk, LONG, record, write};
use crlog::{AppendError, Fsync, Options, WhenFull};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_millis(200);

fn stalls(call: &str, fsync: Fsync, stall: Duration) {
    let disk = Disk::plain();
    let options = disk.options().ring_bytes(256 << 10).fsync(fsync).flusher_thread(false);
    let log = options.when_full(WhenFull::BlockFor(LIMIT)).open().unwrap();
    let fail = format!("inject={call}:delay_enter={}:when=2", stall.as_micros());
    let Some(_sidecar) = disk.failing_sidecar(&log, &["-e", &fail]) else { return };
    let mut w = log.writer().unwrap();
    write(&mut w, 0..10);
    log.flush(LONG).unwrap();
    let begun = Instant::now();
    let mut taken = 10;
    let refused = loop {
        let start = Instant::now();
        match w.append(record(taken).as_bytes()) {
            Ok(()) => taken += 1,
            Err(e) => break (assert_eq!(e, AppendError::Full), start.elapsed()).1,
        }
        assert!(begun.elapsed() < LONG, "the ring is never full");
    };
    assert!(refused >= LIMIT && refused < stall, "refused after {refused:?}");
    assert!(begun.elapsed() < stall, "{:?}", begun.elapsed());
    assert!(taken > 1_000, "producers went on until the ring was full: {taken}");
    let start = Instant::now();
    log.flush(LIMIT).unwrap_err();
    assert!(start.elapsed() < LIMIT * 3, "flush took {:?}", start.elapsed());
    log.flush(LONG).unwrap();
    assert!(begun.elapsed() + Duration::from_millis(100) >= stall, "there was no stall");
    disk.assert_holds(taken);
    let stats = log.stats().unwrap();
    let lock = std::path::Path::new(&format!("{}.lock", stats.segment)).exists();
    let drops = stats.producers.first().map(|p| p.drops.iter().sum::<u64>());
    assert_eq!(drops, Some(1), "lock file there: {lock}; {stats:?}");
}

#[test]
fn a_write_that_stalls_delays_records_and_nobody_beyond_the_limit() {
    stalls("pwritev", Fsync::None, Duration::from_secs(2));
}

#[test]
fn a_sync_that_stalls_delays_records_and_nobody_beyond_the_limit() {
    stalls("fdatasync", Fsync::Batch, Duration::from_secs(2));
}

#[test]
#[ignore = "takes half a minute: make slow-disk"]
fn a_disk_may_stall_for_ten_seconds() {
    stalls("pwritev", Fsync::None, Duration::from_secs(10));
    stalls("fdatasync", Fsync::Batch, Duration::from_secs(10));
}

#[test]
fn producers_that_wait_without_a_limit_go_on_after_a_stall() {
    let disk = Disk::plain();
    let log = disk.options().ring_bytes(256 << 10).flusher_thread(false).open().unwrap();
    let fail = ["-e", "inject=pwritev:delay_enter=1500000:when=2"];
    let Some(_sidecar) = disk.failing_sidecar(&log, &fail) else { return };
    let mut w = log.writer().unwrap();
    write(&mut w, 0..10);
    log.flush(LONG).unwrap();
    write(&mut w, 10..10_000);
    log.flush(LONG).unwrap();
    disk.assert_holds(10_000);
    assert!(
        log.stats().unwrap().producers[0].blocked > Duration::from_millis(500),
        "{:?}",
        log.stats().unwrap().producers
    );
}

pub fn calls_with_a_limit(options: Options) {
    let log = options.open().unwrap();
    let mut w = log.writer().unwrap();
    w.append(b"p").unwrap();
    let start = Instant::now();
    let _ = log.flush(LIMIT);
    let flushed = start.elapsed();
    let start = Instant::now();
    while w.append(record(7).as_bytes()).is_ok() {}
    let refused = start.elapsed();
    assert!(flushed < LIMIT * 4 && refused < LIMIT * 4, "flush {flushed:?}, append {refused:?}");
}

#[test]
fn no_call_with_a_limit_writes_to_a_slow_disk_itself() {
    // The flusher's lock is free, and what looks like a stopped sidecar keeps the threads from it: nobody but
    // the callers would take it.
    let disk = Disk::plain();
    let options = disk.options().ring_bytes(256 << 10).when_full(WhenFull::BlockFor(LIMIT));
    let log = options.flusher_thread(false).open().unwrap();
    let path = log.stats().unwrap().segment + ".lock";
    let lock = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    hold_the_sidecars_byte(&lock);
    let fail = ["-e", "inject=pwritev:delay_enter=1500000:when=1..2"];
    let Some(mut child) = disk.traced("calls with a limit", &fail) else { return };
    assert!(child.wait());
    drop((lock, log));
    assert!(disk.content().starts_with(b"p\n"));
}

#[allow(unsafe_code)]
fn hold_the_sidecars_byte(file: &std::fs::File) {
    use std::os::fd::AsRawFd;
    // SAFETY: all zeroes is a valid value of this plain structure.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    (lock.l_type, lock.l_start, lock.l_len) = (libc::F_WRLCK as i16, 3, 1);
    // SAFETY: the structure is whole, and the descriptor is open.
    assert_eq!(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) }, 0);
}
