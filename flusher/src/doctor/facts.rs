//! What is known of a log and of the place it lives in: plain data, for [`super::examine`] to judge.

use crlog::Stats;
use std::collections::BTreeMap;
use std::time::Duration;

/// Everything that was found out.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The log, as it is named in the segment; as it was typed if that cannot be found out.
    pub path: String,
    /// What the path points to, if it is a symbolic link.
    pub link: Option<String>,
    /// The user who asks.
    pub uid: u32,
    /// The log's directory; `None` if there is none.
    pub directory: Option<Directory>,
    /// The log file; `None` if there is none.
    pub file: Option<File>,
    /// Somebody's flusher has the log file.
    pub written: bool,
    /// The ring is in named shared memory, not in a mapped file.
    pub named: bool,
    /// Where the segment is or would be.
    pub segment: String,
    /// The file system of the segment; `None` if its directory is missing.
    pub memory: Option<FileSystem>,
    /// The file system of the lock file.
    pub locks: Option<FileSystem>,
    /// What came of looking into the segment.
    pub seen: Seen,
    /// Processes of the log that can be seen from here, by pid.
    pub processes: BTreeMap<u64, Process>,
    /// Processes that map a segment of this name which has no name any more.
    pub nameless: Vec<u64>,
    /// systemd-logind removes a user's shared memory when he logs out.
    pub removes_ipc: bool,
}

/// What came of looking into the segment.
#[derive(Clone, Debug, Default)]
pub enum Seen {
    /// There is none.
    #[default]
    Nothing,
    /// It cannot be used, for this reason.
    Refused(String),
    /// Two looks, some time apart.
    Twice(Box<[Stats; 2]>, Duration),
}

/// A directory and its room.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    /// Its path.
    pub path: String,
    /// We may make files in it.
    pub writable: bool,
    /// What it is on.
    pub system: FileSystem,
}

/// A file system and its room.
#[derive(Clone, Debug, Default)]
pub struct FileSystem {
    /// Its name.
    pub name: String,
    /// How far locks and renames can be trusted.
    pub trust: Trust,
    /// Bytes in all, and free for us.
    pub bytes: u64,
    /// See `bytes`.
    pub bytes_free: u64,
    /// Names (inodes) in all, and free; 0 of 0 if it does not count them.
    pub names: u64,
    /// See `names`.
    pub names_free: u64,
}

/// What a file system's locks are worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// A local one.
    #[default]
    Local,
    /// A container's own layer.
    Layer,
    /// On other machines too, or made by a program.
    Remote,
}

/// The log file.
#[derive(Clone, Debug, Default)]
pub struct File {
    /// What it is, if it is not a regular file.
    pub odd: Option<&'static str>,
    /// Its owner.
    pub uid: u32,
    /// Its permission bits.
    pub mode: u32,
    /// We may write to it.
    pub writable: bool,
}

/// A process of the log.
#[derive(Clone, Debug, Default)]
pub struct Process {
    /// The kernel's letter for what it does.
    pub state: char,
    /// When it started, in ticks since boot.
    pub start: u64,
    /// Open files and how many it may have, if we may know.
    pub files: Option<(u64, u64)>,
}

impl Facts {
    /// The process of this pid, if it is provably the same one and not one of another pid namespace.
    pub fn process(&self, pid: u64, start: u64) -> Option<&Process> {
        self.processes.get(&pid).filter(|p| p.start == start)
    }
}
