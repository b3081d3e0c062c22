//! A program that puts the full file away itself.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Place, until};
use crlog::{Log, Names, Options, Rotator};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

fn rotate(log: &Log, text: &str) {
    log.writer().unwrap().append(text.as_bytes()).unwrap();
    log.rotate(LONG).unwrap();
}

/// Writes another file, and removes the log.
fn shouting(log: &Path, archive: &Path) -> io::Result<()> {
    std::fs::write(archive, std::fs::read_to_string(log)?.to_uppercase())?;
    std::fs::remove_file(log)
}

fn archives(place: &Place) -> Vec<String> {
    let names =
        std::fs::read_dir(place.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.starts_with("app.log.")).collect();
    names.sort();
    names
}

#[test]
fn files_that_a_rotator_makes_are_known_and_kept_to_the_limit() {
    for names in [Names::Numbered, Names::Dated] {
        let place = Place::new();
        let options: Options = place.options().backups(2).names(names.clone());
        let log = options.rotator(Rotator::new(shouting)).open().unwrap();
        for text in ["one", "two", "three", "four"] {
            rotate(&log, text);
        }
        until(LONG, "the limit", || archives(&place).len() == 2);
        let kept = archives(&place);
        let mut texts: Vec<String> =
            kept.iter().map(|name| std::fs::read_to_string(place.path().join(name)).unwrap()).collect();
        texts.sort();
        assert_eq!(texts, ["FOUR\n", "THREE\n"], "{names:?}");
    }
}

#[test]
fn a_rotator_that_fails_or_does_nothing_is_called_again_and_nothing_is_lost() {
    let place = Place::new();
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let rotator = Rotator::new(move |log: &Path, archive: &Path| match counted.fetch_add(1, Relaxed) {
        0 => Err(io::Error::other("not yet")),
        1 => Ok(()),
        _ => std::fs::rename(log, archive),
    });
    let log = place.options().backups(2).rotator(rotator).open().unwrap();
    rotate(&log, "one");
    assert_eq!(calls.load(Relaxed), 3);
    assert_eq!(std::fs::read_to_string(place.path().join("app.log.1")).unwrap(), "one\n");
    log.writer().unwrap().append(b"two").unwrap();
    log.flush(LONG).unwrap();
    assert_eq!(std::fs::read_to_string(place.log()).unwrap(), "two\n");
}

#[test]
fn a_rotator_may_take_files_away_altogether() {
    let place = Place::new();
    let log =
        place.options().backups(2).rotator(Rotator::new(|log, _| std::fs::remove_file(log))).open().unwrap();
    rotate(&log, "one");
    rotate(&log, "two");
    log.writer().unwrap().append(b"three").unwrap();
    log.flush(LONG).unwrap();
    assert_eq!(archives(&place), Vec::<String>::new());
    assert_eq!(std::fs::read_to_string(place.log()).unwrap(), "three\n");
    assert_eq!(log.stats().unwrap().counters.rotations, 2);
}

/// What the statistics say of a rotation that goes wrong by this rotator, again and again; nothing is lost.
fn failing(rotator: Rotator) -> String {
    let place = Place::new();
    let log = place.options().max_bytes(100).backups(2).rotator(rotator).open().unwrap();
    let mut w = log.writer().unwrap();
    for i in 0..500 {
        w.append(format!("record {i}").as_bytes()).unwrap();
        if i % 100 == 0 {
            std::thread::sleep(Duration::from_millis(120));
        }
    }
    log.flush(LONG).unwrap();
    let stats = log.stats().unwrap();
    assert_eq!((stats.counters.takeovers, stats.counters.rotations), (1, 0), "the flusher stays the same");
    match log.rotate(Duration::from_millis(300)) {
        Err(crlog::FlushError::Timeout { reason, .. }) => {
            let text = stats.error_text.as_deref().unwrap();
            assert!(reason.contains(text), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    drop((w, log));
    let expected: Vec<String> = (0..500).map(|i| format!("record {i}")).collect();
    assert_eq!(place.lines_now(), expected);
    stats.error_text.unwrap()
}

#[test]
fn rotator_that_panics_is_told_and_nothing_is_lost() {
    let text = failing(Rotator::new(|_, _| panic!("no such {}", "tape")));
    assert!(text.contains("the rotator panicked: no such tape"), "{text}");
    let text = failing(Rotator::new(|_, _| std::panic::panic_any(7)));
    assert!(text.contains("the rotator panicked: without a text"), "{text}");
}

#[test]
fn error_of_rotator_is_told_in_its_own_words() {
    let text = failing(Rotator::new(|_, _| Err(io::Error::other("the archive's tape\nis full"))));
    assert!(text.contains("the archive's tape is full") && !text.contains("Input/output"), "{text}");
    let text = failing(Rotator::new(|_, _| Err(io::Error::from_raw_os_error(28))));
    assert!(text.contains("No space left on device"), "{text}");
}

#[test]
fn listener_that_panics_ends_no_flusher() {
    let place = Place::new();
    let mut sidecar = place.options().max_bytes(100).backups(5).sidecar().unwrap();
    let control = crlog::Control::default();
    let told = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&told);
    sidecar.on_event(move |_| {
        counted.fetch_add(1, Relaxed);
        panic!("a listener's own fault");
    });
    let steered = control.clone();
    let flusher = std::thread::spawn(move || sidecar.run(&steered));
    let log = place.options().flusher_thread(false).open().unwrap();
    let mut w = log.writer().unwrap();
    (0..50).for_each(|i| w.append(format!("record {i}").as_bytes()).unwrap());
    log.flush(LONG).unwrap();
    assert!(told.load(Relaxed) > 2 && log.stats().unwrap().counters.rotations > 2);
    drop((w, log));
    control.stop();
    flusher.join().unwrap().unwrap();
}
