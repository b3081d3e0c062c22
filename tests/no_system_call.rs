//! A record costs its producer no system call while the flusher is awake: counted by strace.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::print_stderr, unsafe_code)]

mod common;

use common::{LOG, Place, ROLE};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const RECORDS: u32 = 20_000;

/// Not a test: a producer in steady state, between two calls that nothing else makes.
#[test]
fn child_role() {
    let Ok(_) = std::env::var(ROLE) else { return };
    let log = crlog::Options::new(std::env::var(LOG).unwrap()).open().unwrap();
    let mut w = log.writer().unwrap();
    for _ in 0..100 {
        w.append(b"warming up").unwrap();
    }
    mark();
    for i in 0..RECORDS {
        w.append(format!("record {i}").as_bytes()).unwrap();
        let next = Instant::now() + Duration::from_micros(5);
        while Instant::now() < next {
            std::hint::spin_loop();
        }
    }
    mark();
}

fn mark() {
    // SAFETY: asks for a number and touches no memory.
    unsafe { libc::getsid(0) };
}

#[test]
fn a_record_costs_no_system_call_in_steady_state() {
    if Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_err() {
        eprintln!("SKIPPED: strace is not installed (`make setup` installs it)");
        return;
    }
    let place = Place::new();
    let trace = place.path().join("trace");
    let traced = Command::new("strace")
        .args(["-f", "-qq", "-o"])
        .arg(&trace)
        .arg(std::env::current_exe().unwrap())
        .args(["child_role", "--exact", "--nocapture", "--test-threads=1"])
        .env(ROLE, "write")
        .env(LOG, place.log())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    if !traced.success() {
        eprintln!("SKIPPED: strace may not trace here ({traced})");
        return;
    }
    let trace = std::fs::read_to_string(&trace).unwrap();
    let marks: Vec<&str> = trace.lines().filter(|l| l.contains("getsid(")).collect();
    assert_eq!(marks.len(), 2, "two marks in the trace");
    let thread = marks[0].split_whitespace().next().unwrap();
    let between: Vec<&str> = trace
        .lines()
        .skip_while(|l| !l.contains("getsid("))
        .skip(1)
        .take_while(|l| !l.contains("getsid("))
        .filter(|l| l.split_whitespace().next() == Some(thread))
        .collect();
    eprintln!("{} system calls in {RECORDS} records", between.len());
    assert!(between.len() <= 5, "{} system calls: {:#?}", between.len(), &between[..5]);
    assert_eq!(place.lines().len() as u32, RECORDS + 100);
}
