//! A mapped segment.
//!
//! Constraints: no reference ever covers bytes that another process may write, except atomics; the
//! hot accesses cost what the bare instruction costs; and unmapping never removes a name.
//!
//! Invariant: every offset that reaches `word`, `put` and their like comes from a `Geometry` whose
//! `segment_bytes` was checked against [`Mapping::len`] when the mapping was made (I5), whatever the
//! segment holds. Debug builds check each access; release builds check the cold ones.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering, fence};

use memmap2::{MmapOptions, MmapRaw};
use rustix::fs::fstat;
use rustix::io::Errno;
use rustix::mm::{Advice, madvise};
use shared_memory::{Shmem, ShmemConf, ShmemError};

use super::file::{file_id, id_at};
use super::standard::plugged;
use crate::ring::mem::Mem;
use crate::sys::{FileError, FileId, MapError};

/// What keeps the pages mapped.
enum Pages {
    Named(#[allow(dead_code, reason = "its drop unmaps")] Shmem),
    File(#[allow(dead_code, reason = "its drop unmaps")] MmapRaw),
}

/// A segment in our address space, unmapped when dropped. Never removed but by [`Mapping::unlink`].
pub struct Mapping {
    base: *mut u8,
    len: usize,
    file: File,
    id: FileId,
    path: PathBuf,
    _pages: Pages,
}

// SAFETY: the memory is shared between processes anyway: all access goes through atomics, and
// through plain copies whose exclusion the ring's protocol gives (I2, I4), between threads just as
// between processes. `Shmem` and the pointer are only used to unmap, by the last owner.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl std::fmt::Debug for Mapping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mapping({}, {} bytes)", self.path.display(), self.len)
    }
}

impl Mapping {
    /// First byte of the segment.
    #[cfg(test)]
    pub fn base(&self) -> *const u8 {
        self.base
    }

    /// Length of the segment.
    #[allow(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Where the object can be found by people.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many names the object has; 0 = somebody removed it, and nobody new will find it.
    pub fn links(&self) -> io::Result<u64> {
        Ok(fstat(&self.file)?.st_nlink)
    }

    /// Removes the object's name, unless another object bears it by now. Under
    /// [`OPEN`](super::super::byte::OPEN) only.
    pub fn unlink(&self) -> io::Result<()> {
        if id_at(&self.path)? == Some(self.id) {
            std::fs::remove_file(&self.path)?;
        }
        Ok(())
    }

    /// Address of `len` bytes, to be written to a file straight from the segment.
    pub fn raw(&self, at: usize, len: usize) -> *const u8 {
        assert!(self.holds(at, len), "offset from a geometry that was not checked");
        // SAFETY: checked in the line above.
        unsafe { self.base.add(at) }
    }

    #[inline]
    fn holds(&self, at: usize, len: usize) -> bool {
        at.checked_add(len).is_some_and(|end| end <= self.len)
    }

    #[inline(always)]
    pub(super) fn word(&self, at: usize) -> &AtomicU64 {
        debug_assert!(at.is_multiple_of(8) && self.holds(at, 8), "bad word offset {at:#x}");
        // SAFETY: I5: `at` comes from a geometry checked against `len`, on an 8-byte ruler from a
        // page-aligned base; the pages stay mapped while `self` lives; words are only ever touched
        // as atomics.
        unsafe { AtomicU64::from_ptr(self.base.add(at).cast()) }
    }

    /// Wraps pages of `file`, which is the vetted object at `path`.
    fn new(path: &Path, file: File, pages: Pages, len: usize) -> Result<Mapping, MapError> {
        let stat = fstat(&file).map_err(|e| FileError::io("inspect", path, e))?;
        let (base, mapped) = match &pages {
            Pages::Named(shmem) => (shmem.as_ptr(), shmem.len()),
            Pages::File(raw) => (raw.as_mut_ptr(), raw.len()),
        };
        // A negative size does not exist; were there one, it would be refused as too short.
        let found = u64::try_from(stat.st_size).unwrap_or(0).min(mapped as u64);
        if found < len as u64 {
            return Err(MapError::Short { path: path.into(), found, needed: len as u64 });
        }
        let path = path.to_path_buf();
        Ok(Mapping { base, len, file, id: file_id(&stat), path, _pages: pages })
    }

    /// Maps the vetted object `file`, which is `id`, by its name, and proves that the name still meant it.
    pub(super) fn named(
        name: &str,
        path: &Path,
        file: File,
        id: FileId,
        len: usize,
    ) -> Result<Mapping, MapError> {
        // The crate keeps a descriptor of its own.
        let mut shmem = plugged(|| ShmemConf::new().os_id(name).open()).map_err(|e| match id_at(path) {
            Ok(now) if now == Some(id) => failed("map", path, e),
            // Another object that somebody is just making, say.
            _ => FileError::Unstable { path: path.into() }.into(),
        })?;
        shmem.set_owner(false);
        let mapping = Mapping::new(path, file, Pages::Named(shmem), len)?;
        match id_at(path) {
            Ok(now) if now == Some(id) => mapping.populated(),
            Ok(_) => Err(FileError::Unstable { path: path.into() }.into()),
            Err(e) => Err(FileError::io("inspect", path, e).into()),
        }
    }

    /// Maps the vetted `file`.
    pub(super) fn file(path: &Path, file: File, len: usize) -> Result<Mapping, MapError> {
        let raw = MmapOptions::new().len(len).map_raw(&file);
        let raw = raw.map_err(|e| FileError::io("map", path, e))?;
        Mapping::new(path, file, Pages::File(raw), len)?.populated()
    }

    /// Fills the page tables, so that no record pays for a page fault, and finds out now whether
    /// the pages can be had: a missing one is an error here and a fatal signal later.
    fn populated(self) -> Result<Mapping, MapError> {
        // SAFETY: the range is ours, mapped for writing; populating changes no byte.
        let done = unsafe { madvise(self.base.cast(), self.len, Advice::LinuxPopulateWrite) };
        match done {
            // EINVAL: older than Linux 5.14; pages are then faulted in one by one.
            Ok(()) | Err(Errno::INVAL) => Ok(self),
            Err(e) => Err(FileError::io("have memory for", &self.path, e).into()),
        }
    }
}

fn failed(doing: &'static str, path: &Path, error: ShmemError) -> MapError {
    let source = match error {
        ShmemError::MapCreateFailed(e) | ShmemError::MapOpenFailed(e) | ShmemError::UnknownOsError(e) => {
            io::Error::from_raw_os_error(e.cast_signed())
        }
        other => io::Error::other(other.to_string()),
    };
    FileError::io(doing, path, source).into()
}

impl Mem for Mapping {
    #[inline]
    fn load(&self, at: usize, order: Ordering) -> u64 {
        self.word(at).load(order)
    }

    #[inline]
    fn store(&self, at: usize, value: u64, order: Ordering) {
        self.word(at).store(value, order);
    }

    #[inline]
    fn cas(&self, at: usize, old: u64, new: u64, ok: Ordering, err: Ordering) -> Result<u64, u64> {
        self.word(at).compare_exchange(old, new, ok, err)
    }

    #[inline]
    fn add(&self, at: usize, n: u64, order: Ordering) -> u64 {
        self.word(at).fetch_add(n, order)
    }

    #[inline]
    fn swap(&self, at: usize, value: u64, order: Ordering) -> u64 {
        self.word(at).swap(value, order)
    }

    #[inline]
    fn fence(&self, order: Ordering) {
        fence(order);
    }

    #[inline]
    fn put(&self, at: usize, bytes: &[u8]) {
        debug_assert!(self.holds(at, bytes.len()), "bad range {at:#x}+{}", bytes.len());
        // SAFETY: I5: the range lies in a chunk of a checked geometry; `bytes` is private memory, so
        // the two do not overlap; nobody else touches the chunk's bytes meanwhile (I2, I4).
        unsafe {
            self.base.add(at).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
    }

    #[inline]
    fn get(&self, at: usize, len: usize, out: &mut Vec<u8>) {
        assert!(self.holds(at, len), "offset from a geometry that was not checked");
        out.reserve(len);
        let end = out.len();
        // SAFETY: the source range was checked above; `reserve` made room for `len` bytes after the
        // vector's end, which is private memory; then those bytes are initialised.
        unsafe {
            out.as_mut_ptr().add(end).copy_from_nonoverlapping(self.base.add(at), len);
            out.set_len(end + len);
        }
    }

    #[inline]
    fn put_word(&self, at: usize, value: u64) {
        self.word(at).store(value, Ordering::Relaxed);
    }

    #[inline]
    fn get_word(&self, at: usize) -> u64 {
        self.word(at).load(Ordering::Relaxed)
    }
}
