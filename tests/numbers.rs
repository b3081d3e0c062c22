//! Order numbers of archives in the manifest: of real processes, killed or not, and of files that others have touched.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{LOG, NAME, Place, ROLE, until};
use crlog::retention::{Limits, Row, Serial, Verdict};
use crlog::{Log, Names, Options};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(20);

/// Not a test: what the other processes do.
#[test]
fn child_role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let path = std::env::var(LOG).unwrap();
    assert_eq!((role.as_str(), std::env::var(NAME).unwrap().as_str()), ("write until killed", "p"));
    let log = Options::new(&path).max_bytes(20_000).backups(1000).open().unwrap();
    let mut w = log.writer().unwrap();
    for i in 0u64.. {
        w.append(format!("p {i} {i:100}").as_bytes()).unwrap();
        if i % 50 == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Archives that the manifest knows, oldest first.
fn archives(log: &Path) -> Vec<Row> {
    let all = Options::new(log).retention(Limits::default(), false).unwrap().rows;
    all.into_iter().filter(|row| matches!(row.verdict, Verdict::Kept)).collect()
}

/// The same, when there are so many and they have their names: what a rotation leaves is told after it, and a long chain is moved
/// after it.
fn archives_once(log: &Path, count: usize) -> Vec<Row> {
    let waiting = log.with_extension("log.newest");
    until(LONG, "the manifest has them all, and the chain is moved", || {
        archives(log).len() == count && !waiting.exists()
    });
    archives(log)
}

fn numbers(log: &Path, count: usize) -> Vec<Option<(u64, u64)>> {
    archives_once(log, count).into_iter().map(|row| row.keys).collect()
}

fn lines_of(log: &Path, row: &Row) -> u64 {
    std::fs::read_to_string(log.with_file_name(&row.name)).unwrap().lines().count() as u64
}

fn write(log: &Log, lines: u64) {
    let mut w = log.writer().unwrap();
    for i in 0..lines {
        w.append(format!("line {i} {i:40}").as_bytes()).unwrap();
    }
    log.flush(LONG).unwrap();
}

#[test]
fn archives_follow_each_other_by_the_order_numbers_of_their_records() {
    for names in [Names::Numbered, Names::Dated] {
        let place = Place::new();
        let log = place.options().names(names).backups(100).max_bytes(500).open().unwrap();
        write(&log, 95);
        log.rotate(LONG).unwrap();
        let count = log.stats().unwrap().counters.rotations as usize;
        let mut next = 0;
        for row in archives_once(&place.log(), count) {
            let (lowest, highest) = row.keys.unwrap();
            assert_eq!((lowest, highest + 1 - lowest), (next, lines_of(&place.log(), &row)), "{row:?}");
            next = highest + 1;
        }
        assert!(count >= 9 && next == 95, "{count} archives up to {next}");
    }
}

#[test]
fn a_file_of_two_segments_has_no_order_numbers_and_the_next_one_has() {
    let place = Place::new();
    let options = || place.options().backups(9);
    let log = options().open().unwrap();
    write(&log, 5);
    drop(log);
    let log = options().open().unwrap();
    write(&log, 4);
    log.rotate(LONG).unwrap();
    write(&log, 3);
    log.rotate(LONG).unwrap();
    assert_eq!(numbers(&place.log(), 2), [None, Some((4, 6))]);
    drop(log);
    // The file is empty: begun by that segment, filled by the next one.
    let log = options().open().unwrap();
    write(&log, 2);
    log.rotate(LONG).unwrap();
    assert_eq!(numbers(&place.log(), 3), [None, Some((4, 6)), Some((0, 1))]);
    let manifest = std::fs::read_to_string(place.path().join(".app.log.crlog/manifest")).unwrap();
    let last = |serial: &str| {
        let line =
            manifest.lines().rfind(|line| line.contains(&format!(" file {serial} archived "))).unwrap();
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        (words[4].clone(), words[5].clone())
    };
    assert_eq!((last("2").1, last("3").1), ("2".into(), "1".into()), "the file's number in its journal");
    assert_ne!(last("2").0, last("3").0, "they are of two segments, and the manifest says so");
}

#[test]
fn after_a_truncation_by_others_only_what_is_left_counts() {
    let place = Place::new();
    let log = place.options().backups(9).open().unwrap();
    write(&log, 5);
    std::fs::File::options().write(true).open(place.log()).unwrap().set_len(0).unwrap();
    write(&log, 3);
    log.rotate(LONG).unwrap();
    assert_eq!(numbers(&place.log(), 1), [Some((5, 7))]);
}

#[test]
fn a_file_that_others_wrote_to_or_cut_has_no_order_numbers() {
    let place = Place::new();
    let log = place.options().backups(9).open().unwrap();
    write(&log, 5);
    std::fs::File::options().append(true).open(place.log()).unwrap().write_all(b"a stranger\n").unwrap();
    write(&log, 1);
    log.rotate(LONG).unwrap();
    write(&log, 5);
    std::fs::File::options().write(true).open(place.log()).unwrap().set_len(9).unwrap();
    write(&log, 1);
    log.rotate(LONG).unwrap();
    write(&log, 5);
    log.rotate(LONG).unwrap();
    assert_eq!(numbers(&place.log(), 3), [None, None, Some((12, 16))]);
}

#[test]
fn a_file_that_others_moved_to_where_archives_are_is_one_with_its_numbers() {
    for _ in 0..10 {
        let place = Place::new();
        let log = place.options().max_bytes(1_000_000).backups(9).open().unwrap();
        write(&log, 5);
        // So a flusher is at work: a helper, that may have written until now, has no time for what others do to files.
        until(LONG, "the manifest knows the log", || {
            place.options().retention(Limits::default(), false).unwrap().known == 1
                && log.stats().unwrap().flusher.is_some()
        });
        // As logrotate does.
        std::fs::rename(place.log(), place.path().join("app.log.1")).unwrap();
        log.request_reopen().unwrap();
        until(LONG, "there is a new one", || place.log().exists());
        write(&log, 2);
        log.rotate(LONG).unwrap();
        assert_eq!(numbers(&place.log(), 2), [Some((0, 4)), Some((5, 6))]);
    }
}

#[test]
fn flushers_that_are_killed_leave_the_numbers_right_or_unknown() {
    const KILLS: u64 = 8;
    let place = Place::new();
    for round in 0..KILLS {
        let (mut child, before) = (place.child("write until killed", "p"), files(&place));
        until(LONG, "it rotates", || files(&place) > before + 3);
        std::thread::sleep(Duration::from_millis(17 * round % 60));
        child.kill();
    }
    let log = place.options().open().unwrap();
    let _w = log.writer().unwrap();
    log.flush(LONG).unwrap();
    let all = archives_once(&place.log(), files(&place));
    let known: Vec<(Serial, u64, u64)> =
        all.iter().filter_map(|row| row.keys.map(|(l, h)| (row.serial.unwrap(), l, h))).collect();
    assert!(known.len() + KILLS as usize >= all.len(), "{} of {} are known", known.len(), all.len());
    assert!(known.windows(2).all(|w| w[0].2 < w[1].1), "one writer, so they do not overlap: {known:?}");
    let lines: u64 = all.iter().map(|row| lines_of(&place.log(), row)).sum();
    for row in all.iter().filter(|row| row.keys.is_some()) {
        let (lowest, highest) = row.keys.unwrap();
        let missing = highest + 1 - lowest - lines_of(&place.log(), row);
        assert!(missing <= KILLS, "a kill leaves at most one number without a record: {row:?}");
    }
    assert!(lines > 1000, "{lines}");
}

fn files(place: &Place) -> usize {
    crlog::names::files(&place.log()).iter().filter(|path| **path != place.log()).count()
}
