//! Processes of one log in several pid and time namespaces: a pid says nothing there, and a start time
//! little. Nobody may take a living process for dead.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

mod common;

use common::{LOG, NAME, Place, ROLE, Role, assert_complete, by_name, until};
use crlog::{Log, Options};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(10);
/// A pid namespace with a /proc of its own; its first process is the child.
const PID: [&str; 5] = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];

/// Not a test: what the other processes do.
#[test]
fn child_role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let options = Options::new(std::env::var(LOG).unwrap());
    let name = std::env::var(NAME).unwrap();
    match role.as_str() {
        "write" => write(options, &name),
        "write only" => write(options.flusher_thread(false), &name),
        other => panic!("no such role: {other}"),
    }
}

/// Without a pause, so that a chunk is in the middle of a record whenever somebody looks.
fn write(options: Options, name: &str) {
    let log = options.max_bytes(50_000_000).backups(1000).open().unwrap();
    let mut w = log.writer().unwrap();
    for i in 0u64.. {
        w.append(format!("{name} {i}").as_bytes()).unwrap();
        if i % 100 == 0 {
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

/// Whether such a namespace can be had here; says so if not.
fn can(wrapper: &[&str]) -> bool {
    let done = Command::new(wrapper[0]).args(&wrapper[1..]).arg("true").stderr(Stdio::null()).status();
    let can = done.is_ok_and(|s| s.success());
    if !can {
        eprintln!("skipped: needs the right to run {wrapper:?}");
    }
    can
}

fn open(place: &Place) -> Log {
    place.options().max_bytes(50_000_000).backups(1000).flusher_thread(false).open().unwrap()
}

/// All are there, somebody flushes, and through some rounds of looking for the dead nobody is found dead.
fn all_live(log: &Log, names: usize) {
    until(LONG, "all processes", || log.stats().unwrap().producers.len() == names + 1);
    until(LONG, "a flusher", || log.stats().unwrap().flusher.is_some());
    let (start, before) = (Instant::now(), log.stats().unwrap().counters.records);
    while start.elapsed() < Duration::from_millis(2500) {
        let s = log.stats().unwrap();
        assert_eq!((s.counters.reaped, s.counters.lost_unfinished), (0, 0), "a living one was reaped");
        assert_eq!(s.producers.len(), names + 1);
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(log.stats().unwrap().counters.records > before + 100);
}

/// Nothing is lost although all are killed now.
fn nothing_lost(place: &Place, log: Log, all: Vec<Role>, names: usize) {
    drop(all);
    until(LONG, "the locks of the dead", || {
        let s = log.stats().unwrap();
        s.flusher.is_none() && s.producers.iter().filter(|p| p.alive).count() == 1
    });
    drop(log);
    let got = by_name(&place.lines());
    assert_complete(&got);
    assert_eq!(got.len(), names);
}

#[test]
fn processes_of_two_pid_namespaces_with_the_same_pid_are_not_taken_for_each_other() {
    if !can(&PID) {
        return;
    }
    let place = Place::new();
    let log = open(&place);
    let mut all: Vec<Role> = (0..2).map(|i| place.child_under(&PID, "write", &format!("p{i}"))).collect();
    all_live(&log, 2);
    let pids: Vec<u64> = log.stats().unwrap().producers.iter().map(|p| p.pid).collect();
    assert_eq!(pids.iter().filter(|&&p| p == 1).count(), 2, "{pids:?}");
    // One is killed: the other one, of the same pid, lives; and one of them flushes.
    let killed = all.remove(0);
    drop(killed);
    until(LONG, "the cleaning up", || log.stats().unwrap().counters.reaped == 1);
    until(LONG, "a flusher", || log.stats().unwrap().flusher.is_some());
    let before = log.stats().unwrap().counters.records;
    until(LONG, "the other's records", || log.stats().unwrap().counters.records > before + 1000);
    assert_eq!(log.stats().unwrap().counters.reaped, 1);
    nothing_lost(&place, log, all, 2);
}

#[test]
fn without_proc_a_pid_of_another_namespace_is_no_evidence() {
    let namespace = ["unshare", "--pid", "--fork", "--mount", "--kill-child"];
    if !can(&namespace) {
        return;
    }
    let place = Place::new();
    let log = open(&place);
    let first = "umount -l /proc && exec \"$0\" \"$@\"";
    let third = "umount -l /proc && { sleep 0; sleep 0; \"$0\" \"$@\"; exit 1; }";
    // The flusher is process 1 of its namespace, the other one process 4 or so of another.
    let under = |script: &'static str| [&namespace[..], &["sh", "-c", script]].concat();
    let mut all = vec![place.child_under(&under(first), "write", "p0")];
    until(LONG, "a flusher", || log.stats().unwrap().flusher.is_some());
    all.push(place.child_under(&under(third), "write only", "p1"));
    all_live(&log, 2);
    nothing_lost(&place, log, all, 2);
}

#[test]
fn the_proc_of_another_namespace_gives_no_wrong_start_time() {
    let namespace = ["unshare", "--pid", "--fork", "--kill-child"];
    if !can(&namespace) {
        return;
    }
    let place = Place::new();
    let log = open(&place);
    // Process 1 still sees the /proc outside, where 1 is another one; the flusher sees its own.
    let script = "unshare --mount sh -c 'mount -t proc proc /proc && exec \"$0\" \"$@\"' \"$0\" \"$@\" & \
                  CRLOG_TEST_ROLE='write only' CRLOG_TEST_NAME=p1 exec \"$0\" \"$@\"";
    let wrapper = [&namespace[..], &["sh", "-c", script]].concat();
    let all = vec![place.child_under(&wrapper, "write", "p0")];
    all_live(&log, 2);
    nothing_lost(&place, log, all, 2);
}

#[test]
fn processes_whose_monotonic_clocks_differ_by_days_share_a_log() {
    let ahead =
        ["unshare", "--time", "--monotonic", "900000", "--boottime", "900000", "--fork", "--kill-child"];
    if !can(&ahead) {
        return;
    }
    let place = Place::new();
    let log = open(&place);
    // The flusher lives days ahead at first; then one whose clock is days behind takes over.
    let first = place.child_under(&ahead, "write", "p0");
    until(LONG, "a flusher", || log.stats().unwrap().flusher.is_some());
    let mut all = vec![place.child("write", "p1"), place.child_under(&ahead, "write only", "p2")];
    all.insert(0, first);
    all_live(&log, 3);
    let before = log.stats().unwrap();
    drop(all.remove(0));
    until(LONG, "the other's turn", || {
        let s = log.stats().unwrap();
        s.counters.takeovers > before.counters.takeovers
            && s.counters.records > before.counters.records + 1000
    });
    nothing_lost(&place, log, all, 3);
}
