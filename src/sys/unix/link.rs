//! A symbolic link that is kept pointing to something.
//!
//! Constraints: whoever follows it finds the old target or the new one, never nothing; what somebody else has put in its
//! place is never lost, not even if he does so at this very moment. So the new link is made under a hidden name and
//! exchanged with what stands there; what comes out is looked at once more.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::dir::rename_new;
use super::make::Hidden;

/// Points the link to `target`, which it takes as it is. `is_ours` says whether a link with that target may be replaced.
/// True if anything was changed.
pub fn point(link: &Path, target: &Path, is_ours: impl Fn(&Path) -> bool) -> io::Result<bool> {
    let found = found(link)?;
    if found.as_deref() == Some(target) {
        return Ok(false);
    }
    let hidden = Hidden::beside(link)?;
    symlink(target, hidden.path())?;
    match found {
        None => rename_new(hidden.path(), link)?,
        Some(old) if is_ours(&old) => exchange(hidden.path(), link, is_ours)?,
        Some(old) => return Err(foreign(&format!("a link to {}", crate::sys::Shown(old)))),
    }
    Ok(true)
}

/// What the link points to; `None` if nothing stands there.
fn found(link: &Path) -> io::Result<Option<PathBuf>> {
    match fs::read_link(link) {
        Ok(target) => Ok(Some(target)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) if e.kind() == io::ErrorKind::InvalidInput => Err(foreign("no link")),
        Err(e) => Err(e),
    }
}

fn exchange(new: &Path, link: &Path, is_ours: impl Fn(&Path) -> bool) -> io::Result<()> {
    match renameat_with(CWD, new, CWD, link, RenameFlags::EXCHANGE) {
        // A file system without that.
        Err(Errno::INVAL | Errno::NOSYS) => return fs::rename(new, link),
        done => done?,
    }
    if fs::read_link(new).is_ok_and(|old| is_ours(&old)) {
        return Ok(());
    }
    // Put there by somebody since we looked: it gets its name back.
    renameat_with(CWD, new, CWD, link, RenameFlags::EXCHANGE)?;
    Err(foreign("something that was put there at this moment"))
}

fn foreign(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::AlreadyExists, format!("{what} stands there, which crlog has not made"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> usize {
        fs::read_dir(dir).unwrap().count()
    }

    #[test]
    fn it_is_made_and_moved_on_and_left_alone_if_it_is_right() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        for (target, changed) in [("a", true), ("a", false), ("b/c", true), ("b/c", false)] {
            assert_eq!(point(&link, Path::new(target), |_| true).unwrap(), changed);
            assert_eq!(fs::read_link(&link).unwrap(), Path::new(target));
            assert_eq!(names(dir.path()), 1, "nothing is left");
        }
    }

    #[test]
    fn what_is_not_ours_stays() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("file"), "theirs").unwrap();
        fs::create_dir(at("dir")).unwrap();
        symlink("theirs", at("link")).unwrap();
        for name in ["file", "dir", "link"] {
            let error = point(&at(name), Path::new("a"), |old| old == Path::new("ours")).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists, "{name}: {error}");
        }
        assert_eq!(fs::read(at("file")).unwrap(), b"theirs");
        assert_eq!(fs::read_link(at("link")).unwrap(), Path::new("theirs"));
        assert!(point(&at("missing/link"), Path::new("a"), |_| true).is_err());
        assert_eq!(names(dir.path()), 3);
    }

    #[test]
    fn what_is_put_there_at_that_moment_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (link, new) = (dir.path().join("link"), dir.path().join("new"));
        symlink("a", &new).unwrap();
        fs::write(&link, "theirs").unwrap();
        assert!(exchange(&new, &link, |_| true).is_err());
        assert_eq!(fs::read(&link).unwrap(), b"theirs");
    }
}
