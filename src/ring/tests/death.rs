//! Every role killed before every one of its steps. The oracle: what was acknowledged is in the file
//! exactly once, in order, whole; besides it at most the one record that each killed producer was writing.
use super::super::append::Producer;
use super::super::journal::{self, Found};
use super::super::layout::Geometry;
use super::super::model::{Flusher, Killed, Mortal, PlainMem, chunks_in_use};
use super::{SMALL, drain_all, line, lines, segment};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `role`; true if it was killed, false if it came to its end.
fn killed(role: impl FnOnce()) -> bool {
    match catch_unwind(AssertUnwindSafe(role)) {
        Ok(()) => false,
        Err(e) if e.is::<Killed>() => true,
        Err(e) => std::panic::resume_unwind(e),
    }
}

/// A producer's life: `texts` one after the other; returns how many were acknowledged.
fn produce(mem: &PlainMem, g: Geometry, texts: &[String], life: u64) -> (usize, bool) {
    let mortal = Mortal::new(mem, life);
    let mut acked = 0;
    let dead = killed(|| {
        let mut p = Producer::new(g, 0, 0);
        for t in texts {
            p.append(&mortal, 0, &line(t.as_bytes())).unwrap();
            acked += 1;
        }
        p.seal(&mortal);
    });
    (acked, dead)
}

fn check(file: &[u8], texts: &[String], acked: usize) {
    let got = lines(file);
    assert!(got.len() == acked || got.len() == acked + 1, "{acked} acknowledged, {got:?}");
    assert_eq!(got, texts[..got.len()], "in order and whole");
}

#[test]
fn a_producer_may_die_at_any_step() {
    let texts: Vec<String> = (0..7).map(|i| format!("record {i}")).collect();
    for life in 0.. {
        let mem = segment(SMALL);
        let (acked, dead) = produce(&mem, SMALL, &texts, life);
        let mut file = Vec::new();
        drain_all(&mem, SMALL, &mut file);
        check(&file, &texts, acked);
        assert_eq!(chunks_in_use(&mem, SMALL), 0, "killed at step {life}: a chunk leaks");
        if !dead {
            assert!(life > 30, "the loop has met every step");
            break;
        }
    }
}

#[test]
fn a_producer_of_large_records_may_die_at_any_step() {
    let g = Geometry::new(4, 16, 128).unwrap();
    let texts: Vec<String> = (0..4).map(|i| format!("{i}").repeat(300 + i)).collect();
    for life in 0.. {
        let mem = segment(g);
        let (acked, dead) = produce(&mem, g, &texts, life);
        let mut file = Vec::new();
        drain_all(&mem, g, &mut file);
        check(&file, &texts, acked);
        assert_eq!(chunks_in_use(&mem, g), 0, "killed at step {life}: a chunk leaks");
        if !dead {
            assert!(life > 60);
            break;
        }
    }
}

/// Two producers with small and large records, a flusher with small batches.
fn busy_segment(g: Geometry) -> (PlainMem, Vec<String>) {
    let mem = segment(g);
    let mut all = Vec::new();
    let (mut a, mut b) = (Producer::new(g, 0, 0), Producer::new(g, 1, 5));
    for i in 0..6 {
        for (p, name) in [(&mut a, "a"), (&mut b, "b")] {
            let text = if i == 2 { name.repeat(200) } else { format!("{name}{i}") };
            p.append(&mem, 0, &line(text.as_bytes())).unwrap();
            all.push(text);
        }
    }
    (mem, all)
}

/// What the journal says of the file's order numbers.
fn numbers(mem: &PlainMem) -> Option<(u64, u64)> {
    match journal::read(mem).1 {
        Found::Cell(cell) => cell.numbers.known(),
        Found::Nothing | Found::Damaged => None,
    }
}

fn flush(mem: &PlainMem, g: Geometry, file: &mut Vec<u8>, life: u64) -> bool {
    let mortal = Mortal::new(mem, life);
    killed(|| {
        let mut f = Flusher::take_over(&mortal, g, file);
        f.sweep(&mortal, file, 3).unwrap();
        f.sweep(&mortal, file, 3).unwrap();
        for slot in 0..g.slots() {
            f.drainer.reap(&mortal, slot, || true);
        }
        f.sweep(&mortal, file, 3).unwrap();
    })
}

#[test]
fn a_flusher_may_die_at_any_step() {
    let g = Geometry::new(2, 16, 128).unwrap();
    for life in 0.. {
        let (mem, all) = busy_segment(g);
        let mut file = Vec::new();
        let dead = flush(&mem, g, &mut file, life);
        drain_all(&mem, g, &mut file);
        assert_eq!(lines(&file), all, "killed at step {life}");
        assert_eq!(numbers(&mem), Some((0, all.len() as u64 - 1)), "killed at step {life}");
        assert_eq!(chunks_in_use(&mem, g), 0, "killed at step {life}: a chunk leaks");
        if !dead {
            assert!(life > 100);
            break;
        }
    }
}

/// Nothing is reaped here: what a dead flusher had not yet given back, its successor must.
#[test]
fn a_flusher_may_die_while_the_owner_of_large_records_lives() {
    let g = Geometry::new(2, 16, 128).unwrap();
    for life in 0.. {
        let (mem, all) = busy_segment(g);
        let mut file = Vec::new();
        let mortal = Mortal::new(&mem, life);
        let dead = killed(|| {
            let mut f = Flusher::take_over(&mortal, g, &mut file);
            f.sweep(&mortal, &mut file, 3).unwrap();
        });
        let mut f = Flusher::take_over(&mem, g, &mut file);
        f.sweep(&mem, &mut file, u64::MAX).unwrap();
        f.sweep(&mem, &mut file, u64::MAX).unwrap();
        assert_eq!(lines(&file), all, "killed at step {life}");
        let open = chunks_in_use(&mem, g);
        assert_eq!(open, 2, "killed at step {life}: only the two leases are left");
        if !dead {
            assert!(life > 100);
            break;
        }
    }
}

#[test]
fn a_successor_may_die_at_any_step_too() {
    let g = Geometry::new(2, 8, 128).unwrap();
    let mut pairs = 0;
    for first in 0.. {
        let mut first_died = true;
        for second in 0.. {
            let (mem, all) = busy_segment(g);
            let mut file = Vec::new();
            first_died = flush(&mem, g, &mut file, first);
            let second_died = flush(&mem, g, &mut file, second);
            drain_all(&mem, g, &mut file);
            assert_eq!(lines(&file), all, "killed at steps {first} and {second}");
            assert_eq!(
                numbers(&mem),
                Some((0, all.len() as u64 - 1)),
                "killed at steps {first} and {second}"
            );
            assert_eq!(chunks_in_use(&mem, g), 0, "killed at steps {first} and {second}: a chunk leaks");
            pairs += 1;
            if !second_died {
                break;
            }
        }
        if !first_died {
            break;
        }
    }
    assert!(pairs > 10_000, "only {pairs} pairs of deaths");
}

#[test]
fn producer_and_flusher_may_die_one_after_the_other() {
    let texts: Vec<String> = (0..5).map(|i| format!("record {i}")).collect();
    for p_life in 0.. {
        let mut p_died = true;
        for f_life in 0.. {
            let mem = segment(SMALL);
            let mut file = Vec::new();
            let (acked, dead) = produce(&mem, SMALL, &texts, p_life);
            p_died = dead;
            let f_died = flush(&mem, SMALL, &mut file, f_life);
            drain_all(&mem, SMALL, &mut file);
            check(&file, &texts, acked);
            assert_eq!(chunks_in_use(&mem, SMALL), 0, "killed at steps {p_life} and {f_life}");
            if !f_died {
                break;
            }
        }
        if !p_died {
            break;
        }
    }
}
