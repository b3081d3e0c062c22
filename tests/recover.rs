//! Recovery beside those who come and go.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod common;

use common::{LOG, NAME, Place, ROLE, assert_complete, by_name, until};
use crlog::{KIB, Options, Recovered};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// Not a test: what the other processes do.
#[test]
fn child_role() {
    let Ok(_) = std::env::var(ROLE) else { return };
    let options = Options::new(std::env::var(LOG).unwrap()).ring_bytes(256 * KIB);
    // Nobody flushes for it, so its records wait in the ring.
    let log = options.flusher_thread(false).open().unwrap();
    let mut w = log.writer().unwrap();
    let name = std::env::var(NAME).unwrap();
    for i in 0..100 {
        w.append(format!("{name} {i}").as_bytes()).unwrap();
    }
    std::thread::sleep(Duration::from_secs(60));
}

#[test]
fn recoveries_and_those_who_open_the_log_meanwhile_do_not_hinder_each_other() {
    let place = Place::new();
    let done = AtomicBool::new(false);
    let (mut idle, mut busy, mut wrote) = (0, 0, 0);
    std::thread::scope(|s| {
        s.spawn(|| {
            for i in 0..300 {
                let log = place.options().ring_bytes(256 * KIB).flusher_thread(false).open().unwrap();
                log.writer().unwrap().append(format!("p {i}").as_bytes()).unwrap();
            }
            done.store(true, Relaxed);
        });
        while !done.load(Relaxed) {
            match place.options().recover().unwrap() {
                Recovered::Nothing => idle += 1,
                Recovered::InUse { .. } => busy += 1,
                Recovered::Done(_) => wrote += 1,
                other => panic!("{other:?}"),
            }
        }
    });
    eprintln!("{idle} found nothing, {busy} found it in use, {wrote} recovered");
    let got = by_name(&place.lines_now());
    assert_complete(&got);
    assert_eq!(got["p"].len(), 300);
}

#[test]
fn two_recoveries_at_once_write_each_record_once() {
    for round in 0..5 {
        let place = Place::new();
        let mut child = place.child("fill", "p");
        until(Duration::from_secs(10), "its records", || {
            place.options().attach().is_ok_and(|log| log.stats().unwrap().lag_records == 100)
        });
        child.kill();
        let found: Vec<Recovered> = std::thread::scope(|s| {
            let all: Vec<_> = (0..2).map(|_| s.spawn(|| place.options().recover().unwrap())).collect();
            all.into_iter().map(|t| t.join().unwrap()).collect()
        });
        let records = |r: &Recovered| if let Recovered::Done(r) = r { r.records } else { 0 };
        assert!(found.iter().map(records).max() == Some(100), "round {round}: {found:?}");
        let got = by_name(&place.lines_now());
        assert_complete(&got);
        assert_eq!(got["p"].len(), 100);
        assert!(place.options().attach().is_err(), "round {round}: the segment was left behind: {found:?}");
    }
}
