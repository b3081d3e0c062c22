//! Finding out: the system calls behind [`super::facts`]. What cannot be found out is left out.

use super::facts::{Directory, Facts, File, FileSystem, Process, Seen, Trust};
use crate::args::PlaceArgs;
use crate::paths::real_path;
use crlog::{OpenError, Options, SegmentKind, Stats};
use rustix::fs::{Access, AtFlags, CWD, FileType, accessat, lstat, stat, statfs, statvfs};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Between the two looks.
const APART: Duration = Duration::from_millis(300);
/// Where named segments are.
const SHM: &str = "/dev/shm";
/// The last user id of the system's own users, unless `/etc/login.defs` says otherwise.
const SYSTEM_UID_MAX: u32 = 999;

/// Looks at everything.
pub fn facts(typed: &Path, place: &PlaceArgs) -> Facts {
    let path = real_path(typed);
    let uid = rustix::process::geteuid().as_raw();
    let named = !matches!(place.segment, Some(SegmentKind::File(_)));
    let segment = match &place.segment {
        Some(SegmentKind::File(file)) => real_path(file),
        _ => Path::new(SHM).join(crlog::names::segment_id(&path)),
    };
    let seen = look(place.apply(Options::new(typed).name("crlog doctor")));
    let lock_dir = place.lock_dir.clone().or_else(|| segment.parent().map(Path::to_owned));
    // A log with files of their own names may be a link itself.
    let direct = fs::read_link(&path).is_ok();
    let current = match &seen {
        Seen::Twice(stats, _) => stats[1].current.clone(),
        _ => None,
    };
    let current = current.or_else(|| Some(path.clone()).filter(|_| !direct));
    Facts {
        link: (!direct && fs::read_link(typed).is_ok()).then(|| path.display().to_string()),
        uid,
        directory: path.parent().and_then(directory),
        file: current.as_deref().and_then(file),
        written: current.is_some_and(|path| crlog::is_being_written(&path).unwrap_or(false)),
        named,
        memory: segment.parent().and_then(file_system),
        locks: lock_dir.as_deref().and_then(file_system),
        processes: processes(&seen),
        nameless: nameless(&segment.display().to_string()),
        removes_ipc: named && removes_ipc(uid),
        path: path.display().to_string(),
        segment: segment.display().to_string(),
        seen,
    }
}

fn look(options: Options) -> Seen {
    let log = match options.attach() {
        Err(OpenError::NotOpen { .. }) => return Seen::Nothing,
        Err(e) => return Seen::Refused(e.to_string()),
        Ok(log) => log,
    };
    let begun = Instant::now();
    let first = log.stats();
    std::thread::sleep(APART);
    let apart = begun.elapsed();
    match (first, log.stats()) {
        (Ok(first), Ok(second)) => Seen::Twice(Box::new([first, second]), apart),
        (Err(e), _) | (_, Err(e)) => Seen::Refused(e.to_string()),
    }
}

fn may_write(path: &Path) -> bool {
    accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS).is_ok()
}

fn directory(path: &Path) -> Option<Directory> {
    let system = file_system(path)?;
    let entered = accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS).is_ok();
    Some(Directory { path: path.display().to_string(), writable: entered && may_write(path), system })
}

fn file(path: &Path) -> Option<File> {
    let found = lstat(path).ok()?;
    let odd = match FileType::from_raw_mode(found.st_mode) {
        FileType::RegularFile => None,
        FileType::Directory => Some("a directory"),
        FileType::Symlink => Some("a symbolic link"),
        FileType::Fifo => Some("a pipe"),
        FileType::Socket => Some("a socket"),
        _ => Some("a device"),
    };
    Some(File { odd, uid: found.st_uid, mode: found.st_mode & 0o777, writable: may_write(path) })
}

fn file_system(dir: &Path) -> Option<FileSystem> {
    stat(dir).ok().filter(|s| FileType::from_raw_mode(s.st_mode) == FileType::Directory)?;
    let (room, kind) = (statvfs(dir).ok()?, statfs(dir).ok()?);
    // The magic number is 32 bits; the field's width and sign depend on the platform.
    let (name, trust) = named_by(kind.f_type as u32);
    Some(FileSystem {
        name,
        trust,
        bytes: room.f_blocks.saturating_mul(room.f_frsize),
        bytes_free: room.f_bavail.saturating_mul(room.f_frsize),
        names: room.f_files,
        names_free: room.f_favail,
    })
}

/// File systems by the number that statfs(2) gives.
fn named_by(magic: u32) -> (String, Trust) {
    let (name, trust) = match magic {
        0x0000_6969 => ("NFS", Trust::Remote),
        0x0000_517b | 0xfe53_4d42 | 0xff53_4d42 => ("SMB/CIFS", Trust::Remote),
        0x0102_1997 => ("9p", Trust::Remote),
        0x6573_5546 => ("FUSE", Trust::Remote),
        0x00c3_6400 => ("Ceph", Trust::Remote),
        0x5346_414f | 0x6b41_4653 => ("AFS", Trust::Remote),
        0x7461_636f => ("OCFS2", Trust::Remote),
        0x0116_1970 => ("GFS2", Trust::Remote),
        0x0bd0_0bd0 => ("Lustre", Trust::Remote),
        0x4750_4653 => ("GPFS", Trust::Remote),
        0x786f_4256 => ("VirtualBox's shared folders", Trust::Remote),
        0xbacb_acbc => ("VMware's shared folders", Trust::Remote),
        0x794c_7630 => ("overlay", Trust::Layer),
        0x6175_6673 => ("aufs", Trust::Layer),
        0x0000_ef53 => ("ext", Trust::Local),
        0x5846_5342 => ("XFS", Trust::Local),
        0x9123_683e => ("Btrfs", Trust::Local),
        0x2fc1_2fc1 => ("ZFS", Trust::Local),
        0xf2f5_2010 => ("F2FS", Trust::Local),
        0x0102_1994 => ("tmpfs", Trust::Local),
        other => return (format!("a file system of type {other:#x}"), Trust::Local),
    };
    (name.into(), trust)
}

/// The processes that a log knows of.
fn processes(seen: &Seen) -> BTreeMap<u64, Process> {
    let Seen::Twice(stats, _) = seen else { return BTreeMap::new() };
    let last: &Stats = &stats[1];
    let mut pids: Vec<u64> = last.producers.iter().map(|p| p.pid).collect();
    pids.extend(last.flusher.as_ref().map(|f| f.pid));
    pids.into_iter().filter_map(|pid| Some((pid, process(pid)?))).collect()
}

fn process(pid: u64) -> Option<Process> {
    let (state, start) = parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?;
    let used = fs::read_dir(format!("/proc/{pid}/fd")).map(|d| d.count() as u64).ok();
    let limit = fs::read_to_string(format!("/proc/{pid}/limits")).ok().and_then(|t| parse_limit(&t));
    Some(Process { state, start, files: used.zip(limit) })
}

/// State and start time. The name before them may hold anything.
fn parse_stat(text: &str) -> Option<(char, u64)> {
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    Some((fields.first()?.chars().next()?, fields.get(19)?.parse().ok()?))
}

fn parse_limit(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|l| l.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// Processes that map a segment of this path that was removed.
fn nameless(segment: &str) -> Vec<u64> {
    let wanted = format!("{segment} (deleted)");
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = all.filter_map(|e| e.file_name().to_str()?.parse::<u64>().ok());
    let maps_it = |pid: &u64| {
        fs::read_to_string(format!("/proc/{pid}/maps"))
            .is_ok_and(|maps| maps.lines().any(|l| l.ends_with(&wanted)))
    };
    let mut found: Vec<u64> = pids.filter(maps_it).collect();
    found.sort_unstable();
    found
}

/// Whether systemd-logind removes the named memory of this user at the end of its last session.
fn removes_ipc(uid: u32) -> bool {
    // The first of them says that systemd is at work here, the other that logind is.
    let runs = ["/run/systemd/system", "/run/systemd/users"].iter().all(|d| Path::new(d).is_dir());
    let defs = fs::read_to_string("/etc/login.defs").unwrap_or_default();
    runs && uid > system_uid_max(&defs) && !lingers(uid) && asks_to_remove(&logind_texts())
}

fn system_uid_max(defs: &str) -> u32 {
    let line = defs.lines().find_map(|l| l.trim().strip_prefix("SYS_UID_MAX"));
    line.and_then(|l| l.trim().parse().ok()).unwrap_or(SYSTEM_UID_MAX)
}

fn lingers(uid: u32) -> bool {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let user = users.lines().find(|l| l.split(':').nth(2) == Some(&uid.to_string()));
    let name = user.and_then(|l| l.split(':').next());
    name.is_some_and(|name| Path::new("/var/lib/systemd/linger").join(name).exists())
}

/// The settings of logind, the weakest first.
fn logind_texts() -> Vec<String> {
    let dirs = ["/usr/lib/systemd", "/run/systemd", "/etc/systemd"];
    let mut files: Vec<PathBuf> = Vec::new();
    files.extend(dirs.iter().rev().map(|d| Path::new(d).join("logind.conf")).find(|p| p.exists()));
    let parts =
        dirs.iter().flat_map(|d| fs::read_dir(Path::new(d).join("logind.conf.d")).into_iter().flatten());
    let mut parts: Vec<PathBuf> = parts.flatten().map(|e| e.path()).collect();
    parts.sort_by_key(|p| p.file_name().map(ToOwned::to_owned));
    files.extend(parts);
    files.iter().filter_map(|p| fs::read_to_string(p).ok()).collect()
}

/// The last word on it; if nobody says anything, it is removed.
fn asks_to_remove(texts: &[String]) -> bool {
    let settings = texts.iter().flat_map(|t| t.lines()).filter_map(|l| l.trim().strip_prefix("RemoveIPC"));
    let mut values = settings.filter_map(|l| l.trim_start().strip_prefix('='));
    values
        .next_back()
        .is_none_or(|v| matches!(v.trim().to_ascii_lowercase().as_str(), "yes" | "true" | "1" | "on"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_tables_are_read_whatever_a_program_is_called() {
        let rest = "T 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20";
        assert_eq!(parse_stat(&format!("17 (a) R (b) {rest}")), Some(('T', 4711)));
        assert_eq!(parse_stat("17 (cut"), None);
        let limits =
            "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024     524288    files\n";
        assert_eq!(parse_limit(limits), Some(1024));
        assert_eq!(parse_limit("Max open files  unlimited unlimited files"), None);
    }

    #[test]
    fn logind_removes_unless_the_last_word_is_no() {
        let texts = |all: &[&str]| asks_to_remove(&all.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert!(texts(&[]));
        assert!(texts(&["[Login]\n#RemoveIPC=no\n"]), "a comment");
        assert!(!texts(&["[Login]\nRemoveIPC=no\n"]));
        assert!(texts(&["RemoveIPC=no", "RemoveIPC = yes"]));
        assert!(!texts(&["RemoveIPC=yes", "RemoveIPC=off"]));
        assert_eq!(system_uid_max("# SYS_UID_MAX 1\nSYS_UID_MAX  499\n"), 499);
        assert_eq!(system_uid_max(""), 999);
    }

    #[test]
    fn file_systems_are_known_by_their_numbers() {
        assert_eq!(named_by(0x6969), ("NFS".into(), Trust::Remote));
        assert_eq!(named_by(0x0102_1994), ("tmpfs".into(), Trust::Local));
        assert_eq!(named_by(0x794c_7630).1, Trust::Layer);
        assert!(named_by(0xbeef).0.contains("0xbeef"));
    }

    #[test]
    fn this_very_process_is_seen() {
        let me = process(u64::from(std::process::id())).unwrap();
        assert!(me.start > 0 && matches!(me.state, 'R' | 'S' | 'D'), "{me:?}");
        let (used, limit) = me.files.unwrap();
        assert!(used >= 3 && limit > used, "{used} of {limit}");
    }
}
