//! In which order the files of a log are to be read when somebody has moved and copied some of them.
//!
//! Whenever that is done, the files that are there are told with [`Order::moved`] or
//! [`Order::copied_and_truncated`]: they are all older than any file that is made later. Between two such
//! events the rotated files stand in the order of their numbers, as ever.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// No directory is renamed in for so long.
const LISTINGS_MAX: u32 = 100;

/// A file by its inode. None of a log's files is removed in a round, so no number is used twice.
pub type Inode = u64;

/// What is known of the order.
#[derive(Debug, Default)]
pub struct Order {
    events: u32,
    /// After how many events a file was made, and whether it is the last one of those.
    known: BTreeMap<Inode, (u32, bool)>,
}

impl Order {
    fn event(&mut self, there: &[Inode]) -> u32 {
        for inode in there {
            self.known.entry(*inode).or_insert((self.events, false));
        }
        self.events += 1;
        self.events - 1
    }

    /// While these were there, the log file `moved` got another name.
    pub fn moved(&mut self, there: &[Inode], moved: Inode) {
        let when = self.event(there);
        self.known.insert(moved, (when, true));
    }

    /// While these were there, the log file was copied and truncated: what is in it comes later.
    pub fn copied_and_truncated(&mut self, there: &[Inode], copy: Inode, log: Inode) {
        let when = self.event(there);
        self.known.insert(copy, (when, true));
        self.known.remove(&log);
    }

    /// Oldest first. `number` is that of a rotated file, 0 for the log itself and for what was moved.
    fn key(&self, inode: Inode, number: u32) -> (u32, bool, std::cmp::Reverse<u32>) {
        let (when, last) = self.known.get(&inode).copied().unwrap_or((self.events, false));
        (when, last, std::cmp::Reverse(number))
    }

    /// All files of a log with those that were moved or copied, oldest first.
    pub fn files(&self, log: &Path) -> io::Result<Vec<PathBuf>> {
        let mut found = list(log)?;
        found.sort_by_key(|f| self.key(f.inode, f.number));
        Ok(found.into_iter().map(|f| f.path).collect())
    }
}

/// A file of a log.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Where it is.
    pub path: PathBuf,
    /// Which it is.
    pub inode: Inode,
    /// Twice that of a rotated file; 1 for the one that waits for its number; 0 for the log itself and for what was moved or copied.
    pub number: u32,
}

/// The log, its rotated files, and what was moved or copied, in no order. While the files of a long chain are renamed a listing may
/// pass over one of them: what two listings agree on counts.
pub fn list(log: &Path) -> io::Result<Vec<Listed>> {
    let mut before = list_once(log)?;
    for _ in 0..LISTINGS_MAX {
        let now = list_once(log)?;
        let inodes = |files: &[Listed]| files.iter().map(|f| f.inode).collect::<BTreeSet<_>>();
        if inodes(&now).is_superset(&inodes(&before)) {
            return Ok(now);
        }
        before = now;
    }
    Ok(before)
}

fn list_once(log: &Path) -> io::Result<Vec<Listed>> {
    let name = log.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut found = Vec::new();
    for entry in std::fs::read_dir(log.parent().unwrap_or(Path::new(".")))? {
        let path = entry?.path();
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let number = match file.strip_prefix(&name) {
            Some("") => Some(0),
            Some(rest) if rest.starts_with(".by-hand-") => Some(0),
            Some(".newest") => Some(1),
            Some(rest) => {
                rest.strip_prefix('.').and_then(|n| n.parse().ok()).map(|n: u32| n.saturating_mul(2))
            }
            None => None,
        };
        let inode = |m: &Metadata| m.ino();
        // A file may be renamed while we look.
        if let (Some(number), Ok(meta)) = (number, std::fs::symlink_metadata(&path)) {
            found.push(Listed { inode: inode(&meta), path, number });
        }
    }
    Ok(found)
}

/// The name that the log file gets when it is moved or copied for the n-th time.
pub fn by_hand(log: &Path, n: u64) -> PathBuf {
    let mut name = log.as_os_str().to_owned();
    name.push(format!(".by-hand-{n}"));
    name.into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn sorted(order: &Order, files: &[(Inode, u32)]) -> Vec<Inode> {
        let mut files = files.to_vec();
        files.sort_by_key(|(inode, number)| order.key(*inode, *number));
        files.into_iter().map(|f| f.0).collect()
    }

    #[test]
    fn without_events_the_numbers_decide() {
        assert_eq!(sorted(&Order::default(), &[(5, 0), (4, 1), (3, 2), (2, 12)]), [2, 3, 4, 5]);
    }

    #[test]
    fn a_moved_file_stands_between_those_before_and_those_after() {
        let mut order = Order::default();
        // 1 and 2 are rotated, 3 is the log and is moved; 4 and 5 are rotated later, 6 is moved, 7 is the log.
        order.moved(&[1, 2, 3], 3);
        order.moved(&[1, 2, 3, 4, 5, 6], 6);
        assert_eq!(
            sorted(&order, &[(7, 0), (5, 1), (4, 2), (2, 3), (1, 4), (3, 0), (6, 0)]),
            [1, 2, 3, 4, 5, 6, 7]
        );
    }

    #[test]
    fn a_truncated_file_stands_after_its_copy_and_may_be_rotated_or_moved_later() {
        let mut order = Order::default();
        // 2 is the log; its copy is 9; then it is rotated.
        order.copied_and_truncated(&[1, 2], 9, 2);
        assert_eq!(sorted(&order, &[(3, 0), (2, 1), (1, 2), (9, 0)]), [1, 9, 2, 3]);
        order.moved(&[1, 2, 3, 9], 3);
        assert_eq!(sorted(&order, &[(4, 0), (2, 1), (1, 2), (9, 0), (3, 0)]), [1, 9, 2, 3, 4]);
    }

    #[test]
    fn files_are_found_by_their_names() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("a.log");
        for name in ["a.log", "a.log.newest", "a.log.1", "a.log.22", "a.log.lock", "b", "a.log.by-hand-3"] {
            std::fs::write(dir.path().join(name), "x").unwrap();
        }
        let mut order = Order::default();
        let there: Vec<Inode> = list(&log).unwrap().iter().map(|f| f.inode).collect();
        let of = |name: &str| std::fs::metadata(dir.path().join(name)).unwrap().ino();
        order.copied_and_truncated(&there, of("a.log.by-hand-3"), of("a.log"));
        let names: Vec<_> =
            order.files(&log).unwrap().iter().map(|p| p.file_name().unwrap().to_owned()).collect();
        assert_eq!(names, ["a.log.22", "a.log.1", "a.log.newest", "a.log.by-hand-3", "a.log"]);
        assert_eq!(by_hand(&log, 3).file_name().unwrap(), "a.log.by-hand-3");
    }
}
