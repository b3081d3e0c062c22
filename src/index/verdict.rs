//! What can be said about the completeness of a log: plain data.

use std::fmt;

/// One writer (thread) of one process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerId {
    /// Process id, in its own pid namespace.
    pub pid: u64,
    /// Its start time, in ticks since boot on Linux.
    pub start: u64,
    /// Number of the writer, unique in its segment.
    pub writer: u64,
}

/// Records of one writer, by their sequence numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Whose.
    pub producer: ProducerId,
    /// The first and the last of them.
    pub first: u64,
    /// See `first`.
    pub last: u64,
}

impl Span {
    /// How many records it has.
    pub fn records(&self) -> u64 {
        (self.last - self.first).saturating_add(1)
    }
}

/// Why records are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// Something impossible stood in their chunk.
    Corrupt,
    /// Their checksum in the ring was wrong.
    Checksum,
    /// The index was interrupted: they may be in the file.
    Interrupted,
    /// A part of the index is gone or damaged: they may be in the file.
    IndexLost,
    /// They were never taken out of the ring.
    Unknown,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// Records that are not in the log, or of which that is not known.
    Missing {
        /// Which.
        span: Span,
        /// Why.
        reason: Reason,
    },
    /// Records that were written twice.
    Twice {
        /// Which.
        span: Span,
    },
    /// Records that were refused because the ring was full. They have no sequence numbers.
    Dropped {
        /// The process; 0 if not known.
        pid: u64,
        /// Its start time.
        start: u64,
        /// How many, by severity.
        records: [u64; 6],
    },
    /// Bytes of a file are not those that were written, or are gone.
    Changed {
        /// Name of the file.
        file: String,
        /// The offsets between which something was changed.
        from: u64,
        /// See `from`.
        to: u64,
        /// What stood there.
        spans: Vec<Span>,
    },
    /// A file is gone that no rotation has removed.
    FileGone {
        /// How many newer log files have been begun: it was, or would be, `LOG.<age>`.
        age: u64,
        /// What stood in it.
        spans: Vec<Span>,
    },
    /// Bytes of which the index knows nothing: it was off, or somebody else wrote them.
    Uncovered {
        /// Name of the file.
        file: String,
        /// The first offset, and the one behind the last.
        from: u64,
        /// See `from`.
        to: u64,
    },
    /// The index could not be written for a time.
    Interrupted {
        /// Age of the log file, as in `FileGone`, and the offset in it up to which all is known.
        from: Option<(u64, u64)>,
        /// The same for where the index goes on; `None`: not yet.
        to: Option<(u64, u64)>,
    },
    /// Index files that no rotation has removed are gone.
    IndexGone {
        /// Number of the first and of the last of them.
        first: u64,
        /// See `first`.
        last: u64,
    },
    /// An index file is damaged.
    IndexDamaged {
        /// Its number.
        serial: u64,
        /// Where.
        at: u64,
    },
    /// A segment has gone before all that was in it was written: how many records that were, nobody knows.
    SegmentLost {
        /// Its UUID.
        uuid: [u8; 16],
    },
    /// A file is shorter than the journal says.
    Short {
        /// Name of the file.
        file: String,
        /// Its length.
        len: u64,
        /// The length it should have at least.
        committed: u64,
    },
    /// The segment counts records that were skipped because their chunk or their checksum was wrong.
    Skipped {
        /// How many.
        records: u64,
    },
    /// The files changed faster than all of them could be seen in one state within the limit. Nothing is said
    /// about gaps: repeat it, with a longer limit or when the log is less busy.
    Unsettled {
        /// How long it was tried.
        limit: std::time::Duration,
    },
    /// A file does not end at the end of a record.
    Torn {
        /// Name of the file.
        file: String,
    },
}

/// A log file that was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileVerdict {
    /// Its name.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// How many of its bytes the index covers.
    pub covered: u64,
    /// Records in it whose bytes were compared and are as written.
    pub records: u64,
}

/// What the segment says, if there is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SegmentAccount {
    /// Records written to files.
    pub records: u64,
    /// Records that wait in the ring.
    pub waiting: u64,
    /// Records skipped because their chunk or their checksum was wrong.
    pub skipped: u64,
    /// Records refused because the ring was full, by severity.
    pub drops: [u64; 6],
}

/// The whole answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verdict {
    /// False if there is no index: nothing can be said about single records then.
    pub indexed: bool,
    /// Records that are in the files, with the bytes that were written.
    pub records: u64,
    /// Writers they are of, and processes.
    pub writers: u64,
    /// See `writers`.
    pub processes: u64,
    /// Between when and when their batches were written, nanoseconds of the Unix epoch; 0 = none.
    pub from_unix_ns: u64,
    /// See `from_unix_ns`.
    pub to_unix_ns: u64,
    /// What is wrong. Empty: complete, as far as `indexed` allows to say so.
    pub findings: Vec<Finding>,
    /// Records that wait in the ring.
    pub waiting: Vec<Span>,
    /// Whether the ring could be looked at.
    pub ring_seen: bool,
    /// Log files that rotation has removed while their index is still there.
    pub retired: u64,
    /// Bytes that were in the files before the index was begun.
    pub before: u64,
    /// Compressed archives whose bytes are not compared: others have compressed them, or there is no index.
    pub packed: Vec<String>,
    /// Processes that died without leaving, and records that they were writing then.
    pub died: u64,
    /// See `died`.
    pub unfinished: u64,
    /// The files, newest first.
    pub files: Vec<FileVerdict>,
    /// What the segment says.
    pub segment: Option<SegmentAccount>,
}

impl Verdict {
    /// Nothing is wrong.
    pub fn is_complete(&self) -> bool {
        self.findings.is_empty()
    }
}

impl fmt::Display for ProducerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} (start time {}) writer {}", self.pid, self.start, self.writer)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Span { producer, first, last } = self;
        if first == last {
            write!(f, "{producer}: record {first}")
        } else {
            write!(f, "{producer}: records {first} to {last}")
        }
    }
}
