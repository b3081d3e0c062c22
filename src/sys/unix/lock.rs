//! The lock file: one lock a byte, kept by the kernel for an open file description.
//!
//! Constraints: a lock must end with its holder however that dies, must not end because somebody
//! else in the process closes the same file (so no `F_SETLK`), must be askable without taking it
//! (so no `flock`), and must not live on in a forked child (so a [`Descriptor`]).
//!
//! Two `LockFile`s of one process exclude each other like those of two processes. Within one, taking
//! a byte again changes its lock (shared to exclusive and back) instead of waiting for itself.

use std::io;
use std::mem::zeroed;
use std::os::fd::{AsRawFd, RawFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use libc::{F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW, F_RDLCK, F_UNLCK, F_WRLCK};
use rustix::fs::{Mode, OFlags};
use rustix::io::{pread, pwrite};

use super::descriptor::{Descriptor, DescriptorError, LIMIT};
use super::file::{Opened, Trust, file_id, id_at, open_guarded, stat_of};
use crate::sys::{Create, FileError, FileId};

/// Bytes of the note that tells people who holds [`OPEN`](crate::sys::byte::OPEN).
const NOTE: usize = 128;
/// How each note begins, and so each lock file that is not empty.
const BEGINS: &str = "process ";

/// A file whose bytes are locks. See the module's text.
#[derive(Debug)]
pub struct LockFile {
    fd: Descriptor,
    path: PathBuf,
    id: FileId,
    /// What `/` was when it was opened.
    root: Option<FileId>,
}

impl LockFile {
    /// Opens or creates the lock file and proves that `path` still names it. `mode` is exact.
    pub fn open(path: &Path, mode: u32) -> Result<LockFile, FileError> {
        LockFile::opened(path, mode, Create::IfMissing)
    }

    /// Another handle of the lock file, if there is one: who looks, or comes late, makes none.
    pub fn existing(path: &Path, mode: u32) -> Result<LockFile, FileError> {
        LockFile::opened(path, mode, Create::Never)
    }

    fn opened(path: &Path, mode: u32, create: Create) -> Result<LockFile, FileError> {
        let Opened { fd, id, .. } = open_guarded(path, mode.into(), create, Trust::Ours)?;
        let lock = LockFile { fd, path: path.to_path_buf(), id, root: super::dir::root() };
        match lock.holds_a_note() {
            Ok(true) => Ok(lock),
            Ok(false) => Err(FileError::NotALock { path: path.into() }),
            Err(e) => Err(FileError::io("read", path, e)),
        }
    }

    /// Nothing but a note, or nothing: whatever else is in it is somebody's, and is not written over.
    fn holds_a_note(&self) -> io::Result<bool> {
        let mut bytes = [0; NOTE + 1];
        let found = pread(self.fd.fd()?, &mut bytes, 0)?;
        Ok(found == 0 || (found == NOTE && bytes.starts_with(BEGINS.as_bytes()) && bytes[NOTE - 1] == b'\n'))
    }

    /// Another handle of this very file, whose locks exclude ours; also when its name is gone.
    pub fn again(&self) -> Result<LockFile, FileError> {
        if let Ok(other) = LockFile::existing(&self.path, 0o600)
            && other.id == self.id
        {
            return Ok(other);
        }
        let io = |e| FileError::io("open again", &self.path, e);
        let raw = self.raw().map_err(io)?;
        let open = || {
            Ok(rustix::fs::open(
                format!("/proc/self/fd/{raw}"),
                OFlags::RDWR | OFlags::CLOEXEC,
                Mode::empty(),
            )?)
        };
        let fd = match Descriptor::open(open) {
            Ok(fd) => fd,
            Err(DescriptorError::TableFull) => {
                return Err(FileError::TooMany { path: self.path.as_path().into(), limit: LIMIT });
            }
            Err(DescriptorError::Open(e)) => return Err(io(e)),
        };
        let id = fd.fd().and_then(stat_of).map(|stat| file_id(&stat)).map_err(io)?;
        if id != self.id {
            return Err(io(io::ErrorKind::NotFound.into()));
        }
        Ok(LockFile { fd, path: self.path.clone(), id, root: self.root })
    }

    /// The path it was opened at.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Which file this is.
    pub fn identity(&self) -> FileId {
        self.id
    }

    /// Whether the path still names this file. Ask again after each wait for
    /// [`OPEN`](crate::sys::byte::OPEN): the last one out removes the file.
    pub fn is_current(&self) -> io::Result<bool> {
        match id_at(&self.path) {
            Ok(Some(id)) => Ok(id == self.id),
            // What this process sees under its path is not what it has opened there.
            Ok(None) if super::dir::root() != self.root => Ok(stat_of(self.fd.fd()?)?.st_nlink > 0),
            Ok(None) => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Takes a byte for us alone; `false` if another handle has it.
    pub fn try_lock(&self, byte: u64) -> io::Result<bool> {
        set(self.raw()?, F_OFD_SETLK, F_WRLCK, byte, 1)
    }

    /// Takes a byte for us alone, sleeping in the kernel until it is free.
    pub fn lock(&self, byte: u64) -> io::Result<()> {
        set(self.raw()?, F_OFD_SETLKW, F_WRLCK, byte, 1).map(|_| ())
    }

    /// Takes a byte for us alone within a time limit; `false` if that passed.
    pub fn lock_within(&self, byte: u64, limit: Duration) -> io::Result<bool> {
        let started = Instant::now();
        let mut nap = Duration::from_micros(200);
        loop {
            if self.try_lock(byte)? {
                return Ok(true);
            }
            if started.elapsed() >= limit {
                return Ok(false);
            }
            std::thread::sleep(nap);
            nap = (nap * 2).min(Duration::from_millis(10));
        }
    }

    /// Takes a byte beside other sharers; `false` if another handle has it alone.
    pub fn try_lock_shared(&self, byte: u64) -> io::Result<bool> {
        set(self.raw()?, F_OFD_SETLK, F_RDLCK, byte, 1)
    }

    /// Takes a byte beside other sharers, sleeping in the kernel until nobody has it alone.
    pub fn lock_shared(&self, byte: u64) -> io::Result<()> {
        set(self.raw()?, F_OFD_SETLKW, F_RDLCK, byte, 1).map(|_| ())
    }

    /// Gives a byte back, however it was taken.
    pub fn unlock(&self, byte: u64) -> io::Result<()> {
        set(self.raw()?, F_OFD_SETLK, F_UNLCK, byte, 1).map(|_| ())
    }

    /// Whether another handle (of any process) has the byte, shared or alone. Takes nothing.
    pub fn held_by_other(&self, byte: u64) -> io::Result<bool> {
        let mut range = range(F_WRLCK, byte, 1);
        call(self.raw()?, F_OFD_GETLK, &mut range)?;
        Ok(i32::from(range.l_type) != F_UNLCK)
    }

    /// Writes down, for people, which process is at work under [`OPEN`](crate::sys::byte::OPEN).
    pub fn note(&self, process: &str) -> io::Result<()> {
        let mut line = [b' '; NOTE];
        line[NOTE - 1] = b'\n';
        for (to, from) in line[..NOTE - 1].iter_mut().zip(BEGINS.bytes().chain(process.bytes())) {
            *to = from;
        }
        pwrite(self.fd.fd()?, &line, 0)?;
        Ok(())
    }

    /// The last note. What it says is a hint; who wrote it may be gone.
    pub fn read_note(&self) -> io::Result<String> {
        let mut line = [0; NOTE];
        let found = pread(self.fd.fd()?, &mut line, 0)?;
        let text = String::from_utf8_lossy(&line[..found]);
        Ok(text.trim().chars().filter(|c| !c.is_control()).collect())
    }

    /// Removes the file, if its path still names it.
    pub fn unlink(&self) -> io::Result<()> {
        if self.is_current()? {
            std::fs::remove_file(&self.path)?;
        }
        Ok(())
    }

    /// How many names the file still has; 0 = somebody removed it.
    #[cfg(test)]
    pub fn links(&self) -> io::Result<u64> {
        let stat = stat_of(self.fd.fd()?)?;
        debug_assert_eq!(file_id(&stat), self.id);
        Ok(stat.st_nlink)
    }

    fn raw(&self) -> io::Result<RawFd> {
        Ok(self.fd.fd()?.as_raw_fd())
    }
}

fn range(kind: i32, start: u64, len: u64) -> libc::flock {
    // SAFETY: `flock` is plain old data; zero is a valid value of every field, and the process id
    // of a request for an open file description must be zero.
    let mut range: libc::flock = unsafe { zeroed() };
    range.l_type = kind as libc::c_short;
    range.l_whence = libc::SEEK_SET as libc::c_short;
    range.l_start = start as libc::off_t;
    range.l_len = len as libc::off_t;
    range
}

fn call(fd: RawFd, command: i32, range: &mut libc::flock) -> io::Result<()> {
    // SAFETY: `range` is a valid `flock` for the length of the call, which is all these commands
    // use; a bad descriptor is an error.
    match unsafe { libc::fcntl(fd, command, &raw mut *range) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Sets or clears a lock; `len` 0 reaches to the end of all files. `false`: somebody else has it.
pub(super) fn set(fd: RawFd, command: i32, kind: i32, start: u64, len: u64) -> io::Result<bool> {
    loop {
        match call(fd, command, &mut range(kind, start, len)) {
            Ok(()) => return Ok(true),
            Err(e) => match e.raw_os_error() {
                Some(libc::EINTR) => {}
                Some(libc::EAGAIN | libc::EACCES) => return Ok(false),
                _ => return Err(e),
            },
        }
    }
}

/// Releases every lock of the open file description.
pub(super) fn release_all(fd: RawFd) {
    // Best effort: closing the descriptor does the same unless a copy of it lives on.
    let _ = set(fd, F_OFD_SETLK, F_UNLCK, 0, 0);
}

/// Takes the whole file for us alone; `false` if another handle has any of it.
pub(super) fn try_own(fd: RawFd) -> io::Result<bool> {
    set(fd, F_OFD_SETLK, F_WRLCK, 0, 0)
}

/// Whether another handle has any of the file. Takes nothing.
pub(super) fn owned_by_other(fd: RawFd) -> io::Result<bool> {
    let mut range = range(F_WRLCK, 0, 0);
    call(fd, F_OFD_GETLK, &mut range)?;
    Ok(i32::from(range.l_type) != F_UNLCK)
}

/// Asks the kernel for a write lease, which it grants only if no other open file description of the
/// inode exists on the whole machine; a mapping counts as one. Given back at once.
pub(super) fn nobody_else_has(fd: RawFd) -> bool {
    const F_SETSIG: i32 = 10;
    // SAFETY: these commands take integers. Whoever opens the file in between makes the kernel signal
    // us: SIGURG, which is ignored by default, in place of SIGIO, which would end the process.
    unsafe {
        libc::fcntl(fd, F_SETSIG, libc::SIGURG) != -1
            && libc::fcntl(fd, libc::F_SETLEASE, F_WRLCK) != -1
            && libc::fcntl(fd, libc::F_SETLEASE, F_UNLCK) != -1
    }
}
