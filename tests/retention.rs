//! What is kept of the archives, by real flushers on real files.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{LOG, NAME, Place, ROLE, until};
use crlog::retention::Limits;
use crlog::{Compression, Log, Names, Options, Severity};
use std::path::Path;
use std::time::{Duration, SystemTime};

const LONG: Duration = Duration::from_secs(20);

/// Not a test: what the other processes do.
#[test]
fn child_role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let path = std::env::var(LOG).unwrap();
    assert_eq!((role.as_str(), std::env::var(NAME).unwrap().as_str()), ("write until killed", "p"));
    let options = Options::new(&path).names(Names::Dated).max_bytes(2000).backups(5);
    let log = options.open().unwrap();
    let mut w = log.writer().unwrap();
    for i in 0u64.. {
        w.append(format!("p {i} {i:100}").as_bytes()).unwrap();
        if i % 50 == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Names of the archives that are there, as they sort.
fn archives(log: &Path) -> Vec<String> {
    let files = crlog::names::files(log).into_iter().filter(|path| path != log);
    files.map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
}

/// Writes a line and rotates, so often.
fn rotate(log: &Log, times: u32) {
    let mut w = log.writer().unwrap();
    for _ in 0..times {
        w.log(Severity::Info, format!("line {:30}", log.stats().unwrap().counters.rotations).as_bytes())
            .unwrap();
        log.rotate(LONG).unwrap();
    }
}

fn line_of(path: &Path) -> u64 {
    std::fs::read_to_string(path).unwrap().split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn lines(log: &Path) -> Vec<u64> {
    crlog::names::files(log).iter().filter(|path| *path != log).map(|path| line_of(path)).collect()
}

#[test]
fn of_dated_archives_the_youngest_are_kept() {
    let place = Place::new();
    let log = place.options().names(Names::Dated).backups(3).open().unwrap();
    rotate(&log, 9);
    until(LONG, "all but three are removed", || archives(&place.log()).len() == 3);
    assert_eq!(lines(&place.log()), [6, 7, 8]);
    assert_eq!(log.stats().unwrap().counters.removed, 6);
}

#[test]
fn a_hundred_rotations_within_a_period_never_remove_the_newest() {
    let place = Place::new();
    let options = place.options().rotate_at("daily 00:00 UTC").max_bytes(100).backups(3);
    let log = options.open().unwrap();
    let mut w = log.writer().unwrap();
    for i in 0..100 {
        w.append(format!("line {i} {:80}", i).as_bytes()).unwrap();
        log.flush(LONG).unwrap();
    }
    until(LONG, "three are left", || archives(&place.log()).len() == 3);
    assert_eq!(lines(&place.log()), [96, 97, 98]);
}

#[test]
fn a_number_is_not_given_again_though_all_archives_of_its_day_are_gone() {
    let place = Place::new();
    let options = || place.options().rotate_at("daily 00:00 UTC");
    let log = options().open().unwrap();
    rotate(&log, 3);
    let newest = archives(&place.log()).pop().unwrap();
    assert!(newest.ends_with(".2"), "{newest}");
    let manifest = place.path().join(".app.log.crlog/manifest");
    until(LONG, "the manifest knows it", || {
        std::fs::read_to_string(&manifest).is_ok_and(|m| m.contains(&newest))
    });
    drop(log);
    for name in archives(&place.log()) {
        std::fs::remove_file(place.path().join(name)).unwrap();
    }
    let log = options().open().unwrap();
    log.writer().unwrap().append(b"line 77").unwrap();
    log.flush(LONG).unwrap();
    log.rotate(LONG).unwrap();
    assert_eq!(archives(&place.log()), [format!("{}.3", newest.strip_suffix(".2").unwrap())]);
}

#[test]
fn fewer_backups_take_effect_in_a_numbered_chain_too() {
    let place = Place::new();
    let log = place.options().backups(6).open().unwrap();
    rotate(&log, 8);
    assert_eq!(archives(&place.log()).len(), 6);
    log.change(&place.options().backups(2)).unwrap();
    until(LONG, "two are left", || archives(&place.log()) == ["app.log.2", "app.log.1"]);
    assert_eq!(lines(&place.log()), [6, 7]);
}

#[test]
fn an_archive_that_was_changed_since_the_last_look_stays() {
    let place = Place::new();
    let log = place.options().backups(6).open().unwrap();
    rotate(&log, 3);
    until(LONG, "all are known", || place.options().retention(Limits::default(), false).unwrap().known == 4);
    place.options().apply_retention(Limits::default(), false, LONG).unwrap();
    // The flusher has looked at the directory a moment ago, and would not look again for a minute.
    std::fs::write(place.path().join("app.log.3"), "line 77 of somebody else, a little longer than ours\n")
        .unwrap();
    log.change(&place.options().backups(1)).unwrap();
    until(LONG, "the second goes", || !place.path().join("app.log.2").exists());
    until(LONG, "the flusher is through", || log.stats().unwrap().counters.removed == 1);
    assert_eq!(lines(&place.log()), [77, 2]);
}

#[test]
fn all_files_together_are_kept_below_their_limit() {
    let place = Place::new();
    let log = place.options().names(Names::Dated).keep_bytes(200).open().unwrap();
    rotate(&log, 12);
    let bytes =
        || crlog::names::files(&place.log()).iter().map(|f| f.metadata().map_or(0, |m| m.len())).sum::<u64>();
    until(LONG, "they are", || bytes() <= 200);
    assert_eq!(lines(&place.log()), [7, 8, 9, 10, 11]);
}

#[test]
fn old_archives_go_and_a_strangers_file_of_such_a_name_stays() {
    let place = Place::new();
    let log = place.options().names(Names::Dated).open().unwrap();
    rotate(&log, 4);
    until(LONG, "four", || archives(&place.log()).len() == 4);
    let stranger = place.path().join("app.log.2001-01-01");
    std::fs::write(&stranger, "line 1000\n").unwrap();
    let then = SystemTime::now() - Duration::from_secs(3600);
    std::fs::File::options().write(true).open(&stranger).unwrap().set_modified(then).unwrap();
    std::thread::sleep(Duration::from_millis(1100));
    log.change(&place.options().keep_age(Duration::from_secs(1))).unwrap();
    until(LONG, "ours are gone", || archives(&place.log()) == ["app.log.2001-01-01"]);
    assert_eq!(std::fs::read_to_string(&stranger).unwrap(), "line 1000\n");
}

#[test]
fn packed_archives_are_kept_and_go_like_others() {
    let place = Place::new();
    let log = place.options().names(Names::Dated).compress(Compression::GZIP).backups(3).open().unwrap();
    rotate(&log, 3);
    let packed = || archives(&place.log()).iter().filter(|name| name.ends_with(".gz")).count();
    until(LONG, "all are packed", || packed() == 3 && archives(&place.log()).len() == 3);
    let before = archives(&place.log());
    rotate(&log, 2);
    until(LONG, "all are packed again", || packed() == 3 && archives(&place.log()).len() == 3);
    assert_eq!(archives(&place.log())[0], before[2], "the youngest of before is the oldest");
}

fn free(disk: &common::Small) -> u64 {
    let free = rustix::fs::statvfs(&disk.0).unwrap();
    free.f_bavail * free.f_frsize
}

#[test]
fn a_log_that_grows_without_a_rotation_makes_room_for_itself() {
    let place = Place::new();
    let Some(small) = common::Small::mount(place.path().join("small"), 600) else {
        return; // says why
    };
    let path = small.0.join("app.log");
    let log = Options::new(&path).names(Names::Dated).max_bytes(10_000_000).min_free(200_000).open().unwrap();
    let mut w = log.writer().unwrap();
    let mut write = |kilobytes: u32| {
        (0..kilobytes).for_each(|i| w.append(format!("{i:999}").as_bytes()).unwrap());
        log.flush(LONG).unwrap();
    };
    for _ in 0..3 {
        write(100);
        log.rotate(LONG).unwrap();
    }
    until(LONG, "the manifest knows them", || archives(&path).len() == 3 && free(&small) >= 200_000);
    write(120);
    until(Duration::from_secs(5), "an archive is removed", || archives(&path).len() == 2);
    assert!(free(&small) >= 200_000);
    write(250);
    until(Duration::from_secs(5), "all archives are removed", || archives(&path).is_empty());
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 370_000);
}

#[test]
fn the_disk_is_kept_from_filling_up() {
    let place = Place::new();
    let Some(small) = common::Small::mount(place.path().join("small"), 600) else {
        return; // says why
    };
    let path = small.0.join("app.log");
    let log = Options::new(&path).names(Names::Dated).max_bytes(40_000).min_free(200_000).open().unwrap();
    let mut w = log.writer().unwrap();
    for i in 0..20_000 {
        w.append(format!("line {i} {:80}", i).as_bytes()).unwrap();
        if i % 400 == 0 {
            log.flush(LONG).unwrap();
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    log.flush(LONG).unwrap();
    assert!(log.stats().unwrap().counters.removed > 5, "{:?}", log.stats().unwrap().counters);
    until(LONG, "there is room", || free(&small) >= 200_000);
    drop((w, log));
    let text: String =
        crlog::names::files(&path).iter().map(|f| std::fs::read_to_string(f).unwrap()).collect();
    let numbers: Vec<u64> =
        text.lines().map(|l| l.split_whitespace().nth(1).unwrap().parse().unwrap()).collect();
    assert!(
        numbers.iter().copied().eq(20_000 - numbers.len() as u64..20_000),
        "the youngest, without a hole"
    );
}

#[test]
fn flushers_that_are_killed_leave_as_many_as_are_wanted_without_a_hole() {
    let place = Place::new();
    for round in 0..12u64 {
        let mut child = place.child("write until killed", "p");
        until(LONG, "it rotates", || archives(&place.log()).len() >= 5);
        std::thread::sleep(Duration::from_millis(37 * round % 200));
        child.kill();
    }
    let log = place.options().open().unwrap();
    let _w = log.writer().unwrap();
    until(LONG, "five are left", || archives(&place.log()).len() == 5);
    let text: String =
        crlog::names::files(&place.log()).iter().map(|f| std::fs::read_to_string(f).unwrap()).collect();
    let numbers: Vec<u64> = text.lines().map(|l| l.split(' ').nth(1).unwrap().parse().unwrap()).collect();
    // Each process counts from 0, so there is a hole only where a number is followed by neither the next nor 0.
    assert!(numbers.windows(2).all(|w| w[1] == w[0] + 1 || w[1] == 0), "{numbers:?}");
    assert!(numbers.len() > 50);
}
