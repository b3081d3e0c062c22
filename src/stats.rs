//! What can be seen of a log from outside, without disturbing it.

use crate::options::Live;
use std::path::PathBuf;
use std::time::Duration;

/// A snapshot of a log. Numbers are read one after the other while the log runs on, so they may be
/// a record apart from each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Canonical path of the log.
    pub path: PathBuf,
    /// Name of the segment: of shared memory, or of the mapped file.
    pub segment: String,
    /// Path of the lock file.
    pub lock_file: String,
    /// Layout version of the segment.
    pub layout_version: u32,
    /// True if somebody removed the segment's name: this process still uses it, others cannot find it.
    pub removed: bool,
    /// Bytes of the segment, and of the ring in it.
    pub segment_bytes: u64,
    /// See `segment_bytes`.
    pub ring_bytes: u64,
    /// Longest record, in bytes, terminator included.
    pub record_bytes_max: u64,
    /// Chunks of the ring, and how many of them are in use.
    pub chunks: u32,
    /// See `chunks`.
    pub chunks_in_use: u32,
    /// Who flushes now, if anyone.
    pub flusher: Option<FlusherInfo>,
    /// Everybody who is attached.
    pub producers: Vec<ProducerInfo>,
    /// Records in the ring that are not yet in the file, and their payload bytes.
    pub lag_records: u64,
    /// See `lag_records`.
    pub lag_bytes: u64,
    /// Since the segment was made.
    pub counters: Counters,
    /// Records refused because the ring was full or their process was not attached, by severity, since the segment was made; also those of
    /// processes that have ended.
    pub drops: [u64; 6],
    /// Those of them that a line in the log tells of.
    pub drops_told: [u64; 6],
    /// The last processes that died without leaving, newest first.
    pub deaths: Vec<DeathInfo>,
    /// What holds now of what can be changed while the log is open.
    pub live: Live,
    /// Errno of the flusher's last failed action, 5 (EIO) if there was none; `None` if all is well.
    pub error: Option<i32>,
    /// What that action was and why it failed, in one line, such as what a [`Rotator`](crate::Rotator) has returned.
    pub error_text: Option<String>,
    /// The limit of a file that is in force, 0 for none, and how many rotated files are kept.
    pub max_bytes: u64,
    /// See `max_bytes`.
    pub backups: u32,
    /// Bytes of the log file that are committed.
    pub file_bytes: u64,
    /// The file that is written now, as [`Log::current`](crate::Log::current) says it.
    pub current: Option<PathBuf>,
    /// The log file and its rotated files: name and size in bytes, newest first.
    pub files: Vec<(String, u64)>,
}

/// Who holds the flusher's lock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlusherInfo {
    /// Process id, in its own pid namespace.
    pub pid: u64,
    /// When it started, in the platform's own unit: with the pid it names a process.
    pub start: u64,
    /// True for the sidecar, false for a producer's thread.
    pub sidecar: bool,
    /// How many flushers this segment has had, this one included.
    pub epoch: u64,
}

/// One attached process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProducerInfo {
    /// Number of its slot.
    pub slot: u32,
    /// Process id, in its own pid namespace.
    pub pid: u64,
    /// When it started, in the platform's own unit: with the pid it names a process.
    pub start: u64,
    /// Name of the program.
    pub name: String,
    /// False if the kernel says that it is dead; it is cleaned up at the flusher's next round.
    pub alive: bool,
    /// Records and bytes of it that are in the file.
    pub records: u64,
    /// See `records`.
    pub bytes: u64,
    /// Records refused because the ring was full, or because it was not attached at that moment, by severity.
    pub drops: [u64; 6],
    /// Records refused because they were longer than the maximum.
    pub too_long: u64,
    /// How many of its threads are inside a record at this moment; each keeps its chunk as long.
    pub inside: u32,
    /// How long its calls have waited for room.
    pub blocked: Duration,
    /// When it attached, nanoseconds of the Unix epoch.
    pub attached_unix_ns: u64,
}

/// A process that died without leaving.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeathInfo {
    /// Process id, in its own pid namespace.
    pub pid: u64,
    /// Its start time, in ticks since boot on Linux.
    pub start: u64,
    /// Name of the program.
    pub name: String,
    /// When it attached, and when it was found dead, nanoseconds of the Unix epoch.
    pub attached_unix_ns: u64,
    /// See `attached_unix_ns`.
    pub died_unix_ns: u64,
    /// Records that it had written; all of them are in the file or will be.
    pub records: u64,
    /// Records that it was writing: lost, and never acknowledged.
    pub unfinished: u64,
}

/// Counters of a segment; `docs/operating.md` says what each means and what to do about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
#[non_exhaustive]
pub struct Counters {
    pub records: u64,
    pub bytes: u64,
    pub batches: u64,
    pub rotations: u64,
    pub takeovers: u64,
    pub truncated_bytes: u64,
    pub reaped: u64,
    pub lost_unfinished: u64,
    pub revoked: u64,
    pub corrupt_chunks: u64,
    pub lost_corrupt: u64,
    pub io_errors: u64,
    pub file_surprises: u64,
    pub bad_checksums: u64,
    pub notes: u64,
    pub syncs: u64,
    pub index_errors: u64,
    pub packed: u64,
    pub pack_errors: u64,
    /// Archives that retention removed; what a full numbered chain pushes out is not counted.
    pub removed: u64,
    pub owner_errors: u64,
    pub hook_errors: u64,
    /// Times the log file was removed or replaced by others, with what stood in it.
    pub files_removed: u64,
}
