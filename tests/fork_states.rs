//! Forks while another thread is in every state that writing a log knows; and while it is opened and dropped.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, unsafe_code)]

mod common;

use common::os::{exit_now, fork, limit, reap, signal, traces, wait_within};
use common::{LOG, NAME, Place, ROLE, assert_complete, by_name, until};
use crlog::{KIB, Log, Options, Writer};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(30);
const FORKS: u64 = 60;
const EACH: u64 = 20;

/// Not a test: what the other processes do.
#[test]
fn child_role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let path = std::env::var(LOG).unwrap();
    let small = Options::new(&path).ring_bytes(256 * KIB);
    match role.as_str() {
        // Open, busy, sealing, waiting for room, helping itself.
        "writes" => while_forking(small, |log, stop| write_until(log, stop, 1)),
        "writes, nobody flushes" => {
            while_forking(small.flusher_thread(false), |log, stop| write_until(log, stop, 1));
        }
        "writes long records" => while_forking(small, |log, stop| write_until(log, stop, 40_000)),
        "flushes" => while_forking(small, |log, stop| {
            while !stop.load(Relaxed) {
                log.flush(LONG).unwrap();
            }
        }),
        "opens and drops" => while_forking(small, |log, stop| {
            while !stop.load(Relaxed) {
                let mut w = Options::new(log.path()).open().unwrap().writer().unwrap();
                w.append(b"opener 0").unwrap();
            }
        }),
        "rotates" => while_forking(small.max_bytes(20_000).backups(100_000), |log, stop| {
            write_until(log, stop, 1);
        }),
        "forks and is killed" => forks_and_is_killed(small),
        "the child stops in the middle" => the_child_stops_in_the_middle(small),
        "forks deep" => forks_deep(small),
        "forks and the child leaves" => the_child_leaves(small),
        "executes in a child" => executes_in_a_child(small),
        "becomes another program" => becomes_another_program(small),
        other => panic!("no such role: {other}"),
    }
    exit_now(0);
}

fn line(w: &mut Writer, name: &str, i: u64, len: usize) {
    w.append(format!("{name} {i} {:0len$}", 0).as_bytes()).unwrap();
}

fn write_until(log: &Log, stop: &AtomicBool, len: usize) {
    let mut w = log.writer().unwrap();
    let mut i = 0;
    while !stop.load(Relaxed) {
        line(&mut w, "thread", i, len);
        i += 1;
    }
}

/// Forks again and again while `busy` runs in two threads, one of them with `busy` alone; each child goes
/// on with its parent's writer.
fn while_forking(options: Options, busy: impl Fn(&Log, &AtomicBool) + Sync) {
    let log = options.open().unwrap();
    let mut w = log.writer().unwrap();
    let (stop, filled) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|s| {
        s.spawn(|| busy(&log, &stop));
        // Keeps the ring full, so that every state of waiting for room is met as well.
        s.spawn(|| {
            let mut w = log.writer().unwrap();
            while !stop.load(Relaxed) {
                line(&mut w, "filler", filled.fetch_add(1, Relaxed), 1000);
            }
        });
        for round in 0..FORKS {
            line(&mut w, "parent", round, 1);
            let child = fork(|| (0..EACH).for_each(|i| line(&mut w, &format!("child{round}"), i, 1)));
            reap(child);
        }
        stop.store(true, Relaxed);
    });
    drop(w);
    log.flush(LONG).unwrap();
}

/// The parent flushes and writes; at a moment that nobody chose it is killed, and its children go on.
fn forks_and_is_killed(options: Options) {
    let name = std::env::var(NAME).unwrap();
    let log = options.open().unwrap();
    let mut w = log.writer().unwrap();
    std::thread::scope(|s| {
        s.spawn(|| write_until(&log, &AtomicBool::new(false), 100));
        for round in 0..4 {
            fork(|| {
                if round == 0 {
                    std::thread::sleep(Duration::from_secs(2)); // never writes, and outlives its parent
                    return;
                }
                (0..2000).for_each(|i| line(&mut w, &format!("{name}.child{round}"), i, 1));
            });
        }
        // SAFETY: asks for our own number.
        signal(unsafe { libc::getpid() }, libc::SIGKILL);
    });
}

/// The child, with its parent's writer in its hands, is in the middle of a record when its parent dies.
fn the_child_stops_in_the_middle(options: Options) {
    let log = options.open().unwrap();
    let mut w = log.writer().unwrap();
    line(&mut w, "parent", 0, 1);
    let child = fork(|| {
        line(&mut w, "child", 0, 1);
        w.append_stopping_in_the_middle(b"child 1").unwrap();
        line(&mut w, "child", 2, 1);
    });
    std::fs::write(format!("{}.child", log.path().display()), format!("{child} ")).unwrap();
    std::thread::sleep(LONG);
}

/// Children of children of children, all of them writing through the first one's writer.
fn forks_deep(options: Options) {
    fn deeper(w: &mut Writer, depth: u64) {
        (0..EACH).for_each(|i| line(w, &format!("depth{depth}"), i, 1));
        if depth < 10 {
            reap(fork(|| deeper(w, depth + 1)));
        }
        (EACH..2 * EACH).for_each(|i| line(w, &format!("depth{depth}"), i, 1));
    }
    let log = options.open().unwrap();
    deeper(&mut log.writer().unwrap(), 0);
}

/// A child that drops what it inherited, without a record of its own, takes nothing from its parent.
fn the_child_leaves(options: Options) {
    let log = options.open().unwrap();
    let mut w = log.writer().unwrap();
    line(&mut w, "parent", 0, 1);
    let (mut inherited, mut copy) = (Some((w, log.clone())), Some(log));
    for _ in 0..10 {
        reap(fork(|| {
            drop(inherited.take());
            drop(copy.take());
        }));
    }
    let (mut w, log) = inherited.unwrap();
    line(&mut w, "parent", 1, 1);
    assert_eq!(log.stats().unwrap().producers.len(), 1);
}

/// A program that a child executes has nothing of the log, and what it holds, it does not hold for us.
fn executes_in_a_child(options: Options) {
    let path = options.clone().open().unwrap().path().to_owned();
    let log = options.open().unwrap();
    let mut w = log.writer().unwrap();
    line(&mut w, "parent", 0, 1);
    log.flush(LONG).unwrap();
    let mut spawned = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let pid = fork(|| {
        line(&mut w, "child", 0, 1);
        execute_sleep();
    });
    for pid in [pid, spawned.id() as i32] {
        until(LONG, "the program", || {
            std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|c| c.trim() == "sleep")
        });
        assert_eq!(traces(pid, &path), [""; 0]);
    }
    let own = std::process::id() as i32;
    assert!(traces(own, &path).len() >= 4, "the test sees nothing: {:?}", traces(own, &path));
    // The parent is gone, the two programs are there.
    let heir = fork(|| {
        signal(own, libc::SIGKILL);
        let log = Options::new(&path).open().unwrap();
        let mut w = log.writer().unwrap();
        line(&mut w, "heir", 0, 1);
        log.flush(LONG).unwrap();
        until(LONG, "its turn", || {
            log.stats().unwrap().flusher.is_some_and(|f| f.pid == u64::from(std::process::id()))
        });
        signal(pid, libc::SIGKILL);
        signal(spawned.id() as i32, libc::SIGKILL);
    });
    let _ = (wait_within(LONG, heir), spawned.wait());
}

fn execute_sleep() {
    let args = [c"sleep".as_ptr(), c"60".as_ptr(), std::ptr::null()];
    // SAFETY: two strings and a null; if it fails, the test finds no such program.
    unsafe { libc::execvp(args[0], args.as_ptr()) };
}

/// The process of the elected flusher executes another program in its own place.
fn becomes_another_program(options: Options) {
    limit(libc::RLIMIT_CORE, 0);
    let log = options.open().unwrap();
    let mut w = log.writer().unwrap();
    (0..1000).for_each(|i| line(&mut w, "before", i, 1));
    log.flush(LONG).unwrap();
    (1000..2000).for_each(|i| line(&mut w, "before", i, 1));
    execute_sleep();
}

/// Lines "name number rest", without the rest; what is not numbered in full is left out.
fn numbered(place: &Place) -> std::collections::BTreeMap<String, Vec<u64>> {
    let short = |l: &String| l.split(' ').take(2).collect::<Vec<_>>().join(" ");
    by_name(&place.lines().iter().map(short).collect::<Vec<_>>())
}

fn forked_while(role: &str) {
    let place = Place::new();
    assert!(place.child(role, "").ends_well(LONG), "{role}");
    let mut got = numbered(&place);
    got.remove("opener");
    assert_complete(&got);
    assert_eq!(got["parent"].len() as u64, FORKS, "{role}");
    for round in 0..FORKS {
        assert_eq!(got[&format!("child{round}")].len() as u64, EACH, "{role}");
    }
}

#[test]
fn forks_beside_a_thread_that_writes_or_waits_for_room_lose_nothing() {
    forked_while("writes");
}

#[test]
fn forks_beside_threads_that_flush_for_themselves_lose_nothing() {
    forked_while("writes, nobody flushes");
}

#[test]
fn forks_beside_records_longer_than_a_chunk_lose_nothing() {
    forked_while("writes long records");
}

#[test]
fn forks_beside_a_thread_in_flush_lose_nothing() {
    forked_while("flushes");
}

#[test]
fn forks_beside_a_thread_that_opens_and_drops_the_log_lose_nothing() {
    forked_while("opens and drops");
}

#[test]
fn forks_beside_a_rotation_lose_nothing() {
    forked_while("rotates");
}

#[test]
fn children_of_a_flusher_killed_in_mid_batch_go_on_and_lose_nothing() {
    let place = Place::new();
    for round in 0..10 {
        let mut parent = place.child("forks and is killed", &format!("r{round}"));
        assert!(!parent.ends_well(LONG));
    }
    let log = place.options().flusher_thread(false).open().unwrap();
    until(LONG, "the children's end", || {
        log.stats().unwrap().producers.iter().filter(|p| p.alive).count() == 1
    });
    drop(log);
    let mut got = numbered(&place);
    // Ten parents used this name, each until its death.
    let threads = got.remove("thread").unwrap_or_default();
    let starts = threads.windows(2).filter(|w| w[1] != w[0] + 1).collect::<Vec<_>>();
    assert!(starts.len() < 10 && starts.iter().all(|w| w[1] == 0), "{starts:?}");
    assert_complete(&got);
    assert_eq!(got.len(), 30);
    assert!(got.values().all(|n| n.len() == 2000));
}

#[test]
fn a_child_in_the_middle_of_a_record_is_not_taken_for_its_dead_parent() {
    let place = Place::new();
    let log = place.options().open().unwrap();
    let mut w = log.writer().unwrap();
    let mut parent = place.child("the child stops in the middle", "");
    let note = || std::fs::read_to_string(place.log().with_extension("log.child")).unwrap_or_default();
    until(LONG, "the fork", || note().ends_with(' '));
    let child: i32 = note().trim().parse().unwrap();
    let state = || std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
    until(LONG, "the stop", || state().contains(") T "));
    parent.kill();
    let mut n = 0;
    until(LONG, "the cleaning up", || {
        line(&mut w, "other", n, 1000);
        n += 1;
        log.stats().unwrap().counters.reaped == 1
    });
    signal(child, libc::SIGCONT);
    until(LONG, "the child's end", || log.stats().unwrap().producers.iter().filter(|p| p.alive).count() == 1);
    assert_eq!(log.stats().unwrap().counters.lost_unfinished, 0);
    drop((w, log));
    let got = numbered(&place);
    assert_complete(&got);
    assert_eq!((&got["parent"][..], &got["child"][..]), (&[0][..], &[0, 1, 2][..]));
}

#[test]
fn the_child_of_the_child_of_a_child_writes_as_all_others() {
    let place = Place::new();
    assert!(place.child("forks deep", "").ends_well(LONG));
    let got = numbered(&place);
    assert_complete(&got);
    assert_eq!((got.len(), got.values().map(Vec::len).min()), (11, Some(2 * EACH as usize)));
}

#[test]
fn a_child_that_drops_the_log_takes_nothing_from_its_parent() {
    let place = Place::new();
    assert!(place.child("forks and the child leaves", "").ends_well(LONG));
    assert_eq!(numbered(&place)["parent"], [0, 1]);
}

#[test]
fn a_program_executed_in_a_child_holds_nothing_of_the_log() {
    let place = Place::new();
    let mut parent = place.child("executes in a child", "");
    assert!(!parent.ends_well(LONG), "it is killed by its heir");
    until(LONG, "the heir's record", || place.lines_now().iter().any(|l| l.starts_with("heir 0")));
    let got = numbered(&place);
    assert_eq!((&got["parent"][..], &got["child"][..], &got["heir"][..]), (&[0][..], &[0][..], &[0][..]));
}

#[test]
fn a_flusher_that_becomes_another_program_is_succeeded_at_once() {
    let place = Place::new();
    let program = place.child("becomes another program", "");
    until(LONG, "the program", || {
        std::fs::read_to_string(format!("/proc/{}/comm", program.pid())).is_ok_and(|c| c.trim() == "sleep")
    });
    assert_eq!(traces(program.pid(), &place.log()), [""; 0]);
    let log = place.options().open().unwrap();
    let mut w = log.writer().unwrap();
    w.append(b"after 0").unwrap();
    log.flush(Duration::from_secs(5)).unwrap();
    // It has no descriptors any more, but the kernel lets go of their locks only when it returns to user mode.
    until(LONG, "it counts as gone", || {
        log.stats().unwrap().producers.iter().all(|p| !p.alive || p.pid == u64::from(std::process::id()))
    });
    drop((w, log));
    let got = numbered(&place);
    assert_complete(&got);
    assert_eq!((got["before"].len(), got["after"].len()), (2000, 1));
}
