//! Rotation at times, with the real clock: what the schedule's own tests cannot see.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{LOG, Place, ROLE, assert_complete, by_name, until};
use crlog::{Names, OnStart, Options};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

const LONG: Duration = Duration::from_secs(20);

/// Not a test: what the other processes do.
#[test]
fn child_role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let options = Options::new(std::env::var(LOG).unwrap());
    common::write_until_killed(match role.as_str() {
        "write until killed" => options.rotate_at("S").max_bytes(20_000),
        "write until killed, emptied" => options.on_start(OnStart::Truncate),
        other => panic!("no such role: {other}"),
    });
}

/// The archives of a log with dated names and what is in them.
fn archives(log: &Path) -> BTreeMap<String, String> {
    let name = log.file_name().unwrap().to_str().unwrap().to_owned() + ".";
    let entries = std::fs::read_dir(log.parent().unwrap()).unwrap().map(|e| e.unwrap().path());
    entries
        .filter_map(|path| {
            let stamp = path.file_name()?.to_str()?.strip_prefix(&name)?.to_owned();
            Some((stamp, std::fs::read_to_string(path).ok()?))
        })
        .collect()
}

fn text(log: &Path) -> String {
    std::fs::read_to_string(log).unwrap()
}

fn days_ago(path: &Path, days: u64) {
    let then = SystemTime::now() - Duration::from_secs(days * 86_400);
    std::fs::File::options().write(true).open(path).unwrap().set_modified(then).unwrap();
}

#[test]
fn a_file_for_each_second_in_which_something_was_logged() {
    let place = Place::new();
    let log = place.options().rotate_at("* * * * * UTC").open();
    assert!(log.is_ok(), "{log:?}");
    drop(log);
    let log = place.options().rotate_at("S").open().unwrap();
    let mut w = log.writer().unwrap();
    let mut written = String::new();
    let begun = Instant::now();
    let mut i = 0;
    while begun.elapsed() < Duration::from_millis(3200) {
        w.append(format!("{i}").as_bytes()).unwrap();
        written += &format!("{i}\n");
        i += 1;
        std::thread::sleep(Duration::from_millis(20));
    }
    log.flush(LONG).unwrap();
    let found = archives(&place.log());
    assert!((2..=4).contains(&found.len()), "{:?}", found.keys());
    assert!(found.keys().all(|stamp| stamp.len() == "2026-05-01_03-04-05".len()), "{:?}", found.keys());
    assert!(found.values().all(|text| !text.is_empty()), "{found:?}");
    let all: String = found.into_values().chain([text(&place.log())]).collect();
    assert_eq!(all, written);
}

#[test]
fn a_boundary_is_kept_while_nobody_logs_and_costs_no_empty_files() {
    let place = Place::new();
    let log = place.options().rotate_at("S 1").open().unwrap();
    log.writer().unwrap().append(b"once").unwrap();
    log.flush(LONG).unwrap();
    until(LONG, "the sleeping flusher rotates", || archives(&place.log()).len() == 1);
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(archives(&place.log()).into_values().collect::<Vec<_>>(), ["once\n"]);
    assert_eq!(text(&place.log()), "");
    assert_eq!(log.stats().unwrap().counters.rotations, 1);
}

#[test]
fn empty_files_are_made_if_they_are_asked_for() {
    let place = Place::new();
    let log = place.options().rotate_at("S 1").empty_files(true).open().unwrap();
    let _writer = log.writer().unwrap(); // a process that only reads starts no flusher
    until(LONG, "three empty files", || archives(&place.log()).len() >= 3);
    assert!(archives(&place.log()).into_values().all(|text| text.is_empty()));
    drop(log);
}

#[test]
fn a_boundary_that_was_missed_while_nobody_ran_is_made_up_for_at_the_start() {
    let place = Place::new();
    std::fs::write(place.log(), "old\n").unwrap();
    days_ago(&place.log(), 3);
    let log = place.options().rotate_at("daily 00:00 UTC").open().unwrap();
    log.writer().unwrap().append(b"new").unwrap();
    log.flush(LONG).unwrap();
    assert_eq!(text(&place.log()), "new\n");
    let found = archives(&place.log());
    assert_eq!(found.values().collect::<Vec<_>>(), ["old\n"]);
    let then = SystemTime::now() - Duration::from_secs(3 * 86_400);
    let days = then.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() / 86_400;
    let day = jiff_free_date(days);
    assert_eq!(found.keys().collect::<Vec<_>>(), [&day]);
}

/// Days since 1970 as a date: Howard Hinnant, "chrono-compatible low-level date algorithms", `civil_from_days`.
fn jiff_free_date(days: u64) -> String {
    let z = days + 719_468;
    let (era, doe) = (z / 146_097, z % 146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{:02}", doy - (153 * mp + 2) / 5 + 1)
}

#[test]
fn the_period_goes_on_in_the_next_process() {
    let place = Place::new();
    let options = || place.options().rotate_at("daily");
    for i in 0..3 {
        let log = options().open().unwrap();
        log.writer().unwrap().append(format!("{i}").as_bytes()).unwrap();
    }
    assert_eq!(text(&place.log()), "0\n1\n2\n");
    assert!(archives(&place.log()).is_empty());
}

#[test]
fn a_log_that_rotates_at_the_start_does_so_for_its_first_process_only() {
    for names in [Names::Numbered, Names::Dated] {
        let place = Place::new();
        std::fs::write(place.log(), "before\n").unwrap();
        let options = || place.options().on_start(OnStart::Rotate).names(names.clone()).backups(3);
        let first = options().open().unwrap();
        first.writer().unwrap().append(b"first").unwrap();
        let second = options().open().unwrap();
        second.writer().unwrap().append(b"second").unwrap();
        second.flush(LONG).unwrap();
        assert_eq!(archives(&place.log()).into_values().collect::<Vec<_>>(), ["before\n"]);
        assert_eq!(text(&place.log()), "first\nsecond\n");
        drop((first, second));
        drop(options().open().unwrap());
        assert_eq!(archives(&place.log()).len(), 2, "{names:?}: the next start rotates again");
    }
}

#[test]
fn a_log_that_is_emptied_at_the_start_is_so_for_its_first_process_only() {
    let place = Place::new();
    std::fs::write(place.log(), "before\n").unwrap();
    let options = || place.options().on_start(OnStart::Truncate);
    let first = options().open().unwrap();
    first.writer().unwrap().append(b"first").unwrap();
    let second = options().open().unwrap();
    second.writer().unwrap().append(b"second").unwrap();
    second.flush(LONG).unwrap();
    assert_eq!(text(&place.log()), "first\nsecond\n");
    drop((first, second));
    drop(place.options().open().unwrap());
    assert_eq!(text(&place.log()), "first\nsecond\n");
    let mut killed = place.child("write until killed, emptied", "p");
    until(LONG, "it writes", || text(&place.log()).starts_with("p 0 "));
    killed.kill();
    let acknowledged: u64 = text(&place.path().join("app.log-p")).parse().unwrap_or(0);
    let next = options().open().unwrap();
    next.writer().unwrap().append(b"next").unwrap();
    next.flush(LONG).unwrap();
    let all = text(&place.log());
    assert!(all.starts_with("p 0 ") && all.ends_with("\nnext\n"), "nothing of the killed one's is gone");
    assert!(all.lines().count() as u64 > acknowledged, "{acknowledged}");
    drop(next);
    drop(options().open().unwrap());
    assert_eq!(text(&place.log()), "");
    assert!(archives(&place.log()).is_empty());
    let refused = place.options().on_start(OnStart::Truncate).direct(true).check().unwrap_err().to_string();
    assert!(refused.contains("are not emptied at the start"), "{refused}");
}

#[test]
fn size_within_a_period_numbers_the_files_of_its_day() {
    let place = Place::new();
    let log = place.options().rotate_at("daily 00:00 UTC").max_bytes(10).open().unwrap();
    let mut w = log.writer().unwrap();
    for i in 10..25 {
        w.append(format!("line {i}").as_bytes()).unwrap();
    }
    log.flush(LONG).unwrap();
    let found = archives(&place.log());
    assert_eq!(found.len(), 14);
    let day = found.keys().next().unwrap().clone();
    for copy in 0..14 {
        let name = if copy == 0 { day.clone() } else { format!("{day}.{copy}") };
        assert_eq!(found[&name], format!("line {}\n", copy + 10));
    }
    let files: Vec<String> = log.stats().unwrap().files.into_iter().map(|(name, _)| name).collect();
    assert_eq!(files.len(), 15);
    assert_eq!(files[1], format!("app.log.{day}.13"), "the newest first: {files:?}");
}

#[test]
fn a_strangers_file_of_that_name_is_not_touched() {
    let place = Place::new();
    let log = place.options().names(Names::Dated).max_bytes(10).rotate_at("daily 00:00 UTC").open().unwrap();
    let mut w = log.writer().unwrap();
    let rotations = |n| until(LONG, "a rotation", || log.stats().unwrap().counters.rotations == n);
    w.append(b"first").unwrap();
    log.flush(LONG).unwrap();
    log.request_rotation().unwrap();
    rotations(1);
    let day = archives(&place.log()).into_keys().next().unwrap();
    std::fs::create_dir(place.path().join(format!("app.log.{day}.1"))).unwrap();
    std::os::unix::fs::symlink("/nowhere", place.path().join(format!("app.log.{day}.2"))).unwrap();
    w.append(b"second").unwrap();
    log.flush(LONG).unwrap();
    log.request_rotation().unwrap();
    rotations(2);
    assert_eq!(text(&place.path().join(format!("app.log.{day}.3"))), "second\n");
}

#[test]
fn writers_and_flushers_that_are_killed_while_it_rotates_by_time_and_size_lose_nothing() {
    let place = Place::new();
    let mut acknowledged = BTreeMap::new();
    for round in 0..5u64 {
        let names: Vec<String> = (0..3).map(|i| format!("r{round}p{i}")).collect();
        let mut roles: Vec<_> = names.iter().map(|name| place.child("write until killed", name)).collect();
        let note = |name: &String| {
            let text = std::fs::read_to_string(place.path().join(format!("app.log-{name}")));
            text.ok().and_then(|text| text.parse::<u64>().ok())
        };
        until(LONG, "all write", || names.iter().all(|name| note(name).is_some_and(|i| i > 50)));
        std::thread::sleep(Duration::from_millis(100 + 131 * round));
        for role in &mut roles {
            role.kill();
        }
        acknowledged.extend(names.into_iter().map(|name| (name.clone(), note(&name).unwrap_or(0))));
    }
    drop(place.options().open().unwrap());
    let files: Vec<String> = crlog::names::files(&place.log()).into_iter().map(|f| text(&f)).collect();
    assert!(files.len() > 10, "{} files", files.len());
    assert!(files.iter().all(|text| text.ends_with('\n') || text.is_empty()), "torn");
    let lines: Vec<String> = files
        .iter()
        .flat_map(|f| f.lines())
        .map(|l| l.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
        .collect();
    let got = by_name(&lines);
    assert_complete(&got);
    for (name, last) in acknowledged {
        assert!(got[&name].len() as u64 > last, "{name}: {} of {last}", got[&name].len());
    }
}

/// A process that writes one line and ends, for each of these pauses before the next one.
fn short_processes(place: &Place, times: &str, pauses_ms: &[u64]) {
    for (i, pause) in pauses_ms.iter().enumerate() {
        let log = place.options().rotate_at(times).backups(20).open().unwrap();
        log.writer().unwrap().append(format!("line {i}").as_bytes()).unwrap();
        drop(log);
        std::thread::sleep(Duration::from_millis(*pause));
    }
}

fn all_lines(log: &Path) -> usize {
    archives(log).values().map(String::as_str).chain([text(log).as_str()]).map(|t| t.lines().count()).sum()
}

#[test]
fn short_processes_rotate_at_the_boundaries_of_the_log() {
    let place = Place::new();
    short_processes(&place, "S 2", &[700; 10]);
    let found = archives(&place.log()).len();
    assert!((2..=4).contains(&found), "{found} archives after 7 s");
    assert_eq!(all_lines(&place.log()), 10);
}

#[test]
fn other_times_count_from_the_beginning_of_the_period() {
    let place = Place::new();
    short_processes(&place, "H", &[1200]);
    assert_eq!(archives(&place.log()).len(), 0);
    short_processes(&place, "S 1", &[0]);
    assert_eq!(archives(&place.log()).into_values().collect::<Vec<_>>(), ["line 0\n"]);
    short_processes(&place, "D", &[0]);
    assert_eq!((archives(&place.log()).len(), all_lines(&place.log())), (1, 3));
}

#[test]
fn period_without_a_manifest_begins_with_the_file() {
    let place = Place::new();
    short_processes(&place, "H", &[1200, 0]);
    std::fs::remove_dir_all(place.path().join(".app.log.crlog")).unwrap();
    // Its last write is younger than a second, its birth is not.
    short_processes(&place, "S 1", &[0]);
    assert_eq!(archives(&place.log()).into_values().collect::<Vec<_>>(), ["line 0\nline 1\n"]);
}

#[test]
fn period_in_a_damaged_manifest_counts_for_nothing() {
    let place = Place::new();
    short_processes(&place, "S 1", &[1200]);
    let manifest = place.path().join(".app.log.crlog/manifest");
    let known = std::fs::read_to_string(&manifest).unwrap();
    let period = known.lines().find(|line| line.contains(" period ")).unwrap();
    std::fs::write(&manifest, known.replace(period, "00000000 period 0 1")).unwrap();
    short_processes(&place, "S 1", &[0]);
    assert_eq!(archives(&place.log()).into_values().collect::<Vec<_>>(), ["line 0\n"], "since its birth");
}

#[test]
fn file_older_than_the_period_is_rotated_by_its_own_age() {
    let place = Place::new();
    short_processes(&place, "daily 00:00 UTC", &[0]);
    days_ago(&place.log(), 2);
    short_processes(&place, "daily 00:00 UTC", &[0]);
    assert_eq!(archives(&place.log()).into_values().collect::<Vec<_>>(), ["line 0\n"]);
    assert_eq!(text(&place.log()), "line 0\n");
}
