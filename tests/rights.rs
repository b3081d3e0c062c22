//! Processes that give up their rights or their root while they log.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, unsafe_code)]

mod common;

use common::os::{exit_now, fork, is_root, reap};
use common::{LOG, Place, ROLE};
use crlog::{AppendError, Options};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(30);
const NOBODY: u32 = 65_534;

/// Not a test: what the other processes do.
#[test]
fn child_role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let log = Options::new(std::env::var(LOG).unwrap()).open().unwrap();
    let mut w = log.writer().unwrap();
    let records = match role.as_str() {
        "setuid" => {
            w.append(b"record 0").unwrap();
            become_nobody();
            1..101
        }
        "chroot" => {
            leave_the_root();
            0..10_000
        }
        other => panic!("no such role: {other}"),
    };
    for i in records {
        w.append(format!("record {i}").as_bytes()).unwrap();
    }
    log.flush(LONG).unwrap();
    drop((w, log));
    exit_now(0);
}

fn become_nobody() {
    // SAFETY: both touch no memory of ours.
    let done = unsafe { (libc::setgid(NOBODY), libc::setuid(NOBODY)) };
    assert_eq!(done, (0, 0));
}

fn leave_the_root() {
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::chroot(dir.path()).unwrap();
    std::env::set_current_dir("/").unwrap();
}

fn ends_with(role: &str, records: usize) {
    if !is_root() {
        return;
    }
    for _ in 0..3 {
        let place = Place::new();
        assert!(place.child(role, "").ends_well(LONG));
        let expected: Vec<String> = (0..records).map(|i| format!("record {i}")).collect();
        assert_eq!(place.lines_now(), expected);
    }
}

#[test]
fn setuid_after_first_record_keeps_logging() {
    ends_with("setuid", 101);
}

#[test]
fn chroot_after_opening_keeps_logging() {
    ends_with("chroot", 10_000);
}

#[test]
fn child_that_attaches_before_setuid_logs() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let log = place.options().open().unwrap();
    let mut w = log.writer().unwrap();
    w.append(b"parent").unwrap();
    for give_up in [become_nobody as fn(), leave_the_root] {
        reap(fork(|| {
            log.attach().unwrap();
            give_up();
            w.append(b"child").unwrap();
        }));
        // Too late: the rule is in the error.
        reap(fork(|| {
            give_up();
            assert_eq!(w.append(b"refused"), Err(AppendError::Detached));
            let text = log.attach().unwrap_err().to_string();
            assert!(text.contains("before it gives up its rights"), "{text}");
        }));
    }
    log.flush(LONG).unwrap();
    assert_eq!(place.lines_now().iter().filter(|l| *l == "child").count(), 2);
}
