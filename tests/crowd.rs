//! Many writers, one small ring.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod common;

use common::Place;
use crlog::{MIB, WhenFull};
use std::time::Duration;

#[test]
fn idle_writers_do_not_keep_a_large_record_out() {
    let place = Place::new();
    let log = place.options().when_full(WhenFull::BlockFor(Duration::from_secs(5))).open().unwrap();
    // Of 512 chunks, 400 are held by writers that have nothing more to say; the record needs 128.
    let mut idle: Vec<_> = (0..400).map(|_| log.writer().unwrap()).collect();
    for (i, w) in idle.iter_mut().enumerate() {
        w.append(format!("idle{i} 0").as_bytes()).unwrap();
    }
    let mut w = log.writer().unwrap();
    w.append(&vec![b'x'; 2 * MIB as usize - 1]).unwrap();
    log.flush(Duration::from_secs(5)).unwrap();
    assert!(log.stats().unwrap().counters.revoked >= 16);
    for (i, w) in idle.iter_mut().enumerate() {
        w.append(format!("idle{i} 1").as_bytes()).unwrap();
    }
    drop((idle, w, log));
    assert_eq!(place.lines_now().len(), 2 * 400 + 1);
}

#[test]
fn more_writers_than_chunks_all_get_their_records_out() {
    let place = Place::new();
    let log = place.options().ring_bytes(MIB).open().unwrap();
    std::thread::scope(|s| {
        for t in 0..4 {
            let log = &log;
            s.spawn(move || {
                let mut mine: Vec<_> = (0..500).map(|_| log.writer().unwrap()).collect();
                for i in 0..20 {
                    for (k, w) in mine.iter_mut().enumerate() {
                        w.append(format!("t{t}.{k} {i}").as_bytes()).unwrap();
                    }
                }
            });
        }
    });
    drop(log);
    let got = common::by_name(&place.lines_now());
    common::assert_complete(&got);
    assert_eq!((got.len(), got.values().map(Vec::len).sum::<usize>()), (2000, 40_000));
}
