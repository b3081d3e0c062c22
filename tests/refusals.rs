//! Bad input: a clear error of one line that says what to do, and nothing damaged.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod common;

use common::{Place, Small};
use crlog::{AppendError, KIB, MIB, Options, SegmentKind, Severity, WhenFull};
use std::time::Duration;

fn refused(options: Options, says: &str) {
    let text = options.open().expect_err(says).to_string();
    assert!(text.contains(says), "{text:?} does not say {says:?}");
    assert!(!text.contains('\n'), "{text:?} is more than a line");
}

#[test]
fn a_path_that_cannot_be_a_log_is_refused() {
    let place = Place::new();
    refused(Options::new(place.path()), "directory");
    refused(Options::new(place.path().join("missing/app.log")), "missing");
    refused(Options::new("/proc/app.log"), "/proc");
    refused(Options::new(""), "cannot use \"\" as a log file: the path is empty: give the name of a file");
    for (path, says) in [
        ("missing/app.log", "cannot use missing/app.log as a log file: its directory does not exist"),
        ("/", "cannot use / as a log file: names a directory, not a file"),
        ("/tmp", "cannot use /tmp as a log file: is a directory"),
    ] {
        assert_eq!(Options::new(path).open().unwrap_err().to_string(), says);
    }
}

#[test]
fn second_name_of_open_log_is_refused_at_opening() {
    let place = Place::new();
    let other = place.path().join("other.log");
    std::fs::write(place.log(), "old\n").unwrap();
    std::fs::hard_link(place.log(), &other).unwrap();
    let log = place.options().open().unwrap();
    let mut w = log.writer().unwrap();
    w.append(b"one").unwrap();
    log.flush(Duration::from_secs(10)).unwrap();
    // The same name again is the same log.
    place.options().open().unwrap().writer().unwrap().append(b"two").unwrap();
    refused(Options::new(&other), "use one name for both");
    refused(Options::new(&other), "other.log");
    drop((w, log));
    let second = Options::new(&other).open().unwrap();
    second.writer().unwrap().append(b"three").unwrap();
    second.flush(Duration::from_secs(10)).unwrap();
    refused(place.options(), "use one name for both");
    drop(second);
    assert_eq!(place.lines(), ["old", "one", "two", "three"]);
}

#[test]
fn flush_without_time_says_whether_records_wait() {
    let place = Place::new();
    let log = place.options().open().unwrap();
    let mut w = log.writer().unwrap();
    w.append(b"one").unwrap();
    log.flush(Duration::from_secs(10)).unwrap();
    log.flush(Duration::ZERO).unwrap();
    let late = (0..1000).find_map(|_| {
        w.append(&[b'x'; 10_000]).unwrap();
        log.flush(Duration::ZERO).err()
    });
    let text = late.unwrap().to_string();
    assert!(text.contains("had no time to") && !text.contains("stopped"), "{text}");
    common::until(Duration::from_secs(10), "the file", || log.flush(Duration::ZERO).is_ok());
    assert_eq!(log.stats().unwrap().lag_records, 0);
}

#[test]
fn absurd_options_are_refused() {
    let place = Place::new();
    refused(place.options().ring_bytes(3), "256 KiB");
    refused(place.options().ring_bytes(1 << 60), "512 MiB");
    refused(place.options().mode(0o444), "owner must be able to write");
    refused(place.options().terminator(b"12345678"), "at most 7");
}

#[test]
fn a_record_that_is_too_long_is_refused_and_counted_and_the_longest_is_taken() {
    let place = Place::new();
    let log = place.options().ring_bytes(4 * MIB).open().unwrap();
    let max = log.record_bytes_max();
    assert!(max as u64 >= MIB, "{max}");
    let mut w = log.writer().unwrap();
    let long = vec![b'x'; max];
    assert_eq!(w.append(&long), Err(AppendError::TooLong { len: max + 1, max }));
    w.append(&long[1..]).unwrap();
    w.append(b"after").unwrap();
    log.flush(Duration::from_secs(10)).unwrap();
    assert_eq!(log.stats().unwrap().producers[0].too_long, 1);
    drop((w, log));
    let lines = place.lines_now();
    assert_eq!((lines[0].len(), lines[1].as_str()), (max - 1, "after"));
}

#[test]
fn the_default_ring_takes_a_record_of_a_mebibyte() {
    let place = Place::new();
    let log = place.options().open().unwrap();
    let mut w = log.writer().unwrap();
    let parts: Vec<Vec<u8>> = (0..64u8).map(|i| vec![b'a' + i % 26; 16 * KIB as usize]).collect();
    let slices: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    w.append_vectored(Severity::Error, &slices).unwrap();
    drop((w, log));
    assert_eq!(std::fs::read(place.log()).unwrap().len() as u64, MIB + 1);
}

#[test]
fn a_full_ring_drops_by_policy_and_counts() {
    let place = Place::new();
    let log =
        place.options().ring_bytes(256 * KIB).when_full(WhenFull::Drop).flusher_thread(false).open().unwrap();
    let mut w = log.writer().unwrap();
    let mut taken = 0u64;
    let mut dropped = 0;
    for i in 0..5000u64 {
        match w.append(format!("p {taken} {i:0100}").as_bytes()) {
            Ok(()) => taken += 1,
            Err(e) => {
                assert_eq!(e, AppendError::Full);
                dropped += 1;
            }
        }
    }
    assert!(dropped > 1000, "{dropped}");
    assert_eq!(log.stats().unwrap().producers[0].drops, [0, 0, dropped, 0, 0, 0]);
    drop((w, log));
    let mut lines = place.lines_now();
    let note = lines.pop().unwrap();
    assert!(
        note.starts_with(&format!("crlog: {dropped} records of process {} ", std::process::id())),
        "{note}"
    );
    assert!(note.ends_with(&format!(": {dropped} info")), "{note}");
    let got = common::by_name(&lines);
    common::assert_complete(&got);
    assert_eq!(got["p"].len() as u64, taken, "what was taken is written");
}

#[test]
fn a_segment_of_another_version_is_refused_and_left_alone() {
    let place = Place::new();
    let file = place.path().join("ring");
    let options = || place.options().segment(SegmentKind::File(file.clone())).flusher_thread(false);
    let log = options().open().unwrap();
    let bytes = std::fs::read(&file).unwrap();
    drop(log);
    let mut other = bytes.clone();
    other[8] = 99;
    std::fs::write(&file, &other).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    refused(options(), "version");
    assert_eq!(std::fs::read(&file).unwrap(), other);
    std::fs::remove_file(&file).unwrap();
}

#[test]
fn two_segments_never_write_one_file_at_once() {
    let place = Place::new();
    let a = place.options().open().unwrap();
    let mut wa = a.writer().unwrap();
    wa.append(b"a 0").unwrap();
    a.flush(Duration::from_secs(5)).unwrap();
    let b = place.options().segment(SegmentKind::File(place.path().join("ring"))).open().unwrap();
    let mut wb = b.writer().unwrap();
    wb.append(b"b 0").unwrap();
    let error = b.flush(Duration::from_millis(300)).unwrap_err().to_string();
    assert!(error.contains("not everything reached the file"), "{error}");
    wa.append(b"a 1").unwrap();
    a.flush(Duration::from_secs(5)).unwrap();
    assert_eq!(place.lines_now(), ["a 0", "a 1"]);
    drop((wa, a));
    b.flush(Duration::from_secs(5)).unwrap();
    assert_eq!(place.lines_now(), ["a 0", "a 1", "b 0"]);
}

#[test]
fn options_that_differ_from_the_running_log_are_reported_and_not_applied() {
    let place = Place::new();
    let first = place.options().max_bytes(1000).backups(2).open().unwrap();
    assert_eq!(first.differences().unwrap(), []);
    let second = place.options().max_bytes(2000).open().unwrap();
    let d = second.differences().unwrap();
    assert_eq!(d.len(), 1);
    assert_eq!(d[0].to_string(), "max_bytes stays 1000, 2000 was asked for");
}

#[test]
fn a_ring_larger_than_its_file_system_is_refused_and_leaves_nothing_behind() {
    let place = Place::new();
    let Some(small) = Small::mount(place.path().join("small"), 1024) else { return };
    let ring = small.0.join("ring");
    refused(place.options().ring_bytes(8 * MIB).segment(SegmentKind::File(ring.clone())), "does not fit");
    assert!(!ring.exists());
}

#[test]
fn a_full_disk_loses_nothing_and_writing_goes_on_in_order_when_there_is_room() {
    let place = Place::new();
    let Some(small) = Small::mount(place.path().join("small"), 256) else { return };
    let path = small.0.join("app.log");
    let log = Options::new(&path).max_bytes(100_000).backups(1).open().unwrap();
    std::fs::write(small.0.join("ballast"), vec![0; 120_000]).unwrap();
    let mut w = log.writer().unwrap();
    for i in 0..2000u64 {
        w.append(format!("p {i} {:080}", 0).as_bytes()).unwrap();
    }
    let error = log.flush(Duration::from_millis(300)).unwrap_err().to_string();
    assert!(error.contains("No space left"), "{error}");
    let (mut got, mut seen) = (Vec::new(), std::collections::HashSet::new());
    let mut collect = |dir: &std::path::Path| {
        for name in ["app.log.1", "app.log"] {
            for line in String::from_utf8(std::fs::read(dir.join(name)).unwrap_or_default()).unwrap().lines()
            {
                if seen.insert(line.to_owned()) {
                    got.push(line.to_owned());
                }
            }
        }
    };
    collect(&small.0);
    std::fs::remove_file(small.0.join("ballast")).unwrap();
    common::until(Duration::from_secs(20), "the rest", || {
        // Two files of 100 kB hold all that is left; read them as they rotate.
        collect(&small.0);
        log.flush(Duration::from_millis(50)).is_ok()
    });
    collect(&small.0);
    let stats = log.stats().unwrap();
    assert!(stats.counters.io_errors > 0);
    assert_eq!(stats.error, None);
    assert_eq!(stats.counters.records, 2000);
    drop((w, log));
    let last = std::fs::read_to_string(&path).unwrap();
    assert!(last.lines().last().unwrap().starts_with("p 1999 "), "{:?}", last.lines().last());
}

#[test]
fn a_truncated_file_leaves_no_hole() {
    // External logrotate with copytruncate, at an instant when the flusher is awake.
    let place = Place::new();
    let log = place.options().open().unwrap();
    let mut w = log.writer().unwrap();
    for round in 0..20u64 {
        for i in 0..50u64 {
            w.append(format!("p {}", round * 50 + i).as_bytes()).unwrap();
        }
        log.flush(Duration::from_secs(5)).unwrap();
        std::fs::OpenOptions::new().write(true).open(place.log()).unwrap().set_len(0).unwrap();
    }
    w.append(b"p 1000").unwrap();
    log.flush(Duration::from_secs(5)).unwrap();
    assert_eq!(place.lines_now(), ["p 1000"]);
    assert!(log.stats().unwrap().counters.file_surprises >= 20);
}

#[test]
fn who_only_looks_cannot_write() {
    let place = Place::new();
    let log = place.options().open().unwrap();
    let guest = place.options().attach().unwrap();
    let error = guest.writer().unwrap_err().to_string();
    assert!(error.contains("Options::open"), "{error}");
    drop((guest, log));
    let error = place.options().attach().unwrap_err().to_string();
    assert!(error.contains("no process has"), "{error}");
}

fn numbered(place: &common::Place) -> usize {
    common::names(place.path()).iter().filter(|name| name.starts_with("app.log.")).count()
}

#[test]
fn archives_are_kept_unless_asked_otherwise() {
    let place = common::Place::new();
    let log = place.options().max_bytes(64 * 1024).open().unwrap();
    let mut w = log.writer().unwrap();
    for i in 0..5_000 {
        w.append(format!("{i} {i:100}").as_bytes()).unwrap();
    }
    log.flush(Duration::from_secs(20)).unwrap();
    assert_eq!(log.stats().unwrap().backups, crlog::DEFAULT_BACKUPS);
    assert_eq!((numbered(&place), place.lines_now().len()), (8, 5_000));
    for _ in 0..6 {
        w.append(b"one more").unwrap();
        log.rotate(Duration::from_secs(20)).unwrap();
    }
    assert_eq!(numbered(&place), 10);
}

#[test]
fn rotation_on_demand_without_archives_is_refused() {
    let place = common::Place::new();
    let limit = Duration::from_secs(20);
    let log = place.options().backups(0).open().unwrap();
    let mut w = log.writer().unwrap();
    w.append(b"kept").unwrap();
    let refused = log.rotate(limit).unwrap_err();
    assert!(matches!(&refused, crlog::FlushError::Discards { path } if path == log.path()), "{refused}");
    assert!(refused.to_string().contains("crlog rotate --discard"), "{refused}");
    log.request_rotation().unwrap();
    w.append(b"kept, too").unwrap();
    log.flush(limit).unwrap();
    assert_eq!(place.lines_now(), ["kept", "kept, too"]);
    log.rotate_or_discard(limit).unwrap();
    assert_eq!(place.lines_now(), [""; 0]);
    log.request_rotation().unwrap();
    w.append(b"after").unwrap();
    log.flush(limit).unwrap();
    assert_eq!(place.lines_now(), ["after"], "the permission was for once");
}

#[test]
fn times_without_archives_and_limit_empty_nothing() {
    let place = common::Place::new();
    let options = place.options().backups(0).rotate_at("S 1").names(crlog::Names::Numbered);
    let log = options.open().unwrap();
    let mut w = log.writer().unwrap();
    for i in 0..5 {
        w.append(format!("{i}").as_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(400));
    }
    log.flush(Duration::from_secs(20)).unwrap();
    assert_eq!(place.lines_now(), ["0", "1", "2", "3", "4"]);
}
