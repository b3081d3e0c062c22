//! Names: which log, which segment, which lock file.

use std::io;
use std::path::{Path, PathBuf};

use super::SegmentSpec;
use crate::sys::{self, SegmentKind, SegmentObject};

/// The canonical path of a log, which need not exist yet: its directory resolved, and the log itself,
/// if it is a symbolic link, replaced by what it points to, also when that is missing. Refuses a
/// directory, and a parent directory that is missing or not writable.
pub fn canonical(path: &Path) -> io::Result<PathBuf> {
    sys::resolve_path(path)
}

/// The name of the segment of a log: `crlog-` and the FNV-1a hash of its canonical path. 22 bytes of
/// `[a-z0-9-]`, so that it is a valid name everywhere (macOS allows 31).
pub fn segment_id(canonical: &Path) -> String {
    format!("crlog-{:016x}", fnv1a(canonical.as_os_str().as_encoded_bytes()))
}

/// FNV-1a, 64 bits: Fowler, Noll, Vo, <http://www.isthe.com/chongo/tech/comp/fnv/>, RFC 9923. Two
/// paths of one hash are found out by the path in the header.
pub(super) fn fnv1a(bytes: &[u8]) -> u64 {
    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    bytes.iter().fold(BASIS, |hash, &b| (hash ^ u64::from(b)).wrapping_mul(PRIME))
}

impl SegmentSpec {
    /// The lock file: in the chosen directory, else beside the mapped file or the shared memory.
    pub fn lock_path(&self) -> PathBuf {
        let beside = |path: PathBuf| {
            let mut name = path.into_os_string();
            name.push(".lock");
            PathBuf::from(name)
        };
        match (&self.lock_dir, &self.kind) {
            (Some(dir), _) => beside(dir.join(&self.id)),
            (None, SegmentKind::File(path)) => beside(path.clone()),
            (None, SegmentKind::Shm) => beside(sys::segment_dir().join(&self.id)),
        }
    }

    /// The object itself, for people.
    pub fn object_path(&self) -> PathBuf {
        SegmentObject::path_of(&self.kind, &self.id)
    }
}
