//! The index: what stands where in the log files, so that completeness can be proved later.
//!
//! **Constraints.** Pure: no I/O, no clock, no path. Bytes come in and go out; [`judge`] asks for checksums of
//! the log's bytes through a trait.
//!
//! **Idea.** A writer's records are numbered from 0 on, and each chunk says which of them is its first, so a
//! record needs no number of its own. For every batch the flusher writes down which numbers of which writers it
//! holds, where its bytes stand and their checksum. That a writer's numbers are there without a gap is then a fact
//! that anybody can check, and what is missing has a name.
//!
//! One index file per log file begun, in a hidden directory beside the log, numbered by a *serial*. It begins with
//! a [`Header`]; entries follow. An entry is its length, a checksum that is seeded with the header's (so that no
//! entry of another file is taken for one of this), and a payload of variable-length integers. `docs/format.md` has
//! the bytes. The journal names the serial and the committed end, so the index is as exact as the log: log
//! bytes, entry, then COMMIT; what a dead flusher had not committed is cut off.
//!
//! | found | is |
//! |---|---|
//! | file shorter than a header | begun by a flusher that died; begun again |
//! | entry with a wrong checksum, cut short | nothing is known from there on, in this file |
//! | two neighbouring serials missing | retired with their log files, or removed by somebody: the judge counts |

pub mod code;
pub mod judge;
pub mod verdict;

pub use code::HEADER_BYTES;

/// Index files end at about this size; the next one goes on with the same log file.
pub const FILE_BYTES_MAX: u64 = 256 << 20;

/// Why an index file was begun.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u32)]
pub enum Why {
    /// The first one of its segment.
    #[default]
    Segment = 0,
    /// The one before it had ended: the log was rotated or replaced, or the index file was large enough.
    Next = 1,
    /// The one before it could not be written or found any more: nothing is known of what came between.
    Interrupted = 2,
}

/// How an index file begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The segment's.
    pub uuid: [u8; 16],
    /// Number of the index file, from 1 on.
    pub serial: u64,
    /// How many log files the index has seen begin, this one included.
    pub begun: u64,
    /// Number of the log file in its segment's journal.
    pub file: u64,
    /// The log file's device and inode.
    pub dev: u64,
    /// See `dev`.
    pub ino: u64,
    /// Length of the log file when this index file was begun.
    pub start: u64,
    /// When it was begun, nanoseconds of the Unix epoch.
    pub made_ns: u64,
    /// Committed length of the index file before it; 0 = not known.
    pub prev_end: u64,
    /// `begun` of the index file before it; 0 = there is none.
    pub prev_begun: u64,
    /// How many archives the log keeps.
    pub backups: u32,
    /// Why it was begun.
    pub why: Why,
}

/// Records of one writer that a batch took out of one chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// Number of the writer, unique in the segment.
    pub writer: u64,
    /// The process: its pid, and its start time.
    pub pid: u64,
    /// See `pid`.
    pub start: u64,
    /// Slot of the process.
    pub slot: u32,
    /// Sequence number of the first record among those of the writer.
    pub first: u64,
    /// How many, those included that were skipped.
    pub count: u64,
}

/// Why a record that was in the ring is not in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skipped {
    /// Something impossible stood in its chunk.
    Corrupt,
    /// Its checksum was wrong.
    Checksum,
}

/// Records of a run that are not in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skip {
    /// Number of the writer.
    pub writer: u64,
    /// Sequence number of the first of them.
    pub first: u64,
    /// How many.
    pub count: u64,
    /// Why.
    pub why: Skipped,
}

/// Records that a process was refused because the ring was full. They never had a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    /// The process: its pid, and its start time.
    pub pid: u64,
    /// See `pid`.
    pub start: u64,
    /// How many, by severity.
    pub records: [u64; 6],
}

/// A process that died without leaving.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Died {
    /// The process: its pid, and its start time.
    pub pid: u64,
    /// See `pid`.
    pub start: u64,
    /// Records that it had committed.
    pub records: u64,
    /// Records that it was writing; never acknowledged.
    pub unfinished: u64,
}

/// One commit of the journal that wrote to the log file, or told something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Its number.
    pub batch: u64,
    /// When, in milliseconds since the header was made.
    pub ms: u64,
    /// Where its bytes begin in the log file, and how many they are.
    pub offset: u64,
    /// See `offset`.
    pub len: u64,
    /// CRC-32C of these bytes.
    pub crc: u32,
    /// Whose records they are.
    pub runs: Vec<Run>,
    /// Which of them are not among the bytes.
    pub skips: Vec<Skip>,
    /// What was dropped before.
    pub drops: Vec<Drops>,
    /// Who died.
    pub deaths: Vec<Died>,
}

/// What stands in an index file behind its header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A batch.
    Batch(Batch),
    /// The rotation is about to give up a log file: the oldest, or the one that is emptied.
    Retire {
        /// Its device.
        dev: u64,
        /// Its inode.
        ino: u64,
    },
    /// The last process left: all records of the segment are in the file.
    Close {
        /// The last committed batch.
        batch: u64,
    },
}

/// Number of an index file and its committed length in one word, as the journal has them; 0 = there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Number of the index file.
    pub serial: u64,
    /// Its committed length.
    pub end: u64,
}

const END_BITS: u32 = 36;

impl Place {
    /// `end:36 | serial:28`.
    pub fn pack(self) -> u64 {
        self.end & ((1 << END_BITS) - 1) | self.serial << END_BITS
    }
    /// The reverse.
    pub fn unpack(word: u64) -> Option<Place> {
        (word != 0).then_some(Place { serial: word >> END_BITS, end: word & ((1 << END_BITS) - 1) })
    }
}

/// File name of an index file.
pub fn name(serial: u64) -> String {
    format!("{serial:010}.idx")
}

/// Number of the index file of that name, unless it is a stranger's.
pub fn parse_name(file: &str) -> Option<u64> {
    let serial = file.strip_suffix(".idx")?.parse().ok()?;
    (name(serial) == file).then_some(serial)
}

/// Name of the directory of the index of a log.
pub fn directory(log: &str) -> String {
    format!(".{log}.crlog")
}

#[cfg(test)]
mod tests;
