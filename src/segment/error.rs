//! Why a segment cannot be opened: one line each, which says what to do.

use std::path::Path;

use super::header::Unsound;
use super::{LAYOUT_VERSION, OPEN_LIMIT, PAGE};
use crate::sys::{FileError, LockFile, MapError, Shown};

/// Why a segment cannot be opened or left.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The lock file, or what stands in its place, is not usable.
    #[error(transparent)]
    File(#[from] FileError),
    /// The segment's memory cannot be had.
    #[error(transparent)]
    Map(#[from] MapError),
    /// Nothing can be made in the place of segment or lock file.
    #[error("{0}: mend that, or choose another place (--segment FILE, --lock-dir DIR)")]
    Place(FileError),
    /// Somebody has been opening or leaving for too long.
    #[error(
        "{path} is held for more than {seconds} s by {holder}: it is stopped or stuck in the middle; \
         let it go on or end it"
    )]
    Held {
        /// The lock file.
        path: Shown,
        /// Our patience.
        seconds: u64,
        /// What the holder wrote down about itself.
        holder: String,
    },
    /// The lock file was removed while we waited for it: open it anew.
    #[error("{path} was removed while we waited for it: open it again")]
    LockGone {
        /// The lock file.
        path: Shown,
    },
    /// The segment goes with another lock file than the one that bears its name now.
    #[error(
        "{lock} was removed and made anew while {path} is in use: end all processes that log there, \
         then start again; nothing in it is lost"
    )]
    LockReplaced {
        /// The segment.
        path: Shown,
        /// The lock file.
        lock: Shown,
    },
    /// There is no segment, and none was to be made.
    #[error("{path} is not there: nobody has the log open")]
    Absent {
        /// Where it would be.
        path: Shown,
    },
    /// Another version of crlog made it.
    #[error(
        "{path} has layout version {found} ({word_bits}-bit words), we know {ours} (64): drain it \
         with the version that made it, or give up its records by removing it with {lock}"
    )]
    Version {
        /// The version found.
        found: u32,
        /// The word size found.
        word_bits: u32,
        /// The version we know.
        ours: u32,
        /// The segment.
        path: Shown,
        /// Its lock file.
        lock: Shown,
    },
    /// What stands there is not a segment.
    #[error("{path} is not a segment of crlog: choose another path, or remove it if nobody needs it")]
    NotOurs {
        /// The object.
        path: Shown,
    },
    /// A segment with a header that cannot be.
    #[error(
        "{path} is damaged ({what} in its header): keep a copy if its records matter, then remove it \
         with {lock} once nobody uses it"
    )]
    Damaged {
        /// The segment.
        path: Shown,
        /// Its lock file.
        lock: Shown,
        /// Where.
        what: &'static str,
    },
    /// Two logs whose paths have one hash.
    #[error("{path} belongs to the log {found}, not to {wanted}: use a mapped-file segment for one of them")]
    Collision {
        /// The segment.
        path: Shown,
        /// Our log.
        wanted: Shown,
        /// Its log.
        found: String,
    },
    /// The log's path does not fit into the header.
    #[error("the log's path has {len} bytes, at most {max} are possible: use a shorter one")]
    PathTooLong {
        /// Its length.
        len: usize,
        /// The longest one.
        max: usize,
    },
}

impl OpenError {
    /// Whether it comes of somebody removing segment or lock file at this moment.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            // A maker whose lock file was removed may be at work: its first page is seen with holes.
            OpenError::LockReplaced { .. } | OpenError::NotOurs { .. } => true,
            OpenError::File(e) | OpenError::Map(MapError::File(e)) => {
                e.is_absent() || matches!(e, FileError::Unstable { .. })
            }
            OpenError::Map(MapError::Exists { .. }) => true,
            _ => false,
        }
    }

    /// Says what to do about a place in which nothing can be made.
    pub(super) fn placed(self) -> OpenError {
        match self {
            OpenError::File(e @ FileError::Io { doing: "create", .. })
            | OpenError::Map(MapError::File(e @ FileError::Io { doing: "create", .. })) => {
                OpenError::Place(e)
            }
            other => other,
        }
    }

    pub(super) fn held(lock: &LockFile) -> OpenError {
        let holder = lock.read_note().unwrap_or_default();
        let holder = if holder.is_empty() { "an unknown process".to_owned() } else { holder };
        OpenError::Held { path: lock.path().into(), seconds: OPEN_LIMIT.as_secs(), holder }
    }

    pub(super) fn unsound(unsound: Unsound, path: &Path, lock: &Path, have: usize) -> OpenError {
        let (path, lock) = (path.into(), lock.into());
        match unsound {
            Unsound::Version { found, word_bits } => {
                OpenError::Version { found, word_bits, ours: LAYOUT_VERSION, path, lock }
            }
            Unsound::Short => MapError::Short { path, found: have as u64, needed: PAGE as u64 }.into(),
            Unsound::Damaged(what) => OpenError::Damaged { path, lock, what },
            Unsound::HalfMade | Unsound::NotOurs => OpenError::NotOurs { path },
        }
    }

    pub(super) fn collision(path: &Path, wanted: &Path, found: &[u8]) -> OpenError {
        let found = String::from_utf8_lossy(found).escape_debug().to_string();
        OpenError::Collision { path: path.into(), wanted: wanted.into(), found }
    }
}
