//! Normal ends of a process: what was logged is in the file, or a bounded wait ends with a report.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod common;

use common::{LOG, NAME, Place, ROLE, Role, Small, until};
use crlog::{Log, Options, WhenFull};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

static OPEN: OnceLock<Log> = OnceLock::new();

/// Not a test: what the other processes do.
#[test]
fn child_role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let options = Options::new(std::env::var(LOG).unwrap()).name(&std::env::var(NAME).unwrap());
    match role.as_str() {
        "static" => in_a_static(options, 301),
        "static, exit 1" => {
            in_a_static(options, 301);
            std::process::exit(1);
        }
        "static, _exit" => {
            in_a_static(options, 301);
            common::os::exit_now(3);
        }
        "static, forks" => {
            in_a_static(options, 301);
            common::os::reap(common::os::fork(|| {
                in_a_static(Options::new(std::env::var(LOG).unwrap()), 10);
                std::process::exit(0);
            }));
        }
        "threads parked with writers" => parked(options),
        "large records" => {
            let log = options.open().unwrap();
            let mut w = log.writer().unwrap();
            for i in 0..300 {
                w.append(format!("{i} {}", "x".repeat(1000)).as_bytes()).unwrap();
            }
        }
        "large records, drop" => {
            let log = options.when_full(WhenFull::Drop).open().unwrap();
            let mut w = log.writer().unwrap();
            for i in 0..300 {
                w.append(format!("{i} {}", "x".repeat(1000)).as_bytes()).unwrap();
            }
            drop(w);
            log.close().unwrap_err();
        }
        "close beside a stopped flusher" => {
            let log = options.close_timeout(Duration::from_millis(300)).open().unwrap();
            log.writer().unwrap().append(b"waits").unwrap();
            let left = log.close().unwrap_err();
            assert_eq!((left.records, left.in_use), (1, true));
            eprintln!("{left}");
        }
        "few descriptors" => {
            let log = options.close_timeout(Duration::from_millis(300)).open().unwrap();
            common::os::limit(libc::RLIMIT_NOFILE, 3); // from here on none more
            let mut w = log.writer().unwrap();
            for i in 0..12_000 {
                w.append(format!("{i}").as_bytes()).unwrap();
            }
            drop(w);
            let left = log.close().unwrap_err();
            eprintln!("{left}");
        }
        "sidecar" => options.sidecar().unwrap().run(&crlog::Control::default()).unwrap(),
        other => panic!("no such role: {other}"),
    }
}

fn in_a_static(options: Options, records: u64) {
    let log = OPEN.get_or_init(|| options.open().unwrap());
    let mut w = log.writer().unwrap();
    for i in 0..records {
        w.append(format!("record {i}").as_bytes()).unwrap();
    }
    std::mem::forget(w);
}

fn parked(options: Options) {
    in_a_static(options, 1);
    let (sender, receiver) = std::sync::mpsc::channel();
    for _ in 0..4 {
        let sender = sender.clone();
        std::thread::spawn(move || {
            let mut w = OPEN.get().unwrap().writer().unwrap();
            for i in 0..75 {
                w.append(format!("record {i}").as_bytes()).unwrap();
            }
            sender.send(()).unwrap();
            loop {
                std::thread::park();
            }
        });
    }
    (0..4).for_each(|_| receiver.recv().unwrap());
}

/// A role whose standard error goes to the file `stderr`.
fn told(place: &Place, role: &str) -> Role {
    let stderr = place.path().join("stderr");
    let script = format!("exec \"$0\" \"$@\" 2>{}", stderr.display());
    place.child_under(&["sh", "-c", &script], role, "")
}

fn stderr(place: &Place) -> String {
    std::fs::read_to_string(place.path().join("stderr")).unwrap()
}

fn segment(place: &Place) -> PathBuf {
    let path = crlog::names::canonical(&place.log()).unwrap();
    PathBuf::from("/dev/shm").join(crlog::names::segment_id(&path))
}

fn text(place: &Place) -> String {
    std::fs::read_to_string(place.log()).unwrap()
}

#[test]
fn log_in_static_is_written_at_return_from_main() {
    let place = Place::new();
    assert!(place.child("static", "").wait());
    assert_eq!(text(&place).lines().count(), 301);
    assert!(!segment(&place).exists(), "the memory is given back");
}

#[test]
fn log_in_static_is_written_at_exit_1() {
    let place = Place::new();
    assert_eq!(place.child("static, exit 1", "").status().code(), Some(1));
    assert_eq!(text(&place).lines().count(), 301);
    assert!(!segment(&place).exists());
}

#[test]
fn exit_at_once_leaves_records_to_the_next_opener() {
    let place = Place::new();
    assert_eq!(place.child("static, _exit", "").status().code(), Some(3));
    assert!(segment(&place).exists());
    assert_eq!(place.lines().len(), 301);
    assert!(!segment(&place).exists());
}

#[test]
fn forked_child_and_parent_end_once_each() {
    let place = Place::new();
    assert!(place.child("static, forks", "").wait());
    assert_eq!(text(&place).lines().count(), 311);
    assert!(!segment(&place).exists());
}

#[test]
fn threads_parked_with_writers_keep_nothing_back() {
    let place = Place::new();
    assert!(place.child("threads parked with writers", "").wait());
    assert_eq!(text(&place).lines().count(), 301);
    assert!(!segment(&place).exists());
}

#[test]
fn full_disk_takes_what_fits_and_end_reports_the_rest() {
    for (role, reported) in [("large records", true), ("large records, drop", false)] {
        let place = Place::new();
        let Some(small) = Small::mount(place.path().join("small"), 100) else { return };
        let log = small.0.join("app.log");
        let stderr = place.path().join("stderr");
        let script = format!("exec env {LOG}={} \"$0\" \"$@\" 2>{}", log.display(), stderr.display());
        let began = Instant::now();
        let mut child = place.child_under(&["sh", "-c", &script], role, "");
        assert!(child.ends_well(Duration::from_secs(20)), "{role}");
        assert!(began.elapsed() < Duration::from_secs(10), "{role}: {:?}", began.elapsed());
        let whole = std::fs::read_to_string(&log).unwrap();
        let lines = whole.lines().count();
        assert!(lines >= 85 && whole.ends_with('\n'), "{role}: {lines} lines, {} bytes", whole.len());
        assert!(whole.lines().enumerate().all(|(i, line)| line.starts_with(&format!("{i} "))));
        let said = std::fs::read_to_string(&stderr).unwrap();
        if reported {
            let left = format!("{} records of {} are not in the file", 300 - lines, log.display());
            assert!(said.contains(&left) && said.contains("No space left"), "{said}");
            assert!(said.contains(&format!("crlog recover {}", log.display())), "{said}");
        }
        std::process::Command::new("mount").args(["-o", "remount,size=2m"]).arg(&small.0).status().unwrap();
        drop(Options::new(&log).open().unwrap());
        assert_eq!(std::fs::read_to_string(&log).unwrap().lines().count(), 300, "{role}");
    }
}

#[test]
fn close_beside_a_stopped_flusher_says_what_waits() {
    let place = Place::new();
    let sidecar = place.child("sidecar", "");
    until(Duration::from_secs(20), "the sidecar flushes", || {
        place.options().attach().is_ok_and(|log| log.stats().unwrap().flusher.is_some())
    });
    sidecar.signal(libc::SIGSTOP);
    let began = Instant::now();
    assert!(told(&place, "close beside a stopped flusher").wait());
    assert!(began.elapsed() < Duration::from_secs(10));
    let said = stderr(&place);
    assert!(said.contains("1 record of") && said.contains("stopped"), "{said}");
    sidecar.signal(libc::SIGCONT);
    until(Duration::from_secs(20), "it is written", || text(&place) == "waits\n");
}

#[test]
fn close_without_descriptors_names_the_limit() {
    let place = Place::new();
    let mut child = told(&place, "few descriptors");
    assert!(child.wait(), "{}", stderr(&place));
    let said = stderr(&place);
    assert!(said.contains("12000 records") && said.contains("Too many open files"), "{said}");
    assert_eq!(place.lines().len(), 12_000);
}

#[test]
fn close_of_a_healthy_log_leaves_nothing() {
    let place = Place::new();
    let log = place.options().open().unwrap();
    let mut w = log.writer().unwrap();
    for i in 0..1_000 {
        w.append(format!("{i}").as_bytes()).unwrap();
    }
    log.clone().close().unwrap();
    assert_eq!(text(&place).lines().count(), 1_000);
    w.append(b"the writer stays usable").unwrap();
    drop(w);
    log.close().unwrap();
    assert_eq!(text(&place).lines().count(), 1_001);
    assert!(!segment(&place).exists());
}
