//! Directory operations of rotation.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{CWD, RenameFlags, renameat_with, statvfs};
use rustix::io::Errno;

use super::file::id_at;
use crate::sys::{FileId, Seen};

/// Renames, unless the new name is taken (`AlreadyExists`).
pub fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS) => {
            // A file system without that: a second name is never made over an existing one.
            fs::hard_link(from, to)?;
            fs::remove_file(from)
        }
        done => Ok(done?),
    }
}

/// Renames, in place of what has the new name, if anything has it: at no time is it without a file.
pub fn replace(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)
}

/// Removes a file, if the name is still that of this one; else `false`. (Who replaces it in the microseconds
/// between the look and the removal loses his file.)
pub fn remove_if(path: &Path, id: FileId) -> io::Result<bool> {
    if id_at(path)? != Some(id) {
        return Ok(false);
    }
    match fs::remove_file(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        done => done.map(|()| true),
    }
}

/// Removes a file.
pub fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path)
}

/// The names in a directory, in no order. Names that are not Unicode cannot be ours and are left out.
pub fn list(dir: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        names.extend(entry?.file_name().into_string());
    }
    Ok(names)
}

/// The regular files of a directory that have such names, in no order. What disappears meanwhile is left out.
pub fn files(dir: &Path, wanted: impl Fn(&str) -> bool) -> io::Result<Vec<Seen>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if wanted(&name) {
            files.extend(look(&dir.join(name))?);
        }
    }
    Ok(files)
}

/// Whether a link stands there.
pub fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink())
}

/// A regular file as it stands; `None` if there is none of that name, or something else. A link is not followed.
pub fn look(path: &Path) -> io::Result<Option<Seen>> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let Some(name) = path.file_name().and_then(|name| name.to_str()).filter(|_| found.is_file()) else {
        return Ok(None);
    };
    Ok(Some(Seen {
        name: name.to_owned(),
        id: FileId { dev: found.dev(), ino: found.ino() },
        born_ns: found.created().map_or(0, since_1970),
        bytes: found.len(),
        modified_ns: found.modified().map_or(0, since_1970),
        links: found.nlink(),
    }))
}

fn since_1970(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}

/// Bytes that the file system of a directory has free for us.
pub fn free_bytes(dir: &Path) -> io::Result<u64> {
    let found = statvfs(dir)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

/// What a path names; `None` if nothing. A link is not followed.
pub fn identity_at(path: &Path) -> io::Result<Option<FileId>> {
    id_at(path)
}

/// Opens a file to be read, whatever its rights to be written, and says which one it is.
pub fn open_to_read(path: &Path) -> io::Result<(fs::File, FileId)> {
    let file = fs::File::open(path)?;
    let stat = file.metadata()?;
    Ok((file, FileId { dev: stat.dev(), ino: stat.ino() }))
}

/// What `/` is for this process: something else after `chroot`.
pub fn root() -> Option<FileId> {
    id_at(Path::new("/")).ok().flatten()
}

/// Makes renames and new files in a directory survive a power loss.
pub fn sync(dir: &Path) -> io::Result<()> {
    fs::File::open(dir)?.sync_all()
}

#[cfg(test)]
#[path = "dir_tests.rs"]
#[allow(clippy::unwrap_used)]
mod tests;
