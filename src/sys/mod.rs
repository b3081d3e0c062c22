//! The operating system: the only code that calls it, and the only place for `cfg(unix | windows)`.
//!
//! This file is the contract; `unix/` fulfils it, and a twin for another system lies beside it with
//! the same names. The rest of the crate sees only what is re-exported here.
//!
//! # What a twin must provide
//!
//! | item | promise |
//! |---|---|
//! | [`Epoch`] | A process that was copied (fork, raw clone) knows it by one plain load and a compare. Where processes are not copied, both are constant. |
//! | [`LockFile`] | Locks on single bytes, owned by the *handle*: freed by the kernel at any death of the process, not kept alive by a copied child, not dropped because somebody else in the process closed the same file. `held_by_other` asks without taking. Opening proves that the path still names the file that was opened. The bytes lie where a mandatory lock harms nobody (Windows: beyond the end of the file). |
//! | [`SegmentObject`], [`Mapping`] | A named memory object or a mapped file, vetted before it is touched (kind, owner, rights, length), its room reserved when it is made, never removed but by `unlink`/`remove`, which never remove a successor of the same name. `read` copies from the object without touching its pages. Where a named object dies with its last handle, `links` is 1 while it is mapped and `unlink` does nothing. |
//! | `impl Mem for Mapping` | The access rules of [`crate::ring::mem`]. |
//! | [`Mapping::wait`], [`Mapping::wake`] | Sleep across processes until a word's low half changes, never longer than the time limit; spurious returns are allowed and lost wakes only cost the time limit. Without a kernel primitive: a named event, or naps of at most 5 ms. |
//! | [`full_barrier_everywhere`] | `true` only if every running thread of every process has passed a full barrier since the call. |
//! | [`Watch`] | Sleeps until one of some files loses its name; `end` wakes it for good. Where the system cannot tell, `new` fails, and the flusher finds out when it wakes up for another reason. |
//! | [`explain_bus_errors`] | Where a truncated mapping ends a process without a word, the sidecar says why. May do nothing. |
//! | [`process_gone`] | `true` only on proof. Time and silence are no proof. |
//! | [`point`] | A link that is replaced: whoever follows it finds the old target or the new one, and what is not ours stays. |
//! | [`run_child`] | The child gets the words and variables that it is given, no file and no blocked signal of ours, and lives no longer than it may, with all that it has started. The host's own children are not touched. |
//! | [`may_be_in_a_signal_handler`] | `false` only if the calling thread is in none, as far as the system can tell. Where there are no signals: `false`. Callable in a handler. |
//! | [`give_way`] | The calling thread, and no other, gets the lowest priority there is, for the processor and for the disk. May do nothing. |
//! | [`make_private_dir`], what [`LogFile`] and [`LockFile`] create | Never has a name before it has exactly the rights and the owner that were asked for, whatever masks the process has; where the file system allows no such thing, as soon after as possible. |
//! | [`sweep`] | Removes what those left in a directory, empty, that died more than an hour ago while they made a file there. What cannot be removed stays. |
//! | [`user_id`], [`group_id`], [`can_give`] | Numbers of users and groups by name, asked for once, when a log is opened; whether files can be given to them. Where there are no such numbers: `None`, and an error. |
//! | [`LogFile`], [`dir`] | Positioned writes without append mode, an exclusive non-blocking ownership of the whole file (Windows: a sharing mode that still lets others read, rename and delete), and directory operations that fail rather than overwrite unasked. [`LogFile::resemble`] gives a file owner, rights and time of another one, as far as the platform has them. [`dir::look`] says when a file was made, if the system can tell and nobody can set it (else 0); where it can tell no inode, `dev` and `ino` are what identifies the file in their place. |
//! | [`SizeLimitIsAnError`] | While it lives, no limit on the size of files ends the process. Where there is no such limit, it does nothing. |
//! | [`segment_dir`] | The place of lock files when nobody chose one: the same for every process of the machine, whatever its environment says (so never `TMPDIR` or `TEMP`), emptied at reboot where there is such a place. |
//!
//! # Rights
//!
//! Segment and lock file must be regular files of our own effective user, and no wider open to
//! writers than `mode` says. A `mode` that lets the group or others write is the user's word that the
//! log is shared between users; then, and only then, foreign owners are accepted too.
//!
//! A log file must be a regular file, reached by no symbolic link, that the kernel lets us write to. Whose it is is not
//! looked at: one that is there keeps its owner and its mode, one that we make gets those of [`Rights`].
//!
//! # Damage
//!
//! | found | done |
//! |---|---|
//! | symlink, directory, device or foreign file in our place | refused, untouched ([`FileError`]) |
//! | anything but a note of ours in a lock file | refused, untouched ([`FileError::NotALock`]) |
//! | file replaced between its opening and its check | opened again |
//! | fork beside an opening | descriptor thrown away before it carries a lock, opened again |
//! | no room for the segment | object removed, [`MapError::NoRoom`] with the figures |
//! | object shorter than its header says | [`MapError::Short`], never a fatal signal |
//! | object truncated while mapped | a fatal signal (SIGBUS): `docs/decisions/0007-bus-errors.md` |
//! | object removed while mapped | [`Mapping::links`] is 0; the memory stays valid |

use std::fmt;
use std::io;
use std::path::PathBuf;

#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub use unix::{
    Epoch, LockFile, LogFile, Mapping, SegmentObject, SizeLimitIsAnError, Watch, at_exit, block_signals,
    boot_id, can_give, dir, explain_bus_errors, full_barrier_everywhere, give_way, group_id, in_real_parent,
    is_direct, is_stopped, make_private_dir, mark_direct, may_be_in_a_signal_handler, monotonic_ns,
    open_for_child, own_start_time, pid, pid_namespace, point, process_gone, program_name, resolve_path,
    run_child, segment_dir, stop_myself, sweep, unix_ns, user, user_id, uuid,
};
// The seam for Windows: `windows/mod.rs` with the same names, and
// `#[cfg(windows)] mod windows; #[cfg(windows)] pub use windows::{...};`

#[cfg(all(test, unix))]
pub(crate) use unix::testing;

/// Bytes of the lock file. Each is one lock.
pub mod byte {
    /// Who flushes.
    pub const FLUSHER: u64 = 0;
    /// Shared by all that are attached; exclusive only for the last one out.
    pub const ATTACH: u64 = 2;
    /// A sidecar that wants to flush.
    pub const SIDECAR: u64 = 3;
    /// Who makes, checks or removes the segment.
    pub const OPEN: u64 = 4;
    /// The first of the producers' slots.
    pub const SLOTS: u64 = 16;

    /// The byte of a producer's slot.
    #[inline]
    pub const fn slot(slot: u32) -> u64 {
        SLOTS + slot as u64
    }
}

/// What a file is, whatever its name: device and inode, or what the platform has in their place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FileId {
    /// The file system.
    pub dev: u64,
    /// The file in it.
    pub ino: u64,
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}:{}", self.dev, self.ino)
    }
}

/// To whom files are given that are made; what is not set stays with whoever makes them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// Number of the user.
    pub user: Option<u32>,
    /// Number of the group.
    pub group: Option<u32>,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.user, self.group) {
            (Some(user), Some(group)) => write!(f, "{user}:{group}"),
            (Some(user), None) => write!(f, "{user}"),
            (None, Some(group)) => write!(f, ":{group}"),
            (None, None) => f.write_str("none"),
        }
    }
}

/// What a file is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    /// Its permissions, exactly.
    pub mode: u32,
    /// To whom it belongs.
    pub owner: Owner,
}

impl From<u32> for Rights {
    fn from(mode: u32) -> Rights {
        Rights { mode, owner: Owner::default() }
    }
}

/// How a child process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChildEnd {
    /// As it should.
    Well,
    /// With another status, or by a signal: in words.
    Badly(String),
    /// It was killed when its time was over.
    Late,
    /// It was killed because nobody wanted it any more.
    Unwanted,
    /// Somebody else in this process has waited for it.
    Unknown,
}

/// What a file that takes another one's place has to have, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Looks {
    /// Its length.
    pub bytes: u64,
    /// When it was last written, nanoseconds of the Unix epoch.
    pub modified_ns: i64,
    /// Permissions.
    pub mode: u32,
    /// User and group, where there are such.
    pub owner: (u32, u32),
}

/// A regular file of the directory, as it was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Its name.
    pub name: String,
    /// Device and inode.
    pub id: FileId,
    /// When it was made, nanoseconds of the Unix epoch; 0 = the file system does not know.
    pub born_ns: u64,
    /// Its length.
    pub bytes: u64,
    /// When it was last written to.
    pub modified_ns: u64,
    /// How many names it has, here and elsewhere.
    pub links: u64,
}

/// Where a segment lives.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SegmentKind {
    /// Named shared memory, gone at reboot.
    Shm,
    /// A mapped file at this path, for containers that share a volume, or where there is no shared memory.
    File(PathBuf),
}

/// What [`LogFile::open`] may create.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Create {
    /// Nothing: the file must exist.
    Never,
    /// The file, if it is missing.
    IfMissing,
    /// The file, which must not exist.
    New,
}

/// Why a file in our place is not usable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// A symbolic link stands there.
    #[error("{path} is a symbolic link, which crlog does not follow here: remove it")]
    Symlink {
        /// The file.
        path: Shown,
    },
    /// A directory, pipe, device or socket stands there.
    #[error("{path} is {what}, not a regular file: choose another path")]
    NotRegular {
        /// The file.
        path: Shown,
        /// What it is instead.
        what: &'static str,
    },
    /// A lock file's name, but something in it that we did not write.
    #[error("{path} is not a lock file of crlog: choose another place, or remove it if nobody needs it")]
    NotALock {
        /// The file.
        path: Shown,
    },
    /// It belongs to somebody else.
    #[error(
        "{path} belongs to user {found}, not to us (user {ours}): run as that user, or let its \
         owner remove it"
    )]
    Foreign {
        /// The file.
        path: Shown,
        /// Its owner.
        found: u32,
        /// Our effective user.
        ours: u32,
    },
    /// More users may write to it than were meant to.
    #[error("{path} has mode {found:03o}, but only {allowed:03o} is configured: chmod or remove it")]
    TooOpen {
        /// The file.
        path: Shown,
        /// Its mode.
        found: u32,
        /// The configured mode.
        allowed: u32,
    },
    /// The table of lock-carrying descriptors is full.
    #[error("{path} not opened: this process holds {limit} files of crlog already; close some logs")]
    TooMany {
        /// The file.
        path: Shown,
        /// Size of the table.
        limit: usize,
    },
    /// The name changed its meaning each time we looked.
    #[error("{path} is replaced by somebody again and again: find out who does that")]
    Unstable {
        /// The file.
        path: Shown,
    },
    /// The system refused.
    #[error("cannot {doing} {path}: {cause}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: Shown,
        /// The system's reason.
        cause: io::Error,
    },
}

impl FileError {
    pub(crate) fn io(doing: &'static str, path: &std::path::Path, cause: impl Into<io::Error>) -> FileError {
        FileError::Io { doing, path: path.into(), cause: cause.into() }
    }

    /// The system's error number, if it is the system that refused.
    pub(crate) fn errno(&self) -> Option<i32> {
        match self {
            FileError::Io { cause, .. } => cause.raw_os_error(),
            FileError::TooMany { .. } => Some(24), // EMFILE
            _ => None,
        }
    }

    /// Whether the file is simply not there.
    pub fn is_absent(&self) -> bool {
        matches!(self, FileError::Io { cause, .. } if cause.kind() == io::ErrorKind::NotFound)
    }
}

/// Why memory for a segment cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MapError {
    /// The object, or what stands in its place, is not usable.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file system has too little room.
    #[error(
        "a segment of {asked} bytes does not fit on {dir}, which has {free} bytes free: ask for a \
         smaller ring, or for a mapped-file segment on a file system with more room"
    )]
    NoRoom {
        /// Bytes wanted.
        asked: u64,
        /// Where.
        dir: Shown,
        /// Bytes free there.
        free: u64,
    },
    /// There is no shared memory on this machine.
    #[error(
        "{dir} is missing, so there is no shared memory here: mount a tmpfs there, or use a mapped-file segment"
    )]
    NoSharedMemory {
        /// Where it should be.
        dir: Shown,
    },
    /// Somebody made it first.
    #[error("{path} exists already")]
    Exists {
        /// The object.
        path: Shown,
    },
    /// The object is shorter than it must be.
    #[error(
        "{path} has {found} bytes where {needed} are needed: it was truncated; remove it once nobody uses it"
    )]
    Short {
        /// The object.
        path: Shown,
        /// Its length.
        found: u64,
        /// The length it must have.
        needed: u64,
    },
}

/// A failed write to the log file.
#[derive(Debug, thiserror::Error)]
#[error("{cause} (after {written} bytes)")]
pub struct WriteError {
    /// Bytes that did reach the file.
    pub written: u64,
    /// The system's reason.
    pub cause: io::Error,
}

/// A path that prints itself in one line, whatever bytes it holds.
#[derive(Clone, PartialEq, Eq)]
pub struct Shown(pub PathBuf);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.to_string_lossy().chars() {
            if c.is_control() {
                write!(f, "{}", c.escape_default())?;
            } else {
                write!(f, "{c}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<P: AsRef<std::path::Path> + ?Sized> From<&P> for Shown {
    fn from(path: &P) -> Shown {
        Shown(path.as_ref().to_path_buf())
    }
}
