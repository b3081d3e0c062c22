//! What else stands in the segment besides records: drops and who tells of them, the reserve, checksums, deaths.
use super::super::append::{Lessee, Producer, Refused};
use super::super::layout::{Geometry, LEVELS, SlotPhase, SlotWord, State, slot, word};
use super::super::mem::Mem;
use super::super::model::{Flusher, Killed, Mortal, PlainMem, Steps, chunks_in_use};
use super::super::note::Notes;
use super::super::reclaim::{deaths, drops, own_drops, reported};
use super::super::sweep::Manner;
use super::{SMALL, line, lines, segment};
use core::sync::atomic::Ordering::Relaxed;
use std::panic::{AssertUnwindSafe, catch_unwind};

const INFO: u8 = 2;
const WARN: u8 = 3;

fn manner() -> Manner {
    Manner { terminator: b"\n".to_vec(), ..Manner::default() }
}

fn take_over<M: Mem + Steps>(mem: &M, g: Geometry, file: &mut Vec<u8>, manner: Manner) -> Flusher {
    let mut f = Flusher::take_over(mem, g, file);
    f.drainer.manner = manner;
    f
}

/// Writes until the ring is full, counts `more` records of `level` as dropped, as a writer does.
fn fill_and_drop(p: &mut Producer, mem: &PlainMem, level: u8, more: u64, texts: &mut Vec<String>) {
    while p.append(mem, level, &line(format!("r{}", texts.len()).as_bytes())).is_ok() {
        texts.push(format!("r{}", texts.len()));
    }
    mem.add(SMALL.slot(0) + slot::DROPS + 8 * usize::from(level), more, Relaxed);
}

#[test]
fn a_gap_stands_between_what_was_written_before_and_after_it() {
    let mem = segment(SMALL);
    let (mut file, mut texts) = (Vec::new(), Vec::new());
    let mut p = Producer::new(SMALL, 0, 0);
    let mut f = take_over(&mem, SMALL, &mut file, manner());
    fill_and_drop(&mut p, &mem, INFO, 5, &mut texts);
    let before = texts.len();
    f.sweep(&mem, &mut file, u64::MAX).unwrap();
    f.sweep(&mem, &mut file, u64::MAX).unwrap();
    assert_eq!(lines(&file).len(), before, "the gap waits for a record behind it");
    fill_and_drop(&mut p, &mem, WARN, 2, &mut texts);
    f.sweep(&mem, &mut file, u64::MAX).unwrap();
    f.sweep(&mem, &mut file, u64::MAX).unwrap();
    p.append(&mem, INFO, &line(b"last")).unwrap();
    f.sweep(&mem, &mut file, u64::MAX).unwrap();

    let got = lines(&file);
    let gaps: Vec<usize> = (0..got.len()).filter(|&i| got[i].starts_with("crlog: ")).collect();
    assert_eq!(gaps, [before, texts.len() + 1]);
    assert!(got[gaps[0]].ends_with(": 5 info"), "{}", got[gaps[0]]);
    assert!(got[gaps[1]].ends_with(": 2 warn"), "{}", got[gaps[1]]);
    assert_eq!(got.len(), texts.len() + 3);
    assert_eq!(drops(&mem, SMALL, 0), reported(&mem, SMALL, 0));
}

/// Whatever dies wherever, each gap is told once, at its place, with its number.
#[test]
fn a_flusher_that_tells_of_a_gap_may_die_at_any_step() {
    for life in 0.. {
        let mem = segment(SMALL);
        let (mut file, mut texts) = (Vec::new(), Vec::new());
        let mut p = Producer::new(SMALL, 0, 0);
        fill_and_drop(&mut p, &mem, INFO, 7, &mut texts);
        let before = texts.len();
        let mut f = take_over(&mem, SMALL, &mut file, manner());
        f.sweep(&mem, &mut file, u64::MAX).unwrap();
        fill_and_drop(&mut p, &mem, INFO, 0, &mut texts);
        let mortal = Mortal::new(&mem, life);
        let run = catch_unwind(AssertUnwindSafe(|| {
            let mut f = take_over(&mortal, SMALL, &mut file, manner());
            f.sweep(&mortal, &mut file, 3).unwrap();
            f.sweep(&mortal, &mut file, 3).unwrap();
        }));
        let dead = run.is_err_and(|e| e.is::<Killed>());
        let mut f = take_over(&mem, SMALL, &mut file, manner());
        f.sweep(&mem, &mut file, u64::MAX).unwrap();
        f.sweep(&mem, &mut file, u64::MAX).unwrap();
        let mut got = lines(&file);
        assert!(got.remove(before).ends_with(": 7 info"), "killed at step {life}: {got:?}");
        assert_eq!(got, texts, "killed at step {life}");
        assert_eq!(drops(&mem, SMALL, 0), reported(&mem, SMALL, 0), "killed at step {life}");
        if !dead {
            assert!(life > 50, "the loop has met every step");
            break;
        }
    }
}

#[test]
fn an_aborted_batch_tells_of_the_gap_again() {
    let mem = segment(SMALL);
    let (mut file, mut texts) = (Vec::new(), Vec::new());
    let mut p = Producer::new(SMALL, 0, 0);
    fill_and_drop(&mut p, &mem, INFO, 3, &mut texts);
    let mut f = take_over(&mem, SMALL, &mut file, manner());
    f.sweep(&mem, &mut file, u64::MAX).unwrap();
    p.append(&mem, INFO, &line(b"after")).unwrap();
    for _ in 0..2 {
        f.drainer.collect(&mem);
        let batch = f.drainer.next_batch(&mem, |_, _| false).unwrap();
        assert_eq!((batch.records, batch.notes), (1, 1));
        f.drainer.prepare(&mem);
        f.drainer.abort(&mem);
        assert_eq!(reported(&mem, SMALL, 0), [0; LEVELS]);
    }
}

#[test]
fn notes_may_be_off_and_the_numbers_go_on() {
    let mem = segment(SMALL);
    let (mut file, mut texts) = (Vec::new(), Vec::new());
    let mut p = Producer::new(SMALL, 0, 0);
    fill_and_drop(&mut p, &mem, INFO, 3, &mut texts);
    let mut f = take_over(&mem, SMALL, &mut file, Manner { notes: Notes::Off, ..manner() });
    f.sweep(&mem, &mut file, u64::MAX).unwrap();
    fill_and_drop(&mut p, &mem, INFO, 0, &mut texts);
    f.sweep(&mem, &mut file, u64::MAX).unwrap();
    assert_eq!(lines(&file), texts);
    assert_eq!(reported(&mem, SMALL, 0)[2], 3);
}

#[test]
fn a_slot_s_next_owner_is_not_charged_with_the_drops_of_the_last() {
    let mem = segment(SMALL);
    mem.add(SMALL.slot(0) + slot::DROPS + 16, 9, Relaxed);
    super::super::reclaim::deregister(&mem, SMALL, 0);
    assert!(super::super::reclaim::register(&mem, SMALL, 0, &super::Identity::default()));
    mem.add(SMALL.slot(0) + slot::DROPS + 16, 2, Relaxed);
    assert_eq!(own_drops(&mem, SMALL, 0), [0, 0, 2, 0, 0, 0]);
    assert_eq!(drops(&mem, SMALL, 0), [0, 0, 11, 0, 0, 0]);
}

#[test]
fn the_reserve_takes_warnings_when_it_takes_nothing_else() {
    let mem = segment(SMALL);
    mem.store(word::RESERVE, 2, Relaxed);
    let mut p = Producer::new(SMALL, 0, 0);
    let mut texts = Vec::new();
    fill_and_drop(&mut p, &mem, INFO, 0, &mut texts);
    let full = chunks_in_use(&mem, SMALL);
    assert_eq!(full, SMALL.chunks() - 2);
    // A warning leases from the reserve; an info record behind it does not use that chunk.
    for i in 0..4 {
        p.append(&mem, WARN, &line(format!("warning {i}").as_bytes())).unwrap();
        assert_eq!(p.append(&mem, INFO, &line(b"info")), Err(Refused::Full));
    }
    let mut warnings = 4;
    while p.append(&mem, WARN, &line(b"w")).is_ok() {
        warnings += 1;
    }
    assert_eq!(chunks_in_use(&mem, SMALL), SMALL.chunks(), "the reserve is used up, too");
    let mut file = Vec::new();
    let mut f = take_over(&mem, SMALL, &mut file, manner());
    f.sweep(&mem, &mut file, u64::MAX).unwrap();
    assert_eq!(lines(&file).len(), texts.len() + warnings);
}

/// In a chunk of the reserve a gap stands before a record in the middle; whatever dies wherever, once.
#[test]
fn a_flusher_that_tells_of_a_gap_within_a_chunk_may_die_at_any_step() {
    for life in 0.. {
        let mem = segment(SMALL);
        mem.store(word::RESERVE, 2, Relaxed);
        let (mut file, mut texts) = (Vec::new(), Vec::new());
        let mut p = Producer::new(SMALL, 0, 0);
        fill_and_drop(&mut p, &mem, INFO, 0, &mut texts);
        for _ in 0..3 {
            texts.push(format!("warning {}", texts.len()));
            p.append(&mem, WARN, &line(texts.last().unwrap().as_bytes())).unwrap();
            mem.add(SMALL.slot(0) + slot::DROPS + 16, 5, Relaxed);
            p.note_drop();
        }
        texts.push("last".into());
        p.append(&mem, WARN, &line(b"last")).unwrap();
        let mortal = Mortal::new(&mem, life);
        let run = catch_unwind(AssertUnwindSafe(|| {
            let mut f = take_over(&mortal, SMALL, &mut file, manner());
            f.sweep(&mortal, &mut file, 3).unwrap();
        }));
        let dead = run.is_err_and(|e| e.is::<Killed>());
        let mut f = take_over(&mem, SMALL, &mut file, manner());
        f.sweep(&mem, &mut file, u64::MAX).unwrap();
        let got = lines(&file);
        let gaps: Vec<usize> = (0..got.len()).filter(|&i| got[i].ends_with(": 5 info")).collect();
        let n = got.len();
        assert_eq!(gaps, [n - 6, n - 4, n - 2], "killed at step {life}: {got:?}");
        let kept: Vec<String> = got.into_iter().filter(|l| !l.starts_with("crlog: ")).collect();
        assert_eq!(kept, texts, "killed at step {life}");
        assert_eq!(drops(&mem, SMALL, 0), reported(&mem, SMALL, 0), "killed at step {life}");
        if !dead {
            assert!(life > 50, "the loop has met every step");
            break;
        }
    }
}

#[test]
fn a_record_whose_bytes_changed_is_refused_and_the_others_arrive() {
    let g = Geometry::new(2, 8, 256).unwrap();
    for big in [false, true] {
        let mem = segment(g);
        let mut p = Producer::new(g, 0, 0).named(Lessee::default(), true);
        let long = "long".repeat(100);
        let texts = ["one", if big { &long } else { "two" }, "three"];
        for t in texts {
            p.append(&mem, INFO, &line(t.as_bytes())).unwrap();
        }
        let victim = if big {
            let part = (0..g.chunks()).find(|&c| mem.load(g.state(c), Relaxed) & 7 == 4).unwrap();
            g.chunk(part) + 16
        } else {
            let first = (0..g.chunks()).find(|&c| State(mem.load(g.state(c), Relaxed)).count() > 0).unwrap();
            g.chunk(first) + 4
        };
        mem.put(victim, b"X");
        let mut file = Vec::new();
        let mut f = take_over(&mem, g, &mut file, Manner { must_check: true, ..manner() });
        f.sweep(&mem, &mut file, u64::MAX).unwrap();
        p.append(&mem, INFO, &line(b"four")).unwrap();
        p.seal(&mem);
        f.sweep(&mem, &mut file, u64::MAX).unwrap();
        assert_eq!(lines(&file), ["one", "three", "four"], "large: {big}");
        assert_eq!(super::counted(&mem, super::Counter::BadChecksums), 1);
        assert_eq!(chunks_in_use(&mem, g), 0);
    }
}

/// Bytes of a chunk's former life, sound in themselves, are not those of this one.
#[test]
fn an_older_page_of_the_same_chunk_is_refused() {
    let g = Geometry::new(2, 2, 256).unwrap();
    let mem = segment(g);
    let mut p = Producer::new(g, 0, 0).named(Lessee::default(), true);
    let mut file = Vec::new();
    let mut f = take_over(&mem, g, &mut file, Manner { must_check: true, ..manner() });
    let mut old = Vec::new();
    for round in 0..2 {
        p.append(&mem, INFO, &line(format!("round {round}").as_bytes())).unwrap();
        p.seal(&mem);
        if round == 0 {
            mem.get(g.chunk(0), 256, &mut old);
        } else {
            mem.put(g.chunk(0), &old);
        }
        f.sweep(&mem, &mut file, u64::MAX).unwrap();
        let other = Producer::new(g, 0, 1).named(Lessee::default(), true).append(&mem, INFO, &line(b""));
        assert!(other.is_ok(), "the other chunk is taken, so that the first is used again");
    }
    assert_eq!(lines(&file).iter().filter(|l| l.starts_with("round")).count(), 1);
    assert_eq!(super::counted(&mem, super::Counter::BadChecksums), 1);
}

#[test]
fn a_record_without_checksum_is_refused_where_there_must_be_one() {
    let mem = segment(SMALL);
    let mut file = Vec::new();
    let mut f = take_over(&mem, SMALL, &mut file, Manner { must_check: true, ..manner() });
    Producer::new(SMALL, 0, 0).append(&mem, INFO, &line(b"forged")).unwrap();
    f.sweep(&mem, &mut file, u64::MAX).unwrap();
    assert_eq!(file, b"");
}

#[test]
fn a_death_is_entered_with_what_was_written() {
    let mem = segment(SMALL);
    let mut file = Vec::new();
    let mut f = take_over(&mem, SMALL, &mut file, Manner { now_ns: 42, ..manner() });
    let mut p = Producer::new(SMALL, 0, 0);
    for i in 0..20 {
        p.append(&mem, INFO, &line(format!("{i}").as_bytes())).unwrap();
        if i == 4 {
            f.sweep(&mem, &mut file, u64::MAX).unwrap();
        }
    }
    assert!(f.drainer.reap(&mem, 0, || true));
    let (n, last) = deaths(&mem);
    assert_eq!((n, last.len()), (1, 1));
    assert_eq!((last[0].records, last[0].unfinished, last[0].died_ns), (20, 0, 42));
    let word = SlotWord(mem.load(SMALL.slot(0) + slot::WORD, Relaxed));
    assert_eq!(word.phase(), Some(SlotPhase::Free));
}
