//! An idle log costs nothing. Alone in its process, because it counts this process's wake-ups.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod common;

use common::{Place, until};
use crlog::Severity;
use std::time::Duration;

#[test]
fn an_idle_log_does_not_wake_up() {
    let place = Place::new();
    let log = place.options().open().unwrap();
    let mut w = log.writer().unwrap();
    w.log(Severity::Warn, b"p 0").unwrap();
    log.flush(Duration::from_secs(5)).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let before = switches();
    std::thread::sleep(Duration::from_secs(2));
    let woken = switches() - before;
    assert!(woken <= 2, "the flusher woke up {woken} times in 2 idle seconds");
    w.append(b"p 1").unwrap();
    until(Duration::from_secs(1), "a record rings the sleeper", || place.lines_now().len() == 2);
}

/// How often this process's flusher gave up the processor of its own accord.
fn switches() -> u64 {
    let mut n = 0;
    for task in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        let name = std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        if name.trim() != "crlog-flusher" {
            continue;
        }
        let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
        let line = status.lines().find_map(|l| l.strip_prefix("voluntary_ctxt_switches:"));
        n += line.and_then(|v| v.trim().parse::<u64>().ok()).unwrap_or(0);
    }
    n
}
