//! A symbolic link that always points to the current log file.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Place, until};
use crlog::{Control, Event, Log, Options};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::channel;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

fn target(link: &Path) -> Option<PathBuf> {
    std::fs::read_link(link).ok()
}

fn rotate(log: &Log, text: &str) {
    log.writer().unwrap().append(text.as_bytes()).unwrap();
    log.rotate(LONG).unwrap();
}

fn opened(options: Options) -> Log {
    let log = options.open().unwrap();
    let _writer = log.writer().unwrap();
    until(LONG, "a flusher", || log.stats().unwrap().flusher.is_some());
    log
}

#[test]
fn it_is_made_at_once_and_again_after_a_rotation_and_changed_in_a_running_log() {
    let place = Place::new();
    let (here, there) = (place.path().join("now.log"), place.path().join("far"));
    std::fs::create_dir(&there).unwrap();
    let there = there.join("now");
    let log = opened(place.options().backups(3).link(&here));
    until(LONG, "the link", || target(&here).is_some());
    assert_eq!(target(&here).unwrap(), Path::new("app.log"), "relative beside the log");
    std::fs::remove_file(&here).unwrap();
    rotate(&log, "one");
    until(LONG, "the link", || target(&here).is_some());
    log.writer().unwrap().append(b"two").unwrap();
    log.flush(LONG).unwrap();
    assert_eq!(std::fs::read(&here).unwrap(), b"two\n");
    log.change(&place.options().link(&there)).unwrap();
    until(LONG, "the other link", || target(&there).is_some());
    let real = crlog::names::canonical(&place.log()).unwrap();
    assert_eq!(target(&there).unwrap(), real, "absolute from elsewhere");
    log.change(&place.options().link("")).unwrap();
    std::fs::remove_file(&there).unwrap();
    rotate(&log, "three");
    log.flush(LONG).unwrap();
    assert_eq!(target(&there), None, "no link any more");
}

#[test]
fn a_link_to_an_archive_is_replaced_and_is_never_missing_meanwhile() {
    let place = Place::new();
    let link = place.path().join("now.log");
    symlink("app.log.7", &link).unwrap();
    let log = opened(place.options().backups(3).link(&link));
    until(LONG, "it is right", || target(&link).unwrap() == Path::new("app.log"));
    let ended = AtomicBool::new(false);
    std::thread::scope(|s| {
        let watcher = s.spawn(|| {
            let mut seen = 0u64;
            while !ended.load(Relaxed) {
                assert!(target(&link).is_some(), "it is missing");
                seen += 1;
            }
            seen
        });
        for i in 0..50 {
            let old = place.path().join("old");
            symlink("app.log.9", &old).unwrap();
            std::fs::rename(&old, &link).unwrap();
            rotate(&log, &format!("{i}"));
            until(LONG, "it is right", || target(&link).unwrap() == Path::new("app.log"));
        }
        ended.store(true, Relaxed);
        assert!(watcher.join().unwrap() > 0);
    });
}

#[test]
fn what_others_have_put_there_stays_and_is_told_of_once() {
    let place = Place::new();
    for (name, make) in [("file", 0), ("link", 1), ("dir", 2)] {
        let at = place.path().join(name);
        match make {
            0 => std::fs::write(&at, "theirs").unwrap(),
            1 => symlink("other.log", &at).unwrap(),
            _ => std::fs::create_dir(&at).unwrap(),
        }
        let (tell, told) = channel();
        let control = Control::default();
        let mut sidecar = place.options().backups(3).link(&at).sidecar().unwrap();
        sidecar.on_event(move |event| drop(tell.send(event)));
        let theirs = control.clone();
        let sidecar = std::thread::spawn(move || sidecar.run(&theirs).unwrap());
        let log = place.options().flusher_thread(false).open().unwrap();
        until(LONG, "the sidecar's turn", || log.stats().unwrap().flusher.is_some_and(|f| f.sidecar));
        rotate(&log, "one");
        rotate(&log, "two");
        drop(log);
        control.stop();
        sidecar.join().unwrap();
        let failed: Vec<Event> = told.try_iter().filter(|e| matches!(e, Event::LinkFailed { .. })).collect();
        assert_eq!(failed.len(), 1, "{name}: {failed:?}");
        assert!(format!("{failed:?}").contains("stands there, which crlog has not made"), "{failed:?}");
        match make {
            0 => assert_eq!(std::fs::read(&at).unwrap(), b"theirs"),
            1 => assert_eq!(target(&at).unwrap(), Path::new("other.log")),
            _ => assert!(at.is_dir()),
        }
    }
}

#[test]
fn the_log_itself_is_no_link_to_it() {
    let place = Place::new();
    let error = place.options().link(place.log()).open().unwrap_err();
    assert!(error.to_string().contains("is the log itself"), "{error}");
    assert!(!place.log().exists());
}
