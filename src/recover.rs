//! Recovery without a program of the log: what a killed crowd left in memory is written to the file.
//!
//! Constraints: it makes no segment; it takes nothing out of the hands of processes that run, which write
//! everything themselves; and the segment's own configuration holds, rotation included. All of it is done by a
//! flusher's ordinary turn, whose take-over is the recovery.
//!
//! | found | done |
//! |---|---|
//! | no segment, or a half-made one | nothing ([`Recovered::Nothing`]) |
//! | somebody writes or flushes | nothing ([`Recovered::InUse`]) |
//! | somebody attached who does neither (looks, recovers too) | waited for, then as if nobody were there |
//! | records | written; segment and lock file removed ([`Recovered::Done`]) |
//! | somebody opens the log meanwhile | records are written by either; the segment stays with them |
//! | the file cannot be written | all stays as it is ([`RecoverError::Unwritten`]) |

use crate::attached::{Attached, Membership, Role, Target};
use crate::error::OpenError;
use crate::log::{counters, flusher, producers, reason};
use crate::options::Options;
use crate::ring::look::lag;
use crate::stats::{Counters, FlusherInfo, ProducerInfo};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long we wait for somebody to leave, or to become known, who neither writes nor flushes.
const PASSERS_BY: Duration = Duration::from_millis(500);
/// How long a process that opens the log during the recovery may have the flusher's lock.
const PATIENCE: Duration = Duration::from_secs(5);

/// What [`Options::recover`] found and did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Recovered {
    /// Nothing of the log was left in memory.
    Nothing,
    /// Running processes have the log open and write it themselves; nothing was done.
    InUse {
        /// Those that write records.
        producers: Vec<ProducerInfo>,
        /// Who writes the file.
        flusher: Option<FlusherInfo>,
    },
    /// All that was left is in the file.
    Done(Rescued),
}

/// What a recovery wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rescued {
    /// Records written to the file.
    pub records: u64,
    /// Their bytes, terminators included.
    pub bytes: u64,
    /// Records refused because their chunk was damaged.
    pub lost_corrupt: u64,
    /// Chunks in which something impossible was found; how many records they held cannot always be known.
    pub corrupt_chunks: u64,
    /// Records that killed processes were in the middle of; they were never acknowledged.
    pub lost_unfinished: u64,
    /// True if segment and lock file are gone; false if somebody opened the log meanwhile.
    pub removed: bool,
}

/// Why nothing could be recovered. Nothing was lost by trying.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecoverError {
    /// The segment cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The file cannot be written.
    #[error(
        "{records} records are still in memory, because {path} cannot be written ({reason}): mend that, then try again"
    )]
    Unwritten {
        /// The log.
        path: PathBuf,
        /// How many are left.
        records: u64,
        /// What is known of the cause.
        reason: String,
    },
}

impl Options {
    /// Writes to the file what is left in memory of a log that nobody has open any more (all its processes
    /// were killed), with the configuration it was made with, and removes the empty segment. Of these options
    /// only the path and the places count.
    pub fn recover(self) -> Result<Recovered, RecoverError> {
        let target = Target::new(&self)?;
        let at = match Attached::new(&target, Role::Guest, None) {
            Err(OpenError::NotOpen { .. }) => return Ok(Recovered::Nothing),
            at => Arc::new(at?),
        };
        let member = Membership(Arc::clone(&at));
        if let Some(used) = in_use(&at)? {
            return Ok(used);
        }
        let before = counters(&at);
        let drained = at.help_within(PATIENCE) || lag(at.mem(), at.geometry).records == 0;
        let after = counters(&at);
        if !drained {
            return Err(unwritten(&at));
        }
        // The last one out removes what is empty.
        drop(member);
        let removed = at.mem().links().is_ok_and(|n| n == 0);
        Ok(Recovered::Done(Rescued { removed, ..difference(&before, &after) }))
    }
}

/// Somebody else is attached, and will write what is there. Should we be wrong, the flusher's lock still sees to it
/// that only one does.
fn in_use(at: &Attached) -> Result<Option<Recovered>, OpenError> {
    let begun = Instant::now();
    loop {
        if at.segment.is_alone(&at.lock)? {
            return Ok(None);
        }
        let producers: Vec<ProducerInfo> = producers(at).into_iter().filter(|p| p.alive).collect();
        let flusher = flusher(at);
        // A recovery beside us flushes, too, and is through in a moment; a sidecar stays.
        let waited = begun.elapsed() > PASSERS_BY;
        if !producers.is_empty() || (waited && flusher.is_some()) {
            return Ok(Some(Recovered::InUse { producers, flusher }));
        }
        if waited {
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn unwritten(at: &Attached) -> RecoverError {
    RecoverError::Unwritten {
        path: at.log_path.clone(),
        records: lag(at.mem(), at.geometry).records,
        reason: reason(at, std::time::Duration::MAX),
    }
}

fn difference(before: &Counters, after: &Counters) -> Rescued {
    Rescued {
        records: after.records.wrapping_sub(before.records),
        bytes: after.bytes.wrapping_sub(before.bytes),
        lost_corrupt: after.lost_corrupt.wrapping_sub(before.lost_corrupt),
        corrupt_chunks: after.corrupt_chunks.wrapping_sub(before.corrupt_chunks),
        lost_unfinished: after.lost_unfinished.wrapping_sub(before.lost_unfinished),
        removed: false,
    }
}
