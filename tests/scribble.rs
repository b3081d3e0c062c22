//! A process that writes random words into the live segment. Everybody who may log can do that, so nothing is
//! promised about what then stands in the file; but nobody crashes, nobody waits for ever, and who was not
//! scribbled on loses nothing.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, unsafe_code)]

mod common;

use common::{LOG, NAME, Place, ROLE, Role, assert_complete, by_name, until};
use crlog::ring::layout::{Geometry, Phase, State, counter, header, word};
use crlog::{Control, KIB, Options, WhenFull};
use memmap2::{MmapOptions, MmapRaw};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// For one call, for the end of a process.
const PATIENCE: Duration = Duration::from_secs(30);

fn options(log: &Path) -> Options {
    let o = Options::new(log).ring_bytes(512 * KIB).max_bytes(2_000_000).backups(3);
    // A chunk whose word names a living owner that it does not have is nobody's to give back.
    o.when_full(WhenFull::BlockFor(Duration::from_millis(50)))
}

/// Not a test: what the other processes do.
#[test]
fn child_role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let log = PathBuf::from(std::env::var(LOG).unwrap());
    let name = std::env::var(NAME).unwrap();
    match role.as_str() {
        "writes on" => writes_on(&log, &name),
        "writes some" => writes_some(&log, &name),
        "flushes" => flushes(&log),
        "scribbles everywhere" => Segment::of(&log).scribble(&log, name.parse().unwrap()),
        other => panic!("no such role: {other}"),
    }
}

fn stop_file(log: &Path) -> PathBuf {
    log.with_file_name("stop")
}

/// Writes until it is told to stop, whatever its calls say, and tells how many have returned.
fn writes_on(log: &Path, name: &str) {
    let beat = common::Noted::create(log.with_file_name(format!("beat.{name}")));
    let stop = stop_file(log);
    let log = options(log).open().unwrap();
    let mut w = log.writer().unwrap();
    let mut long = vec![b'x'; 40_000];
    long.splice(..0, name.bytes());
    let (mut calls, mut told) = (0u64, Instant::now());
    loop {
        let _ = match calls % 500 {
            0 => w.append(&long),
            _ => w.append(format!("{name} {calls}").as_bytes()),
        };
        calls += 1;
        if told.elapsed() > Duration::from_millis(20) {
            beat.set(calls);
            told = Instant::now();
            if stop.exists() {
                return;
            }
        }
    }
}

/// Writes 500 records that stay in the ring until somebody flushes; 500 more when they have been.
fn writes_some(log: &Path, name: &str) {
    let file = |what: &str| log.with_file_name(format!("{what}.{name}"));
    let (stop, half) = (stop_file(log), log.with_file_name("half"));
    let log = options(log).flusher_thread(false).open().unwrap();
    let mut w = log.writer().unwrap();
    let mut write = |from: u32, to: u32| {
        (from..to).for_each(|i| w.append(format!("{name} {i}").as_bytes()).unwrap());
    };
    write(0, 500);
    std::fs::write(file("first"), "").unwrap();
    until(PATIENCE, "the other half", || half.exists());
    write(500, 1000);
    std::fs::write(file("second"), "").unwrap();
    until(PATIENCE, "the end", || stop.exists());
}

fn flushes(log: &Path) {
    let stop = stop_file(log);
    let control = Control::default();
    let asked = control.clone();
    std::thread::spawn(move || {
        while !stop.exists() {
            std::thread::sleep(Duration::from_millis(5));
        }
        asked.stop();
    });
    let mut sidecar = options(log).sidecar().unwrap();
    let done = sidecar.run(&control);
    // It may end with records that it cannot write, but not before it is asked to.
    assert!(stop_file(log).exists(), "the sidecar ended by itself: {done:?}");
}

/// A segment that is mapped by somebody who knows where it is, and nothing else.
struct Segment {
    map: MmapRaw,
    geometry: Geometry,
}

impl Segment {
    fn of(log: &Path) -> Segment {
        let id = crlog::names::segment_id(&crlog::names::canonical(log).unwrap());
        let path = Path::new("/dev/shm").join(id);
        let file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
        let map = MmapOptions::new().map_raw(&file).unwrap();
        let mut s = Segment { map, geometry: Geometry::new(1, 2, 32).unwrap() };
        let (counts, chunk) = (s.word(header::COUNTS).load(Relaxed), s.word(header::CHUNK).load(Relaxed));
        s.geometry = Geometry::new(counts as u32, (counts >> 32) as u32, chunk as u32).unwrap();
        assert_eq!(s.geometry.segment_bytes(), s.map.len());
        s
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        assert!(at.is_multiple_of(8) && at < self.map.len());
        // SAFETY: in the mapping, aligned, and it lives as long as `self`; others use it as atomic words, too,
        // or as bytes that they believe nothing of.
        unsafe { AtomicU64::from_ptr(self.map.as_mut_ptr().add(at).cast()) }
    }

    /// Random words all over, behind the header, which is read once only; often into the words of few chunks,
    /// which decide most. Pauses let the others do something in between.
    fn scribble(&self, log: &Path, seed: u64) {
        let (g, stop) = (self.geometry, log.with_file_name("scribbled enough"));
        let mut rng = Rng(seed | 1);
        let control = g.slot(0) - word::ORDER;
        while !stop.exists() {
            for _ in 0..rng.below(64) {
                let chunk = rng.below(u64::from(g.chunks())) as u32;
                let at = match rng.below(8) {
                    0 => word::ORDER + rng.below(control as u64 / 8) as usize * 8,
                    1 => g.slot(rng.below(8) as u32) + rng.below(8) as usize * 8,
                    2 | 3 => g.state(chunk),
                    4 => g.drain(chunk),
                    5 => g.record(chunk, rng.below(20) as u32) + rng.below(2) as usize * 8,
                    _ => g.chunk(0) + rng.below((self.map.len() - g.chunk(0)) as u64 / 8) as usize * 8,
                };
                let old = self.word(at).load(Relaxed);
                let value = match rng.below(4) {
                    0 => rng.draw(),
                    1 => old ^ 1 << rng.below(64),
                    2 => rng.below(16),
                    _ => self.word(g.state(rng.below(u64::from(g.chunks())) as u32)).load(Relaxed),
                };
                self.word(at).store(value, Relaxed);
            }
            std::thread::sleep(Duration::from_micros(rng.below(2000)));
        }
    }

    /// Random words into all bytes of the chunks of one slot; returns how many chunks these were.
    fn scribble_on_chunks_of(&self, slot: u32, rng: &mut Rng) -> u32 {
        let g = self.geometry;
        let is_its = |chunk: &u32| {
            let state = State(self.word(g.state(*chunk)).load(Relaxed));
            state.slot() == slot && matches!(state.phase(), Some(Phase::Open | Phase::Sealed))
        };
        let its: Vec<u32> = (0..g.chunks()).filter(is_its).collect();
        for chunk in &its {
            for at in (g.chunk(*chunk)..g.chunk(*chunk) + g.chunk_bytes()).step_by(8) {
                self.word(at).store(rng.draw(), Relaxed);
            }
        }
        its.len() as u32
    }
}

struct Rng(u64);

impl Rng {
    fn draw(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.draw() % n
    }
}

fn beats(place: &Place, names: &[&str]) -> Vec<u64> {
    let read = |name: &&str| std::fs::read_to_string(place.path().join(format!("beat.{name}"))).ok();
    names.iter().map(|n| read(n).and_then(|s| s.parse().ok()).unwrap_or(0)).collect()
}

/// All calls return while somebody scribbles for this long, and afterwards; everybody ends when asked to.
fn scribbled_on(time: Duration, seed: u64) {
    let place = Place::new();
    let names = ["a", "b", "c"];
    let keep = options(&place.log()).flusher_thread(false).open().unwrap();
    let mut all: Vec<(String, Role)> = vec![("the sidecar".into(), place.child("flushes", ""))];
    all.extend(names.iter().map(|n| (format!("producer {n}"), place.child("writes on", n))));
    until(PATIENCE, "all to be at work", || beats(&place, &names).iter().all(|n| *n > 0));
    let scribbler = place.child("scribbles everywhere", &seed.to_string());
    all.push(("the scribbler".into(), scribbler));
    let begun = Instant::now();
    let alive = |all: &mut Vec<(String, Role)>| {
        for (who, role) in all {
            assert_eq!(role.ended(), None, "{who} has ended (seed {seed})");
        }
    };
    while begun.elapsed() < time {
        let before = beats(&place, &names);
        let advanced = || beats(&place, &names).iter().zip(&before).all(|(now, then)| now > then);
        until(PATIENCE, "each producer's calls to return", || {
            alive(&mut all);
            advanced()
        });
        let _ = keep.stats().unwrap();
    }
    std::fs::write(place.path().join("scribbled enough"), "").unwrap();
    std::fs::write(stop_file(&place.log()), "").unwrap();
    for (who, role) in &mut all {
        until(PATIENCE, &format!("{who} to end"), || role.ended().is_some());
        assert_eq!(role.ended(), Some(true), "{who} (seed {seed})");
    }
    // Who comes later finds what is left; it may be unable to write, but it is told so.
    let begun = Instant::now();
    if let Ok(mut w) = keep.writer() {
        let _ = w.append(b"later 0");
    }
    let _ = keep.flush(Duration::from_secs(1));
    drop(keep);
    assert!(begun.elapsed() < PATIENCE);
}

#[test]
fn random_words_all_over_a_live_segment_crash_nobody_and_hold_nobody_up() {
    scribbled_on(Duration::from_secs(3), 7);
}

/// `make scribble MINUTES=20 SEED=7`.
#[test]
#[ignore = "takes minutes: make scribble"]
fn random_words_for_minutes() {
    let number = |name: &str| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let end = Instant::now() + Duration::from_secs(60 * number("MINUTES").unwrap_or(1));
    let mut seed = number("SEED").unwrap_or(now);
    while Instant::now() < end {
        scribbled_on(Duration::from_secs(15), seed);
        seed += 1;
    }
}

#[test]
fn a_sidecar_whose_epoch_was_overwritten_takes_over_again() {
    let place = Place::new();
    let keep = options(&place.log()).flusher_thread(false).open().unwrap();
    let mut sidecar = place.child("flushes", "");
    let epoch = || keep.stats().unwrap().flusher.filter(|f| f.sidecar).map(|f| f.epoch);
    until(PATIENCE, "the sidecar's turn", || epoch().is_some());
    let mut w = keep.writer().unwrap();
    for i in 0..20u64 {
        Segment::of(&place.log()).word(word::EPOCH).store(1000 * (i + 1), Relaxed);
        w.append(format!("p {i}").as_bytes()).unwrap();
        keep.flush(PATIENCE).unwrap();
        until(PATIENCE, "the sidecar's next turn", || epoch().is_some_and(|e| e > 1000 * (i + 1)));
    }
    assert_eq!(sidecar.ended(), None);
    std::fs::write(stop_file(&place.log()), "").unwrap();
    assert!(sidecar.wait());
    drop((w, keep));
    let got = by_name(&place.lines_now());
    assert_complete(&got);
    assert_eq!(got["p"].len(), 20);
}

#[test]
fn random_words_in_one_producers_chunks_cost_the_others_nothing_and_are_counted() {
    for seed in 1..=3 {
        let place = Place::new();
        let keep = options(&place.log()).flusher_thread(false).open().unwrap();
        let names = ["victim", "b", "c"];
        let mut all: Vec<Role> = names.iter().map(|n| place.child("writes some", n)).collect();
        let said = |what: &str| names.iter().all(|n| place.path().join(format!("{what}.{n}")).exists());
        until(PATIENCE, "the first half", || said("first"));
        let victim =
            keep.stats().unwrap().producers.iter().find(|p| p.pid == all[0].pid() as u64).unwrap().slot;
        let chunks = Segment::of(&place.log()).scribble_on_chunks_of(victim, &mut Rng(seed));
        assert!(chunks > 0);
        // Everybody goes on writing while what was scribbled on is drained.
        std::fs::write(place.path().join("half"), "").unwrap();
        keep.flush(PATIENCE).unwrap();
        until(PATIENCE, "the second half", || said("second"));
        std::fs::write(stop_file(&place.log()), "").unwrap();
        assert!(all.iter_mut().all(Role::wait), "seed {seed}");
        keep.flush(PATIENCE).unwrap();
        let counters = keep.stats().unwrap().counters;
        assert!(counters.corrupt_chunks > 0 && counters.lost_corrupt > 0, "{counters:?}");
        let words = Segment::of(&place.log());
        assert_eq!(
            words.word(counter(crlog::ring::layout::Counter::LostCorrupt)).load(Relaxed),
            counters.lost_corrupt
        );
        drop((words, keep));
        let bytes = std::fs::read(place.log()).unwrap();
        let whole = |line: &[u8]| {
            let line = std::str::from_utf8(line).ok()?;
            (line.starts_with("b ") || line.starts_with("c ")).then(|| line.to_owned())
        };
        let lines: Vec<String> = bytes.split(|b| *b == b'\n').filter_map(whole).collect();
        let got = by_name(&lines);
        assert_complete(&got);
        assert_eq!((got["b"].len(), got["c"].len()), (1000, 1000), "seed {seed}");
    }
}
