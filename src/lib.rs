//! Many processes, one rotating log: each process writes its records, lock-free, into a ring in shared
//! memory, and one elected flusher drains the ring into a rotating file.
//!
//! ```no_run
//! use crlog::{MIB, Options};
//! use std::time::Duration;
//!
//! let log = Options::new("app.log").max_bytes(10 * MIB).backups(5).open()?;
//! let mut writer = log.writer()?; // one per thread
//! writer.append(b"hello from one of many processes")?;
//! log.flush(Duration::from_secs(1))?; // only if you must know that it is in the file
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How a process ends
//!
//! A record whose call returned is in shared memory, and survives its process. It reaches the file
//!
//! - when the process ends normally: the last handle is dropped or [closed](Log::close), `main` returns, or `exit`
//!   is called, also with a log in a `static`. The wait is bounded by [`Options::close_timeout`]; what is not in
//!   the file by then is reported on stderr;
//! - after `_exit`, `abort`, a signal's default action or `kill -9`: by any other process that has the log open, at
//!   once, or by the next one that opens it, or by `crlog recover`.
//!
//! **Containers:** a container has its own `/dev/shm`, which ends with it. If its only process ends by `_exit` or a
//! signal's default action right after it logged, what was still in memory is lost with the container. Let the
//! process end normally, or call [`Log::close`] before.

mod attached;
mod close;
mod election;
mod error;
mod escape;
mod exit;
mod flush;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod format_tests;
mod hook;
mod index;
mod log;
#[doc(hidden)]
pub mod manifest;
mod options;
mod own_writer;
#[doc(hidden)]
pub mod pack;
mod reattach;
mod recover;
pub mod retention;
#[doc(hidden)]
pub mod ring;
#[doc(hidden)]
pub mod rotate;
mod segment;
mod sidecar;
mod stats;
mod sys;
mod verify;
mod writer;

pub use close::{CLOSE_TIMEOUT, CLOSE_TIMEOUT_DROP, COMPRESS_TIMEOUT, CloseError};
pub use error::{AppendError, DurableError, FlushError, OpenError};
pub use flush::Event;
pub use index::verdict::{FileVerdict, Finding, ProducerId, Reason, SegmentAccount, Span, Verdict};
pub use log::{Log, is_being_written};
pub use options::{
    CHUNK_BYTES, Compression, DEFAULT_BACKUPS, DEFAULT_RING_BYTES, Difference, Escape, Fsync, KIB, Live, MIB,
    Notes, OnStart, Options, PROCESSES_MAX, RING_BYTES_MAX, RING_BYTES_MIN, Rotator, TERMINATOR_MAX,
    WhenFull,
};
pub use recover::{RecoverError, Recovered, Rescued};
pub use rotate::{Names, SizeRule};
pub use segment::OpenError as SegmentError;
pub use sidecar::{Control, RunError, Sidecar};
pub use stats::{Counters, DeathInfo, FlusherInfo, ProducerInfo, Stats};
pub use sys::{FileError, MapError, SegmentKind, Shown};
pub use writer::{Interrupt, Severity, Writer};

/// What the fuzz targets feed, besides [`ring::hostile`].
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod hostile {
    pub use crate::options::hostile::config;
    pub use crate::segment::hostile::header;
}

/// Names of a log's shared memory: for tools, and for tests that clean up after themselves.
#[doc(hidden)]
pub mod names {
    pub use crate::segment::{canonical, segment_id};

    /// The files of a log that are there, the oldest first.
    pub fn files(log: &std::path::Path) -> Vec<std::path::PathBuf> {
        let (Some(dir), Some(name)) = (log.parent(), log.file_name().and_then(|n| n.to_str())) else {
            return Vec::new();
        };
        let names = crate::sys::dir::list(dir).unwrap_or_default();
        let naming = crate::manifest::naming(dir, name, None);
        let mut found: Vec<_> = names.iter().filter_map(|n| Some((naming.place(n)?, dir.join(n)))).collect();
        found.retain(|(_, path)| path != log || !crate::sys::dir::is_link(path));
        found.sort();
        found.into_iter().rev().map(|(_, path)| path).collect()
    }
}
