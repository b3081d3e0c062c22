//! What a program that embeds the library relies on, apart from what it logs.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::os::{fork, reap};
use common::{Place, assert_complete, by_name};
use crlog::{AppendError, FileError, Log, MapError, OpenError, Options, SegmentError, Writer};
use std::error::Error;
use std::panic::{RefUnwindSafe, UnwindSafe};

#[test]
fn handles_cross_threads_and_unwinding() {
    fn usable<T: Send + UnwindSafe + RefUnwindSafe>() {}
    fn shared<T: Sync>() {}
    usable::<Log>();
    usable::<Writer>();
    usable::<Options>();
    shared::<Log>();
    shared::<Options>();
    let place = Place::new();
    let log = place.options().open().unwrap();
    let mut writer = log.writer().unwrap();
    let caught = std::panic::catch_unwind(move || {
        writer.append(b"before").unwrap();
        panic!("the host's own");
    });
    assert!(caught.is_err());
    drop(log);
    assert_eq!(place.lines(), ["before"]);
}

/// Each part of the chain is a type that can be named; no text says what the next one says.
#[test]
fn errors_of_opening_can_be_matched() {
    let place = Place::new();
    let in_the_way = place.path().join("ring");
    std::fs::create_dir(&in_the_way).unwrap();
    let options = place.options().segment(crlog::SegmentKind::File(in_the_way.clone()));
    match options.open().unwrap_err() {
        OpenError::Segment(
            SegmentError::File(FileError::NotRegular { path, what })
            | SegmentError::Map(MapError::File(FileError::NotRegular { path, what })),
        ) => assert_eq!((path.0, what), (in_the_way, "a directory")),
        other => panic!("{other:?}"),
    }
    std::fs::write(place.path().join("file"), "").unwrap();
    let bad = [
        Options::new(place.path()),
        Options::new(place.path().join("file/app.log")),
        place.options().ring_bytes(1),
        place.options().lock_dir(place.path().join("file/locks")),
        place.options().segment(crlog::SegmentKind::File(place.path().join("missing/ring"))),
    ];
    for options in bad {
        let error = options.open().unwrap_err();
        let (mut next, mut texts) = (error.source(), vec![error.to_string()]);
        while let Some(source) = next {
            texts.push(source.to_string());
            next = source.source();
        }
        for (i, text) in texts.iter().enumerate().skip(1) {
            assert!(!texts[i - 1].contains(text.as_str()), "{texts:?}");
        }
    }
}

#[test]
fn log_handle_writes_through_writer_of_each_thread() {
    let place = Place::new();
    let log = place.options().open().unwrap();
    let threads: Vec<_> = (0..4)
        .map(|name| {
            let log = log.clone();
            std::thread::spawn(move || {
                (0..1000).for_each(|i| log.append(format!("t{name} {i}").as_bytes()).unwrap());
            })
        })
        .collect();
    threads.into_iter().for_each(|t| t.join().unwrap());
    for i in 0..10 {
        log.append(format!("main {i}").as_bytes()).unwrap();
        if i == 4 {
            reap(fork(|| (0..10).for_each(|i| log.append(format!("child {i}").as_bytes()).unwrap())));
        }
    }
    let id = crlog::names::segment_id(&crlog::names::canonical(&place.log()).unwrap());
    drop(log);
    // This thread's storage lives on; the log is closed all the same.
    assert!(!std::path::Path::new("/dev/shm").join(id).exists());
    let got = by_name(&place.lines_now());
    assert_complete(&got);
    assert_eq!(got.len(), 6);
    assert_eq!((got["main"].len(), got["child"].len(), got["t3"].len()), (10, 10, 1000));
}

#[test]
fn log_handles_of_several_logs_in_one_thread_keep_apart() {
    let places: Vec<Place> = (0..3).map(|_| Place::new()).collect();
    for round in 0..3 {
        let logs: Vec<Log> = places.iter().map(|p| p.options().open().unwrap()).collect();
        for (i, log) in logs.iter().enumerate() {
            log.append(format!("log {i} round {round}").as_bytes()).unwrap();
        }
    }
    for (i, place) in places.iter().enumerate() {
        let expected: Vec<String> = (0..3).map(|round| format!("log {i} round {round}")).collect();
        assert_eq!(place.lines_now(), expected);
    }
}

#[test]
fn log_handle_that_only_looks_refuses_records() {
    let place = Place::new();
    let log = place.options().open().unwrap();
    let guest = place.options().attach().unwrap();
    assert_eq!(guest.append(b"x"), Err(AppendError::ReadOnly));
    assert_eq!(log.stats().unwrap().drops, [0; 6]);
}
