//! The object a segment lives in, before it is trusted.
//!
//! Constraints: nothing of it is mapped until owner, rights and length are known to be right; its
//! pages exist before they are touched (a missing page of a full tmpfs is a fatal signal); and
//! nothing is removed that we did not identify.
//!
//! Finding opens a descriptor of our own without following links, vets it and reads from it; only
//! [`SegmentObject::map`] maps. All under [`OPEN`](super::super::byte::OPEN).

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate, fstat, lstat, statvfs};
use rustix::io::Errno;

use super::file::{create_plain, file_id, id_at, open_plain, vet};
use super::lock;
use super::make;
use super::map::Mapping;
use crate::sys::{FileError, FileId, MapError, SegmentKind};

/// Where named shared memory shows itself, and where lock files go when nobody chose a place.
const SHM_DIR: &str = "/dev/shm";

/// The directory of lock files when nobody chose one; the same for all processes of the machine.
pub fn segment_dir() -> PathBuf {
    PathBuf::from(SHM_DIR)
}

/// A vetted object that may hold a segment.
#[derive(Debug)]
pub struct SegmentObject {
    kind: SegmentKind,
    name: String,
    path: PathBuf,
    file: File,
    id: FileId,
}

impl SegmentObject {
    /// The path of the object of this kind and name.
    pub fn path_of(kind: &SegmentKind, name: &str) -> PathBuf {
        match kind {
            SegmentKind::Shm => Path::new(SHM_DIR).join(name),
            SegmentKind::File(path) => path.clone(),
        }
    }

    /// Opens and vets the object; `None` if there is none.
    pub fn find(kind: &SegmentKind, name: &str, mode: u32) -> Result<Option<SegmentObject>, MapError> {
        let path = SegmentObject::path_of(kind, name);
        match lstat(&path) {
            Ok(stat) => vet(&stat, &path, mode)?,
            Err(Errno::NOENT) => return Ok(None),
            Err(e) => return Err(FileError::io("inspect", &path, e).into()),
        }
        let fd = match open_plain(&path) {
            Ok(fd) => fd,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(FileError::io("open", &path, e).into()),
        };
        SegmentObject::vetted(kind, name, path, fd, mode).map(Some)
    }

    fn vetted(
        kind: &SegmentKind,
        name: &str,
        path: PathBuf,
        fd: OwnedFd,
        mode: u32,
    ) -> Result<SegmentObject, MapError> {
        let stat = fstat(&fd).map_err(|e| FileError::io("inspect", &path, e))?;
        vet(&stat, &path, mode)?;
        let (kind, name, id) = (kind.clone(), name.to_owned(), file_id(&stat));
        Ok(SegmentObject { kind, name, path, file: File::from(fd), id })
    }

    /// Makes an object of `len` zero bytes with exactly this mode, reserves its room and maps it.
    /// Leaves nothing behind if that fails.
    pub fn create(kind: &SegmentKind, name: &str, len: usize, mode: u32) -> Result<Mapping, MapError> {
        let path = SegmentObject::path_of(kind, name);
        let fd = match kind {
            SegmentKind::Shm => make_named(&path, mode)?,
            SegmentKind::File(path) => make_file(path, mode)?,
        };
        let object = SegmentObject::vetted(kind, name, path, fd, mode)?;
        let (path, id) = (object.path.clone(), object.id);
        object.reserve(len).and_then(|()| object.map(len)).inspect_err(|_| {
            // The reason matters, not whether the clean-up worked: a leftover is half-made.
            let _ = remove_if(&path, id);
        })
    }

    /// Where the object can be found by people.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its length.
    pub fn bytes(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Copies from its start; returns how much there was. Touches no page, so it cannot fault.
    pub fn read(&self, out: &mut [u8]) -> io::Result<usize> {
        self.read_at(out, 0)
    }

    /// The same from an offset on.
    pub fn read_at(&self, out: &mut [u8], at: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < out.len() {
            match self.file.read_at(&mut out[done..], at + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }

    /// Overwrites part of its first page, in one step that a kill does not divide.
    pub fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, at)
    }

    /// Whether the kernel can prove that nobody else has it open or mapped. `false` = no proof.
    pub fn is_ours_alone(&self) -> bool {
        lock::nobody_else_has(self.file.as_raw_fd())
    }

    /// Removes it, unless its name means another object by now.
    pub fn remove(&self) -> io::Result<()> {
        remove_if(&self.path, self.id)
    }

    /// Maps `len` bytes of it.
    pub fn map(self, len: usize) -> Result<Mapping, MapError> {
        let found = self.bytes().map_err(|e| FileError::io("inspect", &self.path, e))?;
        if found < len as u64 {
            return Err(MapError::Short { path: (&self.path).into(), found, needed: len as u64 });
        }
        match self.kind {
            SegmentKind::Shm => Mapping::named(&self.name, &self.path, self.file, self.id, len),
            SegmentKind::File(_) => Mapping::file(&self.path, self.file, len),
        }
    }

    fn reserve(&self, len: usize) -> Result<(), MapError> {
        let done = loop {
            match fallocate(&self.file, FallocateFlags::empty(), 0, len as u64) {
                Err(Errno::INTR) => {}
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => break self.fill(len),
                done => break done.map_err(io::Error::from),
            }
        };
        done.map_err(|e| match e.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => no_room(&self.path, len),
            _ => FileError::io("reserve room for", &self.path, e).into(),
        })
    }

    /// The slow way to reserve, for file systems without another.
    fn fill(&self, len: usize) -> io::Result<()> {
        let zeros = [0; 16 * 1024];
        let mut at = 0;
        while at < len {
            let n = zeros.len().min(len - at);
            self.file.write_all_at(&zeros[..n], at as u64)?;
            at += n;
        }
        Ok(())
    }
}

/// The descriptor is of the very object that was made: its name may mean another one at any time, if somebody removes it
/// and others, who have another lock file then, make one of their own.
fn make_named(path: &Path, mode: u32) -> Result<OwnedFd, MapError> {
    if !Path::new(SHM_DIR).is_dir() {
        return Err(MapError::NoSharedMemory { dir: SHM_DIR.into() });
    }
    create_plain(path, mode).map_err(|e| not_made(path, e))
}

fn make_file(path: &Path, mode: u32) -> Result<OwnedFd, MapError> {
    let made = make::file(path, mode.into()).map_err(|e| not_made(path, e))?;
    let fd = open_plain(path).map_err(|e| FileError::io("open", path, e))?;
    let found = fstat(&fd).map_err(|e| FileError::io("inspect", path, e))?;
    if file_id(&found) == made.id { Ok(fd) } else { Err(FileError::Unstable { path: path.into() }.into()) }
}

fn not_made(path: &Path, error: io::Error) -> MapError {
    match error.kind() {
        io::ErrorKind::AlreadyExists => MapError::Exists { path: path.into() },
        _ => FileError::io("create", path, error).into(),
    }
}

fn no_room(path: &Path, len: usize) -> MapError {
    let dir = path.parent().unwrap_or(Path::new("/"));
    let free = statvfs(dir).map_or(0, |v| v.f_bavail.saturating_mul(v.f_frsize));
    MapError::NoRoom { asked: len as u64, dir: dir.into(), free }
}

fn remove_if(path: &Path, id: FileId) -> io::Result<()> {
    if id_at(path)? == Some(id) {
        std::fs::remove_file(path)?;
    }
    Ok(())
}
