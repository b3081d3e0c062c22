//! The ring without an operating system: plain memory, memory that dies at a chosen step, a file that
//! is a vector, and the smallest driver that keeps the protocol. The tests, the loom models and the
//! fuzz targets run the ring on these; the library itself does not use them.

use super::journal::{Cell, Found};
use super::layout::{Geometry, word};
use super::mem::Mem;
use super::reclaim::take_over;
use super::sweep::{Deposed, Drainer, Piece};
use core::cell::Cell as StdCell;
use core::sync::atomic::{AtomicU64, Ordering, Ordering::Relaxed};

/// A segment in ordinary memory.
#[derive(Debug)]
pub struct PlainMem {
    words: Vec<AtomicU64>,
}

impl PlainMem {
    /// A zeroed segment: all chunks and slots are free.
    pub fn new(geometry: Geometry) -> PlainMem {
        let words = geometry.segment_bytes() / 8;
        PlainMem { words: (0..words).map(|_| AtomicU64::new(0)).collect() }
    }

    /// A segment that holds these bytes, whatever they are; the rest is zero.
    pub fn from_bytes(geometry: Geometry, bytes: &[u8]) -> PlainMem {
        let mem = PlainMem::new(geometry);
        let len = bytes.len().min(geometry.segment_bytes());
        mem.put(0, &bytes[..len]);
        mem
    }
}

impl Mem for PlainMem {
    fn load(&self, at: usize, order: Ordering) -> u64 {
        self.words[at / 8].load(order)
    }
    fn store(&self, at: usize, value: u64, order: Ordering) {
        self.words[at / 8].store(value, order);
    }
    fn cas(&self, at: usize, old: u64, new: u64, ok: Ordering, err: Ordering) -> Result<u64, u64> {
        self.words[at / 8].compare_exchange(old, new, ok, err)
    }
    fn add(&self, at: usize, n: u64, order: Ordering) -> u64 {
        self.words[at / 8].fetch_add(n, order)
    }
    fn swap(&self, at: usize, value: u64, order: Ordering) -> u64 {
        self.words[at / 8].swap(value, order)
    }
    fn fence(&self, order: Ordering) {
        core::sync::atomic::fence(order);
    }
    fn put(&self, at: usize, bytes: &[u8]) {
        for (i, b) in bytes.iter().enumerate() {
            let (w, shift) = ((at + i) / 8, (at + i) % 8 * 8);
            let old = self.words[w].load(Relaxed);
            self.words[w].store(old & !(0xff << shift) | u64::from(*b) << shift, Relaxed);
        }
    }
    fn get(&self, at: usize, len: usize, out: &mut Vec<u8>) {
        out.extend((at..at + len).map(|i| (self.words[i / 8].load(Relaxed) >> (i % 8 * 8)) as u8));
    }
    fn put_word(&self, at: usize, value: u64) {
        self.words[at / 8].store(value, Relaxed);
    }
    fn get_word(&self, at: usize) -> u64 {
        self.words[at / 8].load(Relaxed)
    }
}

/// What a role that was killed throws; catch it where the role ends.
#[derive(Debug)]
pub struct Killed;

/// One role's view of a segment: the role is killed before its step number `life`. A step is any
/// access to memory or to the file. What a killed role still does on its way out has no effect.
#[derive(Debug)]
pub struct Mortal<'a, M> {
    inner: &'a M,
    life: StdCell<u64>,
    dead: StdCell<bool>,
}

impl<'a, M> Mortal<'a, M> {
    /// A role that lives for `life` steps.
    pub fn new(inner: &'a M, life: u64) -> Mortal<'a, M> {
        Mortal { inner, life: StdCell::new(life), dead: StdCell::new(false) }
    }

    /// A step; kills the role when its time has come. Silent: no panic message, no hook.
    pub fn step(&self) {
        if self.life.get() == 0 {
            self.dead.set(true);
            std::panic::resume_unwind(Box::new(Killed));
        }
        self.life.set(self.life.get() - 1);
    }

    /// Steps that are left.
    pub fn left(&self) -> u64 {
        self.life.get()
    }
}

impl<M: Mem> Mem for Mortal<'_, M> {
    fn load(&self, at: usize, order: Ordering) -> u64 {
        self.step();
        self.inner.load(at, order)
    }
    fn store(&self, at: usize, value: u64, order: Ordering) {
        self.step();
        self.inner.store(at, value, order);
    }
    fn cas(&self, at: usize, old: u64, new: u64, ok: Ordering, err: Ordering) -> Result<u64, u64> {
        self.step();
        self.inner.cas(at, old, new, ok, err)
    }
    fn add(&self, at: usize, n: u64, order: Ordering) -> u64 {
        self.step();
        self.inner.add(at, n, order)
    }
    fn swap(&self, at: usize, value: u64, order: Ordering) -> u64 {
        self.step();
        self.inner.swap(at, value, order)
    }
    fn fence(&self, order: Ordering) {
        self.step();
        self.inner.fence(order);
    }
    fn put(&self, at: usize, bytes: &[u8]) {
        // Half of the copy, a place to die, the other half.
        let half = bytes.len() / 2 / 8 * 8;
        self.inner.put(at, &bytes[..half]);
        self.step();
        self.inner.put(at + half, &bytes[half..]);
    }
    fn get(&self, at: usize, len: usize, out: &mut Vec<u8>) {
        self.inner.get(at, len, out);
    }
    fn put_word(&self, at: usize, value: u64) {
        self.step();
        self.inner.put_word(at, value);
    }
    fn get_word(&self, at: usize) -> u64 {
        self.inner.get_word(at)
    }
}

/// Where a role may die while it works on the file.
pub trait Steps {
    /// One step outside of memory.
    fn file_step(&self) {}
}
impl Steps for PlainMem {}
impl<M> Steps for Mortal<'_, M> {
    fn file_step(&self) {
        self.step();
    }
}

/// A flusher of one file that never rotates.
#[derive(Debug)]
pub struct Flusher {
    /// The drain.
    pub drainer: Drainer,
    cell: Cell,
}

impl Flusher {
    /// Takes over: cuts what the dead predecessor had written of an uncommitted batch.
    pub fn take_over<M: Mem + Steps>(mem: &M, geometry: Geometry, file: &mut Vec<u8>) -> Flusher {
        let t = take_over(mem, geometry);
        let cell = match t.found {
            Found::Cell(cell) => cell,
            Found::Nothing => Cell::default(),
            Found::Damaged => Cell { end: file.len() as u64, ..Cell::default() },
        };
        let end = usize::try_from(cell.end).unwrap_or(usize::MAX);
        if t.drainer.was_writing(mem) {
            mem.file_step();
            file.truncate(end);
        } else {
            assert_eq!(file.len(), end, "there is nothing to cut");
        }
        Flusher { drainer: t.drainer, cell: Cell { end: file.len() as u64, ..cell } }
    }

    /// One sweep: everything collected is written, in batches of at most `batch` records.
    pub fn sweep<M: Mem + Steps>(
        &mut self,
        mem: &M,
        file: &mut Vec<u8>,
        batch: u64,
    ) -> Result<usize, Deposed> {
        let n = self.drainer.collect(mem);
        loop {
            let mut left = batch;
            let full = |_, _| {
                let stop = left == 0;
                left = left.saturating_sub(1);
                stop
            };
            let Some(b) = self.drainer.next_batch(mem, full) else {
                return Ok(n);
            };
            self.drainer.prepare(mem);
            self.write(mem, file);
            self.cell.end += b.bytes;
            self.cell.numbers = self.cell.numbers.with(b.numbers);
            self.drainer.commit(mem, &self.cell)?;
        }
    }

    fn write<M: Mem + Steps>(&self, mem: &M, file: &mut Vec<u8>) {
        for piece in self.drainer.pieces() {
            let mut bytes = Vec::new();
            match *piece {
                Piece::Ring { at, len } => mem.get(at, len, &mut bytes),
                Piece::Staged { at, len } => bytes.extend_from_slice(&self.drainer.staging()[at..at + len]),
            }
            let half = bytes.len() / 2;
            file.extend_from_slice(&bytes[..half]);
            mem.file_step();
            file.extend_from_slice(&bytes[half..]);
        }
    }
}

/// Chunks that are not FREE.
pub fn chunks_in_use<M: Mem>(mem: &M, geometry: Geometry) -> u32 {
    (0..geometry.chunks()).filter(|&c| mem.load(geometry.state(c), Relaxed) & 7 != 0).count() as u32
}

/// Keys given out so far.
pub fn keys_taken<M: Mem>(mem: &M) -> u64 {
    mem.load(word::ORDER, Relaxed)
}
