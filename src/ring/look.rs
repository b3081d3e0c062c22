//! What can be seen of a ring that others are using, or have damaged: numbers for people, never acted upon.

use super::layout::{DrainWord, Geometry, Meta, Phase, State, slot, word};
use super::mem::Mem;
use core::sync::atomic::Ordering::{Acquire, Relaxed};

/// What waits in the ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lag {
    /// Records that are not yet in the file.
    pub records: u64,
    /// Their payload bytes.
    pub bytes: u64,
    /// Chunks in use.
    pub chunks: u32,
}

/// Counts what waits. At most as many records as the chunks have room for, whatever their words say (I5).
pub fn lag<M: Mem>(mem: &M, g: Geometry) -> Lag {
    // ORDER journal/acquire, commit/acquire below: as the flusher reads them, but only to count.
    let commit = mem.load(word::COMMIT, Acquire);
    let mut lag = Lag::default();
    for chunk in 0..g.chunks() {
        let state = State(mem.load(g.state(chunk), Acquire));
        let phase = state.phase();
        lag.chunks += u32::from(phase != Some(Phase::Free));
        if phase == Some(Phase::Big) {
            lag.bytes += g.chunk_bytes() as u64;
        }
        if !matches!(phase, Some(Phase::Open | Phase::Busy | Phase::Sealed)) {
            continue;
        }
        let drain = DrainWord(mem.load(g.drain(chunk), Relaxed));
        for i in drain.effective(state.generation(), commit)..state.count().min(g.records_max()) {
            let meta = Meta(mem.get_word(g.record(chunk, i) + 8));
            lag.records += 1;
            lag.bytes += u64::from(meta.len()).min(g.chunk_bytes() as u64);
        }
    }
    lag
}

/// What a slot's owner has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Work {
    pub records: u64,
    pub bytes: u64,
    pub too_long: u64,
    pub blocked_ns: u64,
}

/// The numbers in a slot.
pub fn work<M: Mem>(mem: &M, g: Geometry, number: u32) -> Work {
    let read = |offset: usize| mem.load(g.slot(number) + offset, Relaxed);
    Work {
        records: read(slot::RECORDS),
        bytes: read(slot::RECORD_BYTES),
        too_long: read(slot::TOO_LONG),
        blocked_ns: read(slot::BLOCKED_NS),
    }
}
