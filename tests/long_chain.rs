//! Long chains: what a rotation puts off is done while logging goes on, whoever is killed when.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{LOG, NAME, Place, ROLE, assert_complete, by_name, until};
use crlog::retention::{Limits, Verdict};
use crlog::{Log, Options};
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(20);
/// More than are moved at once.
const BACKUPS: u32 = 150;

/// Not a test: what the other processes do.
#[test]
fn child_role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let (path, name) = (std::env::var(LOG).unwrap(), std::env::var(NAME).unwrap());
    assert_eq!(role, "write until killed");
    let log = Options::new(&path).backups(BACKUPS).max_bytes(3000).open().unwrap();
    let mut w = log.writer().unwrap();
    for i in 0u64.. {
        w.append(format!("{name} {i}").as_bytes()).unwrap();
        if i % 50 == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Archives `.N` (the oldest) to `.1`, each with its age as a line.
fn archives(place: &Place, count: u32) {
    for n in 1..=count {
        std::fs::write(place.path().join(format!("app.log.{n}")), format!("old {}\n", count - n)).unwrap();
    }
}

fn waits(place: &Place) -> bool {
    place.path().join("app.log.newest").exists()
}

fn write(log: &Log, line: &str) {
    log.writer().unwrap().append(line.as_bytes()).unwrap();
    log.flush(LONG).unwrap();
}

/// All numbers up to `last` are taken, and nothing waits or falls.
fn is_in_order(place: &Place, last: u32) -> bool {
    let exists = |name: &str| place.path().join(format!("app.log.{name}")).exists();
    (1..=last).all(|n| exists(&n.to_string())) && !exists("newest") && !exists("oldest")
}

/// What the archives hold, in the order in which they are listed.
fn listed(place: &Place) -> Vec<String> {
    let files = crlog::names::files(&place.log());
    files.iter().flat_map(|f| std::fs::read_to_string(f).into_iter().collect::<Vec<_>>()).collect()
}

#[test]
fn logging_goes_on_while_a_long_chain_is_moved() {
    let place = Place::new();
    archives(&place, 1000);
    let log = place.options().backups(1000).open().unwrap();
    let mut seen = 0;
    for i in 0..5 {
        write(&log, &format!("new {i}"));
        log.rotate(LONG).unwrap();
        // Before all have moved, a record is in the new file.
        write(&log, &format!("and {i}"));
        seen += u32::from(waits(&place));
        assert_eq!(listed(&place).last().unwrap(), &format!("and {i}\n"));
        until(LONG, "all have moved", || is_in_order(&place, 1000));
        assert_eq!(
            std::fs::read_to_string(place.path().join("app.log.1")).unwrap().lines().last().unwrap(),
            format!("new {i}")
        );
    }
    assert!(seen > 0, "none was ever seen to wait");
    let lines = listed(&place).concat();
    let old: Vec<String> = (5..1000).map(|n| format!("old {n}")).collect();
    assert_eq!(
        lines.lines().take(995).collect::<Vec<_>>(),
        old,
        "the five oldest have gone, and the order is as it was"
    );
}

#[test]
fn short_chains_are_moved_at_once_and_so_are_those_of_helpers() {
    for (count, thread) in [(60, true), (BACKUPS, false)] {
        let place = Place::new();
        archives(&place, count);
        let log = place.options().backups(count).flusher_thread(thread).open().unwrap();
        for i in 0..20 {
            write(&log, &format!("new {i}"));
            log.rotate(LONG).unwrap();
            assert!(!waits(&place));
            assert_eq!(
                std::fs::read_to_string(place.path().join("app.log.1")).unwrap(),
                format!("new {i}\n")
            );
        }
    }
}

#[test]
fn rotations_one_right_after_the_other_keep_all_in_order() {
    let place = Place::new();
    archives(&place, BACKUPS);
    let log = place.options().backups(2 * BACKUPS).open().unwrap();
    for i in 0..100 {
        write(&log, &format!("new {i}"));
        log.rotate(LONG).unwrap();
    }
    until(LONG, "all have moved", || is_in_order(&place, BACKUPS + 100));
    let want: String = (0..BACKUPS).map(|n| format!("old {n}\n")).collect();
    let want: String = want + &(0..100).map(|n| format!("new {n}\n")).collect::<String>();
    assert_eq!(listed(&place).concat(), want);
    until(LONG, "the manifest knows the new ones", || {
        let rows = place.options().retention(Limits::default(), false).unwrap().rows;
        rows.iter().filter(|row| row.verdict == Verdict::Kept).count() == 100
    });
}

#[test]
fn a_long_chain_may_be_called_by_a_template() {
    let place = Place::new();
    let name = |number: &str| place.path().join(format!("app.{number}.log"));
    for n in 1..=BACKUPS {
        std::fs::write(name(&n.to_string()), format!("old {}\n", BACKUPS - n)).unwrap();
    }
    let names = crlog::Names::Template("{stem}.{n}{ext}".into());
    let log = place.options().names(names).backups(BACKUPS).open().unwrap();
    for i in 0..20 {
        write(&log, &format!("new {i}"));
        log.rotate(LONG).unwrap();
    }
    until(LONG, "nothing waits or falls", || !name("newest").exists() && !name("oldest").exists());
    for n in 1..=BACKUPS {
        let want = if n <= 20 { format!("new {}\n", 20 - n) } else { format!("old {}\n", BACKUPS + 20 - n) };
        assert_eq!(std::fs::read_to_string(name(&n.to_string())).unwrap(), want);
    }
    assert!(!name(&(BACKUPS + 1).to_string()).exists());
}

#[test]
fn a_program_that_ends_leaves_nothing_that_waits() {
    let place = Place::new();
    archives(&place, 500);
    for i in 0..5 {
        let log = place.options().backups(1000).open().unwrap();
        write(&log, &format!("new {i}"));
        log.rotate(LONG).unwrap();
        drop(log);
        assert!(is_in_order(&place, 501 + i), "rotation {i}");
    }
}

#[test]
fn what_a_killed_flusher_left_waiting_is_moved_by_the_next_one() {
    for left in
        [&["newest", "1", "2", "3"][..], &["newest", "1", "3", "4", "oldest"], &["newest", "2"], &["newest"]]
    {
        let place = Place::new();
        for name in left {
            std::fs::write(place.path().join(format!("app.log.{name}")), format!("{name}\n")).unwrap();
        }
        let log = place.options().backups(4).open().unwrap();
        write(&log, "x");
        let last = left.len() as u32 - u32::from(left.contains(&"oldest"));
        let last = if left.contains(&"2") && left.len() == 2 { 2 } else { last };
        until(LONG, "all have moved", || is_in_order(&place, last));
        let kept = left.iter().rev().filter(|name| **name != "oldest").map(|name| format!("{name}\n"));
        assert_eq!(listed(&place).concat(), kept.collect::<String>() + "x\n");
    }
}

#[test]
fn flushers_that_are_killed_in_a_long_chain_lose_and_disorder_nothing() {
    let place = Place::new();
    let (start, mut waited) = (Instant::now(), 0);
    for round in 0..12u64 {
        let mut child = place.child("write until killed", &format!("p{round}"));
        until(LONG, "it writes", || std::fs::metadata(place.log()).is_ok_and(|m| m.len() > 0));
        if round > 3 {
            // In the midst of it, if it can be met.
            let begun = Instant::now();
            while !waits(&place) && begun.elapsed() < Duration::from_millis(300) {
                std::thread::yield_now();
            }
            std::thread::sleep(Duration::from_micros(37 * round));
        } else {
            std::thread::sleep(Duration::from_millis(150));
        }
        child.kill();
        waited += u32::from(waits(&place));
    }
    let log = place.options().open().unwrap();
    let _w = log.writer().unwrap();
    log.flush(LONG).unwrap();
    until(LONG, "nothing waits", || !waits(&place));
    let text = listed(&place).concat();
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let mut of = by_name(&lines);
    // The oldest have fallen off: the first name that is left may begin anywhere, without a hole behind it.
    let first = lines[0].split(' ').next().unwrap().to_owned();
    let numbers = of.remove(&first).unwrap();
    assert!(numbers.windows(2).all(|w| w[1] == w[0] + 1), "{first}: {numbers:?}");
    assert_complete(&of);
    assert!(
        waited > 0 && of.len() >= 2,
        "{waited} kills while one waited, {} names, {:?}",
        of.len(),
        start.elapsed()
    );
}
