//! Threads that end in every way, with a writer in their hands.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, unsafe_code)]

mod common;

use common::os::exit_now;
use common::{LOG, Place, ROLE, assert_complete, by_name, until};
use crlog::{KIB, Log, Options, Writer};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(30);
const THREADS: u64 = 100;

/// Not a test: what the other processes do.
#[test]
fn child_role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let options = Options::new(std::env::var(LOG).unwrap()).ring_bytes(256 * KIB);
    match role.as_str() {
        "threads die anywhere" => threads_die_anywhere(Options::new(std::env::var(LOG).unwrap())),
        "threads leave their writers behind" => {
            let log = options.open().unwrap();
            for t in 0..THREADS {
                let mut w = log.writer().unwrap();
                let leave = move || {
                    record(&mut w, &format!("t{t}"), 0);
                    std::mem::forget(w);
                };
                std::thread::spawn(leave).join().unwrap();
            }
            log.flush(LONG).unwrap();
            assert!(log.stats().unwrap().counters.revoked >= THREADS - 16);
        }
        other => panic!("no such role: {other}"),
    }
    exit_now(0);
}

fn record(w: &mut Writer, name: &str, i: u64) {
    w.append(format!("{name} {i}").as_bytes()).unwrap();
}

static ACKED: [AtomicU64; THREADS as usize] = [const { AtomicU64::new(0) }; THREADS as usize];

/// Ends the calling thread, and it alone, without destructors, wherever it is.
extern "C" fn end_thread(_: i32) {
    // SAFETY: ends the thread; its stack stays.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
}

/// A hundred threads, each of which is gone in the middle of whatever it does. The bytes of its records are
/// made before, so that it does not die with the allocator's lock.
fn threads_die_anywhere(options: Options) {
    let handler = end_thread as extern "C" fn(i32) as *const () as usize;
    // SAFETY: installs a handler that only ends its thread.
    unsafe { libc::signal(libc::SIGUSR1, handler) };
    let log = options.open().unwrap();
    let mut main = log.writer().unwrap();
    for t in 0..THREADS {
        let mut w = log.writer().unwrap();
        let id = std::sync::Arc::new(AtomicU64::new(0));
        let tell = std::sync::Arc::clone(&id);
        let lines: Vec<String> = (0..20_000).map(|i| format!("t{t} {i}")).collect();
        std::thread::spawn(move || {
            // SAFETY: asks for a number.
            tell.store(unsafe { libc::pthread_self() }, SeqCst);
            for line in &lines {
                w.append(line.as_bytes()).unwrap();
                ACKED[t as usize].fetch_add(1, SeqCst);
            }
            std::thread::sleep(LONG);
        });
        until(LONG, "the thread's records", || ACKED[t as usize].load(SeqCst) > 100 + 7 * t);
        // SAFETY: the thread lives: nobody else ends it.
        unsafe { libc::pthread_kill(id.load(SeqCst) as libc::pthread_t, libc::SIGUSR1) };
        record(&mut main, "main", t);
    }
    log.flush(LONG).unwrap();
    let stuck = log.stats().unwrap().chunks_in_use;
    eprintln!("{THREADS} threads ended, {stuck} of 512 chunks are held");
    (THREADS..200_000).for_each(|i| record(&mut main, "main", i));
    log.flush(LONG).unwrap();
    let acked: Vec<String> = ACKED.iter().map(|a| a.load(SeqCst).to_string()).collect();
    std::fs::write(format!("{}.acks", std::env::var(LOG).unwrap()), acked.join(" ")).unwrap();
}

#[test]
fn threads_that_end_in_the_middle_of_anything_cost_a_chunk_and_no_record() {
    let place = Place::new();
    assert!(place.child("threads die anywhere", "").ends_well(LONG));
    let got = by_name(&place.lines());
    assert_complete(&got);
    assert_eq!(got["main"].len(), 200_000);
    let acks = std::fs::read_to_string(place.log().with_extension("log.acks")).unwrap();
    for (t, acked) in acks.split(' ').enumerate() {
        let (acked, found): (u64, u64) = (acked.parse().unwrap(), got[&format!("t{t}")].len() as u64);
        assert!(found == acked || found == acked + 1, "thread {t}: {acked} acknowledged, {found} found");
    }
}

#[test]
fn writers_that_were_forgotten_keep_neither_records_nor_room() {
    let place = Place::new();
    assert!(place.child("threads leave their writers behind", "").ends_well(LONG));
    let got = by_name(&place.lines());
    assert_complete(&got);
    assert_eq!(got.len() as u64, THREADS);
    let id = crlog::names::segment_id(&crlog::names::canonical(&place.log()).unwrap());
    assert!(!std::path::Path::new("/dev/shm").join(id).exists(), "the next one out cleans up");
}

#[test]
fn a_panic_between_records_leaves_the_writer_as_it_was() {
    let place = Place::new();
    let log = place.options().open().unwrap();
    let mut w = log.writer().unwrap();
    for round in 0..1000 {
        let done = catch_unwind(AssertUnwindSafe(|| {
            record(&mut w, "p", 2 * round);
            resume_unwind(Box::new("a panic without a message"));
        }));
        assert!(done.is_err());
        record(&mut w, "p", 2 * round + 1);
    }
    drop((w, log));
    let got = by_name(&place.lines_now());
    assert_complete(&got);
    assert_eq!(got["p"].len(), 2000);
}

#[test]
fn threads_that_die_of_a_panic_give_their_chunks_back() {
    let place = Place::new();
    let log = place.options().ring_bytes(256 * KIB).open().unwrap();
    let die = |log: &Log, t: u64| {
        let mut w = log.writer().unwrap();
        let dead = std::thread::spawn(move || {
            (0..10).for_each(|i| record(&mut w, &format!("t{t}"), i));
            resume_unwind(Box::new("a panic without a message"));
        });
        assert!(dead.join().is_err());
    };
    (0..THREADS).for_each(|t| die(&log, t));
    log.flush(LONG).unwrap();
    let s = log.stats().unwrap();
    assert_eq!((s.chunks_in_use, s.counters.lost_unfinished, s.producers.len()), (0, 0, 1));
    drop(log);
    let got = by_name(&place.lines_now());
    assert_complete(&got);
    assert_eq!((got.len() as u64, got.values().map(Vec::len).min()), (THREADS, Some(10)));
}

#[test]
fn a_log_that_is_dropped_first_lives_as_long_as_its_writers() {
    let place = Place::new();
    let log = place.options().open().unwrap();
    let writers: Vec<Writer> = (0..8).map(|_| log.writer().unwrap()).collect();
    drop(log);
    let all: Vec<_> = writers
        .into_iter()
        .enumerate()
        .map(|(t, mut w)| {
            std::thread::spawn(move || (0..5000).for_each(|i| record(&mut w, &format!("t{t}"), i)))
        })
        .collect();
    all.into_iter().for_each(|t| t.join().unwrap());
    // The last writer was the last one out: all is in the file, nothing is left.
    let got = by_name(&place.lines_now());
    assert_complete(&got);
    assert_eq!(got.values().map(Vec::len).collect::<Vec<_>>(), [5000; 8]);
    let id = crlog::names::segment_id(&crlog::names::canonical(&place.log()).unwrap());
    assert!(!std::path::Path::new("/dev/shm").join(id).exists());
}
