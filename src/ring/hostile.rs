//! Any bytes as a segment, and someone who scribbles on it between any two steps of the flusher.
//!
//! Everybody who may log can write everywhere in the segment, so nothing can be promised about what
//! then stands in the file. Promised, and asserted here, is: no panic, no access outside of the
//! segment, bounded work, bounded output, and that records whose chunk nobody scribbled on arrive.
//! The fuzz target and the tests feed [`run`].
#![allow(clippy::panic, clippy::expect_used, clippy::indexing_slicing)]

use super::append::{Line, Payload, Producer};
use super::journal::{self, Cell, Found};
use super::layout::{self, CELL_WORDS, DrainWord, Geometry, Phase, State, slot, word};
use super::look;
use super::mem::Mem;
use super::model::PlainMem;
use super::reclaim::{deaths, drops, occupant, own_drops, reported, take_over};
use super::sweep::{BATCH_BYTES, Batch, Drainer, Piece};
use core::cell::Cell as StdCell;
use core::sync::atomic::{Ordering, Ordering::Relaxed};

/// The geometry of the segment that is fuzzed.
pub const GEOMETRY: Geometry = Geometry::new(4, 8, 256).expect("within the limits");
/// Bytes of the input that one step of the script takes.
pub const STEP_BYTES: usize = 12;
/// Steps of a script at most.
pub const STEPS_MAX: usize = 64;
/// The slot of the producer whose records must arrive, and of the others.
const HEALTHY: u32 = 3;
const OTHERS: u32 = 3;
/// Memory operations of one step at most: some for each record that fits a chunk, and some more.
const WORK_MAX: u64 = 200_000;

/// Memory that checks each access: words before the chunks, payload within them, and not too many.
struct Strict {
    mem: PlainMem,
    work: StdCell<u64>,
}

impl Strict {
    fn count(&self) {
        self.work.set(self.work.get() + 1);
        assert!(self.work.get() < WORK_MAX, "unbounded work");
    }
    fn word(&self, at: usize) {
        self.count();
        assert!(at.is_multiple_of(8) && at < GEOMETRY.chunk(0), "word access at {at:#x}");
    }
    fn payload(&self, at: usize, len: usize) {
        self.count();
        let end = at.checked_add(len).expect("no overflow");
        assert!(
            at >= GEOMETRY.chunk(0) && end <= GEOMETRY.segment_bytes(),
            "payload access at {at:#x}, {len} bytes"
        );
    }
}

impl Mem for Strict {
    fn load(&self, at: usize, order: Ordering) -> u64 {
        self.word(at);
        self.mem.load(at, order)
    }
    fn store(&self, at: usize, value: u64, order: Ordering) {
        self.word(at);
        self.mem.store(at, value, order);
    }
    fn cas(&self, at: usize, old: u64, new: u64, ok: Ordering, err: Ordering) -> Result<u64, u64> {
        self.word(at);
        self.mem.cas(at, old, new, ok, err)
    }
    fn add(&self, at: usize, n: u64, order: Ordering) -> u64 {
        self.word(at);
        self.mem.add(at, n, order)
    }
    fn swap(&self, at: usize, value: u64, order: Ordering) -> u64 {
        self.word(at);
        self.mem.swap(at, value, order)
    }
    fn fence(&self, order: Ordering) {
        self.mem.fence(order);
    }
    fn put(&self, at: usize, bytes: &[u8]) {
        self.payload(at, bytes.len());
        self.mem.put(at, bytes);
    }
    fn get(&self, at: usize, len: usize, out: &mut Vec<u8>) {
        self.payload(at, len);
        self.mem.get(at, len, out);
    }
    fn put_word(&self, at: usize, value: u64) {
        self.payload(at, 8);
        self.mem.put_word(at, value);
    }
    fn get_word(&self, at: usize) -> u64 {
        self.payload(at, 8);
        self.mem.get_word(at)
    }
}

/// Offsets of the words that the ring reads, control words first, then the chunks.
fn interesting() -> Vec<usize> {
    let g = GEOMETRY;
    let cells = (0..2).flat_map(|c| (0..CELL_WORDS).map(move |i| layout::journal(c, i)));
    [word::ORDER, word::COMMIT, word::EPOCH]
        .into_iter()
        .chain(cells)
        .chain((0..g.slots()).map(|s| g.slot(s) + slot::WORD))
        .chain((0..g.chunks()).map(|c| g.drain(c)))
        .chain((0..g.chunks()).map(|c| g.state(c)))
        .chain((g.chunk(0)..g.segment_bytes()).step_by(8))
        .collect()
}

/// How far the flusher is with a batch.
enum Stage {
    Idle,
    Batched,
    Prepared,
}

struct Script {
    mem: Strict,
    words: Vec<usize>,
    drainer: Drainer,
    stage: Stage,
    out: Vec<u8>,
    healthy: Producer,
    others: Vec<Producer>,
    /// Records of the healthy producer in chunks that nobody scribbled on: `(chunk, text)`.
    owed: Vec<(u32, String)>,
    written: u64,
    /// Chunks that may not be what they say, and whether COMMIT may not.
    suspect: Vec<bool>,
    commit_lies: bool,
}

/// Runs the script that `input` holds on the segment that the rest of it describes; returns how many
/// records of the healthy producer were owed in the end, and arrived.
pub fn run(input: &[u8]) -> usize {
    let steps = input.first().map_or(0, |n| *n as usize % (STEPS_MAX + 1));
    let rest = input.get(1..).unwrap_or_default();
    let (script, bytes) = rest.split_at(rest.len().min(steps * STEP_BYTES));
    let words = interesting();
    let mem = PlainMem::new(GEOMETRY);
    for (at, w) in words.iter().zip(bytes.chunks(8)) {
        let mut value = [0; 8];
        value[..w.len()].copy_from_slice(w);
        mem.put_word(*at, u64::from_le_bytes(value));
    }
    let mem = Strict { mem, work: StdCell::new(0) };
    let mut s = Script {
        suspect: vec![true; GEOMETRY.chunks() as usize],
        commit_lies: true,
        drainer: take_over(&mem, GEOMETRY).drainer,
        mem,
        words,
        stage: Stage::Idle,
        out: Vec::new(),
        healthy: Producer::new(GEOMETRY, HEALTHY, 0),
        others: (0..OTHERS).map(|i| Producer::new(GEOMETRY, i, i * 2)).collect(),
        owed: Vec::new(),
        written: 0,
    };
    s.take_over();
    for step in script.chunks_exact(STEP_BYTES) {
        s.mem.work.set(0);
        s.step(step);
    }
    s.settle();
    s.owed.len()
}

/// Any words as a segment that somebody looks at: `crlog stat` and [`crate::Log::stats`]. Returns how many
/// records are said to wait.
pub fn look(input: &[u8]) -> u64 {
    let g = GEOMETRY;
    let mem = PlainMem::new(g);
    // All that is not a chunk's: control words, journal, deaths, slots.
    let rest = (layout::word::ORDER..g.slot(g.slots())).step_by(8);
    for (at, w) in interesting().into_iter().chain(rest).zip(input.chunks(8)) {
        let mut value = [0; 8];
        value[..w.len()].copy_from_slice(w);
        mem.put_word(at, u64::from_le_bytes(value));
    }
    let mem = Strict { mem, work: StdCell::new(0) };
    let lag = look::lag(&mem, g);
    let most = u64::from(g.chunks() * g.records_max());
    assert!(lag.records <= most && lag.chunks <= g.chunks(), "{lag:?}");
    assert!(lag.bytes <= most * g.chunk_bytes() as u64, "{lag:?}");
    assert!(mem.work.get() <= most + 3 * u64::from(g.chunks()) + 1, "unbounded work");
    let (commit, found) = journal::read(&mem);
    if let Found::Cell(cell) = found {
        assert_eq!(cell.end, mem.mem.get_word(layout::journal(commit, 1)), "the valid cell");
    }
    for number in 0..g.slots() {
        let id = occupant(&mem, g, number);
        // Bytes that are no text become one character of three bytes each.
        assert!(id.is_none_or(|id| id.name.len() <= 3 * slot::NAME_BYTES));
        look::work(&mem, g, number);
        let _ = (drops(&mem, g, number), reported(&mem, g, number), own_drops(&mem, g, number));
    }
    mem.work.set(0);
    let (_, dead) = deaths(&mem);
    assert!(dead.iter().all(|d| d.id.name.len() <= 3 * slot::NAME_BYTES));
    lag.records
}

impl Script {
    fn step(&mut self, b: &[u8]) {
        let value = u64::from_le_bytes([b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11]]);
        let (a, at) = (b[1], u16::from_le_bytes([b[2], b[3]]) as usize);
        match b[0] % 13 {
            0 => self.append_healthy(),
            1 => self.append(a, at),
            2 => self.append_some(a, at),
            3 => self.others[a as usize % OTHERS as usize].seal(&self.mem),
            4 => self.collect(),
            5 => self.batch(a),
            6 => self.prepare(),
            7 => self.commit(),
            8 => self.abort(),
            9 => {
                let slot = at as u32 % GEOMETRY.slots();
                self.drainer.reap(&self.mem, slot, || a & 1 == 0);
            }
            10 => {
                self.drainer.revoke_idle(&self.mem);
            }
            11 => self.take_over(),
            _ => self.scribble(a, at, value),
        }
    }

    fn take_over(&mut self) {
        self.drainer = take_over(&self.mem, GEOMETRY).drainer;
        self.stage = Stage::Idle;
        self.commit_lies = false;
        for (c, suspect) in (0..).zip(&mut self.suspect) {
            let state = State(self.mem.mem.load(GEOMETRY.state(c), Relaxed));
            *suspect &= state.phase() != Some(Phase::Free);
        }
    }

    /// The driver takes a prepared batch back before it collects anew: else the next commit would make it true.
    fn collect(&mut self) {
        if matches!(self.stage, Stage::Prepared) {
            self.abort();
        }
        let n = self.drainer.collect(&self.mem);
        let most = GEOMETRY.chunks() as usize * GEOMETRY.chunk_bytes() / 16;
        assert!(n <= most, "{n} records");
        self.stage = Stage::Idle;
    }

    fn batch(&mut self, a: u8) {
        if !matches!(self.stage, Stage::Idle) {
            return;
        }
        let mut left = a;
        let stop = |_, _| {
            let stop = left == 0;
            left = left.wrapping_sub(1);
            stop
        };
        let Some(batch) = self.drainer.next_batch(&self.mem, stop) else {
            return;
        };
        let longest = GEOMETRY.record_max() as u64;
        assert!(batch.bytes <= BATCH_BYTES.max(longest));
        assert!(batch.bytes <= batch.records * longest);
        self.check_pieces(&batch);
        self.stage = Stage::Batched;
    }

    fn check_pieces(&self, batch: &Batch) {
        let mut sum = 0;
        for piece in self.drainer.pieces() {
            let (at, len, from, to) = match *piece {
                Piece::Ring { at, len } => (at, len, GEOMETRY.chunk(0), GEOMETRY.segment_bytes()),
                Piece::Staged { at, len } => (at, len, 0, self.drainer.staging().len()),
            };
            assert!(at >= from && at + len <= to, "{piece:?}");
            sum += len as u64;
        }
        assert_eq!(sum, batch.bytes);
    }

    fn prepare(&mut self) {
        if matches!(self.stage, Stage::Batched) {
            self.drainer.prepare(&self.mem);
            self.stage = Stage::Prepared;
        }
    }

    fn commit(&mut self) {
        if matches!(self.stage, Stage::Prepared) {
            let mut bytes = Vec::new();
            for piece in self.drainer.pieces() {
                match *piece {
                    Piece::Ring { at, len } => self.mem.get(at, len, &mut bytes),
                    Piece::Staged { at, len } => {
                        bytes.extend_from_slice(&self.drainer.staging()[at..at + len]);
                    }
                }
            }
            let end = (self.out.len() + bytes.len()) as u64;
            let cell = Cell { file: 1, end, ..Cell::default() };
            if self.drainer.commit(&self.mem, &cell).is_ok() {
                self.out.extend_from_slice(&bytes);
                self.commit_lies = false;
                self.stage = Stage::Idle;
            } else {
                self.take_over();
            }
        }
    }

    fn abort(&mut self) {
        if matches!(self.stage, Stage::Batched | Stage::Prepared) {
            self.drainer.abort(&self.mem);
            self.stage = Stage::Idle;
        }
    }

    fn append(&mut self, a: u8, len: usize) {
        let text = vec![b'x'; len % (GEOMETRY.record_max() + 2)];
        let line = Line { bytes: &text, end: b"\n" };
        let n = self.others.len();
        let _ = self.others[a as usize % n].append(&self.mem, 0, &line);
    }

    fn append_some(&mut self, a: u8, len: usize) {
        let text = vec![b'y'; len % 64];
        let line = Line { bytes: &text, end: b"\n" };
        let lines = vec![line; 1 + len % 7];
        let n = self.others.len();
        let got = self.others[a as usize % n].append_batch(&self.mem, 0, &lines);
        assert!(got.is_err() || got.is_ok_and(|n| (1..=lines.len()).contains(&n)));
        assert!(!line.is_empty());
    }

    /// A record that is owed, provided that one can tell which chunk it is in.
    fn append_healthy(&mut self) {
        let text = format!("<healthy {}>", self.written);
        self.written += 1;
        let line = Line { bytes: text.as_bytes(), end: b"\n" };
        if self.healthy.append(&self.mem, 0, &line).is_err() {
            return;
        }
        let mine: Vec<u32> = (0..GEOMETRY.chunks())
            .filter(|&c| {
                let s = State(self.mem.mem.load(GEOMETRY.state(c), Relaxed));
                s.slot() == HEALTHY && s.phase() == Some(Phase::Open)
            })
            .collect();
        match mine[..] {
            [chunk] if !self.commit_lies && !self.suspect[chunk as usize] => {
                self.owed.push((chunk, text));
            }
            _ => {}
        }
    }

    /// Somebody writes where he has no business; what was in that chunk is not owed any more. A lie
    /// about which batch is committed concerns all chunks.
    fn scribble(&mut self, a: u8, at: usize, value: u64) {
        let g = GEOMETRY;
        let chunk = at as u32 % g.chunks();
        let (s, d) = (g.state(chunk), g.drain(chunk));
        let is = State(self.mem.mem.load(s, Relaxed));
        let (n, m) = (value as u32, (value >> 32) as u32);
        let (target, value) = match a % 8 {
            0 => (s, State::new(Phase::Open, n, m, is.generation()).0),
            1 => (s, State::new(Phase::Sealed, n, m, is.generation()).0),
            2 => (s, State::new(Phase::Big, n & 1, m % 4, is.generation()).0),
            3 => (s, is.0 ^ 1 << (value % 64)),
            4 => (d, DrainWord::new(n, m, self.drainer.committed(), is.generation()).0),
            _ => (self.words[at % self.words.len()], value),
        };
        self.mem.mem.put_word(target, value);
        let per_chunk = |c: u32| {
            let bytes = g.chunk(c)..g.chunk(c) + g.chunk_bytes();
            target == g.state(c) || target == g.drain(c) || bytes.contains(&target)
        };
        match (0..g.chunks()).find(|&c| per_chunk(c)) {
            Some(c) => {
                self.suspect[c as usize] = true;
                self.owed.retain(|(chunk, _)| *chunk != c);
            }
            None if target == word::COMMIT => {
                self.commit_lies = true;
                self.owed.clear();
            }
            None => {}
        }
    }

    /// The scribbler has gone: a new flusher takes over, and the owed records arrive. So does one more,
    /// if any chunk is free.
    fn settle(&mut self) {
        self.mem.work.set(0);
        self.take_over();
        self.append_healthy();
        for _ in 0..3 {
            self.mem.work.set(0);
            self.collect();
            loop {
                self.batch(u8::MAX);
                if matches!(self.stage, Stage::Idle) {
                    break;
                }
                self.prepare();
                self.commit();
            }
        }
        for (chunk, text) in &self.owed {
            let found = self.out.windows(text.len()).any(|w| w == text.as_bytes());
            assert!(found, "{text} of chunk {chunk} did not arrive");
        }
    }
}
