//! Masters with many children, as multiprocessing and gunicorn have them; crowds; and a coming and going.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, unsafe_code)]

mod common;

use common::os::{descriptors, exit_now, fork, reap, signal};
use common::{LOG, NAME, Place, ROLE, assert_complete, by_name, until};
use crlog::{Options, Writer};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(60);
const WORKERS: u64 = 50;
const RECORDS: u64 = 200;

/// Not a test: what the other processes do.
#[test]
fn child_role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let path = std::env::var(LOG).unwrap();
    let name = std::env::var(NAME).unwrap();
    let options = Options::new(&path);
    match role.as_str() {
        "master" => master(options),
        "crowd" => crowd(&options, &name),
        "writes on" => {
            let mut w = options.open().unwrap().writer().unwrap();
            for i in 0u64.. {
                record(&mut w, &name, i);
                std::thread::sleep(Duration::from_micros(100));
            }
        }
        "comes and goes" => comes_and_goes(&options),
        other => panic!("no such role: {other}"),
    }
    exit_now(0);
}

fn record(w: &mut Writer, name: &str, i: u64) {
    w.append(format!("{name} {i}").as_bytes()).unwrap();
}

/// Opens the log, forks 50 workers, kills some at random and replaces them, until 150 have ended. Each
/// notes in a file what was acknowledged, and leaves without destructors.
fn master(options: Options) {
    let log = options.open().unwrap();
    let mut w = log.writer().unwrap();
    record(&mut w, "master", 0);
    let mut alive: Vec<i32> = Vec::new();
    let acks =
        std::fs::OpenOptions::new().write(true).open(format!("{}.acks", log.path().display())).unwrap();
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    for born in 0..3 * WORKERS {
        if alive.len() as u64 == WORKERS {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let victim = alive.swap_remove((state % WORKERS) as usize);
            signal(victim, libc::SIGKILL);
            common::os::wait_within(LONG, victim);
        }
        record(&mut w, "master", born + 1);
        alive.push(fork(|| {
            for i in 0..RECORDS {
                record(&mut w, &format!("worker{born}"), i);
                acks.write_all_at(&(i + 1).to_le_bytes(), born * 8).unwrap();
                std::thread::sleep(Duration::from_micros(500));
            }
        }));
    }
    alive.into_iter().for_each(reap);
}

/// Ten processes with five writers each, and all of them at once.
fn crowd(options: &Options, name: &str) {
    let path = options.clone().open().unwrap().path().to_owned();
    let all: Vec<i32> = (0..10)
        .map(|p| {
            let path = path.clone();
            fork(move || {
                let log = Options::new(path).open().unwrap();
                let mut mine: Vec<Writer> = (0..5).map(|_| log.writer().unwrap()).collect();
                for i in 0..20 {
                    for (k, w) in mine.iter_mut().enumerate() {
                        record(w, &format!("{name}.{p}.{k}"), i);
                    }
                }
                // All writers stay until everybody has said something.
                let go = format!("{}.go", log.path().display());
                while std::fs::metadata(&go).is_err() {
                    std::thread::sleep(Duration::from_millis(10));
                }
                for (k, w) in mine.iter_mut().enumerate() {
                    record(w, &format!("{name}.{p}.{k}"), 20);
                }
            })
        })
        .collect();
    all.into_iter().for_each(reap);
}

/// Attaches, writes one record and leaves, for three seconds; as many threads and files at the end as before.
fn comes_and_goes(options: &Options) {
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let files = || descriptors(std::process::id() as i32).len();
    let before = (threads(), files());
    let start = Instant::now();
    let mut n = 0u64;
    while start.elapsed() < Duration::from_secs(3) {
        let log = options.clone().open().unwrap();
        record(&mut log.writer().unwrap(), "comer", n);
        n += 1;
    }
    eprintln!("{n} attachments, {:.0} a second", n as f64 / start.elapsed().as_secs_f64());
    // The thread that waits for the next attachment, with its handle of the lock file.
    until(LONG, "the last threads' end", || threads() <= before.0 + 1 && files() <= before.1 + 1);
    std::fs::write(format!("{}.note", std::env::var(LOG).unwrap()), n.to_string()).unwrap();
}

#[test]
fn fifty_workers_of_a_master_that_leave_without_a_word_or_are_killed_lose_nothing() {
    let place = Place::new();
    let acks = place.log().with_extension("log.acks");
    std::fs::write(&acks, vec![0; 3 * WORKERS as usize * 8]).unwrap();
    assert!(place.child("master", "").ends_well(LONG));
    let got = by_name(&place.lines());
    assert_complete(&got);
    assert_eq!(got["master"].len() as u64, 3 * WORKERS + 1);
    let mut whole = 0;
    for (born, acked) in std::fs::read(&acks).unwrap().chunks(8).enumerate() {
        let acked = u64::from_le_bytes(acked.try_into().unwrap());
        let found = got.get(&format!("worker{born}")).map_or(0, Vec::len) as u64;
        assert!(found == acked || found == acked + 1, "worker {born}: {acked} acknowledged, {found} found");
        whole += u64::from(found == RECORDS);
    }
    assert!(whole >= WORKERS, "{whole}");
}

#[test]
fn two_thousand_writers_in_four_hundred_processes_get_their_records_through_the_default_ring() {
    let place = Place::new();
    // Of 400 processes at once, 2,000 leases on 512 chunks.
    let log = place.options().open().unwrap();
    let _w = log.writer().unwrap();
    let mut all: Vec<_> = (0..40).map(|i| place.child("crowd", &format!("c{i}"))).collect();
    let said = || log.stats().unwrap().counters.records == 40_000;
    until(LONG, "everybody's records", || {
        std::thread::sleep(Duration::from_millis(20));
        said()
    });
    let most = log.stats().unwrap().producers.iter().filter(|p| p.alive).count();
    assert_eq!(most, 401);
    std::fs::write(place.log().with_extension("log.go"), "").unwrap();
    assert!(all.iter_mut().all(|c| c.ends_well(LONG)));
    log.flush(LONG).unwrap();
    let got = by_name(&place.lines_now());
    assert_complete(&got);
    assert_eq!((got.len(), got.values().map(Vec::len).sum::<usize>()), (2000, 42_000));
}

#[test]
fn hundreds_of_attachments_a_second_lose_nothing_and_leave_nothing() {
    let place = Place::new();
    let _others: Vec<_> = (0..2).map(|i| place.child("writes on", &format!("w{i}"))).collect();
    let log = place.options().flusher_thread(false).open().unwrap();
    until(LONG, "the others", || log.stats().unwrap().producers.len() == 3);
    assert!(place.child("comes and goes", "").ends_well(LONG));
    let note = std::fs::read_to_string(place.log().with_extension("log.note")).unwrap();
    let n: u64 = note.parse().unwrap();
    let s = log.stats().unwrap();
    assert_eq!((s.producers.len(), s.counters.reaped, s.counters.lost_unfinished), (3, 0, 0));
    log.flush(LONG).unwrap();
    let got = by_name(&place.lines_now());
    assert_complete(&got);
    assert_eq!(got["comer"].len() as u64, n);
    assert!(n > 150, "{n} in 3 seconds");
}

#[test]
fn logs_that_come_and_go_leave_nothing_in_shared_memory() {
    let place = Place::new();
    let id = crlog::names::segment_id(&crlog::names::canonical(&place.log()).unwrap());
    let all: Vec<i32> = (0..4)
        .map(|p| {
            fork(|| {
                for i in 0..50 {
                    let log = place.options().open().unwrap();
                    record(&mut log.writer().unwrap(), &format!("p{p}"), i);
                }
            })
        })
        .collect();
    all.into_iter().for_each(reap);
    let left: Vec<_> = std::fs::read_dir("/dev/shm").unwrap().flatten().map(|e| e.file_name()).collect();
    assert!(left.iter().all(|n| !n.to_string_lossy().starts_with(&id)), "{left:?}");
    let got = by_name(&place.lines_now());
    assert_complete(&got);
    assert_eq!(got.values().map(Vec::len).collect::<Vec<_>>(), [50; 4]);
}
