//! Opening a file of ours, and refusing what is not.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, Stat, fchmod, fstat, lstat, open};
use rustix::io::Errno;

use super::descriptor::{Descriptor, DescriptorError, LIMIT};
use super::make;
use super::process::user;
use super::standard::above;
use crate::sys::{Create, FileError, FileId, Rights};

/// Read and write, ours alone, no link followed, no waiting for a pipe's other end.
const FLAGS: OFlags =
    OFlags::RDWR.union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);
/// Bits of a mode that let somebody else write.
const SHARING: u32 = 0o022;
const RETRIES: usize = 100;

pub(super) fn file_id(stat: &Stat) -> FileId {
    FileId { dev: stat.st_dev, ino: stat.st_ino }
}

/// What a path names now; a link is not followed.
pub(super) fn id_at(path: &Path) -> io::Result<Option<FileId>> {
    match lstat(path) {
        Ok(stat) => Ok(Some(file_id(&stat))),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// Refuses what is no regular file, foreign, or wider open than configured.
pub(super) fn vet(stat: &Stat, path: &Path, mode: u32) -> Result<(), FileError> {
    if let Some(what) = irregular(stat) {
        let path = path.into();
        return Err(match what {
            "a symbolic link" => FileError::Symlink { path },
            _ => FileError::NotRegular { path, what },
        });
    }
    if stat.st_uid != user() && mode & SHARING == 0 {
        return Err(FileError::Foreign { path: path.into(), found: stat.st_uid, ours: user() });
    }
    let found = stat.st_mode & 0o777;
    if found & SHARING & !mode != 0 {
        return Err(FileError::TooOpen { path: path.into(), found, allowed: mode });
    }
    Ok(())
}

/// What the file is, if it is not a regular one.
pub(super) fn irregular(stat: &Stat) -> Option<&'static str> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => None,
        FileType::Symlink => Some("a symbolic link"),
        FileType::Directory => Some("a directory"),
        FileType::Fifo => Some("a pipe"),
        FileType::Socket => Some("a socket"),
        FileType::CharacterDevice | FileType::BlockDevice => Some("a device"),
        _ => Some("no file"),
    }
}

pub(super) fn open_plain(path: &Path) -> io::Result<OwnedFd> {
    above(|| Ok(open(path, FLAGS, Mode::empty())?))
}

/// Creates the file, which must not exist, under its name, and gives it exactly this mode, whatever the umask.
pub(super) fn create_plain(path: &Path, mode: u32) -> io::Result<OwnedFd> {
    let mode = Mode::from_raw_mode(mode);
    let fd = above(|| Ok(open(path, FLAGS | OFlags::CREATE | OFlags::EXCL, mode)?))?;
    fchmod(&fd, mode)?;
    Ok(fd)
}

/// How strict [`open_guarded`] is about what it finds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// A file of our own making: owner and rights are checked as well.
    Ours,
    /// The user's file: regular, and we may write to it.
    Anyones,
}

/// A file that is open, and whose name still names it.
pub(super) struct Opened {
    pub(super) fd: Descriptor,
    pub(super) id: FileId,
    /// We made it, and could not give it to its owner.
    pub(super) refused: Option<io::Error>,
}

/// Opens or creates a file as a fork-safe descriptor and proves that the path still names it.
///
/// A missing file is created first, through a descriptor of its own that never carries a lock.
pub(super) fn open_guarded(
    path: &Path,
    rights: Rights,
    create: Create,
    trust: Trust,
) -> Result<Opened, FileError> {
    let (mut made, mut refused) = (None, None);
    let mut make = || {
        let new = make::file(path, rights)?;
        refused = new.refused;
        io::Result::Ok(new.id)
    };
    if create == Create::New {
        made = Some(make().map_err(|e| FileError::io("create", path, e))?);
    }
    for _ in 0..RETRIES {
        match open_once(path, rights.mode, trust) {
            Ok(Some((fd, id))) if made.is_none_or(|m| m == id) || create != Create::New => {
                return Ok(Opened { fd, id, refused: refused.filter(|_| made == Some(id)) });
            }
            Err(e) if e.is_absent() && create == Create::IfMissing => match make() {
                Ok(id) => made = Some(id),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(FileError::io("create", path, e)),
            },
            Err(e) => return Err(e),
            Ok(_) => {}
        }
    }
    Err(FileError::Unstable { path: path.into() })
}

/// `None`: the path named something else by the time it was open.
fn open_once(path: &Path, mode: u32, trust: Trust) -> Result<Option<(Descriptor, FileId)>, FileError> {
    let stat = lstat(path).map_err(|e| FileError::io("open", path, e))?;
    check(&stat, path, mode, trust)?;
    let fd = match Descriptor::open(|| open_plain(path)) {
        Ok(fd) => fd,
        Err(DescriptorError::TableFull) => {
            return Err(FileError::TooMany { path: path.into(), limit: LIMIT });
        }
        Err(DescriptorError::Open(e)) if e.raw_os_error() == Some(libc::ELOOP) => return Ok(None),
        Err(DescriptorError::Open(e)) => return Err(FileError::io("open", path, e)),
    };
    let opened = fd.fd().and_then(stat_of).map_err(|e| FileError::io("inspect", path, e))?;
    check(&opened, path, mode, trust)?;
    let id = file_id(&opened);
    let now = id_at(path).map_err(|e| FileError::io("inspect", path, e))?;
    Ok((now == Some(id)).then_some((fd, id)))
}

fn check(stat: &Stat, path: &Path, mode: u32, trust: Trust) -> Result<(), FileError> {
    match (trust, irregular(stat)) {
        (Trust::Ours, _) => vet(stat, path, mode),
        (Trust::Anyones, None) => Ok(()),
        (Trust::Anyones, Some("a symbolic link")) => Err(FileError::Symlink { path: path.into() }),
        (Trust::Anyones, Some(what)) => Err(FileError::NotRegular { path: path.into(), what }),
    }
}

pub(super) fn stat_of(fd: BorrowedFd<'_>) -> io::Result<Stat> {
    Ok(fstat(fd)?)
}
