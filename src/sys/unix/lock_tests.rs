use std::path::Path;
use std::time::{Duration, Instant};

use super::testing::{Peer, fork, role, say, skipped, sleep_until_killed, until};
use super::{LockFile, testing};
use crate::sys::byte::{ATTACH, FLUSHER, OPEN, slot};
use crate::sys::{Create, FileError, LogFile};

const PEER: &str = "sys::unix::lock_tests::peer";

fn lock(path: &Path) -> LockFile {
    LockFile::open(path, 0o600).unwrap()
}

/// Not a test of its own: what the processes of the tests below do.
#[test]
fn peer() {
    let Some((role, path)) = role() else { return };
    let lock = lock(Path::new(&path));
    match role.as_str() {
        "hold" => assert!(lock.try_lock(FLUSHER).unwrap()),
        "wait" => {
            say("waiting");
            lock.lock(FLUSHER).unwrap();
        }
        "share" => assert!(lock.try_lock_shared(ATTACH).unwrap()),
        "fork" => {
            assert!(lock.try_lock(FLUSHER).unwrap());
            // SAFETY: pause(2) and nothing else.
            let child = unsafe {
                fork(|| {
                    libc::pause();
                })
            };
            say(&child.to_string());
        }
        other => panic!("no role {other}"),
    }
    say("ready");
    sleep_until_killed();
}

#[test]
fn a_lock_is_freed_by_kill_9_of_its_holder() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lock");
    let mut holder = Peer::start(PEER, "hold", path.to_str().unwrap());
    assert_eq!(holder.hear(), "ready");
    let lock = lock(&path);
    assert!(lock.held_by_other(FLUSHER).unwrap());
    assert!(!lock.held_by_other(slot(0)).unwrap());
    assert!(!lock.try_lock(FLUSHER).unwrap());
    holder.kill();
    until("lock is free", || !lock.held_by_other(FLUSHER).unwrap());
    assert!(lock.try_lock(FLUSHER).unwrap());
}

#[test]
fn a_blocked_waiter_has_the_lock_within_100_ms_of_its_holders_death() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lock");
    let mut holder = Peer::start(PEER, "hold", path.to_str().unwrap());
    assert_eq!(holder.hear(), "ready");
    let mut waiter = Peer::start(PEER, "wait", path.to_str().unwrap());
    assert_eq!(waiter.hear(), "waiting");
    std::thread::sleep(Duration::from_millis(50));
    let killed = Instant::now();
    holder.kill();
    assert_eq!(waiter.hear(), "ready");
    assert!(killed.elapsed() < Duration::from_millis(100), "{:?}", killed.elapsed());
}

#[test]
fn a_forked_child_does_not_keep_its_parents_lock() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lock");
    let mut parent = Peer::start(PEER, "fork", path.to_str().unwrap());
    let child: libc::pid_t = parent.hear().parse().unwrap();
    assert_eq!(parent.hear(), "ready");
    let lock = lock(&path);
    assert!(lock.held_by_other(FLUSHER).unwrap());
    parent.kill();
    parent.reap();
    until("lock is free", || lock.try_lock(FLUSHER).unwrap());
    // SAFETY: integers only; the child is the orphan of our own peer and sleeps in pause(2).
    let alive = unsafe { libc::kill(child, libc::SIGKILL) };
    assert_eq!(alive, 0, "the child was still alive");
}

#[test]
fn sharers_exclude_only_one_who_wants_it_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lock");
    let mut other = Peer::start(PEER, "share", path.to_str().unwrap());
    assert_eq!(other.hear(), "ready");
    let lock = lock(&path);
    assert!(lock.try_lock_shared(ATTACH).unwrap());
    assert!(!lock.try_lock(ATTACH).unwrap(), "the other one shares it");
    other.kill();
    until("alone", || lock.try_lock(ATTACH).unwrap());
}

#[test]
fn two_handles_of_one_process_exclude_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lock");
    let (a, b) = (lock(&path), lock(&path));
    assert_eq!(a.identity(), b.identity());
    a.lock(OPEN).unwrap();
    assert!(a.try_lock(OPEN).unwrap(), "its own lock is no obstacle");
    assert!(!b.try_lock(OPEN).unwrap());
    assert!(!b.lock_within(OPEN, Duration::from_millis(20)).unwrap());
    a.unlock(OPEN).unwrap();
    assert!(b.try_lock(OPEN).unwrap());
    drop(b);
    assert!(!a.held_by_other(OPEN).unwrap());
}

#[test]
fn closing_one_handle_keeps_the_locks_of_another() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lock");
    let (a, b, c) = (lock(&path), lock(&path), lock(&path));
    a.lock(FLUSHER).unwrap();
    drop(b);
    assert!(c.held_by_other(FLUSHER).unwrap());
}

#[test]
fn a_removed_lock_file_is_no_longer_current() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lock");
    let old = lock(&path);
    assert!(old.is_current().unwrap());
    old.unlink().unwrap();
    let new = lock(&path);
    assert!(!old.is_current().unwrap());
    assert_eq!(old.links().unwrap(), 0);
    old.unlink().unwrap();
    assert!(new.is_current().unwrap(), "the successor was left alone");
}

#[test]
fn the_note_names_its_writer() {
    let dir = tempfile::tempdir().unwrap();
    let lock = lock(&dir.path().join("lock"));
    assert_eq!(lock.read_note().unwrap(), "");
    lock.note("17 (a longer name), opening").unwrap();
    lock.note("18 (b)").unwrap();
    assert_eq!(lock.read_note().unwrap(), "process 18 (b)");
}

#[test]
fn a_new_lock_file_has_its_mode_under_any_umask() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lock");
    let _lock = LockFile::open(&path, 0o662).unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o662);
    let narrower = LockFile::open(&path, 0o600).unwrap_err();
    assert!(matches!(narrower, FileError::TooOpen { found: 0o662, allowed: 0o600, .. }));
}

#[test]
fn a_symlink_a_directory_and_a_pipe_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lock");
    std::os::unix::fs::symlink(dir.path().join("victim"), &path).unwrap();
    assert!(matches!(LockFile::open(&path, 0o600), Err(FileError::Symlink { .. })));
    assert!(!dir.path().join("victim").exists());
    let inner = LockFile::open(dir.path(), 0o600);
    assert!(matches!(inner, Err(FileError::NotRegular { what: "a directory", .. })));
    let pipe = dir.path().join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
    let pipe = LockFile::open(&pipe, 0o600);
    assert!(matches!(pipe, Err(FileError::NotRegular { what: "a pipe", .. })));
}

#[test]
fn a_foreign_lock_file_is_refused_unless_sharing_is_configured() {
    if !testing::is_root() {
        return skipped("only root can make a file another user's");
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lock");
    drop(lock(&path));
    std::os::unix::fs::chown(&path, Some(65534), None).unwrap();
    let error = LockFile::open(&path, 0o600).unwrap_err();
    assert!(matches!(error, FileError::Foreign { found: 65534, ours: 0, .. }), "{error}");
    assert!(LockFile::open(&path, 0o660).is_ok());
}

#[test]
fn two_segments_never_own_one_log_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.log");
    let other = dir.path().join("other-name.log");
    let a = LogFile::open(&path, 0o640, Create::IfMissing).unwrap();
    std::fs::hard_link(&path, &other).unwrap();
    let b = LogFile::open(&other, 0o640, Create::Never).unwrap();
    assert!(a.try_own().unwrap());
    assert!(!b.try_own().unwrap());
    drop(a);
    assert!(b.try_own().unwrap());
}
