//! What must end in time, ends in time: also when the file cannot be written, when others never pause,
//! and when a log is opened and dropped again and again.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{LOG, NAME, Place, ROLE, until};
use crlog::Options;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Not a test: what the other processes do.
#[test]
fn child_role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let options = Options::new(std::env::var(LOG).unwrap());
    let name = std::env::var(NAME).unwrap();
    match role.as_str() {
        "write for ever" => {
            let log = options.max_bytes(20_000_000).backups(2).open().unwrap();
            let mut w = log.writer().unwrap();
            for i in 0u64.. {
                w.append(format!("{name} {i}").as_bytes()).unwrap();
            }
        }
        "flush for a minute" => {
            let log = options.open().unwrap();
            let _w = log.writer().unwrap();
            std::thread::sleep(Duration::from_secs(60));
        }
        other => panic!("no such role: {other}"),
    }
}

/// Runs `what` in a thread of its own; panics if it does not end in time.
fn within<T: Send + 'static>(limit: Duration, what: impl FnOnce() -> T + Send + 'static) -> T {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || tell.send(what()));
    told.recv_timeout(limit).unwrap_or_else(|_| panic!("did not end within {limit:?}"))
}

#[test]
fn a_flush_gives_up_in_time_when_the_file_cannot_be_written() {
    let place = Place::new();
    std::fs::create_dir(place.path().join("sub")).unwrap();
    let log = Options::new(place.path().join("sub/app.log")).open().unwrap();
    let mut w = log.writer().unwrap();
    std::fs::remove_dir_all(place.path().join("sub")).unwrap();
    w.append(b"p 0").unwrap();
    let log2 = log.clone();
    // Several at once, so that one's bell ends the others' waits.
    let took = within(Duration::from_secs(20), move || {
        let start = Instant::now();
        std::thread::scope(|s| {
            for _ in 0..8 {
                s.spawn(|| assert!(log2.flush(Duration::from_millis(300)).is_err()));
            }
        });
        start.elapsed()
    });
    assert!(took < Duration::from_secs(2), "{took:?}");
    std::fs::create_dir(place.path().join("sub")).unwrap();
    log.flush(Duration::from_secs(10)).unwrap();
    assert_eq!(std::fs::read(place.path().join("sub/app.log")).unwrap(), b"p 0\n");
}

#[test]
fn a_log_is_dropped_in_time_while_others_write_without_a_pause() {
    let place = Place::new();
    let log = place.options().max_bytes(20_000_000).backups(2).open().unwrap();
    let mut w = log.writer().unwrap();
    w.append(b"p 0").unwrap();
    log.flush(Duration::from_secs(5)).unwrap();
    until(Duration::from_secs(10), "this process flushes", || log.stats().unwrap().flusher.is_some());
    let _others: Vec<_> = (0..3).map(|i| place.child("write for ever", &format!("q{i}"))).collect();
    until(Duration::from_secs(10), "the others' records", || log.stats().unwrap().counters.records > 10_000);
    assert_eq!(log.stats().unwrap().flusher.unwrap().pid, u64::from(std::process::id()));
    let start = Instant::now();
    within(Duration::from_secs(10), move || drop((w, log)));
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
}

#[test]
fn records_wait_while_a_deleted_file_cannot_be_made_anew() {
    let place = Place::new();
    let log = place.options().open().unwrap();
    let mut w = log.writer().unwrap();
    w.append(b"p 0").unwrap();
    log.flush(Duration::from_secs(5)).unwrap();
    std::thread::sleep(Duration::from_millis(30));
    std::fs::remove_file(place.log()).unwrap();
    std::fs::create_dir(place.log()).unwrap();
    w.append(b"p 1").unwrap();
    std::thread::sleep(Duration::from_millis(300));
    w.append(b"p 2").unwrap();
    std::fs::remove_dir(place.log()).unwrap();
    log.flush(Duration::from_secs(10)).unwrap();
    assert_eq!(place.lines_now(), ["p 1", "p 2"]);
}

#[test]
fn a_large_record_gets_the_chunks_that_idle_writers_hold() {
    let place = Place::new();
    let log = place.options().ring_bytes(256 * 1024).open().unwrap();
    // 16 chunks: 13 idle leases leave 3, more than an eighth and less than the record takes.
    let mut idle: Vec<_> = (0..13).map(|_| log.writer().unwrap()).collect();
    for w in &mut idle {
        w.append(b"p 0").unwrap();
    }
    log.flush(Duration::from_secs(5)).unwrap();
    let mut w = log.writer().unwrap();
    let long = vec![b'x'; 4 * 16 * 1024 - 1];
    within(Duration::from_secs(5), move || w.append(&long).map(|()| drop(w))).unwrap();
}

#[test]
fn a_log_can_be_opened_again_and_again_beside_anothers_flusher() {
    let place = Place::new();
    let _other = place.child("flush for a minute", "q");
    let log = place.options().flusher_thread(false).open().unwrap();
    until(Duration::from_secs(10), "the other's turn", || log.stats().unwrap().flusher.is_some());
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    for i in 0..600 {
        let log = place.options().open().unwrap();
        log.writer().unwrap().append(format!("p {i}").as_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(threads() < 100, "{} threads are left over", threads());
}

#[test]
fn whoever_leaves_last_leaves_nothing_behind() {
    let place = Place::new();
    let id = crlog::names::segment_id(&place.log());
    let mut left = Vec::new();
    for round in 0..400 {
        // Two attachments, as those of two processes, that come and go at the same time.
        std::thread::scope(|s| {
            for _ in 0..2 {
                s.spawn(|| {
                    let log = place.options().open().unwrap();
                    log.writer().unwrap().append(format!("p {round}").as_bytes()).unwrap();
                });
            }
        });
        if place.lines_now().len() != 2 * (round + 1) {
            left.push(round);
            place.lines();
        }
    }
    assert!(left.is_empty(), "records were left in the ring in rounds {left:?}");
    let lock = std::path::Path::new("/dev/shm").join(format!("{id}.lock"));
    std::thread::sleep(Duration::from_millis(100));
    assert!(!lock.exists(), "a lock file was made after the last one had left");
}
