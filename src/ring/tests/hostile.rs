//! Bytes that no crlog wrote. See [`hostile`](super::super::hostile) for what is asserted.
use super::super::hostile::{GEOMETRY, STEP_BYTES, STEPS_MAX, look, run};
use proptest::prelude::*;

/// Steps of a script: every kind of step is as likely as scribbling.
fn script() -> impl Strategy<Value = Vec<u8>> {
    let step = (0u8..26, any::<u8>(), any::<u16>(), any::<u64>()).prop_map(|(op, a, at, value)| {
        let mut bytes = vec![op.min(12), a];
        bytes.extend_from_slice(&at.to_le_bytes());
        bytes.extend_from_slice(&value.to_le_bytes());
        bytes
    });
    prop::collection::vec(step, 0..=STEPS_MAX).prop_map(|steps| {
        let mut input = vec![steps.len() as u8];
        input.extend(steps.into_iter().flatten());
        assert_eq!((input.len() - 1) % STEP_BYTES, 0);
        input
    })
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let words = 32 + GEOMETRY.ring_bytes() as usize / 8;
    // Small words are likelier to mean something.
    let small = prop_oneof![4 => Just(0), 4 => 0u64..64, 2 => 0u64..1 << 32, 1 => any::<u64>()];
    prop::collection::vec(small, 0..words)
        .prop_map(|words| words.iter().flat_map(|w| w.to_le_bytes()).collect())
}

/// The headers of a count that no chunk has room for would lie before the chunk, or before the segment.
#[test]
fn a_count_beyond_what_a_chunk_holds_reads_nothing_outside_of_it() {
    let (op, scribble, sealed, collect) = (12, 1, 0xfffu64, 4);
    for chunk in 0..GEOMETRY.chunks() as u8 {
        let mut input = vec![2];
        for (op, a, value) in [(op, scribble, sealed), (collect, 0, 0)] {
            input.extend([op, a, chunk, 0]);
            input.extend(value.to_le_bytes());
        }
        assert_eq!(run(&input), 1, "the record of the end");
    }
}

/// Each was found by the fuzzer; some made an earlier version fail.
#[test]
fn the_corpus_of_the_fuzzer_passes() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/segment");
    let inputs: Vec<_> =
        std::fs::read_dir(dir).unwrap().map(|e| std::fs::read(e.unwrap().path()).unwrap()).collect();
    assert!(inputs.len() > 50);
    for input in inputs {
        run(&input);
    }
}

#[test]
fn records_are_owed_at_all() {
    let step = |op: u8| [op, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let (healthy, collect, batch, prepare, commit) = (0, 4, 5, 6, 7);
    let ops = [healthy, healthy, collect, batch, prepare, commit, healthy];
    let mut input = vec![ops.len() as u8];
    input.extend(ops.into_iter().flat_map(step));
    assert_eq!(run(&input), 4, "three of the script, one of the end");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_words_can_be_looked_at(input in bytes()) {
        look(&input);
    }

    #[test]
    fn random_bytes_as_a_segment_never_panic(script in script(), bytes in bytes()) {
        let _owed = run(&[script, bytes].concat());
    }

    #[test]
    fn a_scribbler_on_a_fresh_segment_harms_only_the_chunks_it_touches(script in script()) {
        let _owed = run(&script);
    }
}

#[test]
fn keys_that_run_over_stop_no_producer() {
    use super::super::mem::Mem;
    use super::{SMALL, drain_all, line, lines, segment};
    let mem = segment(SMALL);
    let order = super::super::layout::word::ORDER;
    mem.store(order, u64::MAX - 1, core::sync::atomic::Ordering::Relaxed);
    let mut p = super::super::append::Producer::new(SMALL, 0, 0);
    let records = [line(b"one"), line(b"two"), line(b"three")];
    assert_eq!(p.append_batch(&mem, 0, &records), Ok(3));
    let mut file = Vec::new();
    drain_all(&mem, SMALL, &mut file);
    assert_eq!(lines(&file), ["one", "two", "three"]);
}
