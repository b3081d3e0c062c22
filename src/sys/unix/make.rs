//! New files and directories that have their rights before they have their name.
//!
//! Constraints: nobody may ever find one of our names with rights or an owner that were not asked for, whatever the
//! umask of the process is (which belongs to all its threads, so it is left alone).
//!
//! ```text
//! file:       nameless (O_TMPFILE), fchmod, fchown, linkat                  Linux, most file systems
//!             hidden name `.crlog-<32 digits>.new`, fchmod, fchown, rename  without O_TMPFILE, or without /proc
//!             the name itself, fchmod, fchown                               where nothing can be renamed without overwriting
//! directory:  the hidden name, chmod, chown, rename; else as above
//! ```
//!
//! | found | done |
//! |---|---|
//! | the name is taken | `AlreadyExists`, and nothing is left |
//! | we may not give files away | it is made all the same; [`Made::refused`] says so |
//! | killed before the rename | an empty file or directory with a hidden name stays behind; [`sweep`] removes it after an hour |

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, fchmod, fchown, fstat, linkat, open};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};

use super::dir::rename_new;
use super::file::{create_plain, file_id};
use super::process::uuid;
use super::standard::above;
use crate::sys::{FileId, Owner, Rights};

/// A file that was just made.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) id: FileId,
    /// Why it has not the owner that was asked for.
    pub(super) refused: Option<io::Error>,
}

/// Makes a file, which must not exist.
pub(super) fn file(path: &Path, rights: Rights) -> io::Result<Made> {
    if let Some(made) = linked(path, rights)? {
        return Ok(made);
    }
    if let Some(made) = renamed(path, rights)? {
        return Ok(made);
    }
    dressed(&create_plain(path, rights.mode)?, rights)
}

/// `None` where that is not possible.
pub(super) fn linked(path: &Path, rights: Rights) -> io::Result<Option<Made>> {
    let Some(fd) = nameless(parent(path))? else { return Ok(None) };
    let made = dressed(&fd, rights)?;
    let from = format!("/proc/self/fd/{}", fd.as_raw_fd());
    match linkat(CWD, from, CWD, path, AtFlags::SYMLINK_FOLLOW) {
        Ok(()) => Ok(Some(made)),
        Err(e) if is_no_way(e) || e == Errno::NOENT => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// A file without a name; `None` where there is no such thing.
fn nameless(dir: &Path) -> io::Result<Option<OwnedFd>> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    match above(|| Ok(open(dir, flags, Mode::empty())?)) {
        Ok(fd) => Ok(Some(fd)),
        // The second is what a kernel says that does not know the flag.
        Err(e) if Errno::from_io_error(&e).is_some_and(|e| is_no_way(e) || e == Errno::ISDIR) => Ok(None),
        Err(e) => Err(e),
    }
}

/// The same by a hidden name.
pub(super) fn renamed(path: &Path, rights: Rights) -> io::Result<Option<Made>> {
    let hidden = Hidden::beside(path)?;
    let fd = create_plain(&hidden.0, rights.mode & 0o700)?;
    let made = dressed(&fd, rights)?;
    Ok(hidden.becomes(path)?.then_some(made))
}

/// Makes a directory and those above it that are missing. Fine if it is there.
pub(super) fn directory(dir: &Path, rights: Rights) -> io::Result<()> {
    if dir.is_dir() || dir.as_os_str().is_empty() {
        return Ok(());
    }
    directory(parent(dir), rights)?;
    match new_directory(dir, rights) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        done => done,
    }
}

fn new_directory(dir: &Path, rights: Rights) -> io::Result<()> {
    let hidden = Hidden::beside(dir)?;
    fs::create_dir(&hidden.0)?;
    dress_directory(&hidden.0, rights)?;
    if !hidden.becomes(dir)? {
        fs::create_dir(dir)?;
        dress_directory(dir, rights)?;
    }
    Ok(())
}

fn dress_directory(dir: &Path, rights: Rights) -> io::Result<()> {
    // Whatever the umask: its owner must be able to open it.
    rustix::fs::chmod(dir, Mode::RWXU)?;
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
    let fd = above(|| Ok(open(dir, flags, Mode::empty())?))?;
    // To whom it belongs matters less than that it is there.
    dressed(&fd, rights).map(|_| ())
}

/// Mode first: who has given a file away may not change it any more.
fn dressed(fd: &OwnedFd, rights: Rights) -> io::Result<Made> {
    fchmod(fd, Mode::from_raw_mode(rights.mode))?;
    let refused = give(fd, rights.owner).err();
    Ok(Made { id: file_id(&fstat(fd)?), refused })
}

fn give(fd: impl AsFd, owner: Owner) -> io::Result<()> {
    if owner == Owner::default() {
        return Ok(());
    }
    Ok(fchown(fd, owner.user.map(Uid::from_raw), owner.group.map(Gid::from_raw))?)
}

/// Whether a file in this directory can be given to that owner.
pub fn can_give(dir: &Path, owner: Owner) -> io::Result<()> {
    if owner == Owner::default() {
        return Ok(());
    }
    if let Some(fd) = nameless(dir)? {
        return give(fd, owner);
    }
    let hidden = Hidden::beside(&dir.join("x"))?;
    give(create_plain(&hidden.0, 0o600)?, owner)
}

/// What a file system, or a kernel, says that knows no such thing, or forbids it altogether.
fn is_no_way(e: Errno) -> bool {
    matches!(e, Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::PERM | Errno::XDEV)
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whoever makes a file under a hidden name has renamed it long before that, or is dead, or stopped (then the making fails, and is tried again).
const UNFINISHED: Duration = Duration::from_secs(3600);

fn is_hidden(name: &str) -> bool {
    let id = name.strip_prefix(".crlog-").and_then(|rest| rest.strip_suffix(".new"));
    id.is_some_and(|id| id.len() == 32 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
}

/// Removes from a directory what those have left there that died while they made a file, a directory or a link. What is not
/// empty stays.
pub fn sweep(dir: &Path) -> io::Result<()> {
    for name in super::dir::list(dir)?.iter().filter(|name| is_hidden(name)) {
        let path = dir.join(name);
        // Should any of it fail, it stays.
        let Ok(found) = fs::symlink_metadata(&path) else { continue };
        let old = found.modified().is_ok_and(|then| then.elapsed().is_ok_and(|age| age > UNFINISHED));
        if old && found.is_dir() {
            let _ = fs::remove_dir(&path);
        } else if old && (found.is_symlink() || (found.is_file() && found.len() == 0)) {
            let _ = fs::remove_file(&path);
        }
    }
    Ok(())
}

/// A name of ours in a directory, taken away again unless it becomes another one.
pub(super) struct Hidden(PathBuf);

impl Hidden {
    pub(super) fn beside(path: &Path) -> io::Result<Hidden> {
        let id = u128::from_be_bytes(uuid()?);
        Ok(Hidden(parent(path).join(format!(".crlog-{id:032x}.new"))))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// False where nothing can be renamed without overwriting.
    fn becomes(&self, path: &Path) -> io::Result<bool> {
        match rename_new(&self.0, path) {
            Ok(()) => Ok(true),
            Err(e) if Errno::from_io_error(&e).is_some_and(is_no_way) => Ok(false),
            Err(e) => Err(e),
        }
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // The name is free if it became another one. Should it fail, an empty file stays behind.
        let _ = fs::remove_file(&self.0).or_else(|_| fs::remove_dir(&self.0));
    }
}
