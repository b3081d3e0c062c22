//! Archives with names from a template, by real flushers on real files.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod common;

use common::{LOG, Place, ROLE, assert_complete, by_name, names, until};
use crlog::{Compression, Log, Names, OnStart, Options};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(20);
const DATED: &str = "{stem}.{date:%d.%m.%Y}-{seq}{ext}";
const NUMBERED: &str = "{stem}.{n}{ext}";

fn template(text: &str) -> Names {
    Names::Template(text.to_owned())
}

/// Not a test: what the other processes do.
#[test]
fn child_role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let names = if role == "write dated until killed" { DATED } else { NUMBERED };
    let log = Options::new(std::env::var(LOG).unwrap());
    common::write_until_killed(log.names(template(names)).max_bytes(20_000).backups(1_000));
}

/// What is in all files of the log, the oldest first.
fn lines(log: &Path) -> Vec<String> {
    let files: Vec<PathBuf> = crlog::names::files(log);
    files
        .iter()
        .flat_map(|file| {
            std::fs::read_to_string(file).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()
        })
        .collect()
}

/// Writes a line and rotates, so often.
fn rotate(log: &Log, from: u32, times: u32) {
    let mut w = log.writer().unwrap();
    for n in from..from + times {
        w.append(format!("line {n}").as_bytes()).unwrap();
        log.rotate(LONG).unwrap();
    }
}

fn numbered_lines(log: &Path) -> Vec<u32> {
    lines(log).iter().map(|line| line.strip_prefix("line ").unwrap().parse().unwrap()).collect()
}

#[test]
fn a_chain_has_its_numbers_where_the_template_says() {
    let place = Place::new();
    std::fs::write(place.path().join("app.log.1"), "somebody's\n").unwrap();
    let log = place.options().names(template(NUMBERED)).backups(3).open().unwrap();
    rotate(&log, 0, 5);
    assert_eq!(names(place.path()), ["app.1.log", "app.2.log", "app.3.log", "app.log", "app.log.1"]);
    assert_eq!(std::fs::read_to_string(place.path().join("app.1.log")).unwrap(), "line 4\n");
    assert_eq!(std::fs::read_to_string(place.path().join("app.3.log")).unwrap(), "line 2\n");
    log.change(&place.options().backups(1)).unwrap();
    until(LONG, "one is left", || names(place.path()) == ["app.1.log", "app.log", "app.log.1"]);
}

#[test]
fn a_number_is_never_given_again() {
    let place = Place::new();
    let options = || place.options().names(template("{stem}-{seq}{ext}")).backups(2);
    let log = options().open().unwrap();
    rotate(&log, 0, 5);
    until(LONG, "two are left", || names(place.path()) == ["app-4.log", "app-5.log", "app.log"]);
    drop(log);
    for name in ["app-4.log", "app-5.log"] {
        std::fs::remove_file(place.path().join(name)).unwrap();
    }
    let log = options().open().unwrap();
    rotate(&log, 5, 1);
    assert_eq!(names(place.path()), ["app-6.log", "app.log"]);
}

#[test]
fn seconds_in_a_suffix_of_ones_own_and_a_count_of_two_keep_exactly_two() {
    let place = Place::new();
    let names_ = template("{name}.{date:%Y-%m-%d_%H-%M-%S.log}");
    let log = place.options().names(names_).rotate_at("* * * * * UTC").backups(2).open().unwrap();
    // Many of one second, some of others.
    rotate(&log, 0, 7);
    for n in 0..3 {
        std::thread::sleep(Duration::from_millis(400));
        rotate(&log, 7 + 2 * n, 2);
    }
    until(LONG, "two are left", || names(place.path()).len() == 3);
    assert_eq!(numbered_lines(&place.log()), [11, 12]);
    assert_eq!(log.stats().unwrap().counters.removed, 11);
}

#[test]
fn names_that_do_not_sort_by_time_are_removed_in_the_order_in_which_they_were_begun() {
    let place = Place::new();
    let log = place.options().names(template("{date:%S}-{seq} {name}")).backups(3).open().unwrap();
    for n in 0..4 {
        rotate(&log, 2 * n, 2);
        std::thread::sleep(Duration::from_millis(350));
    }
    until(LONG, "three are left", || names(place.path()).len() == 4);
    let mut left = numbered_lines(&place.log());
    left.sort_unstable();
    assert_eq!(left, [5, 6, 7]);
}

#[test]
fn a_name_that_somebody_has_taken_is_passed_over() {
    let place = Place::new();
    let log = place.options().names(template("{stem}.{date:%Y}{ext}")).rotate_at("daily UTC").open().unwrap();
    rotate(&log, 0, 1);
    let first = names(place.path()).remove(0);
    std::fs::write(place.path().join(format!("{first}.1")), "a stranger's\n").unwrap();
    rotate(&log, 1, 2);
    let [second, third] = [2, 3].map(|n| format!("{first}.{n}"));
    assert_eq!(std::fs::read_to_string(place.path().join(second)).unwrap(), "line 1\n");
    assert_eq!(std::fs::read_to_string(place.path().join(third)).unwrap(), "line 2\n");
}

#[test]
fn archives_of_a_template_are_packed_behind_everything_and_removed() {
    for names_ in ["{stem}.{n}{ext}", "{stem}.{seq}{ext}"] {
        let place = Place::new();
        let options = place.options().names(template(names_)).backups(2).compress(Compression::GZIP);
        let log = options.open().unwrap();
        rotate(&log, 0, 4);
        let expected = if names_.contains("{n}") {
            ["app.1.log.gz", "app.2.log.gz"]
        } else {
            ["app.3.log.gz", "app.4.log.gz"]
        };
        until(LONG, "two packed ones are left", || {
            let found = names(place.path());
            found.len() == 3 && expected.iter().all(|name| found.contains(&(*name).to_owned()))
        });
    }
}

#[test]
fn what_a_log_is_called_changes_while_it_is_open_and_all_that_it_was_called_is_its_own() {
    let place = Place::new();
    let log = place.options().names(template(DATED)).backups(100).index(true).open().unwrap();
    rotate(&log, 0, 3);
    for (n, names_) in [(3, template("{stem} {seq}")), (6, Names::Dated), (9, template("{date:%Y}_{name}"))] {
        log.change(&place.options().names(names_)).unwrap();
        rotate(&log, n, 3);
    }
    let mut all = numbered_lines(&place.log());
    all.sort_unstable();
    assert_eq!(all, (0..12).collect::<Vec<_>>(), "{:?}", names(place.path()));
    assert!(place.options().verify().unwrap().is_complete(), "while it is open");
    drop(log);
    let verdict = place.options().verify().unwrap();
    assert!(verdict.is_complete(), "{verdict:?}");
    let log = place.options().names(template("{date:%Y}_{name}")).backups(2).open().unwrap();
    log.writer().unwrap().append(b"line 12").unwrap();
    log.flush(LONG).unwrap();
    until(LONG, "two archives are left", || names(place.path()).len() == 3);
    let mut left = numbered_lines(&place.log());
    left.sort_unstable();
    assert_eq!(left, [10, 11, 12]);
}

#[test]
fn a_template_that_is_not_possible_is_refused_when_the_log_is_opened_and_when_it_is_changed() {
    let place = Place::new();
    let open = |text: &str| place.options().names(template(text)).open().map(drop).unwrap_err().to_string();
    assert!(open("{name}").contains("all archives would have one name"));
    assert!(open("{stem}/{n}").contains("leave out slashes"));
    assert!(names(place.path()).is_empty(), "nothing was made");
    let log = place.options().open().unwrap();
    let e = log.change(&place.options().names(template("{n}{date:%Y}"))).unwrap_err().to_string();
    assert!(e.contains("take {n} alone"), "{e}");
    drop(log);
    std::fs::remove_file(place.log()).unwrap();
    // By a link: what counts is what the log is really called.
    std::os::unix::fs::symlink(place.path().join("app.7.log"), place.path().join("app.log")).unwrap();
    assert!(open("app.{n}.log").contains("the log itself is called so"));
}

#[test]
fn a_log_that_is_rotated_at_the_start_has_a_name_from_the_template() {
    let place = Place::new();
    std::fs::write(place.log(), "before\n").unwrap();
    let log = place.options().on_start(OnStart::Rotate).names(template("{stem}.{seq}{ext}")).open().unwrap();
    log.writer().unwrap().append(b"after").unwrap();
    log.flush(LONG).unwrap();
    assert_eq!(names(place.path()), ["app.1.log", "app.log"]);
    assert_eq!(lines(&place.log()), ["before", "after"]);
}

fn killed_at_any_time(role: &str, rounds: u64) {
    let place = Place::new();
    let mut given = BTreeSet::new();
    for round in 0..rounds {
        let mut children: Vec<_> =
            ["a", "b"].map(|name| (name, place.child(role, &format!("{name}{round}")))).into();
        let acknowledged = |name: &str| {
            std::fs::read_to_string(format!("{}-{name}{round}", place.log().display()))
                .ok()
                .and_then(|n| n.parse::<u64>().ok())
        };
        until(LONG, "both write", || {
            ["a", "b"].iter().all(|name| acknowledged(name).is_some_and(|n| n > 300))
        });
        std::thread::sleep(Duration::from_micros(round * 7919 % 30_000));
        children.iter_mut().for_each(|(_, child)| child.kill());
        let log = place.options().open().unwrap();
        log.flush(LONG).unwrap();
        drop(log);
        let written = by_name(&lines(&place.log()));
        for name in ["a", "b"] {
            let last = written.get(&format!("{name}{round}")).and_then(|all| all.last()).copied();
            assert!(last >= acknowledged(name), "{name}{round}: {last:?} of {:?}", acknowledged(name));
        }
        given.extend(names(place.path()));
    }
    assert_complete(&by_name(&lines(&place.log())));
    let files = crlog::names::files(&place.log()).len();
    assert_eq!(files, names(place.path()).len(), "all that is there is ours");
    assert!(files as u64 > rounds, "{files} files");
    println!("{rounds} rounds, {files} files, {} names", given.len());
}

#[test]
fn whoever_rotates_may_be_killed_at_any_time_with_numbers_from_a_template() {
    killed_at_any_time("write numbered until killed", 6);
}

#[test]
fn whoever_rotates_may_be_killed_at_any_time_with_dates_from_a_template() {
    killed_at_any_time("write dated until killed", 6);
}

/// A matter of time: hence the generous limit. (The figures are those of `--release`.)
#[test]
fn a_rotation_beside_a_thousand_archives_looks_at_none_of_them() {
    let took = |names_: &Names, archives: u32| {
        let place = Place::new();
        let log = place.options().names(names_.clone()).open().unwrap();
        rotate(&log, 0, archives);
        let begun = Instant::now();
        rotate(&log, archives, 100);
        let took = begun.elapsed() / 100;
        assert_eq!(names(place.path()).len() as u32, archives + 101);
        took
    };
    for names_ in [Names::Dated, template(DATED), template("{stem}.{date:%Y}{ext}")] {
        let (few, many) = (took(&names_, 5), took(&names_, 1000));
        println!("{names_:?}: a rotation beside 5 archives takes {few:?}, beside 1000 {many:?}");
        assert!(many < 10 * few + Duration::from_millis(50), "{few:?}, {many:?}");
    }
}
