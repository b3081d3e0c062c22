//! What a program that embeds the library relies on, apart from what it logs.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::Place;
use crlog::{FileError, Log, MapError, OpenError, Options, SegmentError, Writer};
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
