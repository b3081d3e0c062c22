//! What each process has got done, in a file that all of them map: it survives their deaths, and
//! costs no system call, so that kills hit the library and not the bookkeeping.
//!
//! A line of 64 bytes for the run, then one for each incarnation; only its process writes it.

#![allow(unsafe_code)]

use memmap2::{MmapOptions, MmapRaw};
use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

const LINE_WORDS: usize = 8;

/// The mapped file.
#[derive(Debug)]
pub struct Acks {
    map: MmapRaw,
}

/// Words of the run's line.
const STOP: usize = 0;
const PAUSE: usize = 1;
/// Bytes that may be written in all; 0 = any number.
const LIMIT: usize = 2;
const TAKEN: usize = 3;

/// One number of an incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Records that were acknowledged: the call has returned.
    Records = 0,
    /// Their bytes, terminators included.
    Bytes = 1,
    /// Stops in the middle of a record that have begun.
    StopsBegun = 2,
    /// Stops in the middle of a record that are over.
    StopsOver = 3,
    /// Its process, as a forked child says it.
    Pid = 4,
    /// 1 = a forked child has done what it was made for.
    Done = 5,
    /// 1 = it was asked to pause, or is out of bytes, and writes nothing.
    Resting = 6,
    /// A fork that is asked for: see [`super::errand`].
    Fork = 7,
}

impl Acks {
    /// Makes the file, with room for so many incarnations.
    pub fn create(path: &Path, incarnations: u32) -> io::Result<Acks> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        file.set_len((u64::from(incarnations) + 1) * 64)?;
        Ok(Acks { map: MmapOptions::new().map_raw(&file)? })
    }

    /// Maps the file that the run has made.
    pub fn open(path: &Path) -> io::Result<Acks> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(Acks { map: MmapOptions::new().map_raw(&file)? })
    }

    /// Ask all processes to end, in good order.
    pub fn stop(&self) {
        self.word(0, STOP).store(1, Ordering::Release);
    }

    /// Whether they were asked to.
    pub fn stopped(&self) -> bool {
        self.word(0, STOP).load(Ordering::Acquire) != 0
    }

    /// Ask all processes to write nothing for the time being, or to go on.
    pub fn pause(&self, on: bool) {
        // SeqCst here and at `Resting`: who is seen resting after this has seen it.
        self.word(0, PAUSE).store(u64::from(on), Ordering::SeqCst);
    }

    /// Whether they were asked to.
    pub fn paused(&self) -> bool {
        self.word(0, PAUSE).load(Ordering::SeqCst) != 0
    }

    /// All processes together may write so many bytes.
    pub fn limit(&self, bytes: u64) {
        self.word(0, LIMIT).store(bytes, Ordering::Relaxed);
    }

    /// Whether all bytes are taken that may be.
    pub fn starved(&self) -> bool {
        let limit = self.word(0, LIMIT).load(Ordering::Relaxed);
        limit != 0 && self.word(0, TAKEN).load(Ordering::Relaxed) >= limit
    }

    /// Whether so many bytes more may be written; if so, they count.
    pub fn take(&self, bytes: u64) -> bool {
        let limit = self.word(0, LIMIT).load(Ordering::Relaxed);
        let taken = self.word(0, TAKEN);
        limit == 0
            || (taken.load(Ordering::Relaxed) < limit
                && taken.fetch_add(bytes, Ordering::Relaxed) + bytes <= limit)
    }

    /// A number of an incarnation.
    pub fn get(&self, id: u32, word: Word) -> u64 {
        self.word(id as usize + 1, word as usize).load(Ordering::SeqCst)
    }

    /// Sets a number of one's own incarnation.
    pub fn set(&self, id: u32, word: Word, value: u64) {
        self.word(id as usize + 1, word as usize).store(value, Ordering::SeqCst);
    }

    /// What is asked of an incarnation, once.
    pub fn swap(&self, id: u32, word: Word, value: u64) -> u64 {
        self.word(id as usize + 1, word as usize).swap(value, Ordering::SeqCst)
    }

    /// A line beyond the end is the run's line: an incarnation is checked before it starts.
    fn word(&self, line: usize, word: usize) -> &AtomicU64 {
        let index = line * LINE_WORDS + word;
        let index = if index < self.map.len() / 8 { index } else { LINE_WORDS - 1 };
        // SAFETY: the index is within the mapping, which is page-aligned and lives as long as `self`; the
        // file is only ever accessed through these atomic words, and is not made shorter.
        unsafe { AtomicU64::from_ptr(self.map.as_mut_ptr().cast::<u64>().add(index)) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_one_sets_another_reads() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("acks");
        let (a, b) = (Acks::create(&path, 3).unwrap(), Acks::open(&path).unwrap());
        a.set(2, Word::Bytes, 7);
        b.stop();
        assert_eq!((b.get(2, Word::Bytes), b.get(1, Word::Bytes)), (7, 0));
        assert!(a.stopped() && !a.paused());
        a.set(99, Word::Records, 5);
        assert_eq!(b.get(2, Word::Records), 0);
    }

    #[test]
    fn bytes_are_taken_up_to_the_limit_and_never_beyond() {
        let dir = tempfile::tempdir().unwrap();
        let acks = Acks::create(&dir.path().join("acks"), 1).unwrap();
        assert!(acks.take(1000), "without a limit");
        acks.limit(100);
        assert!(acks.take(60) && !acks.starved() && acks.take(40) && !acks.take(1) && acks.starved());
        acks.limit(200);
        assert!(acks.take(1) && !acks.take(1000));
    }
}
