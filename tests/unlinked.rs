//! The log file is removed, or replaced, by another program while it is written.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::Place;
use crlog::{Event, FlushError, Options, Severity};
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(30);

fn lines(path: &std::path::Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn records_after_removal_are_in_new_file() {
    for round in 0..10u64 {
        let place = Place::new();
        let log = place.options().open().unwrap();
        let mut w = log.writer().unwrap();
        (0..100).for_each(|i| w.append(format!("old {i}").as_bytes()).unwrap());
        log.flush(LONG).unwrap();
        if round % 2 == 0 {
            std::fs::remove_file(place.log()).unwrap();
        } else {
            let other = place.path().join("other");
            std::fs::write(&other, "").unwrap();
            std::fs::rename(other, place.log()).unwrap();
        }
        std::thread::sleep(Duration::from_millis(round));
        (0..500).for_each(|i| w.append(format!("new {i}").as_bytes()).unwrap());
        log.flush(LONG).unwrap();
        log.sync(LONG).unwrap();
        w.append_durable(Severity::Info, b"new 500", LONG).unwrap();
        let expected: Vec<String> = (0..501).map(|i| format!("new {i}")).collect();
        assert_eq!(lines(&place.log()), expected, "round {round}");
        assert!(log.stats().unwrap().counters.file_surprises >= 1);
    }
}

#[test]
fn sync_after_removal_says_what_is_gone() {
    let place = Place::new();
    let log = place.options().open().unwrap();
    let mut w = log.writer().unwrap();
    w.append(b"gone").unwrap();
    log.flush(LONG).unwrap();
    std::fs::remove_file(place.log()).unwrap();
    // Also if the flusher has changed since then.
    assert_eq!(log.sync(LONG), Err(FlushError::Removed));
    assert_eq!(lines(&place.log()), [""; 0], "a new file at once");
    log.sync(LONG).unwrap();
    w.append_durable(Severity::Info, b"here", LONG).unwrap();
    assert_eq!(lines(&place.log()), ["here"]);
    assert_eq!(log.stats().unwrap().counters.io_errors, 0);
}

#[test]
fn last_one_out_leaves_file_with_name() {
    let place = Place::new();
    let told = Arc::new(Mutex::new(Vec::new()));
    let mut sidecar = place.options().sidecar().unwrap();
    let heard = Arc::clone(&told);
    sidecar.on_event(move |event| heard.lock().unwrap().push(event));
    let control = crlog::Control::default();
    let steered = control.clone();
    let flusher = std::thread::spawn(move || sidecar.run(&steered));
    let log = place.options().flusher_thread(false).open().unwrap();
    common::until(LONG, "the sidecar", || log.stats().unwrap().flusher.is_some_and(|f| f.sidecar));
    log.writer().unwrap().append(b"gone").unwrap();
    log.flush(LONG).unwrap();
    std::fs::remove_file(place.log()).unwrap();
    drop(log);
    control.stop();
    flusher.join().unwrap().unwrap();
    assert!(place.log().exists());
    assert!(told.lock().unwrap().contains(&Event::FileRemoved { bytes: 5 }), "{told:?}");
}

/// Whatever is removed is kept open by the remover: all records together are there, each once.
#[test]
fn removals_at_any_moment_lose_and_double_no_record() {
    let place = Place::new();
    let done = Arc::new(AtomicBool::new(false));
    let (path, ended) = (place.log(), Arc::clone(&done));
    let options: Options = place.options();
    let log = options.open().unwrap();
    let remover = std::thread::spawn(move || {
        let mut files = Vec::new();
        while !ended.load(Relaxed) {
            if let Ok(file) = std::fs::File::open(&path) {
                std::fs::remove_file(&path).unwrap();
                files.push(file);
            }
            std::thread::sleep(Duration::from_micros(300));
        }
        files
    });
    let writers: Vec<_> = (0..2)
        .map(|name| {
            let log = log.clone();
            std::thread::spawn(move || {
                let mut w = log.writer().unwrap();
                for i in 0..5000 {
                    w.append(format!("{name} {i}").as_bytes()).unwrap();
                    if i % 10 == 0 {
                        std::thread::sleep(Duration::from_micros(200));
                    }
                }
            })
        })
        .collect();
    writers.into_iter().for_each(|w| w.join().unwrap());
    done.store(true, Relaxed);
    let files = remover.join().unwrap();
    log.flush(LONG).unwrap();
    let mut text = String::new();
    for mut file in files {
        file.read_to_string(&mut text).unwrap();
    }
    text += &std::fs::read_to_string(place.log()).unwrap_or_default();
    for name in 0..2 {
        let mine: Vec<&str> = text.lines().filter(|l| l.starts_with(&format!("{name} "))).collect();
        let expected: Vec<String> = (0..5000).map(|i| format!("{name} {i}")).collect();
        assert_eq!(mine, expected);
    }
    assert!(log.stats().unwrap().counters.files_removed >= 1);
}
