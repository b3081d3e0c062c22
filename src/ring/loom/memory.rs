//! loom's face of the seam, and roles that live for a number of effects.
use crate::ring::layout::{CELL_WORDS, Geometry, SlotPhase, SlotWord, State, journal, slot, word};
use crate::ring::mem::Mem;
use crate::ring::model::{Killed, Steps};
use core::cell::Cell;
use core::sync::atomic::{AtomicU64 as StdAtomicU64, Ordering, Ordering::Relaxed};
use loom::cell::UnsafeCell;
use loom::sync::atomic::AtomicU64;
use std::collections::BTreeMap;

/// A small segment whose every access loom sees.
///
/// - `shared`: words that several roles touch at once: loom atomics.
/// - `owned`: words that have one owner at a time, as cells in which any two accesses (one of them a
///   write) that are not ordered by happens-before are an error. These are the bytes of the chunks
///   and, stricter than production, everything that only the holder of the flusher's lock touches:
///   journal, batch number, epoch, drain words. (As atomics they would have one visible value each,
///   given the lock, and only cost executions.)
/// - `rest`: hints and statistics, which nothing depends on: plain atomics that loom does not see.
pub(super) struct LoomMem {
    shared: BTreeMap<usize, AtomicU64>,
    owned: BTreeMap<usize, UnsafeCell<u64>>,
    rest: Vec<StdAtomicU64>,
    first_chunk: usize,
}

// SAFETY: loom runs one thread at a time, and panics at the first access to a cell that is not ordered
// after every conflicting one.
unsafe impl Sync for LoomMem {}

impl LoomMem {
    /// All slots ALIVE; the chunks as `states` says, FREE if it does not.
    pub(super) fn new(g: Geometry, states: &[State]) -> LoomMem {
        let mut shared = BTreeMap::new();
        shared.insert(word::ORDER, AtomicU64::new(0));
        for s in 0..g.slots() {
            let alive = SlotWord::new(SlotPhase::Alive, 0).0;
            shared.insert(g.slot(s) + slot::WORD, AtomicU64::new(alive));
        }
        for c in 0..g.chunks() {
            let state = states.get(c as usize).map_or(0, |s| s.0);
            shared.insert(g.state(c), AtomicU64::new(state));
        }
        let journal = (0..2).flat_map(|c| (0..CELL_WORDS).map(move |i| journal(c, i)));
        let owned = [word::EPOCH, word::COMMIT, word::WRITING]
            .into_iter()
            .chain(journal)
            .chain((0..g.chunks()).map(|c| g.drain(c)))
            .chain((g.chunk(0)..g.segment_bytes()).step_by(8))
            .map(|at| (at, UnsafeCell::new(0)))
            .collect();
        LoomMem {
            shared,
            owned,
            rest: (0..g.chunk(0) / 8).map(|_| StdAtomicU64::new(0)).collect(),
            first_chunk: g.chunk(0),
        }
    }

    /// Makes one more word a loom atomic.
    pub(super) fn share(&mut self, at: usize) {
        self.shared.insert(at, AtomicU64::new(0));
    }

    fn read(&self, at: usize) -> u64 {
        let cell = self.owned.get(&at).expect("a modelled word");
        // SAFETY: loom has checked that no write is unordered with this read.
        cell.with(|p| unsafe { *p })
    }

    fn update(&self, at: usize, f: impl FnOnce(u64) -> u64) -> u64 {
        let cell = self.owned.get(&at).expect("a modelled word");
        cell.with_mut(|p| {
            // SAFETY: loom has checked that no access is unordered with this one.
            unsafe {
                let old = *p;
                *p = f(old);
                old
            }
        })
    }

    fn is_modelled(&self, at: usize) -> bool {
        self.shared.contains_key(&at) || self.owned.contains_key(&at)
    }

    fn payload(&self, at: usize) {
        assert!(at >= self.first_chunk, "payload access at {at:#x}");
    }

    fn control(&self, at: usize) {
        assert!(at < self.first_chunk, "word access at {at:#x}");
    }
}

impl Mem for LoomMem {
    fn load(&self, at: usize, order: Ordering) -> u64 {
        self.control(at);
        match self.shared.get(&at) {
            Some(w) => w.load(order),
            None if self.owned.contains_key(&at) => self.read(at),
            None => self.rest[at / 8].load(Relaxed),
        }
    }
    fn store(&self, at: usize, value: u64, order: Ordering) {
        self.control(at);
        match self.shared.get(&at) {
            Some(w) => w.store(value, order),
            None if self.owned.contains_key(&at) => drop(self.update(at, |_| value)),
            None => self.rest[at / 8].store(value, Relaxed),
        }
    }
    fn cas(&self, at: usize, old: u64, new: u64, ok: Ordering, err: Ordering) -> Result<u64, u64> {
        let shared = self.shared.get(&at).expect("a shared word");
        shared.compare_exchange(old, new, ok, err)
    }
    fn add(&self, at: usize, n: u64, order: Ordering) -> u64 {
        self.control(at);
        match self.shared.get(&at) {
            Some(w) => w.fetch_add(n, order),
            None if self.owned.contains_key(&at) => self.update(at, |x| x.wrapping_add(n)),
            None => self.rest[at / 8].fetch_add(n, Relaxed),
        }
    }
    fn swap(&self, at: usize, value: u64, order: Ordering) -> u64 {
        let shared = self.shared.get(&at).expect("a shared word");
        shared.swap(value, order)
    }
    fn fence(&self, order: Ordering) {
        loom::sync::atomic::fence(order);
    }
    fn put(&self, at: usize, bytes: &[u8]) {
        self.payload(at);
        let mut at = at;
        let mut bytes = bytes;
        while !bytes.is_empty() {
            let (from, n) = (at % 8, bytes.len().min(8 - at % 8));
            self.update(at - from, |old| {
                let mut word = old.to_le_bytes();
                word[from..from + n].copy_from_slice(&bytes[..n]);
                u64::from_le_bytes(word)
            });
            (at, bytes) = (at + n, &bytes[n..]);
        }
    }
    fn get(&self, at: usize, len: usize, out: &mut Vec<u8>) {
        self.payload(at);
        let (mut at, end) = (at, at + len);
        while at < end {
            let (from, n) = (at % 8, (end - at).min(8 - at % 8));
            out.extend_from_slice(&self.read(at - from).to_le_bytes()[from..from + n]);
            at += n;
        }
    }
    fn put_word(&self, at: usize, value: u64) {
        self.payload(at);
        self.update(at, |_| value);
    }
    fn get_word(&self, at: usize) -> u64 {
        self.payload(at);
        self.read(at)
    }
}

/// A role that is killed before its effect number `life`. Like [`Mortal`](crate::ring::model::Mortal),
/// but only effects count: a role killed before a load leaves what one killed before its next store
/// leaves, and each place to die costs an exploration.
pub(super) struct Role<'a> {
    mem: &'a LoomMem,
    life: Cell<u64>,
}

/// Life of a role that is not killed.
pub(super) const LONG: u64 = u64::MAX;

impl<'a> Role<'a> {
    pub(super) fn new(mem: &'a LoomMem, life: u64) -> Role<'a> {
        Role { mem, life: Cell::new(life) }
    }

    fn effect(&self) {
        match self.life.get() {
            0 => std::panic::resume_unwind(Box::new(Killed)),
            n => self.life.set(n - 1),
        }
    }

    /// Of a journal cell only the first word and the last are places to die: between them it is
    /// damaged in one way or another, and nobody reads a damaged cell that is not the valid one.
    fn effect_at(&self, at: usize) {
        let inside = (0..2).any(|c| (1..CELL_WORDS - 1).any(|i| at == journal(c, i)));
        if self.mem.is_modelled(at) && !inside {
            self.effect();
        }
    }
}

impl Mem for Role<'_> {
    fn load(&self, at: usize, order: Ordering) -> u64 {
        self.mem.load(at, order)
    }
    fn store(&self, at: usize, value: u64, order: Ordering) {
        self.effect_at(at);
        self.mem.store(at, value, order);
    }
    fn cas(&self, at: usize, old: u64, new: u64, ok: Ordering, err: Ordering) -> Result<u64, u64> {
        self.effect_at(at);
        self.mem.cas(at, old, new, ok, err)
    }
    fn add(&self, at: usize, n: u64, order: Ordering) -> u64 {
        self.effect_at(at);
        self.mem.add(at, n, order)
    }
    fn swap(&self, at: usize, value: u64, order: Ordering) -> u64 {
        self.effect_at(at);
        self.mem.swap(at, value, order)
    }
    fn fence(&self, order: Ordering) {
        self.mem.fence(order);
    }
    fn put(&self, at: usize, bytes: &[u8]) {
        // The first word, a place to die, the rest.
        let (first, rest) = bytes.split_at(bytes.len().min(8));
        self.effect();
        self.mem.put(at, first);
        if !rest.is_empty() {
            self.effect();
            self.mem.put(at + 8, rest);
        }
    }
    fn get(&self, at: usize, len: usize, out: &mut Vec<u8>) {
        self.mem.get(at, len, out);
    }
    fn put_word(&self, at: usize, value: u64) {
        self.effect();
        self.mem.put_word(at, value);
    }
    fn get_word(&self, at: usize) -> u64 {
        self.mem.get_word(at)
    }
}

impl Steps for Role<'_> {
    fn file_step(&self) {
        self.effect();
    }
}
