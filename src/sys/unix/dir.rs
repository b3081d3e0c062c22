//! Directory operations of rotation.

use std::fs;
use std::io;
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::file::id_at;
use crate::sys::FileId;

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

/// What a path names; `None` if nothing. A link is not followed.
pub fn identity_at(path: &Path) -> io::Result<Option<FileId>> {
    id_at(path)
}

/// Makes renames and new files in a directory survive a power loss.
pub fn sync(dir: &Path) -> io::Result<()> {
    fs::File::open(dir)?.sync_all()
}
