use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::LogFile;
use super::dir;
use crate::sys::{Create, FileError};

fn create(path: &Path) -> LogFile {
    LogFile::open(path, 0o640, Create::IfMissing).unwrap()
}

/// Writes private memory.
fn write(log: &LogFile, pieces: &[&[u8]], at: u64) -> u64 {
    let pieces: Vec<_> = pieces.iter().map(|p| (p.as_ptr(), p.len())).collect();
    // SAFETY: the pieces are slices that outlive the call.
    unsafe { log.write_pieces(&pieces, at) }.unwrap()
}

#[test]
fn pieces_stand_one_after_the_other_at_the_offset_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.log");
    let log = create(&path);
    assert_eq!(write(&log, &[b"one ", b"", b"two "], 0), 8);
    assert_eq!(write(&log, &[b"2", b"", b""], 4), 1);
    assert_eq!(write(&log, &[], 4), 0);
    assert_eq!(write(&log, &[b""], 4), 0);
    assert_eq!(std::fs::read(&path).unwrap(), b"one 2wo ");
    log.truncate(3).unwrap();
    log.sync_data().unwrap();
    assert_eq!(log.size().unwrap(), 3);
}

#[test]
fn more_pieces_than_one_system_call_takes_are_all_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.log");
    let lines: Vec<String> = (0..5000).map(|i| format!("{i}\n")).collect();
    let pieces: Vec<&[u8]> = lines.iter().map(|l| l.as_bytes()).collect();
    let total = write(&create(&path), &pieces, 0);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), lines.concat());
    assert_eq!(total, lines.concat().len() as u64);
}

#[test]
fn a_failed_write_says_how_much_is_in_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.log");
    let log = create(&path);
    let good = vec![b'x'; 5000];
    let mut pieces = vec![(good.as_ptr(), good.len()); 1024];
    // An address nobody has, in the second system call.
    pieces.push((std::ptr::without_provenance(8), 10));
    // SAFETY: the bad piece is only ever looked at by the kernel, which checks it.
    let error = unsafe { log.write_pieces(&pieces, 0) }.unwrap_err();
    assert_eq!(error.written, 1024 * 5000);
    assert_eq!(error.cause.raw_os_error(), Some(libc::EFAULT));
    assert_eq!(log.size().unwrap(), error.written);
}

#[test]
fn whether_somebody_has_the_file_is_seen_without_taking_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.log");
    let (writer, looker) = (create(&path), create(&path));
    assert!(!looker.is_owned_by_other().unwrap());
    assert!(writer.try_own().unwrap(), "the look took it");
    assert!(looker.is_owned_by_other().unwrap());
    assert!(!writer.is_owned_by_other().unwrap(), "its own is not another's");
}

#[test]
fn what_is_no_file_is_refused_with_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let error = LogFile::open(dir.path(), 0o640, Create::IfMissing).unwrap_err();
    assert!(matches!(error, FileError::NotRegular { what: "a directory", .. }), "{error}");
    assert!(error.to_string().contains(dir.path().to_str().unwrap()));
    let device = LogFile::open(Path::new("/dev/full"), 0o640, Create::Never).unwrap_err();
    assert!(matches!(device, FileError::NotRegular { what: "a device", .. }), "{device}");
    let absent = LogFile::open(&dir.path().join("no"), 0o640, Create::Never).unwrap_err();
    assert!(absent.is_absent(), "{absent}");
}

#[test]
fn a_new_file_must_be_new_and_an_old_one_keeps_its_mode() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.log");
    let mode = || path.metadata().unwrap().permissions().mode() & 0o777;
    drop(LogFile::open(&path, 0o666, Create::New).unwrap());
    assert_eq!(mode(), 0o666, "whatever the umask");
    let error = LogFile::open(&path, 0o600, Create::New).unwrap_err();
    assert!(
        matches!(&error, FileError::Io { cause, .. } if cause.kind() == std::io::ErrorKind::AlreadyExists)
    );
    drop(LogFile::open(&path, 0o600, Create::IfMissing).unwrap());
    assert_eq!(mode(), 0o666);
}

#[test]
fn moved_and_removed_files_are_noticed() {
    let tmp = tempfile::tempdir().unwrap();
    let (path, moved) = (tmp.path().join("app.log"), tmp.path().join("app.log.1"));
    let log = create(&path);
    assert_eq!(dir::identity_at(&path).unwrap(), Some(log.identity()));
    dir::rename_new(&path, &moved).unwrap();
    assert_eq!(dir::identity_at(&path).unwrap(), None);
    assert_eq!(dir::identity_at(&moved).unwrap(), Some(log.identity()));
    assert_eq!(log.links().unwrap(), 1);
    dir::remove(&moved).unwrap();
    assert_eq!(log.links().unwrap(), 0);
}

#[test]
fn rename_new_overwrites_nothing() {
    let tmp = tempfile::tempdir().unwrap();
    let (a, b) = (tmp.path().join("a"), tmp.path().join("b"));
    std::fs::write(&a, "a").unwrap();
    std::fs::write(&b, "b").unwrap();
    let error = dir::rename_new(&a, &b).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
    assert_eq!(std::fs::read(&b).unwrap(), b"b");
    dir::rename_new(&a, &tmp.path().join("c")).unwrap();
    let mut names = dir::list(tmp.path()).unwrap();
    names.sort();
    assert_eq!(names, ["b", "c"]);
    dir::sync(tmp.path()).unwrap();
}

#[test]
fn a_file_that_resembles_another_has_its_rights_owner_and_time() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (dir.path().join("one"), dir.path().join("other"));
    let one = create(&one);
    write(&one, &[b"1234"], 0);
    std::fs::set_permissions(dir.path().join("one"), std::fs::Permissions::from_mode(0o406)).unwrap();
    let old = std::time::UNIX_EPOCH - std::time::Duration::from_nanos(1_500_000_001);
    std::fs::File::open(dir.path().join("one")).unwrap().set_modified(old).unwrap();
    let mut looks = one.looks().unwrap();
    assert_eq!((looks.bytes, looks.modified_ns, looks.mode), (4, -1_500_000_001, 0o406));
    if crate::sys::user() == 0 {
        looks.owner = (12345, 54321);
    }
    let other = create(&other);
    write(&other, &[b"12"], 0);
    other.resemble(&looks).unwrap();
    assert_eq!(other.looks().unwrap(), crate::sys::Looks { bytes: 2, ..looks });
}

#[test]
fn a_file_is_read_from_where_it_is_asked_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let log = create(&dir.path().join("app.log"));
    write(&log, &[b"0123456789"], 0);
    let mut bytes = [0; 8];
    assert_eq!(log.read_at(&mut bytes, 7).unwrap(), 3);
    assert_eq!(&bytes[..3], b"789");
    assert_eq!(log.read_at(&mut bytes, 10).unwrap(), 0);
}
