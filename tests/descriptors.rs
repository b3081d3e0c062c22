//! A host that has closed its standard input, output or error: the kernel gives these numbers to whatever
//! is opened next, and what the host prints must not go into a file of the log.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, unsafe_code)]

mod common;

use common::os::{descriptors, exit_now};
use common::{LOG, NAME, Place, ROLE, assert_complete, by_name};
use crlog::{Options, SegmentKind};
use std::os::fd::AsRawFd;
use std::time::Duration;

const RECORDS: u64 = 3000;

/// Not a test: what the other processes do.
#[test]
fn child_role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let path = std::env::var(LOG).unwrap();
    let options = Options::new(&path).max_bytes(10_000).backups(100);
    let options = match role.as_str() {
        "shared memory" => options,
        "mapped file" => options
            .segment(SegmentKind::File(format!("{path}-ring").into()))
            .lock_dir(format!("{path}-locks")),
        other => panic!("no such role: {other}"),
    };
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null").unwrap();
    for fd in 0..=2 {
        // SAFETY: two open descriptors; what was behind the second is not used any more.
        unsafe { libc::dup2(null.as_raw_fd(), fd) };
    }
    let closed: Vec<i32> = std::env::var(NAME).unwrap().bytes().map(|b| i32::from(b - b'0')).collect();
    for &fd in &closed {
        // SAFETY: what is behind it is not used any more.
        unsafe { libc::close(fd) };
    }
    exit_now(i32::from(!print_beside_a_log(options)));
}

/// Writes records and, in between, to standard output and error, as `println!` of the host does.
fn print_beside_a_log(options: Options) -> bool {
    let log = options.open().unwrap();
    let mut w = log.writer().unwrap();
    for i in 0..RECORDS {
        w.append(format!("p {i}").as_bytes()).unwrap();
        for fd in 1..=2 {
            // SAFETY: reads a constant.
            unsafe { libc::write(fd, b"printed by the host\n".as_ptr().cast(), 20) };
        }
        if i % 500 == 0 {
            log.flush(Duration::from_secs(10)).unwrap();
        }
    }
    log.flush(Duration::from_secs(10)).unwrap();
    let own = std::process::id() as i32;
    let ours = |path: &std::path::Path| {
        let text = path.to_str().unwrap_or("");
        text.contains("app.log") || text.contains("crlog-")
    };
    let low = descriptors(own).into_iter().filter(|(n, path)| *n <= 2 && ours(path)).count();
    let high = descriptors(own).into_iter().filter(|(n, path)| *n > 2 && ours(path)).count();
    drop((w, log));
    low == 0 && high >= 3
}

fn host_without(closed: &str, kind: &str) {
    let place = Place::new();
    assert!(place.child(kind, closed).ends_well(Duration::from_secs(20)), "{kind}, without {closed}");
    let got = by_name(&place.lines_now());
    assert_complete(&got);
    assert_eq!(got["p"].len() as u64, RECORDS, "{kind}, without {closed}");
}

#[test]
fn what_a_host_without_standard_descriptors_prints_goes_into_no_file_of_the_log() {
    for closed in ["012", "0", "1", "2", "12"] {
        host_without(closed, "shared memory");
        host_without(closed, "mapped file");
    }
}
