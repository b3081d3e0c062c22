//! Names of files, resolved so that every process means the same one.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, accessat};

use super::make;
use super::process::user;
use crate::sys::Rights;

/// As many links as the kernel follows.
const LINKS: usize = 40;

/// In the log's hidden directory: the log's path is a name only, and may be a link to the current file.
const DIRECT: &str = "direct";

/// Whether a log of this path was made that writes its files under their own names.
pub fn is_direct(log: &Path) -> bool {
    direct_mark(log).is_some_and(|mark| fs::symlink_metadata(mark).is_ok_and(|found| found.is_file()))
}

fn direct_mark(log: &Path) -> Option<PathBuf> {
    let name = log.file_name()?.to_str()?;
    Some(log.parent()?.join(format!(".{name}.crlog")).join(DIRECT))
}

/// Says so for good.
pub fn mark_direct(log: &Path, rights: Rights) -> io::Result<()> {
    let Some(mark) = direct_mark(log).filter(|_| !is_direct(log)) else { return Ok(()) };
    make_private_dir(mark.parent().unwrap_or(Path::new("/")), rights)?;
    match fs::File::create_new(mark) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map(drop),
    }
}

/// The one name of a file that need not exist: its directory resolved, and itself, if it is a link,
/// replaced by what it points to, also when that is missing; but not the link of a log that [`is_direct`]. Refuses a directory, and a parent that
/// is missing or that we may not write to.
pub fn resolve_path(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_path_buf();
    for _ in 0..=LINKS {
        let resolved = in_real_parent(&path)?;
        match fs::read_link(&resolved) {
            Ok(_) if is_direct(&resolved) => return checked(resolved),
            Ok(target) => path = resolved.parent().unwrap_or(Path::new("/")).join(target),
            Err(_) => return checked(resolved),
        }
    }
    Err(refused(io::ErrorKind::InvalidInput, &path, "too many symbolic links"))
}

/// The same name in its directory's one name; what the name means is not looked at. Refuses a parent that is missing.
pub fn in_real_parent(path: &Path) -> io::Result<PathBuf> {
    let slash = path.as_os_str().as_bytes().last() == Some(&b'/');
    let name = path.file_name().filter(|_| !slash);
    if path.as_os_str().is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the path is empty: give the name of a file",
        ));
    }
    let Some(name) = name else {
        return Err(refused(io::ErrorKind::IsADirectory, path, "names a directory, not a file"));
    };
    let parent = match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    };
    let real = fs::canonicalize(parent).map_err(|e| {
        let why = match e.kind() {
            io::ErrorKind::NotFound => "its directory does not exist".to_owned(),
            _ => format!("its directory cannot be entered: {e}"),
        };
        refused(e.kind(), path, &why)
    })?;
    if !real.is_dir() {
        return Err(refused(io::ErrorKind::NotADirectory, path, "its parent is not a directory"));
    }
    Ok(real.join(name))
}

fn checked(path: PathBuf) -> io::Result<PathBuf> {
    if path.is_dir() {
        return Err(refused(io::ErrorKind::IsADirectory, &path, "is a directory"));
    }
    let parent = path.parent().unwrap_or(Path::new("/"));
    let may = accessat(CWD, parent, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS);
    may.map_err(|e| {
        let why = format!("user {} may not write to its directory: {e}", user());
        refused(io::Error::from(e).kind(), &path, &why)
    })?;
    Ok(path)
}

fn refused(kind: io::ErrorKind, path: &Path, why: &str) -> io::Error {
    io::Error::new(kind, format!("{}: {why}", crate::sys::Shown::from(path)))
}

/// Creates a directory and its parents, open to those to whom these rights open a file. Fine if it exists, whatever
/// it is open to.
pub fn make_private_dir(dir: &Path, rights: impl Into<Rights>) -> io::Result<()> {
    let Rights { mode, owner } = rights.into();
    let search = (mode & 0o444) >> 2;
    make::directory(dir, Rights { mode: mode | search | 0o700, owner })
}
