//! Packing is nobody's delay: while 100 MB are packed by a thread of the process that logs and flushes, neither its calls
//! nor the way of a record to the file take noticeably longer than without. Alone in its file, so that no other test runs beside it.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod common;

use common::{Place, until};
use crlog::{Compression, Log};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

const ROUNDS: usize = 5;
const BYTES: usize = 20_000_000;
/// What the longest gap may be longer than without.
const MORE: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_secs(120);
/// Between two records, and between two looks at the file.
const PAUSE: Duration = Duration::from_micros(200);

/// Lines that gzip makes about a third of.
fn archive(path: &Path) {
    let mut text = Vec::with_capacity(BYTES + 100);
    for i in 0u64.. {
        text.extend(format!("p {i} {:x}\n", i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).into_bytes());
        if text.len() >= BYTES {
            break;
        }
    }
    std::fs::write(path, text).unwrap();
    // Its pages are on their way to the disk before the measurement begins.
    std::fs::File::open(path).unwrap().sync_all().unwrap();
}

/// The longest call of a writer, until `ends`, and the longest time in which the file did not grow beside it.
fn gaps(log: &Log, ends: &dyn Fn() -> bool) -> (Duration, Duration) {
    let stop = AtomicBool::new(false);
    let file = log.path().to_owned();
    std::thread::scope(|scope| {
        let calls = scope.spawn(|| {
            let mut w = log.writer().unwrap();
            let mut longest = Duration::ZERO;
            while !stop.load(Relaxed) {
                let before = Instant::now();
                w.append(&[b'x'; 100]).unwrap();
                longest = longest.max(before.elapsed());
                std::thread::sleep(PAUSE);
            }
            longest
        });
        let drain = scope.spawn(|| {
            let size = || std::fs::metadata(&file).map_or(0, |m| m.len());
            let (mut last, mut longest) = (size(), Duration::ZERO);
            while size() == last {
                std::thread::sleep(PAUSE); // the first record
            }
            let mut grown = Instant::now();
            while !stop.load(Relaxed) {
                let now = size();
                if now != last {
                    longest = longest.max(grown.elapsed());
                    (last, grown) = (now, Instant::now());
                }
                std::thread::sleep(PAUSE);
            }
            longest
        });
        until(LONG, "the round ends", ends);
        stop.store(true, Relaxed);
        (calls.join().unwrap(), drain.join().unwrap())
    })
}

fn round(how: Compression, time: Duration) -> (Duration, Duration, Duration) {
    let place = Place::new();
    let plain: PathBuf = place.path().join("app.log.1");
    archive(&plain);
    let log = place.options().max_bytes(1 << 30).backups(5).compress(how).open().unwrap();
    let start = Instant::now();
    let ends = || if how == Compression::None { start.elapsed() > time } else { !plain.exists() };
    let (call, drain) = gaps(&log, &ends);
    let took = start.elapsed();
    if how != Compression::None {
        assert!(place.path().join("app.log.1.gz").exists());
    }
    (call, drain, took)
}

fn sorted<T: Ord + Copy>(of: impl Iterator<Item = T>) -> Vec<T> {
    let mut all: Vec<T> = of.collect();
    all.sort();
    all
}

/// A delay that packing causes would be there in each round; what other programs of the machine cause is not. So the
/// quietest round with packing is held against the median of those without, and all numbers are printed.
#[test]
fn while_100_mb_are_packed_neither_calls_nor_the_drain_are_delayed() {
    let (mut with, mut without) = (Vec::new(), Vec::new());
    let mut time = Duration::from_millis(300);
    for _ in 0..ROUNDS {
        without.push(round(Compression::None, time));
        let packed = round(Compression::GZIP, time);
        time = packed.2;
        with.push(packed);
    }
    for (what, of) in [("calls", 0), ("drain", 1)] {
        let gap = |r: &(Duration, Duration, Duration)| if of == 0 { r.0 } else { r.1 };
        let (with, without) = (sorted(with.iter().map(gap)), sorted(without.iter().map(gap)));
        eprintln!("longest gap of {what}: packing {with:?}, median {:?}", with[ROUNDS / 2]);
        eprintln!("               without {without:?}, median {:?}", without[ROUNDS / 2]);
        assert!(with[0] <= without[ROUNDS / 2] + MORE, "{what}: {with:?} {without:?}");
    }
    let took: Vec<Duration> = with.iter().map(|r| r.2).collect();
    eprintln!("packing {BYTES} bytes took {took:?}");
}
