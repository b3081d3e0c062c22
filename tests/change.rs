//! A running log is changed: by one process, for all of them.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{LOG, NAME, Place, ROLE, assert_complete, by_name, until};
use crlog::{Compression, Fsync, Log, MIB, Names, Options};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(20);

/// Not a test: what the other processes do.
#[test]
fn child_role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let path = std::env::var(LOG).unwrap();
    let name = std::env::var(NAME).unwrap();
    match role.as_str() {
        "write until the file stop" => {
            let log = Options::new(&path).open().unwrap();
            let mut w = log.writer().unwrap();
            for i in 0u64.. {
                w.append(format!("{name} {i}").as_bytes()).unwrap();
                if i % 64 == 0 {
                    if std::path::Path::new(&(path.clone() + "-stop")).exists() {
                        break;
                    }
                    std::thread::sleep(Duration::from_micros(300));
                }
            }
        }
        "change until killed" => {
            let log = Options::new(&path).attach().unwrap();
            for i in 0u64.. {
                log.change(&Options::new(&path).max_bytes(10_000 + i % 1000).backups(1000)).unwrap();
            }
        }
        other => panic!("no such role: {other}"),
    }
}

fn setting(log: &Log, name: &str) -> String {
    log.settings().unwrap().into_iter().find(|(n, _)| *n == name).unwrap().1
}

#[test]
fn what_one_process_changes_holds_for_the_one_that_flushes() {
    let place = Place::new();
    let mut writer = place.child("write until the file stop", "p");
    until(LONG, "it writes", || place.lines_now().len() > 100);
    let log = place.options().attach().unwrap();
    assert_eq!((setting(&log, "max_bytes"), log.stats().unwrap().counters.rotations), ("0".into(), 0));
    let left = log.change(&place.options().max_bytes(20_000).backups(1000)).unwrap();
    assert_eq!(left, []);
    until(LONG, "it rotates by size", || log.stats().unwrap().counters.rotations > 3);
    log.change(&place.options().max_bytes(0)).unwrap();
    assert_eq!(setting(&log, "backups"), "1000", "not asked for, so it stays");
    log.flush(LONG).unwrap();
    let rotations = log.stats().unwrap().counters.rotations;
    log.flush(LONG).unwrap();
    assert_eq!(log.stats().unwrap().counters.rotations, rotations);
    log.change(&place.options().rotate_at("S 1")).unwrap();
    assert_eq!((setting(&log, "rotate_at"), setting(&log, "names")), ("S".into(), "dated".into()));
    until(LONG, "it rotates by time", || log.stats().unwrap().counters.rotations > rotations + 1);
    log.change(&place.options().rotate_at("never")).unwrap();
    assert_eq!((setting(&log, "rotate_at"), setting(&log, "names")), ("never".into(), "numbered".into()));
    std::fs::write(place.path().join("app.log-stop"), "").unwrap();
    assert!(writer.wait());
    let lines: Vec<String> = crlog::names::files(&place.log())
        .iter()
        .flat_map(|f| std::fs::read_to_string(f).unwrap().lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let mut numbers: Vec<u64> = lines.iter().map(|l| l.split(' ').nth(1).unwrap().parse().unwrap()).collect();
    numbers.sort_unstable(); // numbered and dated names are mixed
    assert!(numbers.iter().copied().eq(0..lines.len() as u64));
}

#[test]
fn archives_that_are_there_are_packed_when_it_is_asked_for() {
    let place = Place::new();
    let log = place.options().backups(3).open().unwrap();
    let mut w = log.writer().unwrap();
    for i in 0..3 {
        w.append(format!("p {i}").as_bytes()).unwrap();
        log.rotate(LONG).unwrap();
    }
    let packed = || (1..=3).filter(|i| place.path().join(format!("app.log.{i}.gz")).exists()).count();
    assert_eq!(packed(), 0);
    log.change(&place.options().compress(Compression::GZIP).compress_delay(1)).unwrap();
    until(LONG, "all but the newest are packed", || packed() == 2);
    log.change(&place.options().compress_delay(0)).unwrap();
    until(LONG, "all are packed", || packed() == 3);
}

#[test]
fn what_cannot_be_changed_is_said_and_what_is_wrong_changes_nothing() {
    let place = Place::new();
    let log = place.options().open().unwrap();
    let left = log.change(&place.options().terminator(b"\0").index(true).fsync(Fsync::Batch)).unwrap();
    assert_eq!(left.iter().map(|d| d.option).collect::<Vec<_>>(), ["terminator", "index"]);
    assert_eq!(setting(&log, "fsync"), "batch");
    let wrong = log.change(&place.options().fsync(Fsync::None).mode(0));
    assert!(wrong.is_err());
    assert_eq!(setting(&log, "fsync"), "batch");
}

#[test]
fn whoever_attaches_later_gets_what_was_changed() {
    let place = Place::new();
    let log = place.options().backups(2).open().unwrap();
    for round in 0..5u32 {
        log.change(&place.options().backups(10 + round).names(Names::Dated)).unwrap();
        let late = place.options().open().unwrap();
        assert_eq!(setting(&late, "backups"), (10 + round).to_string());
        assert_eq!(late.stats().unwrap().backups, 10 + round);
        assert_eq!(late.differences().unwrap(), []);
        assert_eq!(place.options().backups(2).open().unwrap().differences().unwrap().len(), 1);
    }
}

#[test]
fn changes_of_many_threads_are_all_made() {
    let place = Place::new();
    let log = place.options().open().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let (log, place) = (&log, &place);
            scope.spawn(move || {
                for i in 1..=300u32 {
                    let o = place.options();
                    let o = match thread {
                        0 => o.backups(i),
                        1 => o.max_bytes(u64::from(i)),
                        _ => o.mode(if i % 2 == 0 { 0o600 } else { 0o640 }),
                    };
                    log.change(&o).unwrap();
                }
            });
        }
        for _ in 0..2000 {
            assert!(!log.settings().unwrap().is_empty());
        }
    });
    let got = ["backups", "max_bytes", "mode"].map(|name| setting(&log, name));
    assert_eq!(got, ["300", "300", "0600"]);
}

#[test]
fn a_process_that_is_killed_while_it_changes_something_leaves_a_sound_configuration() {
    let place = Place::new();
    let log = place.options().open().unwrap();
    let mut w = log.writer().unwrap();
    for round in 0..20u64 {
        let mut child = place.child("change until killed", "");
        until(LONG, "it changes", || setting(&log, "backups") == "1000");
        std::thread::sleep(Duration::from_micros(700 * round));
        child.kill();
        let max: u64 = setting(&log, "max_bytes").parse().unwrap();
        assert!((10_000..11_000).contains(&max));
        log.change(&place.options().backups(0)).unwrap();
        assert_eq!(setting(&log, "backups"), "0", "the lock of the killed one is free");
        log.change(&place.options().backups(7)).unwrap();
        w.append(format!("p {round}").as_bytes()).unwrap();
    }
    log.flush(LONG).unwrap();
    assert_complete(&by_name(&place.lines()));
}

#[test]
fn a_reserve_is_judged_by_the_ring_that_runs_and_not_by_the_default_one() {
    let place = Place::new();
    let log = place.options().ring_bytes(32 * MIB).open().unwrap();
    assert_eq!(log.change(&Options::new(place.log()).reserve_bytes(10 * MIB)).unwrap(), []);
    assert_eq!(log.stats().unwrap().live.reserve_bytes, 10 * MIB);
    let refused = log.change(&Options::new(place.log()).reserve_bytes(17 * MIB).max_bytes(5));
    assert!(refused.is_err_and(|e| e.to_string().contains("half of the ring, which is 16777216")));
    assert_eq!((log.stats().unwrap().live.reserve_bytes, log.stats().unwrap().max_bytes), (10 * MIB, 0));
}
