//! The one seam between the protocol and memory.
//!
//! The same ring source runs over a mapped segment, over plain memory that dies at a chosen step,
//! over loom's checked cells and over fuzzed bytes. Two kinds of access exist:
//!
//! - *words*: shared 8-byte atomics, each access with its ordering (rows in docs/ordering.md);
//! - *payload*: bytes of chunks. The protocol gives each of them one owner at a time (I2, I4), so the
//!   seam offers plain copies; loom's face of it checks that they never race.
//!
//! Offsets come from [`Geometry`](super::layout::Geometry) and are in range by construction, whatever
//! the segment holds (I5); an implementation may panic on others but must not touch foreign memory.

use core::sync::atomic::Ordering;

/// Memory that holds a segment. All offsets are bytes from its start, words 8-byte aligned.
pub trait Mem {
    /// Atomic load of a word.
    fn load(&self, at: usize, order: Ordering) -> u64;
    /// Atomic store of a word.
    fn store(&self, at: usize, value: u64, order: Ordering);
    /// Atomic compare-and-swap; `Err` holds what was found.
    fn cas(&self, at: usize, old: u64, new: u64, ok: Ordering, err: Ordering) -> Result<u64, u64>;
    /// Atomic add; returns the old value.
    fn add(&self, at: usize, n: u64, order: Ordering) -> u64;
    /// Atomic swap; returns the old value.
    fn swap(&self, at: usize, value: u64, order: Ordering) -> u64;
    /// A memory fence.
    fn fence(&self, order: Ordering);
    /// Copies `bytes` into a chunk.
    fn put(&self, at: usize, bytes: &[u8]);
    /// Appends `len` bytes of a chunk to `out`.
    fn get(&self, at: usize, len: usize, out: &mut Vec<u8>);
    /// Stores a word of a chunk (record headers, continuation lists).
    fn put_word(&self, at: usize, value: u64);
    /// Loads a word of a chunk.
    fn get_word(&self, at: usize) -> u64;
}
