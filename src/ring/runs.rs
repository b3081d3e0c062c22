//! Whose records a batch holds, by their sequence numbers: what the index says of it.
//!
//! A record's number is that of the first one of its chunk, which the descriptor has, plus its place in the chunk.

use super::layout::{LEVELS, State, lease};
use super::mem::Mem;
use super::sweep::Drainer;
use core::sync::atomic::Ordering::Relaxed;

/// Neighbouring records of one chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkRun {
    /// Number of the writer, and its process.
    pub writer: u64,
    /// See `writer`.
    pub pid: u64,
    /// See `writer`.
    pub start: u64,
    /// Slot of the process.
    pub slot: u32,
    /// Sequence number of the first record.
    pub first: u64,
    /// How many.
    pub count: u32,
}

/// A record of the batch that is not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SkippedRecord {
    /// Number of the writer.
    pub writer: u64,
    /// Its sequence number.
    pub number: u64,
    /// Its checksum was wrong; else its chunk is corrupt.
    pub refused: bool,
}

/// Drops that a batch tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToldDrops {
    /// The process.
    pub pid: u64,
    /// Its start time.
    pub start: u64,
    /// How many, by severity.
    pub records: [u64; LEVELS],
}

impl Drainer {
    /// The runs of the batch under way, one for each chunk touched.
    pub fn runs<M: Mem>(&self, mem: &M) -> impl Iterator<Item = ChunkRun> {
        self.touched.iter().filter_map(move |&chunk| {
            let v = self.views.get(chunk as usize)?;
            // ORDER commit/acquire: the collection has read the count that covers them.
            let word = |what| mem.load(self.geometry.lease(chunk, what), Relaxed);
            Some(ChunkRun {
                writer: word(lease::WRITER),
                pid: word(lease::PID),
                start: word(lease::START),
                slot: State(word(lease::STATE)).slot(),
                first: word(lease::FIRST).wrapping_add(u64::from(v.base)),
                count: v.pend - v.base,
            })
        })
    }

    /// The records of the batch under way that are not among its bytes.
    pub fn skipped<M: Mem>(&self, mem: &M) -> impl Iterator<Item = SkippedRecord> {
        self.skipped.iter().map(move |&(chunk, i, refused)| {
            let word = |what| mem.load(self.geometry.lease(chunk, what), Relaxed);
            let number = word(lease::FIRST).wrapping_add(u64::from(i));
            SkippedRecord { writer: word(lease::WRITER), number, refused }
        })
    }

    /// Dropped records that the batch under way tells of.
    pub fn told_drops(&self) -> impl Iterator<Item = ToldDrops> {
        self.gaps.iter().map(|gap| ToldDrops { pid: gap.pid, start: gap.start, records: gap.drops })
    }
}
