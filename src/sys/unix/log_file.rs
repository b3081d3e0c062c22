//! The log file, as its one flusher writes it.
//!
//! Constraints: what is written goes where the journal says (so no append mode, and nothing
//! asynchronous: a write must not outlive its process's lock); pieces come straight from the segment,
//! so no reference to them is ever made; two segments never write one file, whatever links and names
//! led to it, hence [`LogFile::try_own`].
//!
//! | found | done |
//! |---|---|
//! | directory, pipe, device, symbolic link | refused |
//! | short write, interrupted write | gone on with |
//! | error in the middle | [`WriteError`] with the bytes that are in the file |
//! | mapping truncated by somebody | the kernel answers `EFAULT`: an error, not a signal |

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;

use rustix::fs::{Mode, Timespec, Timestamps, fchmod, fchown, fdatasync, fsync, ftruncate, futimens};
use rustix::process::{Gid, Uid};

use super::descriptor::Descriptor;
use super::file::{Opened, Trust, open_guarded, stat_of};
use super::lock;
use crate::sys::{Create, FileError, FileId, Looks, Rights, WriteError};

/// Most pieces that one system call takes (`UIO_MAXIOV`).
const PIECES: usize = 1024;

/// An open log file.
#[derive(Debug)]
pub struct LogFile {
    fd: Descriptor,
    id: FileId,
    refused: Option<io::Error>,
}

impl LogFile {
    /// Opens the file. If we create it, it has exactly this mode and this owner before it has its name; otherwise
    /// both are left alone.
    pub fn open(path: &Path, rights: impl Into<Rights>, create: Create) -> Result<LogFile, FileError> {
        let Opened { fd, id, refused } = open_guarded(path, rights.into(), create, Trust::Anyones)?;
        Ok(LogFile { fd, id, refused })
    }

    /// Why a file that we created has not the owner that it was to have. It is a log file all the same.
    pub fn owner_refused(&self) -> Option<&io::Error> {
        self.refused.as_ref()
    }

    /// Takes the whole file for this handle; `false` if another one has it, also one of ours.
    pub fn try_own(&self) -> io::Result<bool> {
        lock::try_own(self.raw()?)
    }

    /// Whether another handle, of any process, has the file. Takes nothing.
    pub fn is_owned_by_other(&self) -> io::Result<bool> {
        lock::owned_by_other(self.raw()?)
    }

    /// How many names it has; 0: it has lost its last one.
    pub fn names(&self) -> io::Result<u64> {
        Ok(stat_of(self.fd.fd()?)?.st_nlink)
    }

    /// Its length, and how many names it has, seen at one moment.
    pub fn size_and_names(&self) -> io::Result<(u64, u64)> {
        let stat = stat_of(self.fd.fd()?)?;
        let size = u64::try_from(stat.st_size).map_err(|_| io::Error::other("negative file size"))?;
        Ok((size, stat.st_nlink))
    }

    /// Which file this is.
    pub fn identity(&self) -> FileId {
        self.id
    }

    /// Its length.
    pub fn size(&self) -> io::Result<u64> {
        let size = stat_of(self.fd.fd()?)?.st_size;
        u64::try_from(size).map_err(|_| io::Error::other("negative file size"))
    }

    /// When it was last written, in whole seconds since 1970.
    pub fn modified(&self) -> io::Result<i64> {
        Ok(stat_of(self.fd.fd()?)?.st_mtime)
    }

    /// Length, time, rights and owner.
    pub fn looks(&self) -> io::Result<Looks> {
        let stat = stat_of(self.fd.fd()?)?;
        let ns = i128::from(stat.st_mtime) * 1_000_000_000 + i128::from(stat.st_mtime_nsec);
        Ok(Looks {
            bytes: u64::try_from(stat.st_size).map_err(|_| io::Error::other("negative file size"))?,
            modified_ns: i64::try_from(ns).map_err(|_| io::Error::other("impossible time of a file"))?,
            mode: stat.st_mode & 0o777,
            owner: (stat.st_uid, stat.st_gid),
        })
    }

    /// Gives the file owner, rights and time of another one, and waits until all of it survives a power loss.
    pub fn resemble(&self, other: &Looks) -> io::Result<()> {
        let fd = self.fd.fd()?;
        let (user, group) = other.owner;
        if self.looks()?.owner != other.owner {
            fchown(fd, Some(Uid::from_raw(user)), Some(Gid::from_raw(group)))?;
        }
        fchmod(fd, Mode::from_raw_mode(other.mode))?;
        let time = Timespec {
            tv_sec: other.modified_ns.div_euclid(1_000_000_000),
            tv_nsec: other.modified_ns.rem_euclid(1_000_000_000),
        };
        futimens(fd, &Timestamps { last_access: time, last_modification: time })?;
        Ok(fsync(fd)?)
    }

    /// Some of the bytes from `at` on; 0 at the end.
    pub fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<usize> {
        loop {
            match rustix::io::pread(self.fd.fd()?, &mut *bytes, at) {
                Err(rustix::io::Errno::INTR) => {}
                done => return Ok(done?),
            }
        }
    }

    /// How many names it has; 0 = somebody removed it.
    #[cfg(test)]
    pub fn links(&self) -> io::Result<u64> {
        Ok(stat_of(self.fd.fd()?)?.st_nlink)
    }

    /// Writes the pieces one after the other, from offset `at` on. Returns the bytes written: all.
    ///
    /// # Safety
    /// Each piece must be readable for its length during the call. The bytes may belong to a shared
    /// mapping; if others write to them meanwhile, it is undefined which bytes the file gets.
    pub unsafe fn write_pieces(&self, pieces: &[(*const u8, usize)], at: u64) -> Result<u64, WriteError> {
        let mut written = 0;
        let mut rest = pieces;
        let mut skip = 0;
        while let Some((batch, len)) = Batch::fill(rest, skip) {
            // SAFETY: the caller vouches for the pieces, of which the batch holds parts.
            match unsafe { self.write_batch(&batch.parts[..len], at + written) } {
                Ok(n) => {
                    written += n as u64;
                    (rest, skip) = advance(rest, skip + n);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(WriteError { written, cause }),
            }
        }
        Ok(written)
    }

    /// Writes bytes of this process at `at`, all of them or an error.
    pub fn write_bytes(&self, bytes: &[u8], at: u64) -> Result<u64, WriteError> {
        // SAFETY: (I5) one piece, borrowed for as long as the call takes.
        unsafe { self.write_pieces(&[(bytes.as_ptr(), bytes.len())], at) }
    }

    /// # Safety
    /// As for [`LogFile::write_pieces`].
    unsafe fn write_batch(&self, parts: &[libc::iovec], at: u64) -> io::Result<usize> {
        let offset = libc::off_t::try_from(at).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let count = parts.len() as libc::c_int;
        // SAFETY: `parts` is a valid array of `count` readable pieces, by the caller's word; the
        // kernel checks each address itself.
        match unsafe { libc::pwritev(self.raw()?, parts.as_ptr(), count, offset) } {
            0 => Err(io::ErrorKind::WriteZero.into()),
            n => usize::try_from(n).map_err(|_| io::Error::last_os_error()),
        }
    }

    /// Its length, after its last line got an end, if it had none: if the file does not end as `end` does.
    pub fn end_line(&self, end: &[u8]) -> io::Result<u64> {
        let size = self.size()?;
        let (Some(last), Some(before)) = (end.last(), size.checked_sub(1)) else { return Ok(size) };
        let mut found = [0];
        if rustix::io::pread(self.fd.fd()?, &mut found, before)? == 0 || found == [*last] {
            return Ok(size);
        }
        // SAFETY: the one piece is a whole slice.
        let done = unsafe { self.write_pieces(&[(end.as_ptr(), end.len())], size) };
        done.map(|n| size + n).map_err(|e| e.cause)
    }

    /// Cuts the file to this length.
    pub fn truncate(&self, len: u64) -> io::Result<()> {
        Ok(ftruncate(self.fd.fd()?, len)?)
    }

    /// Waits until what was written survives a power loss.
    pub fn sync_data(&self) -> io::Result<()> {
        Ok(fdatasync(self.fd.fd()?)?)
    }

    fn raw(&self) -> io::Result<RawFd> {
        Ok(self.fd.fd()?.as_raw_fd())
    }
}

/// What one system call gets.
struct Batch {
    parts: [libc::iovec; PIECES],
}

impl Batch {
    /// The next non-empty parts after `skip` bytes of the first piece; `None` if nothing is left.
    fn fill(pieces: &[(*const u8, usize)], skip: usize) -> Option<(Batch, usize)> {
        let none = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        let mut batch = Batch { parts: [none; PIECES] };
        let mut used = 0;
        let mut skip = skip;
        for &(start, len) in pieces {
            if used == PIECES {
                break;
            }
            if len > skip {
                let iov_base = start.wrapping_add(skip).cast_mut().cast();
                batch.parts[used] = libc::iovec { iov_base, iov_len: len - skip };
                used += 1;
            }
            skip = 0;
        }
        (used > 0).then_some((batch, used))
    }
}

/// What is left after the first `done` bytes: pieces, and how much of the first of them is done.
fn advance(pieces: &[(*const u8, usize)], done: usize) -> (&[(*const u8, usize)], usize) {
    let mut done = done;
    for (i, &(_, len)) in pieces.iter().enumerate() {
        if done < len {
            return (&pieces[i..], done);
        }
        done -= len;
    }
    (&[], 0)
}
