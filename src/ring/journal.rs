//! The journal: which batch is committed, and where the file stands after it.
//!
//! Two cells are used in turn; cell `COMMIT & 1` is the valid one. A flusher fills the other cell and
//! then stores `COMMIT + 1`: that one store moves the file's end and every chunk's cursor together
//! (see [`DrainWord::effective`](super::layout::DrainWord::effective)), so there is nothing to redo.

use super::layout::{CELL_WORDS, LEVELS, journal, word};
use super::mem::Mem;
use super::numbers::Numbers;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// Where the log file stands after a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// How many files this segment has begun; 0 = none yet.
    pub file: u64,
    /// End of what is committed, in bytes: the next batch is written here.
    pub end: u64,
    /// Device and inode of the file.
    pub dev: u64,
    /// See `dev`.
    pub ino: u64,
    /// What is under way, in the code of the rotation machine; 0 = nothing.
    pub op: u64,
    /// Number of the index file and its committed end, `end:36 | serial:28`; 0 = there is none.
    pub index: u64,
    /// The last note that was written on its own, so that it is not written twice.
    pub note: Note,
    /// The period of the file, for a rotation by time.
    pub period: Period,
    /// Order numbers of the file's records.
    pub numbers: Numbers,
}

/// A time span, in seconds of the Unix epoch. All zeros: none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Period {
    /// Where it began.
    pub from: i64,
    /// Its end, which is not part of it.
    pub until: i64,
}

/// Names a note: what it told of, and of whom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Note {
    /// `kind:4 | slot:12 | generation:48`; 0 = none. Kind 1: dropped records, 2: a death.
    pub id: u64,
    /// The process's totals of dropped records that it told of, packed.
    pub upto: [u64; LEVELS / 2],
}

impl Note {
    /// Dropped records of the process in `slot`.
    pub fn dropped(slot: u32, upto: [u64; LEVELS / 2]) -> Note {
        Note { id: 1 | u64::from(slot) << 4, upto }
    }
    /// Death of generation `generation` of `slot`.
    pub fn died(slot: u32, generation: u64) -> Note {
        Note { id: 2 | u64::from(slot) << 4 | generation << 16, upto: [0; LEVELS / 2] }
    }
    /// The slot whose dropped records it told of.
    pub fn slot_of_dropped(&self) -> Option<u32> {
        (self.id & 15 == 1).then_some((self.id >> 4) as u32 & 0xfff)
    }
}

impl Cell {
    fn words(&self, commit: u64) -> [u64; CELL_WORDS] {
        let [a, b, c] = self.note.upto;
        let [from, until] = [self.period.from, self.period.until].map(i64::cast_unsigned);
        let [lowest, above] = self.numbers.words();
        let (Cell { file, end, dev, ino, op, index, .. }, note) = (*self, self.note.id);
        let mut w = [file, end, dev, ino, op, commit, index, note, a, b, c, from, until, lowest, above, 0];
        w[CELL_WORDS - 1] = check(&w);
        w
    }
}

fn check(w: &[u64; CELL_WORDS]) -> u64 {
    let crc = w[..CELL_WORDS - 1].iter().fold(0, |crc, x| crc32c::crc32c_append(crc, &x.to_le_bytes()));
    u64::from(crc) | 1 << 32
}

/// What a successor finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A cell that its check confirms.
    Cell(Cell),
    /// Nothing has ever been committed.
    Nothing,
    /// The cell is damaged: where the file ends is not known.
    Damaged,
}

/// Reads the committed batch number and its cell.
pub fn read<M: Mem>(mem: &M) -> (u64, Found) {
    // ORDER journal/acquire: drain words and cell are at least as new as the batch number.
    let commit = mem.load(word::COMMIT, Acquire);
    let mut w = [0; CELL_WORDS];
    for (i, x) in w.iter_mut().enumerate() {
        *x = mem.load(journal(commit, i), Relaxed);
    }
    let found = if commit == 0 && w == [0; CELL_WORDS] {
        Found::Nothing
    } else if w[5] == commit && w[CELL_WORDS - 1] == check(&w) {
        let note = Note { id: w[7], upto: [w[8], w[9], w[10]] };
        let period = Period { from: w[11].cast_signed(), until: w[12].cast_signed() };
        let numbers = Numbers::from_words([w[13], w[14]]);
        let [file, end, dev, ino, op, _, index, ..] = w;
        Found::Cell(Cell { file, end, dev, ino, op, index, note, period, numbers })
    } else {
        Found::Damaged
    };
    (commit, found)
}

/// Takes the committed cell's word away: after a crash of the whole machine the journal of a mapped file
/// and the log can each be of any age, so nothing may be cut from the log on its say-so. The caller is
/// alone with the segment.
pub fn distrust<M: Mem>(mem: &M) {
    let commit = mem.load(word::COMMIT, Relaxed);
    mem.store(journal(commit, CELL_WORDS - 1), 0, Relaxed);
}

/// Commits batch `commit`: the exactly-once point.
pub(super) fn write<M: Mem>(mem: &M, commit: u64, cell: &Cell) {
    for (i, x) in cell.words(commit).into_iter().enumerate() {
        mem.store(journal(commit, i), x, Relaxed);
    }
    // ORDER journal/release: drain words and cell are before the batch number that makes them valid.
    mem.store(word::COMMIT, commit, Release);
}
