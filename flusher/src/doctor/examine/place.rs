//! The log file and its directory.

use crate::doctor::facts::{Directory, Facts, File, Trust};
use crate::doctor::finding::Finding;
use crate::units::{show_bytes, show_count};

/// Less than this is nothing.
const FULL: u64 = 64 << 10;
/// Less than this, or than a fiftieth of all, is little.
const LOW: u64 = 16 << 20;
/// Fewer names than this are few.
const FEW: u64 = 16;

pub(super) fn examine(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    match &facts.directory {
        Some(dir) => found.extend(directory(dir, facts.uid)),
        None => found.push(Finding::problem(
            "directory",
            format!("the directory of {} does not exist", facts.path),
            "make it, with the right to write for the user of the programs that log",
        )),
    }
    if let Some(target) = &facts.link {
        let what =
            format!("the path is a symbolic link: the log is {target}, whichever path it is opened by");
        found.push(Finding::note("link", what, ""));
    }
    if let Some(f) = &facts.file {
        found.extend(file(f, facts));
    }
    found
}

fn directory(dir: &Directory, uid: u32) -> Vec<Finding> {
    let mut found = Vec::new();
    let path = &dir.path;
    if !dir.writable {
        found.push(Finding::problem(
            "directory",
            format!("user {uid} may not write to {path}"),
            "give the user of the programs the right to write there (also for rotation), or run this as that user",
        ));
    }
    found.extend(room(dir));
    found.extend(trust(dir));
    if found.is_empty() {
        let free = show_bytes(dir.system.bytes_free);
        found
            .push(Finding::ok("directory", format!("{path} is writable, {free} free ({})", dir.system.name)));
    }
    found
}

fn room(dir: &Directory) -> Option<Finding> {
    let (fs, path) = (&dir.system, &dir.path);
    let free = show_bytes(fs.bytes_free);
    let wait = "make room: records wait in the ring meanwhile, and are written once there is some";
    if fs.bytes > 0 && fs.bytes_free < FULL {
        return Some(Finding::problem("disk-full", format!("{path} is full: {free} free"), wait));
    }
    if fs.names > 0 && fs.names_free < FEW {
        let what = format!("the file system of {path} has {} names (inodes) left", show_count(fs.names_free));
        let advice = "remove small files there: a rotation needs a new one";
        return Some(match fs.names_free {
            0 => Finding::problem("inodes", what, advice),
            _ => Finding::warning("inodes", what, advice),
        });
    }
    if fs.bytes > 0 && (fs.bytes_free < LOW || fs.bytes_free < fs.bytes / 50) {
        return Some(Finding::warning("disk-low", format!("{path} has little room: {free} free"), wait));
    }
    None
}

fn trust(dir: &Directory) -> Option<Finding> {
    match dir.system.trust {
        Trust::Local => None,
        Trust::Layer => Some(Finding::note(
            "layer",
            format!(
                "{} is in a container's own layer ({}), and ends with the container",
                dir.path, dir.system.name
            ),
            "put the log on a volume if it is to stay, or if other containers log to it",
        )),
        Trust::Remote => Some(network(&dir.path, &dir.system.name)),
    }
}

/// Also for segment and lock file.
pub(super) fn network(path: &str, name: &str) -> Finding {
    Finding::problem(
        "network",
        format!("{path} is on {name}, where locks and renames do not hold what crlog needs"),
        "use a local file system for the log, a mapped-file segment and the lock file (--lock-dir)",
    )
}

fn file(file: &File, facts: &Facts) -> Vec<Finding> {
    let (path, uid) = (&facts.path, facts.uid);
    if let Some(odd) = file.odd {
        let advice = "move it away, or choose another path";
        return vec![Finding::problem("file", format!("{path} is {odd}, not a regular file"), advice)];
    }
    let rights = format!("owner {}, mode {:04o}", file.uid, file.mode);
    let mut found = Vec::new();
    if !file.writable {
        found.push(Finding::problem(
            "file",
            format!("user {uid} may not write to {path} ({rights})"),
            "chown or chmod it, or run this as the user of the programs that log",
        ));
    }
    if file.mode & 0o002 != 0 {
        let what = format!("anybody may write to {path} ({rights})");
        found.push(Finding::warning("file-mode", what, "chmod o-w: what others write there may be cut off"));
    }
    if file.uid != uid && file.writable {
        let what = format!("{path} belongs to user {}, this is user {uid}", file.uid);
        found.push(Finding::note(
            "file-owner",
            what,
            "all programs of a log run as one user: is it this one?",
        ));
    }
    if found.is_empty() {
        found.push(Finding::ok("file", format!("the log file can be written ({rights})")));
    }
    found
}
