//! Files that have their own names from the beginning, by real flushers on real files.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod common;

use common::{LOG, Place, ROLE, assert_complete, by_name, names, until};
use crlog::{Compression, Log, Names, OnStart, Options};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

const LONG: Duration = Duration::from_secs(20);

fn seq() -> Names {
    Names::Template("{stem}.{seq}{ext}".to_owned())
}

fn options(path: &Path) -> Options {
    Options::new(path).direct(true).names(seq())
}

/// Not a test: what the other processes do.
#[test]
fn child_role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let path = std::env::var(LOG).unwrap();
    let log = match role.as_str() {
        "write until killed" => options(path.as_ref()).max_bytes(20_000).link(&path).index(true),
        "write by seconds until killed" => {
            Options::new(&path).direct(true).rotate_at("* * * * * UTC").max_bytes(20_000)
        }
        other => panic!("no such role: {other}"),
    };
    common::write_until_killed(log);
}

fn put(log: &Log, text: &str) {
    log.writer().unwrap().append(text.as_bytes()).unwrap();
    log.flush(LONG).unwrap();
}

fn rotate(log: &Log, from: u32, times: u32) {
    for n in from..from + times {
        put(log, &format!("line {n}"));
        log.rotate(LONG).unwrap();
    }
}

fn text(place: &Place, name: &str) -> String {
    std::fs::read_to_string(place.path().join(name)).unwrap()
}

fn lines(log: &Path) -> Vec<String> {
    let files: Vec<PathBuf> = crlog::names::files(log);
    let text: String = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    text.lines().map(str::to_owned).collect()
}

fn current(log: &Log) -> String {
    log.current().unwrap().file_name().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn a_file_has_its_name_from_the_beginning_and_nothing_is_renamed() {
    let place = Place::new();
    let log = options(&place.log()).open().unwrap();
    put(&log, "one");
    assert_eq!((names(place.path()), current(&log)), (vec!["app.1.log".to_owned()], "app.1.log".to_owned()));
    let before = std::fs::File::open(place.path().join("app.1.log")).unwrap();
    log.rotate(LONG).unwrap();
    put(&log, "two");
    assert_eq!(names(place.path()), ["app.1.log", "app.2.log"]);
    assert_eq!(current(&log), "app.2.log");
    assert_eq!([text(&place, "app.1.log"), text(&place, "app.2.log")], ["one\n", "two\n"]);
    use std::os::unix::fs::MetadataExt;
    assert_eq!(before.metadata().unwrap().ino(), place.path().join("app.1.log").metadata().unwrap().ino());
    assert_eq!(
        log.stats().unwrap().files.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        ["app.2.log", "app.1.log"]
    );
    let other = place.options().attach().unwrap();
    assert_eq!(current(&other), "app.2.log");
}

/// Killed behind the commit of a rotation, before the manifest was told of the new file: all that it knows is that the name was given.
#[test]
fn the_first_process_goes_on_in_the_youngest_file_though_the_manifest_does_not_know_it() {
    let place = Place::new();
    let log = options(&place.log()).open().unwrap();
    put(&log, "one");
    let before = place.path().join(".app.log.crlog/manifest");
    let old = std::fs::read_to_string(&before).unwrap();
    log.rotate(LONG).unwrap();
    put(&log, "two");
    drop(log);
    let told = std::fs::read_to_string(&before).unwrap();
    let given = told.lines().skip(old.lines().count()).find(|line| line.contains(" stamp ")).unwrap();
    std::fs::write(&before, format!("{old}{given}\n")).unwrap();
    std::fs::write(place.path().join("app.9.log"), "a stranger's, called after no number that was given\n")
        .unwrap();
    let log = options(&place.log()).open().unwrap();
    put(&log, "three");
    assert_eq!([text(&place, "app.1.log"), text(&place, "app.2.log")], ["one\n", "two\nthree\n"]);
    assert_eq!(names(place.path()), ["app.1.log", "app.2.log", "app.9.log"]);
}

#[test]
fn the_logs_own_path_may_be_a_link_to_the_current_file_and_is_the_log_for_all() {
    let place = Place::new();
    let log = options(&place.log()).link(place.log()).open().unwrap();
    let target = || std::fs::read_link(place.log()).ok().map(|to| to.to_str().unwrap().to_owned());
    for n in 1..4 {
        put(&log, &format!("line {n}"));
        until(LONG, "it points to the current file", || target() == Some(format!("app.{n}.log")));
        // By the link, and without a word about how it is written.
        let other = place.options().open().unwrap();
        put(&other, "other");
        assert_eq!(other.path(), log.path());
        drop(other);
        log.rotate(LONG).unwrap();
    }
    drop(log);
    assert_eq!(lines(&place.log()).len(), 6);
    let log = options(&place.log()).link(place.log()).open().unwrap();
    assert_eq!(log.path(), place.path().canonicalize().unwrap().join("app.log"));
    put(&log, "again");
    assert_eq!(current(&log), "app.4.log");
    // Another name for it is another link.
    let alias = place.path().join("alias");
    std::os::unix::fs::symlink("app.log", &alias).unwrap();
    assert_eq!(Options::new(&alias).attach().unwrap().path(), log.path());
}

#[test]
fn who_comes_later_goes_on_in_the_youngest_file_or_begins_a_new_one() {
    let place = Place::new();
    for n in 0..3 {
        put(&options(&place.log()).open().unwrap(), &format!("line {n}"));
    }
    assert_eq!(text(&place, "app.1.log"), "line 0\nline 1\nline 2\n");
    put(&options(&place.log()).on_start(OnStart::Rotate).open().unwrap(), "line 3");
    assert_eq!(names(place.path()), ["app.1.log", "app.2.log"]);
    // Without a manifest, by the names.
    std::fs::remove_file(place.path().join(".app.log.crlog/manifest")).unwrap();
    put(&options(&place.log()).open().unwrap(), "line 4");
    assert_eq!(text(&place, "app.2.log"), "line 3\nline 4\n");
    assert_eq!(lines(&place.log()).len(), 5);
}

#[test]
fn a_period_that_is_over_is_not_gone_on_with() {
    let place = Place::new();
    let options = || Options::new(place.log()).direct(true).rotate_at("daily UTC");
    put(&options().open().unwrap(), "yesterday");
    let first = names(place.path()).remove(0);
    assert!(first.starts_with("app.log.2"), "{first}");
    let file = std::fs::File::options().write(true).open(place.path().join(&first)).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(86_400)).unwrap();
    let log = options().open().unwrap();
    put(&log, "today");
    assert_eq!(current(&log), format!("{first}.1"), "a name of the same day, which has one already");
    assert_eq!(text(&place, &first), "yesterday\n");
}

#[test]
fn no_empty_files_are_left_behind_by_periods_without_a_record() {
    let place = Place::new();
    let template = Names::Template("{date:%H.%M.%S} {name}".to_owned());
    let log = Options::new(place.log()).direct(true).names(template).rotate_at("* * * * * UTC");
    drop(log.clone().open());
    let log = log.rotate_at("S").open().unwrap();
    put(&log, "first");
    let begun = Instant::now();
    until(LONG, "a new file is begun twice", || begun.elapsed() > Duration::from_millis(2_600));
    put(&log, "second");
    assert_eq!(lines(&place.log()), ["first", "second"]);
    until(LONG, "only two files are there, or a third one that is empty and current", || {
        let empty = |name: &&String| std::fs::metadata(place.path().join(name)).is_ok_and(|m| m.len() == 0);
        let all = names(place.path());
        let empty: Vec<&String> = all.iter().filter(empty).collect();
        all.len() - empty.len() == 2
            && empty.iter().all(|name| log.current().is_some_and(|current| current.ends_with(name)))
    });
}

#[test]
fn archives_are_kept_and_packed_and_the_current_file_never_is() {
    let place = Place::new();
    let log = options(&place.log()).backups(2).compress(Compression::GZIP).open().unwrap();
    rotate(&log, 0, 5);
    put(&log, "last");
    until(LONG, "two archives are left, packed", || {
        names(place.path()) == ["app.4.log.gz", "app.5.log.gz", "app.6.log"]
    });
    until(LONG, "the manifest was told", || {
        let said = place.options().retention(crlog::retention::Limits::default(), false).unwrap();
        let rows: Vec<String> =
            said.rows.iter().map(|row| format!("{} {:?}", row.name, row.verdict)).collect();
        rows == ["app.4.log.gz Kept", "app.5.log.gz Kept", "app.6.log Live"]
    });
    drop(log);
    let said = place
        .options()
        .retention(crlog::retention::Limits { archives: Some(0), ..Default::default() }, false)
        .unwrap();
    assert_eq!(said.rows.iter().map(|row| row.name.as_str()).collect::<Vec<_>>().last(), Some(&"app.6.log"));
    assert_eq!(format!("{:?}", said.rows.last().unwrap().verdict), "Live");
    let one = crlog::retention::Limits { archives: Some(1), ..Default::default() };
    let applied = place.options().apply_retention(one, false, LONG).unwrap();
    assert_eq!(applied.removed.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["app.4.log.gz"]);
    assert_eq!(names(place.path()), ["app.5.log.gz", "app.6.log"]);
    let log = options(&place.log()).keep_bytes(1).open().unwrap();
    put(&log, "and more");
    until(LONG, "all archives are removed", || names(place.path()) == ["app.6.log"]);
    assert_eq!(text(&place, "app.6.log"), "last\nand more\n");
}

#[test]
fn a_current_file_that_somebody_moves_or_removes_is_followed_by_one_with_a_new_name() {
    let place = Place::new();
    let log = options(&place.log()).open().unwrap();
    put(&log, "one");
    std::fs::rename(place.path().join("app.1.log"), place.path().join("elsewhere")).unwrap();
    std::fs::write(place.path().join("app.1.log"), "a stranger's\n").unwrap();
    let new_name = |name: &str| {
        until(LONG, "a new file", || {
            put(&log, "x");
            log.current().is_some_and(|current| current.ends_with(name))
        });
    };
    new_name("app.2.log");
    std::fs::remove_file(place.path().join("app.2.log")).unwrap();
    new_name("app.3.log");
    assert_eq!(text(&place, "app.1.log"), "a stranger's\n");
    // A name that is taken is passed over.
    std::fs::write(place.path().join("app.4.log"), "a stranger's\n").unwrap();
    log.rotate(LONG).unwrap();
    put(&log, "five");
    assert_eq!((current(&log), text(&place, "app.5.log")), ("app.5.log".to_owned(), "five\n".to_owned()));
}

#[test]
fn names_that_change_cannot_be_had_directly() {
    let place = Place::new();
    for names_ in [Names::Numbered, Names::Template("{stem}.{n}{ext}".to_owned())] {
        let e = place.options().direct(true).names(names_.clone()).open().unwrap_err().to_string();
        assert!(e.contains("choose dated ones, or a template with {date} or {seq}"), "{e}");
        let log = options(&place.log()).open().unwrap();
        let e = log.change(&place.options().names(names_)).unwrap_err().to_string();
        assert!(e.contains("choose dated ones"), "{e}");
    }
    let log = options(&place.log()).open().unwrap();
    log.change(&place.options().rotate_at("daily UTC")).unwrap();
    log.change(&place.options().rotate_at("never")).unwrap();
    rotate(&log, 0, 2);
    log.change(&place.options().names(Names::Dated)).unwrap();
    log.rotate(LONG).unwrap();
    rotate(&log, 2, 2);
    assert_eq!(lines(&place.log()).len(), 4, "{:?}", names(place.path()));
    assert_eq!(place.options().direct(false).open().unwrap().differences().unwrap().len(), 1);
}

#[test]
fn calls_without_a_flusher_do_it_alike() {
    let place = Place::new();
    let log = options(&place.log()).flusher_thread(false).backups(3).index(true).open().unwrap();
    for n in 0..6 {
        put(&log, &format!("line {n}"));
        log.rotate(LONG).unwrap();
    }
    assert_eq!(lines(&place.log()).len(), 6);
    let verdict = place.options().verify().unwrap();
    assert!(verdict.is_complete(), "{verdict:?}");
}

#[test]
fn who_has_a_segment_that_was_removed_goes_on_in_the_same_file() {
    let place = Place::new();
    let log = options(&place.log()).open().unwrap();
    put(&log, "before");
    let id = crlog::names::segment_id(&crlog::names::canonical(&place.log()).unwrap());
    for entry in std::fs::read_dir("/dev/shm").unwrap().map(Result::unwrap) {
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(&id)) {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
    until(LONG, "all is written by the successor", || {
        put(&log, "after");
        !log.stats().unwrap().removed
    });
    let text = text(&place, "app.1.log");
    assert!(text.starts_with("before\nafter\n"), "{text}");
    assert_eq!(names(place.path()), ["app.1.log"]);
}

fn killed_at_any_time(role: &str, rounds: u64) {
    let place = Place::new();
    for round in 0..rounds {
        let mut children = ["a", "b"].map(|name| place.child(role, &format!("{name}{round}")));
        let acknowledged = |name: &str| {
            let text = std::fs::read_to_string(format!("{}-{name}{round}", place.log().display()));
            text.ok().and_then(|n| n.parse::<u64>().ok())
        };
        until(LONG, "both write", || {
            ["a", "b"].iter().all(|name| acknowledged(name).is_some_and(|n| n > 300))
        });
        std::thread::sleep(Duration::from_micros(round * 7919 % 30_000));
        children.iter_mut().for_each(common::Role::kill);
        let log = place.options().open().unwrap();
        log.flush(LONG).unwrap();
        drop(log);
        let written = by_name(&lines(&place.log()));
        for name in ["a", "b"] {
            let last = written.get(&format!("{name}{round}")).and_then(|all| all.last()).copied();
            assert!(last >= acknowledged(name), "{name}{round}: {last:?} of {:?}", acknowledged(name));
        }
    }
    let verdict = place.options().verify().unwrap();
    assert!(verdict.is_complete(), "{:?}", verdict.findings);
    let all = lines(&place.log());
    assert_complete(&by_name(&all));
    let mut each = all.clone();
    each.sort_unstable();
    each.dedup();
    assert_eq!(each.len(), all.len(), "none twice");
    let files = crlog::names::files(&place.log());
    let empty = files.iter().filter(|file| file.metadata().unwrap().len() == 0).count();
    println!("{rounds} rounds, {} files, {empty} of them empty", files.len());
    assert!(files.len() as u64 > rounds && empty <= 1, "{} files, {empty} of them empty", files.len());
}

#[test]
fn whoever_rotates_may_be_killed_at_any_time() {
    killed_at_any_time("write until killed", 8);
}

#[test]
fn whoever_rotates_by_seconds_may_be_killed_at_any_time() {
    killed_at_any_time("write by seconds until killed", 6);
}

/// A matter of time: hence the generous limit. (The figures are those of `--release`.)
#[test]
fn a_rotation_beside_a_thousand_archives_looks_at_none_of_them() {
    let took = |archives: u32| {
        let place = Place::new();
        let log = options(&place.log()).open().unwrap();
        rotate(&log, 0, archives);
        let begun = Instant::now();
        rotate(&log, archives, 100);
        let took = begun.elapsed() / 100;
        assert_eq!(names(place.path()).len() as u32, archives + 101);
        took
    };
    let (few, many) = (took(5), took(1000));
    println!("directly, a rotation beside 5 archives takes {few:?}, beside 1000 {many:?}");
    assert!(many < 10 * few + Duration::from_millis(50), "{few:?}, {many:?}");
}
