use super::super::append::{Parts, Producer, Refused};
use super::super::layout::{DrainWord, Geometry, Phase, State, word};
use super::super::mem::Mem;
use super::super::model::{Flusher, PlainMem, chunks_in_use};
use super::super::reclaim::after_a_crash;
use super::super::sweep::Piece;
use super::{SMALL, append, drain_all, line, lines, segment};
use core::sync::atomic::Ordering::Relaxed;

#[test]
fn records_come_out_in_the_order_of_their_calls_across_producers() {
    let mem = segment(SMALL);
    let mut file = Vec::new();
    let (mut a, mut b) = (Producer::new(SMALL, 0, 0), Producer::new(SMALL, 1, 2));
    let mut f = Flusher::take_over(&mem, SMALL, &mut file);
    for i in 0..50 {
        append(&mut a, &mem, &format!("a{i}")).unwrap();
        append(&mut b, &mem, &format!("b{i}")).unwrap();
        if i % 3 == 0 {
            f.sweep(&mem, &mut file, 2).unwrap();
        }
    }
    f.sweep(&mem, &mut file, 2).unwrap();
    let want: Vec<String> = (0..50).flat_map(|i| [format!("a{i}"), format!("b{i}")]).collect();
    assert_eq!(lines(&file), want);
}

#[test]
fn a_full_ring_refuses_and_takes_records_again_once_drained() {
    let mem = segment(SMALL);
    let mut p = Producer::new(SMALL, 0, 0);
    let mut n = 0;
    while append(&mut p, &mem, "0123456789").is_ok() {
        n += 1;
    }
    assert_eq!(n, 4 * (128 / (11 + 16)));
    let mut file = Vec::new();
    let mut f = Flusher::take_over(&mem, SMALL, &mut file);
    f.sweep(&mem, &mut file, u64::MAX).unwrap();
    assert_eq!(f.drainer.take_freed(), 4);
    append(&mut p, &mem, "again").unwrap();
    f.sweep(&mem, &mut file, u64::MAX).unwrap();
    assert_eq!(lines(&file).len(), n + 1);
}

#[test]
fn a_record_larger_than_a_chunk_arrives_whole_and_gives_its_chunks_back() {
    let g = Geometry::new(2, 16, 128).unwrap();
    let mem = segment(g);
    let mut p = Producer::new(g, 0, 0);
    let mut file = Vec::new();
    let long: String = (0..g.record_max() - 1).map(|i| char::from(b'a' + (i % 26) as u8)).collect();
    for _ in 0..10 {
        append(&mut p, &mem, "before").unwrap();
        append(&mut p, &mem, &long).unwrap();
        p.append(&mem, 0, &Parts(&[b"af", b"", b"ter", b"\n"])).unwrap();
        let mut f = Flusher::take_over(&mem, g, &mut file);
        f.sweep(&mem, &mut file, u64::MAX).unwrap();
    }
    assert_eq!(append(&mut p, &mem, &format!("{long}x")), Err(Refused::TooLong));
    let want: Vec<String> = (0..10).flat_map(|_| ["before".into(), long.clone(), "after".into()]).collect();
    assert_eq!(lines(&file), want);
    p.seal(&mem);
    drain_all(&mem, g, &mut file);
    assert_eq!(chunks_in_use(&mem, g), 0, "no chunk leaks");
}

#[test]
fn a_large_record_that_finds_too_few_chunks_takes_none() {
    let g = Geometry::new(2, 16, 128).unwrap();
    let mem = segment(g);
    let mut hogs: Vec<Producer> = (0..14).map(|_| Producer::new(g, 1, 0)).collect();
    for h in &mut hogs {
        append(h, &mem, "x").unwrap();
    }
    let mut p = Producer::new(g, 0, 0);
    let long = "y".repeat(3 * 128);
    assert_eq!(append(&mut p, &mem, &long), Err(Refused::Full));
    assert_eq!(chunks_in_use(&mem, g), 14);
}

#[test]
fn a_batch_appears_together_and_takes_one_commit() {
    let mem = segment(SMALL);
    let mut p = Producer::new(SMALL, 0, 0);
    let records = [line(b"one"), line(b"two"), line(b"three")];
    assert_eq!(p.append_batch(&mem, 0, &records), Ok(3));
    let mut file = Vec::new();
    drain_all(&mem, SMALL, &mut file);
    assert_eq!(lines(&file), ["one", "two", "three"]);
}

#[test]
fn empty_records_and_empty_terminators_are_records() {
    let mem = segment(SMALL);
    let mut p = Producer::new(SMALL, 0, 0);
    for _ in 0..8 {
        p.append(&mem, 0, &Parts(&[])).unwrap();
    }
    let mut file = Vec::new();
    let mut f = Flusher::take_over(&mem, SMALL, &mut file);
    assert_eq!(f.sweep(&mem, &mut file, u64::MAX), Ok(8));
    assert_eq!(f.sweep(&mem, &mut file, u64::MAX), Ok(0));
}

#[test]
fn an_idle_lease_is_revoked_and_its_owner_leases_another() {
    let mem = segment(SMALL);
    let mut p = Producer::new(SMALL, 0, 0);
    append(&mut p, &mem, "one").unwrap();
    let mut file = Vec::new();
    let mut f = Flusher::take_over(&mem, SMALL, &mut file);
    f.sweep(&mem, &mut file, u64::MAX).unwrap();
    assert_eq!(f.drainer.revoke_idle(&mem), 0, "it wrote since the sweep before");
    f.sweep(&mem, &mut file, u64::MAX).unwrap();
    assert_eq!(f.drainer.revoke_idle(&mem), 1);
    f.sweep(&mem, &mut file, u64::MAX).unwrap();
    assert_eq!(chunks_in_use(&mem, SMALL), 0);
    append(&mut p, &mem, "two").unwrap();
    f.sweep(&mem, &mut file, u64::MAX).unwrap();
    assert_eq!(lines(&file), ["one", "two"]);
}

#[test]
fn long_runs_are_written_straight_out_of_the_ring() {
    let g = Geometry::new(1, 4, 16384).unwrap();
    let mem = segment(g);
    let mut p = Producer::new(g, 0, 0);
    for _ in 0..20 {
        append(&mut p, &mem, &"z".repeat(99)).unwrap();
    }
    let mut file = Vec::new();
    let mut f = Flusher::take_over(&mem, g, &mut file);
    f.drainer.collect(&mem);
    f.drainer.next_batch(&mem, |_, _| false).unwrap();
    assert_eq!(f.drainer.pieces(), [Piece::Ring { at: g.chunk(0), len: 2000 }]);
}

#[test]
fn a_record_above_the_cut_waits_for_exactly_one_sweep() {
    let mem = segment(SMALL);
    let mut p = Producer::new(SMALL, 0, 0);
    append(&mut p, &mem, "lies").unwrap();
    mem.put_word(SMALL.record(0, 0), 1 << 60);
    let mut file = Vec::new();
    let mut f = Flusher::take_over(&mem, SMALL, &mut file);
    assert_eq!(f.sweep(&mem, &mut file, u64::MAX), Ok(0));
    assert_eq!(f.sweep(&mem, &mut file, u64::MAX), Ok(1));
}

#[test]
fn a_chunk_of_nonsense_is_counted_and_the_others_still_arrive() {
    let mem = segment(SMALL);
    let (mut a, mut b) = (Producer::new(SMALL, 0, 0), Producer::new(SMALL, 1, 0));
    append(&mut a, &mem, "good").unwrap();
    append(&mut a, &mem, "bad").unwrap();
    append(&mut a, &mem, "lost with it").unwrap();
    append(&mut b, &mem, "other").unwrap();
    mem.put_word(SMALL.record(0, 1) + 8, u64::from(u32::MAX));
    let mut file = Vec::new();
    drain_all(&mem, SMALL, &mut file);
    assert_eq!(lines(&file), ["good", "other"]);
    assert_eq!(chunks_in_use(&mem, SMALL), 0);
    let lost = super::super::layout::counter(super::super::layout::Counter::LostCorrupt);
    assert_eq!(mem.load(lost, Relaxed), 2);
}

#[test]
fn a_deposed_flusher_commits_nothing() {
    let mem = segment(SMALL);
    let mut p = Producer::new(SMALL, 0, 0);
    append(&mut p, &mem, "x").unwrap();
    let mut file = Vec::new();
    let mut old = Flusher::take_over(&mem, SMALL, &mut file);
    let _new = Flusher::take_over(&mem, SMALL, &mut file);
    assert!(old.sweep(&mem, &mut file, 1).is_err());
    assert_eq!(mem.load(word::COMMIT, Relaxed), 0);
}

#[test]
fn a_reaped_slot_is_not_touched_when_its_owner_lives_or_has_changed() {
    let mem = segment(SMALL);
    let mut p = Producer::new(SMALL, 0, 0);
    append(&mut p, &mem, "x").unwrap();
    let mut file = Vec::new();
    let mut f = Flusher::take_over(&mem, SMALL, &mut file);
    assert!(!f.drainer.reap(&mem, 0, || false));
    let state = State(mem.load(SMALL.state(0), Relaxed));
    assert_eq!(state.phase(), Some(Phase::Open));
    // The old incarnation leaves and a new one registers between the question and the answer.
    let swap = |mem: &PlainMem| {
        super::super::reclaim::deregister(mem, SMALL, 0);
        assert!(super::super::reclaim::register(mem, SMALL, 0, &super::Identity::default()));
        true
    };
    assert!(!f.drainer.reap(&mem, 0, || swap(&mem)));
    append(&mut p, &mem, "y").unwrap();
}

#[test]
fn a_collection_that_was_not_written_changes_no_order() {
    let mem = segment(SMALL);
    let (mut a, mut b) = (Producer::new(SMALL, 0, 0), Producer::new(SMALL, 1, 0));
    for p in ["a0", "b0", "a1", "b1", "a2", "b2"] {
        append(if p.starts_with('a') { &mut a } else { &mut b }, &mem, p).unwrap();
    }
    let mut file = Vec::new();
    let mut f = Flusher::take_over(&mem, SMALL, &mut file);
    // The disk is full: the batch is prepared and taken back.
    f.drainer.collect(&mem);
    f.drainer.next_batch(&mem, |_, _| false).unwrap();
    f.drainer.prepare(&mem);
    f.drainer.abort(&mem);
    f.sweep(&mem, &mut file, u64::MAX).unwrap();
    assert_eq!(lines(&file), ["a0", "b0", "a1", "b1", "a2", "b2"]);
}

#[test]
fn what_stands_before_a_bad_record_survives_a_collection_that_was_not_written() {
    let mem = segment(SMALL);
    let mut p = Producer::new(SMALL, 0, 0);
    append(&mut p, &mem, "good").unwrap();
    append(&mut p, &mem, "bad").unwrap();
    mem.put_word(SMALL.record(0, 1) + 8, u64::from(u32::MAX));
    let mut file = Vec::new();
    let mut f = Flusher::take_over(&mem, SMALL, &mut file);
    f.drainer.collect(&mem);
    f.sweep(&mem, &mut file, u64::MAX).unwrap();
    assert_eq!(lines(&file), ["good"]);
}

#[test]
fn a_count_beyond_what_a_chunk_can_hold_is_survived() {
    for phase in [Phase::Open, Phase::Sealed, Phase::Busy] {
        let mem = segment(SMALL);
        let mut p = Producer::new(SMALL, 0, 0);
        append(&mut p, &mem, "other").unwrap();
        mem.store(SMALL.state(1), State::new(phase, 0xfff, 1, 0).0, Relaxed);
        mem.store(SMALL.state(2), State::new(Phase::Big, 0, 1, 0).0, Relaxed);
        let mut file = Vec::new();
        drain_all(&mem, SMALL, &mut file);
        let text = String::from_utf8_lossy(&file);
        assert!(text.contains("other\n"));
        assert_eq!(chunks_in_use(&mem, SMALL), 0, "{phase:?}");
    }
}

#[test]
fn after_a_crash_of_the_machine_old_drain_words_swallow_no_new_record() {
    let mem = segment(SMALL);
    // The page of the states is older than that of the drain words: these are of records that were drained.
    for chunk in 0..SMALL.chunks() {
        mem.store(SMALL.drain(chunk), DrainWord::new(3, 3, 7, 0).0, Relaxed);
    }
    after_a_crash(&mem, SMALL);
    let mut p = Producer::new(SMALL, 0, 0);
    for text in ["new 0", "new 1"] {
        append(&mut p, &mem, text).unwrap();
    }
    let mut file = Vec::new();
    drain_all(&mem, SMALL, &mut file);
    assert_eq!(lines(&file), ["new 0", "new 1"]);
}
