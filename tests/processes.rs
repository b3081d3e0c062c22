//! Several processes, one log; some are killed, some are stopped.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod common;

use common::{LOG, NAME, Place, ROLE, assert_complete, by_name, until};
use crlog::{Options, WhenFull};
use std::time::{Duration, Instant};

/// Not a test: what the other processes do.
#[test]
fn child_role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let options = Options::new(std::env::var(LOG).unwrap());
    let name = std::env::var(NAME).unwrap();
    match role.as_str() {
        "write 20000" => write(options, &name, 20_000),
        "write small files" => write(options.max_bytes(10_000).backups(1000), &name, 3_000),
        "write for ever" => write(options.max_bytes(100_000_000).backups(1000), &name, u64::MAX),
        "write slowly" => write_slowly(options, &name),
        "write and hold" => {
            let log = options.open().unwrap();
            let mut w = log.writer().unwrap();
            for i in 0..1000u64 {
                w.append(format!("{name} {i}").as_bytes()).unwrap();
            }
            std::thread::sleep(Duration::from_secs(60));
        }
        "stop in the middle" => {
            let log = options.open().unwrap();
            let mut w = log.writer().unwrap();
            w.append(format!("{name} 0").as_bytes()).unwrap();
            w.append_stopping_in_the_middle(format!("{name} 1").as_bytes()).unwrap();
            w.append(format!("{name} 2").as_bytes()).unwrap();
        }
        "sidecar" => {
            options.sidecar().unwrap().run(&crlog::Control::default()).unwrap();
        }
        "sidecar until it is told" => {
            let mut sidecar = options.sidecar().unwrap();
            let control = std::sync::Arc::new(crlog::Control::default());
            let stop = control.clone();
            std::thread::spawn(move || {
                until(Duration::from_secs(20), "the word", || std::path::Path::new(&name).exists());
                stop.stop();
            });
            sidecar.run(&control).unwrap();
        }
        other => panic!("no such role: {other}"),
    }
}

fn write(options: Options, name: &str, n: u64) {
    let log = options.open().unwrap();
    let mut w = log.writer().unwrap();
    for i in 0..n {
        w.append(format!("{name} {i}").as_bytes()).unwrap();
    }
}

fn write_slowly(options: Options, name: &str) {
    let log = options.open().unwrap();
    let mut w = log.writer().unwrap();
    for i in 0u64.. {
        w.append(format!("{name} {i}").as_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn unrelated_processes_write_one_file_and_nothing_is_lost() {
    let place = Place::new();
    let mut all: Vec<_> = (0..4).map(|i| place.child("write 20000", &format!("p{i}"))).collect();
    assert!(all.iter_mut().all(common::Role::wait));
    let got = by_name(&place.lines_now());
    assert_complete(&got);
    assert_eq!(got.values().map(Vec::len).collect::<Vec<_>>(), [20_000; 4]);
    let id = crlog::names::segment_id(&place.log().canonicalize().unwrap());
    assert!(!std::path::Path::new("/dev/shm").join(id).exists(), "the last one out removes the segment");
}

#[test]
fn files_are_cut_at_the_limit_to_the_record_also_when_many_write() {
    let place = Place::new();
    let mut all: Vec<_> = (0..3).map(|i| place.child("write small files", &format!("p{i}"))).collect();
    assert!(all.iter_mut().all(common::Role::wait));
    assert_complete(&by_name(&place.lines_now()));
    let mut sizes = Vec::new();
    for file in crlog::names::files(&place.log()) {
        sizes.push(file.metadata().unwrap().len());
    }
    assert!(sizes.len() >= 7, "{sizes:?}");
    assert!(sizes.iter().all(|&s| s <= 10_000), "{sizes:?}");
    assert!(sizes.iter().filter(|&&s| s > 9_990).count() >= sizes.len() - 1, "cut too early: {sizes:?}");
}

#[test]
fn what_was_appended_survives_the_kill_of_everybody() {
    let place = Place::new();
    let mut writer = place.child("write and hold", "p");
    until(Duration::from_secs(10), "the first line", || {
        !std::fs::read(place.log()).unwrap_or_default().is_empty()
    });
    std::thread::sleep(Duration::from_millis(50));
    writer.kill();
    let got = by_name(&place.lines());
    assert_eq!(got["p"].len(), 1000);
    assert_complete(&got);
}

/// Such as a process whose stderr is the same file: a traceback, and then its end.
#[test]
fn what_another_program_appended_stays_when_the_flusher_is_killed_or_leaves() {
    use std::io::Write;
    for leaves in [false, true] {
        let place = Place::new();
        let log = place.options().flusher_thread(false).open().unwrap();
        let mut w = log.writer().unwrap();
        let told = place.path().join("told");
        let mut sidecar = place.child("sidecar until it is told", told.to_str().unwrap());
        until(Duration::from_secs(5), "the sidecar's turn", || {
            log.stats().unwrap().flusher.is_some_and(|f| f.sidecar)
        });
        w.append(b"p 0").unwrap();
        log.flush(Duration::from_secs(5)).unwrap();
        let mut file = std::fs::File::options().append(true).open(place.log()).unwrap();
        file.write_all(b"Traceback:\n  half a line").unwrap();
        if leaves {
            std::fs::write(&told, "").unwrap();
            assert!(sidecar.wait());
        } else {
            sidecar.kill();
        }
        w.append(b"p 1").unwrap();
        log.flush(Duration::from_secs(5)).unwrap();
        assert_eq!(place.lines_now(), ["p 0", "Traceback:", "  half a line", "p 1"]);
        let counters = log.stats().unwrap().counters;
        assert_eq!((counters.truncated_bytes, counters.file_surprises), (0, 1));
    }
}

#[test]
fn the_next_flusher_is_at_work_within_100_ms_of_a_kill() {
    let place = Place::new();
    let log = place.options().open().unwrap();
    // The children are there first, so that one of them flushes; this process only watches.
    let mut all: Vec<_> = (0..4).map(|i| place.child("write slowly", &format!("p{i}"))).collect();
    let mut took = Vec::new();
    for i in 4..24 {
        until(Duration::from_secs(10), "a flusher", || log.stats().unwrap().flusher.is_some());
        std::thread::sleep(Duration::from_millis(20));
        let before = log.stats().unwrap();
        let pid = before.flusher.unwrap().pid as i32;
        let victim = all.iter().position(|c| c.pid() == pid).expect("a child flushes");
        let mut victim = all.swap_remove(victim);
        let killed = Instant::now();
        victim.kill();
        until(Duration::from_secs(10), "records of the next flusher", || {
            let s = log.stats().unwrap();
            s.flusher.is_some_and(|f| f.pid as i32 != pid) && s.counters.records > before.counters.records
        });
        took.push(killed.elapsed());
        all.push(place.child("write slowly", &format!("p{i}")));
    }
    all.clear();
    drop(log);
    took.sort();
    eprintln!(
        "take-over: median {:?}, worst {:?} of {}",
        took[took.len() / 2],
        took[took.len() - 1],
        took.len()
    );
    assert!(took[took.len() / 2] < Duration::from_millis(100), "{took:?}");
    assert_complete(&by_name(&place.lines()));
}

#[test]
fn a_producer_stopped_in_the_middle_of_a_record_delays_nobody_and_loses_nothing() {
    let place = Place::new();
    let log = place.options().when_full(WhenFull::BlockFor(Duration::from_secs(5))).open().unwrap();
    let mut w = log.writer().unwrap();
    let mut stopped = place.child("stop in the middle", "stopped");
    until(Duration::from_secs(10), "the stop", || stopped.is_stopped());
    let start = Instant::now();
    let mut longest = Duration::ZERO;
    let mut i = 0u64;
    // Many times round the ring (8 MiB) while one chunk of it stays BUSY.
    while start.elapsed() < Duration::from_secs(2) || i < 1_000_000 {
        let before = Instant::now();
        w.append(format!("runs {i} {:060}", 0).as_bytes()).unwrap();
        longest = longest.max(before.elapsed());
        i += 1;
    }
    assert!(stopped.is_stopped());
    eprintln!("{i} records beside a stopped producer, longest call {longest:?}");
    assert!(longest < Duration::from_millis(500), "{longest:?}");
    log.flush(Duration::from_secs(10)).unwrap();
    assert_eq!(by_name(&place.lines_now())["stopped"], [0], "an unfinished record is not written");
    stopped.signal(libc::SIGCONT);
    assert!(stopped.wait());
    drop((w, log));
    let got = by_name(&place.lines());
    assert_complete(&got);
    assert_eq!(got["stopped"], [0, 1, 2]);
    assert_eq!(got["runs"].len() as u64, i);
}

#[test]
fn a_producer_killed_in_the_middle_of_a_record_loses_that_record_only() {
    let place = Place::new();
    let log = place.options().open().unwrap();
    let mut w = log.writer().unwrap();
    w.append(b"runs 0").unwrap();
    let mut stopped = place.child("stop in the middle", "stopped");
    until(Duration::from_secs(10), "the stop", || stopped.is_stopped());
    stopped.kill();
    until(Duration::from_secs(10), "the cleaning up", || {
        w.append(b"wakes 0").unwrap();
        std::thread::sleep(Duration::from_millis(20));
        log.stats().unwrap().counters.reaped > 0
    });
    let c = log.stats().unwrap().counters;
    assert_eq!((c.reaped, c.lost_unfinished), (1, 1));
    drop((w, log));
    assert_eq!(by_name(&place.lines())["stopped"], [0]);
}

#[test]
fn a_sidecar_is_preferred_and_its_death_hands_back_to_the_producers() {
    let place = Place::new();
    let log = place.options().open().unwrap();
    let mut w = log.writer().unwrap();
    w.append(b"p 0").unwrap();
    log.flush(Duration::from_secs(5)).unwrap();
    until(Duration::from_secs(5), "the thread's turn", || {
        log.stats().unwrap().flusher.is_some_and(|f| !f.sidecar)
    });
    let mut sidecar = place.child("sidecar", "");
    until(Duration::from_secs(5), "the sidecar's turn", || {
        log.stats().unwrap().flusher.is_some_and(|f| f.sidecar)
    });
    w.append(b"p 1").unwrap();
    log.flush(Duration::from_secs(5)).unwrap();
    sidecar.kill();
    w.append(b"p 2").unwrap();
    log.flush(Duration::from_secs(5)).unwrap();
    until(Duration::from_secs(5), "the thread's turn", || {
        log.stats().unwrap().flusher.is_some_and(|f| !f.sidecar)
    });
    assert_eq!(place.lines_now(), ["p 0", "p 1", "p 2"]);
}

#[test]
fn producers_and_flushers_are_killed_at_random_and_nothing_acknowledged_is_lost() {
    let place = Place::new();
    let mut all: Vec<_> = (0..4).map(|i| place.child("write for ever", &format!("p{i}"))).collect();
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    for i in 4..60 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        std::thread::sleep(Duration::from_millis(20 + state % 40));
        let n = all.len();
        all[(state >> 8) as usize % n].kill();
        all.swap_remove((state >> 8) as usize % n);
        all.push(place.child("write for ever", &format!("p{i}")));
    }
    all.clear();
    // Numbers without a gap from 0 on: each process's records up to its death, each once, in order.
    let got = by_name(&place.lines());
    assert!(got.len() > 4, "{}", got.len()); // many are killed before their first record where others use the processors
    assert_complete(&got);
}

#[test]
fn processes_that_leave_at_the_same_moment_leave_nothing_behind() {
    let id = |place: &Place| {
        let path = crlog::names::canonical(&place.log()).unwrap();
        std::path::Path::new("/dev/shm").join(crlog::names::segment_id(&path))
    };
    for _ in 0..10 {
        let place = Place::new();
        let mut all: Vec<_> = (0..3).map(|i| place.child("write 20000", &format!("p{i}"))).collect();
        assert!(all.iter_mut().all(common::Role::wait));
        assert!(!id(&place).exists(), "a segment without anybody in it");
        assert_complete(&by_name(&place.lines_now()));
    }
}

#[test]
fn a_stopped_candidate_keeps_no_other_from_taking_over() {
    let place = Place::new();
    let log = place.options().flusher_thread(false).open().unwrap();
    let mut first = place.child("write slowly", "first");
    until(Duration::from_secs(10), "a flusher", || log.stats().unwrap().flusher.is_some());
    let second = place.child("write slowly", "second");
    until(Duration::from_secs(10), "the second", || log.stats().unwrap().producers.len() == 3);
    std::thread::sleep(Duration::from_millis(100));
    let third = place.child("write slowly", "third");
    until(Duration::from_secs(10), "the third", || log.stats().unwrap().producers.len() == 4);
    std::thread::sleep(Duration::from_millis(100));
    second.signal(libc::SIGSTOP);
    until(Duration::from_secs(1), "the stop", || second.is_stopped());
    first.kill();
    until(Duration::from_secs(1), "the third's turn", || {
        log.stats().unwrap().flusher.is_some_and(|f| f.pid as i32 == third.pid())
    });
}
