//! Each dropped record is told of, once, where it is missing.

use crate::common::{Place, until};
use crate::{LONG, small, stopped_sidecar};
use crlog::{AppendError, KIB, Log, Notes, Options, Severity, WhenFull};
use std::collections::BTreeMap;
use std::time::Duration;

/// Records that a process tries to write, of all severities in turn.
const ATTEMPTS: u64 = 24_000;

fn severity(i: u64) -> Severity {
    Severity::ALL[(i % 6) as usize]
}

/// Tries to write, in bursts that the ring has no room for, and leaves beside the log what came of it: its
/// pid, and how many were dropped of each severity.
pub fn write_and_count(options: Options, name: &str) -> Log {
    let log = options.flusher_thread(false).open().unwrap();
    let mut w = log.writer().unwrap();
    let mut dropped = [0u64; 6];
    for i in 0..ATTEMPTS {
        match w.log(severity(i), format!("{name} {i} {:0>1$}", 0, 400 + (i * 37 % 500) as usize).as_bytes()) {
            Ok(()) => {}
            Err(e) => {
                assert_eq!(e, AppendError::Full);
                dropped[(i % 6) as usize] += 1;
            }
        }
        if i % 300 == 299 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    let text = format!("{} {dropped:?}", std::process::id());
    let dir = log.path().parent().unwrap().to_owned();
    std::fs::write(dir.join(format!("new-{name}")), text).unwrap();
    std::fs::rename(dir.join(format!("new-{name}")), dir.join(format!("counted-{name}"))).unwrap();
    log
}

/// What a process counted itself.
fn counted(place: &Place, name: &str) -> Option<(u64, [u64; 6])> {
    let text = std::fs::read_to_string(place.path().join(format!("counted-{name}"))).ok()?;
    let mut numbers = text.split([' ', ',', '[', ']']).filter_map(|n| n.parse().ok());
    let pid = numbers.next()?;
    let dropped: Vec<u64> = numbers.collect();
    Some((pid, dropped.try_into().unwrap()))
}

/// A gap line: pid, and how many by severity.
fn parse_gap(line: &str) -> Option<(u64, [u64; 6])> {
    let rest = line.strip_prefix("crlog: ")?;
    let (total, rest) = rest.split_once(" record")?;
    let rest = rest.trim_start_matches('s').strip_prefix(" of process ")?;
    let pid = rest.split(' ').next()?.parse().ok()?;
    let mut dropped = [0; 6];
    for part in rest.rsplit(": ").next()?.split(", ") {
        let (n, level) = part.split_once(' ')?;
        let level = Severity::ALL.into_iter().find(|s| s.name() == level)?;
        dropped[level as usize] += n.parse::<u64>().ok()?;
    }
    assert_eq!(dropped.iter().sum::<u64>(), total.parse::<u64>().unwrap(), "{line}");
    Some((pid, dropped))
}

/// Goes through the log as a reader does: before each record of a process, exactly its records since the one
/// before are told of as missing, and at the end the rest. Returns what was told by pid, and how many lines told it.
fn verify(lines: &[String], pids: &BTreeMap<String, u64>, attempts: u64) -> (BTreeMap<u64, [u64; 6]>, u64) {
    let (mut open, mut told, mut notes) = (BTreeMap::new(), BTreeMap::new(), 0);
    let mut next: BTreeMap<&str, u64> = pids.keys().map(|name| (name.as_str(), 0)).collect();
    let missing = |from: u64, to: u64| {
        let mut m = [0u64; 6];
        (from..to).for_each(|i| m[(i % 6) as usize] += 1);
        m
    };
    for line in lines {
        if let Some((pid, dropped)) = parse_gap(line) {
            notes += 1;
            for all in [&mut open, &mut told] {
                let sum: &mut [u64; 6] = all.entry(pid).or_default();
                sum.iter_mut().zip(dropped).for_each(|(sum, n)| *sum += n);
            }
            continue;
        }
        let mut words = line.split(' ');
        let (name, i) = (words.next().unwrap(), words.next().and_then(|i| i.parse().ok()));
        let (Some(i), Some(from)) = (i, next.get(name).copied()) else { panic!("a torn line: {line:?}") };
        assert!(i >= from, "{name}: {i} is doubled or out of order");
        let gap = open.remove(&pids[name]).unwrap_or_default();
        assert_eq!(gap, missing(from, i), "{name}: told between {from} and {i}");
        next.insert(pids.keys().find(|n| *n == name).unwrap(), i + 1);
    }
    for (name, from) in next {
        let gap = open.remove(&pids[name]).unwrap_or_default();
        assert_eq!(gap, missing(from, attempts), "{name}: told after {from}, at the end");
    }
    assert!(open.is_empty(), "told of nobody: {open:?}");
    (told, notes)
}

const NAMES: [&str; 3] = ["killed", "leaves", "silent"];

/// Three processes drop at once while sidecars are killed after `lives` (milliseconds), one after the other;
/// then one process is killed, one leaves and one stays silent.
fn three_drop_at_once(lives: impl IntoIterator<Item = u64>) -> u64 {
    let place = Place::new();
    let log = small(&place).reserve_bytes(0).when_full(WhenFull::Drop).open().unwrap();
    let mut flusher = stopped_sidecar(&place, &log);
    let roles = ["drop and stay", "drop and leave", "drop and stay"];
    let mut all: Vec<_> = NAMES.iter().zip(roles).map(|(name, role)| place.child(role, name)).collect();
    until(LONG, "all drop", || {
        let s = log.stats().unwrap();
        NAMES
            .iter()
            .all(|name| s.producers.iter().any(|p| p.name == *name && p.drops.iter().sum::<u64>() > 0))
    });
    flusher.signal(libc::SIGCONT);
    let mut kills = 0;
    for life in lives {
        std::thread::sleep(Duration::from_millis(life));
        flusher.kill();
        kills += 1;
        flusher = place.child("sidecar", "f");
    }
    until(LONG, "all have counted", || NAMES.iter().all(|name| counted(&place, name).is_some()));
    all[0].kill();
    assert!(all[1].ends_well(LONG));
    let s = || log.stats().unwrap();
    until(LONG, "all drops are told", || s().drops == s().drops_told && s().lag_records == 0);
    until(LONG, "the dead is buried", || log.flush(LONG).is_ok() && s().counters.reaped >= 1);

    let counts: BTreeMap<_, _> = NAMES.map(|name| (name.to_owned(), counted(&place, name).unwrap())).into();
    let pids = counts.iter().map(|(name, (pid, _))| (name.clone(), *pid)).collect();
    let (told, notes) = verify(&place.lines_now(), &pids, ATTEMPTS);
    let s = s();
    for (name, (pid, dropped)) in &counts {
        assert!(dropped.iter().sum::<u64>() > 0, "{name} dropped nothing: the test shows nothing");
        assert_eq!(told.get(pid), Some(dropped), "{name}");
    }
    let sum: [u64; 6] = std::array::from_fn(|i| counts.values().map(|(_, dropped)| dropped[i]).sum());
    assert_eq!(s.drops, sum);
    // A flusher that is killed after its commit has no time to count.
    assert!(s.counters.notes <= notes && s.counters.notes + kills >= notes, "{:?}, {notes}", s.counters);
    let silent = s.producers.iter().find(|p| p.name == "silent").unwrap();
    assert_eq!(silent.drops, counts["silent"].1);
    assert_eq!(s.deaths.iter().map(|d| d.pid).collect::<Vec<_>>(), [counts["killed"].0]);
    notes
}

#[test]
fn each_drop_of_three_processes_is_told_of_where_it_is_missing() {
    let notes = three_drop_at_once([]);
    eprintln!("{notes} lines tell of drops");
}

#[test]
fn no_drop_is_told_twice_or_never_when_flushers_are_killed_at_random() {
    for seed in 1..=3u64 {
        let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let lives = std::iter::repeat_with(|| {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            5 + x % 40
        });
        let notes = three_drop_at_once(lives.take(12));
        eprintln!("seed {seed}: {notes} lines tell of drops");
    }
}

/// Lines of the log, with gaps as `-n` and records by their first word.
fn outline(place: &Place) -> Vec<String> {
    let line = |line: String| match parse_gap(&line) {
        Some((_, dropped)) => format!("-{}", dropped.iter().sum::<u64>()),
        None => line.split(' ').next().unwrap().to_owned(),
    };
    let mut all: Vec<String> = place.lines_now().into_iter().map(line).collect();
    all.retain(|l| l != "fill");
    all
}

fn fill(w: &mut crlog::Writer) {
    while w.log(Severity::Info, format!("fill {:0>400}", 0).as_bytes()).is_ok() {}
}

#[test]
fn a_gap_between_records_in_the_reserve_stands_between_them() {
    let place = Place::new();
    let log = small(&place).reserve_bytes(16 * KIB).when_full(WhenFull::Drop).open().unwrap();
    let mut w = log.writer().unwrap();
    fill(&mut w);
    for i in 0..3 {
        w.log(Severity::Error, format!("e{i}").as_bytes()).unwrap();
        assert_eq!(w.log(Severity::Info, b"no"), Err(AppendError::Full));
    }
    log.flush(LONG).unwrap();
    w.append(b"last").unwrap();
    log.flush(LONG).unwrap();
    assert_eq!(outline(&place), ["-1", "e0", "-1", "e1", "-1", "e2", "-1", "last"]);
    assert_eq!(log.stats().unwrap().drops, log.stats().unwrap().drops_told);
}

#[test]
fn a_large_record_that_is_dropped_is_missing_where_it_would_stand() {
    let place = Place::new();
    let log = small(&place).reserve_bytes(0).when_full(WhenFull::Drop).open().unwrap();
    let mut w = log.writer().unwrap();
    let large = vec![b'x'; 40_000];
    let mut taken = 0;
    while w.append(&large).is_ok() {
        taken += 1;
        assert!(taken < 99);
    }
    w.append(b"after").unwrap();
    log.flush(LONG).unwrap();
    let got = outline(&place);
    assert_eq!(got.len(), taken + 2);
    assert_eq!(got[taken..], ["-1", "after"]);
    assert_eq!(log.stats().unwrap().drops, log.stats().unwrap().drops_told);
}

#[test]
fn a_process_that_is_silent_after_its_drops_is_told_of_by_those_who_flush() {
    for notes in [Notes::Text, Notes::Off] {
        let place = Place::new();
        let log = small(&place).notes(notes).when_full(WhenFull::Drop).open().unwrap();
        let mut w = log.writer().unwrap();
        fill(&mut w);
        log.flush(LONG).unwrap();
        let s = log.stats().unwrap();
        assert_eq!((s.drops, s.drops_told), ([0, 0, 1, 0, 0, 0], [0, 0, 1, 0, 0, 0]), "{notes:?}");
        let want: &[&str] = if notes == Notes::Off { &[] } else { &["-1"] };
        assert_eq!(outline(&place), want, "{notes:?}");
    }
}
