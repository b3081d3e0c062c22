//! `crlog retention` without --dry-run: by the flusher that is at work, by oneself if there is none, and of a log that nobody has open.

use super::common::*;
use crlog::retention::{ApplyError, Limits};
use crlog::{Log, Options, SegmentKind};
use rustix::process::Signal;
use std::time::Duration;

/// Archives `.N` (the oldest) to `.1`, which nobody knows; what they hold is their number.
fn unknown(place: &Place, numbers: std::ops::RangeInclusive<u32>) {
    for n in numbers {
        std::fs::write(place.path().join(format!("app.log.{n}")), format!("old {n}\n")).unwrap();
    }
}

/// The archives that there are.
fn archives(place: &Place) -> Vec<String> {
    let names =
        std::fs::read_dir(place.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.starts_with("app.log.")).collect();
    names.sort();
    names
}

fn said(place: &Place, args: &str) -> Vec<String> {
    let output = place.run(CRLOG, &format!("retention {args}"), b"");
    assert_ended(&output, 0, "");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn write(log: &Log, text: &str) {
    log.writer().unwrap().append(text.as_bytes()).unwrap();
    log.flush(Duration::from_secs(20)).unwrap();
}

#[test]
fn archives_that_nobody_knows_are_taken_in_by_whoever_flushes_and_go_when_they_must() {
    for who in ["a thread", "a sidecar", "nobody"] {
        let place = Place::new();
        unknown(&place, 1..=4);
        let log = Options::new(place.log()).backups(2).flusher_thread(who == "a thread").open().unwrap();
        let sidecar = (who == "a sidecar").then(|| place.sidecar(""));
        write(&log, "x");
        let limits = "limits: at most 2 archives";
        assert_eq!(said(&place, ""), [limits, "0 files removed (0 B)"], "{who}: they are not ours");
        std::fs::write(place.path().join("app.log.bak"), "").unwrap();
        let want = [
            limits,
            "app.log.4 removed: 4 archives, 2 are kept",
            "app.log.3 removed: 3 archives, 2 are kept",
            "4 files taken in, 2 files removed (12 B)",
        ];
        assert_eq!(said(&place, "--adopt"), want, "{who}");
        assert_eq!(archives(&place), ["app.log.1", "app.log.2", "app.log.bak"], "{who}");
        assert_eq!(said(&place, "--adopt"), [limits, "0 files removed (0 B)"], "{who}");
        let rows = Options::new(place.log()).retention(Limits::default(), false).unwrap();
        assert_eq!(
            (rows.known, rows.rows.len()),
            (3, 4),
            "{who}: two, the live log, and a stranger: {rows:?}"
        );
        drop(log);
        if let Some(mut sidecar) = sidecar {
            sidecar.signal(Signal::TERM);
            sidecar.end(b"");
        }
    }
}

#[test]
fn those_of_a_log_that_nobody_has_open_are_dealt_with_by_hand() {
    let place = Place::new();
    unknown(&place, 1..=3);
    std::fs::write(place.log(), "live\n").unwrap();
    assert_eq!(said(&place, "--backups 1"), ["limits: at most 1 archive", "0 files removed (0 B)"]);
    assert_eq!(archives(&place).len(), 3);
    let want = ["limits: none, everything is kept", "3 files taken in, 0 files removed (0 B)"];
    assert_eq!(said(&place, "--adopt"), want);
    let want =
        ["limits: at most 2 archives", "app.log.3 removed: 3 archives, 2 are kept", "1 file removed (6 B)"];
    assert_eq!(said(&place, "--backups 2"), want);
    // What was taken in is known to the next flusher, and older than what it rotates.
    let log = Options::new(place.log()).backups(2).open().unwrap();
    write(&log, "new");
    log.rotate(Duration::from_secs(20)).unwrap();
    eventually("the oldest goes", || archives(&place) == ["app.log.1", "app.log.2"]);
    assert_eq!(place.lines(), ["old 1", "live", "new"]);
    eventually("the manifest has them in their order", || {
        let rows = Options::new(place.log()).retention(Limits::default(), false).unwrap().rows;
        let serials: Vec<String> = rows.iter().map(|row| row.serial.unwrap().to_string()).collect();
        serials == ["0.3", "1", "2"]
    });
}

#[test]
fn an_archive_that_somebody_changed_is_ours_again_when_it_is_taken_in() {
    let place = Place::new();
    let log = Options::new(place.log()).backups(5).open().unwrap();
    for i in 0..3 {
        write(&log, &format!("{i}"));
        log.rotate(Duration::from_secs(20)).unwrap();
    }
    eventually("all are known", || {
        Options::new(place.log()).retention(Limits::default(), false).unwrap().known == 4
    });
    std::fs::write(place.path().join("app.log.3"), "changed by somebody\n").unwrap();
    log.change(&Options::new(place.log()).backups(2)).unwrap();
    assert_eq!(said(&place, "").last().unwrap(), "0 files removed (0 B)");
    assert_eq!(archives(&place).len(), 3, "it is left alone, and not counted");
    assert_eq!(said(&place, "--adopt")[1], "app.log.3 removed: 3 archives, 2 are kept");
}

#[test]
fn a_log_that_was_left_by_the_killed_is_dealt_with_by_its_own_limits() {
    let place = Place::new();
    unknown(&place, 1..=4);
    let mut pipe = place.start(CRLOG, "pipe --backups 2 --max-bytes 1MB");
    pipe.type_in(b"one\ntwo\n");
    place.until("both are there", |s| s["counters"]["records"] == 2 && s["lag_records"] == 0);
    drop(pipe); // SIGKILL
    assert_eq!(said(&place, "--adopt").len(), 4);
    assert_eq!(archives(&place), ["app.log.1", "app.log.2"]);
    assert_eq!(place.lines(), ["old 2", "old 1", "one", "two"]);
}

#[test]
fn what_can_not_be_done_is_refused_in_one_line() {
    let place = Place::new();
    let refused = |args: &str, why: &str| {
        assert_ended(&place.run(CRLOG, &format!("retention {args}"), b""), 1, why);
    };
    unknown(&place, 1..=3);
    refused("--adopt --backups 1", "and no process has it open");
    let log = Options::new(place.log()).backups(2).open().unwrap();
    write(&log, "x");
    refused("--adopt --backups 1", "has its own limits: change them with `crlog set`");
    assert_eq!(said(&place, "--backups 2")[0], "limits: at most 2 archives", "the same ones are no others");
    drop(log);
    let kind = SegmentKind::File(place.path().join("segment"));
    let elsewhere = Options::new(place.log()).segment(kind).backups(2).open().unwrap();
    write(&elsewhere, "y");
    eventually("its flusher is at work", || crlog::is_being_written(&place.log()).unwrap());
    refused("--adopt --backups 1", "is in use");
    drop(elsewhere);
    assert_eq!(archives(&place).len(), 3);
}

#[test]
fn archives_of_which_an_index_must_tell_are_removed_only_while_the_log_is_open() {
    let place = Place::new();
    let options = || Options::new(place.log()).backups(9).index(true);
    let log = options().open().unwrap();
    for i in 0..3 {
        write(&log, &format!("{i}"));
        log.rotate(Duration::from_secs(20)).unwrap();
    }
    eventually("all are known", || {
        Options::new(place.log()).retention(Limits::default(), false).unwrap().known == 4
    });
    drop(log);
    let output = place.run(CRLOG, "retention --backups 1", b"");
    assert_ended(&output, 1, "has an index");
    assert_eq!(archives(&place).len(), 3);
    assert_eq!(said(&place, "--backups 3").last().unwrap(), "0 files removed (0 B)");
    let log = options().open().unwrap();
    log.change(&Options::new(place.log()).backups(1)).unwrap();
    said(&place, "");
    eventually("one is left", || archives(&place).len() == 1);
    drop(log);
    let verified = place.run(CRLOG, "verify", b"");
    assert_eq!(verified.status.code(), Some(0), "{}", String::from_utf8_lossy(&verified.stdout));
}

#[test]
fn a_flusher_that_does_not_get_on_is_named_in_time() {
    let place = Place::new();
    unknown(&place, 1..=3);
    let log = Options::new(place.log()).backups(2).flusher_thread(false).open().unwrap();
    let mut sidecar = place.sidecar("");
    sidecar.signal(Signal::STOP);
    let output = place.run(CRLOG, "retention --adopt --timeout 300ms", b"");
    assert_ended(&output, 1, "flushes, but is stopped: continue it");
    sidecar.signal(Signal::CONT);
    eventually("what was asked for is done later", || archives(&place).len() == 2);
    drop(log);
    sidecar.signal(Signal::TERM);
    sidecar.end(b"");
}

#[test]
fn a_flusher_says_what_went_wrong() {
    let place = Place::new();
    unknown(&place, 1..=3);
    let log = Options::new(place.log()).max_bytes(1_000_000).backups(2).open().unwrap();
    write(&log, "x");
    let hidden = place.path().join(".app.log.crlog");
    eventually("it has a manifest", || hidden.join("manifest").exists());
    std::fs::remove_dir_all(&hidden).unwrap();
    std::fs::write(&hidden, "in the way").unwrap();
    assert_ended(&place.run(CRLOG, "retention --adopt", b""), 1, "could not all be dealt with");
    assert_eq!(archives(&place).len(), 3, "without a manifest nothing is removed");
    std::fs::remove_file(&hidden).unwrap();
    assert_eq!(said(&place, "--adopt").last().unwrap(), "3 files taken in, 1 file removed (6 B)");
}

#[test]
fn processes_that_come_and_go_meanwhile_lose_nothing() {
    let place = Place::new();
    let path = place.log();
    let done = std::sync::atomic::AtomicBool::new(false);
    let (mut applied, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for i in 0..60 {
                let log = Options::new(&path).backups(100).open().unwrap();
                write(&log, &format!("{i}"));
                log.rotate(Duration::from_secs(20)).unwrap();
            }
            done.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        while !done.load(std::sync::atomic::Ordering::Relaxed) {
            let limits = Limits { archives: Some(3), ..Limits::default() };
            match Options::new(&path).apply_retention(limits, true, Duration::from_secs(20)) {
                Ok(_) => applied += 1,
                Err(ApplyError::OtherLimits { .. } | ApplyError::InUse { .. } | ApplyError::NoLog { .. }) => {
                    refused += 1;
                }
                Err(e) => panic!("{e}"),
            }
        }
    });
    let numbers: Vec<u32> = place.lines().iter().map(|line| line.parse().unwrap()).collect();
    assert!(numbers.iter().copied().eq(60 - numbers.len() as u32..60), "{numbers:?}");
    assert!(numbers.len() >= 3 && applied > 0, "{numbers:?}, {applied} times done, {refused} refused");
}
