//! The verifier must be able to fail.

#![allow(clippy::unwrap_used)]

use super::super::record::Text;
use super::*;

const MAKER: Maker = Maker { seed: 9, text: Text::Filler { min: 40, max: 80 } };

fn claims() -> Vec<Claim> {
    [(3, 20, false), (8, 10, true)]
        .map(|(id, acknowledged, killed)| Claim { id, acknowledged, killed })
        .to_vec()
}

fn record(id: u32, seq: u64) -> Vec<u8> {
    let mut r = Vec::new();
    MAKER.make(id, seq, &mut r);
    r.push(b'\n');
    r
}

/// Two processes' records, mixed; the third line is p00003's second, and so on: p3, p3, p8, p3, p3, p8.
fn good() -> Vec<Vec<u8>> {
    (0..10).flat_map(|n| [record(3, 2 * n), record(3, 2 * n + 1), record(8, n)]).collect()
}

fn check(lines: &[Vec<u8>]) -> Verdict {
    let mut v = Verifier::new(MAKER, &claims());
    for line in lines {
        v.line(line, "file");
    }
    v.end()
}

/// The faults that were found, by name.
fn faults(lines: &[Vec<u8>]) -> Vec<(&'static str, u64)> {
    let verdict = check(lines);
    let found: Vec<_> = verdict.faults().into_iter().filter(|(_, n)| *n > 0).collect();
    assert_eq!(verdict.verified(), found.is_empty());
    assert_eq!(verdict.examples.is_empty(), found.is_empty());
    found
}

#[test]
fn what_is_right_is_verified() {
    let verdict = check(&good());
    assert!(verdict.verified(), "{verdict:?}");
    assert_eq!((verdict.lines, verdict.acknowledged, verdict.finished_after_death), (30, 30, 0));
}

#[test]
fn a_dropped_line_is_lost_wherever_it_stood() {
    for at in 0..30 {
        let mut lines = good();
        lines.remove(at);
        assert_eq!(faults(&lines), [("lost", 1)], "line {at}");
    }
    assert_eq!(faults(&[]), [("lost", 30)]);
}

#[test]
fn a_doubled_line_is_found_near_and_far() {
    for at in 0..30 {
        for to in at + 1..=30 {
            let mut lines = good();
            lines.insert(to, lines[at].clone());
            assert_eq!(faults(&lines), [("doubled", 1)], "line {at} again at {to}");
        }
    }
}

#[test]
fn swapped_lines_of_one_process_are_found_and_of_two_processes_allowed() {
    let mut lines = good();
    lines.swap(0, 1);
    assert_eq!(faults(&lines), [("disordered", 1)]);
    lines = good();
    lines.swap(1, 2);
    assert_eq!(faults(&lines), []);
}

#[test]
fn a_torn_line_is_found_at_every_length() {
    for length in 0..record(3, 4).len() {
        let mut lines = good();
        assert_eq!(lines[6], record(3, 4));
        lines[6].truncate(length);
        assert_eq!(faults(&lines)[..], [("lost", 1), ("torn", 1)], "length {length} without an end");
        lines[6].push(b'\n');
        if lines[6] != record(3, 4) {
            assert_eq!(faults(&lines)[..], [("lost", 1), ("torn", 1)], "length {length}");
        }
    }
    let mut lines = good();
    let half = lines[6][..30].to_vec();
    let next = lines.remove(7);
    lines[6] = [half, next].concat();
    assert_eq!(faults(&lines), [("lost", 2), ("torn", 1)], "half a line glued to the next");
}

#[test]
fn an_altered_byte_is_found_wherever_it_is() {
    for at in 0..record(3, 4).len() {
        let mut lines = good();
        lines[6][at] ^= 1;
        let found = faults(&lines);
        assert!(found.contains(&("lost", 1)), "byte {at}");
        assert!(found.contains(&("altered", 1)) || found.contains(&("torn", 1)), "byte {at}: {found:?}");
    }
}

#[test]
fn only_a_killed_process_may_have_written_one_more() {
    let mut lines = good();
    lines.push(record(8, 10));
    assert_eq!(faults(&lines), []);
    assert_eq!(check(&lines).finished_after_death, 1);
    lines.push(record(8, 11));
    assert_eq!(faults(&lines), [("unacknowledged", 2)]);
    lines = good();
    lines.push(record(3, 20));
    assert_eq!(faults(&lines), [("unacknowledged", 1)]);
}

#[test]
fn a_line_of_nobody_is_found() {
    let mut lines = good();
    lines.push(record(4, 0));
    assert_eq!(faults(&lines), [("stranger", 1)]);
}

#[test]
fn files_are_read_oldest_first() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("a.log");
    for (name, lines) in [("a.log", 20..30), ("a.log.1", 10..20), ("a.log.12", 0..10)] {
        std::fs::write(dir.path().join(name), good()[lines].concat()).unwrap();
    }
    std::fs::write(dir.path().join("a.log.lock"), "x").unwrap();
    std::fs::write(dir.path().join("ba.log.1"), "x").unwrap();
    assert!(verify(&log, MAKER, &claims()).unwrap().verified());
    std::fs::rename(dir.path().join("a.log.12"), dir.path().join("a.log.0")).unwrap();
    assert!(!verify(&log, MAKER, &claims()).unwrap().verified());
}
