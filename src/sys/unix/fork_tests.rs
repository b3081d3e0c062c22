use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::descriptor::Descriptor;
use super::file::open_plain;
use super::fork::fork_epoch;
use super::testing::{Peer, end, fork, role, say};
use super::{Epoch, LockFile};

const PEER: &str = "sys::unix::fork_tests::peer";

/// Waits for a forked child and returns its exit code.
fn code(pid: libc::pid_t) -> i32 {
    let mut status = 0;
    // SAFETY: `status` is valid for the call; `pid` is our own child.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    assert!(libc::WIFEXITED(status), "status {status:#x}");
    libc::WEXITSTATUS(status)
}

#[test]
fn a_child_knows_that_it_is_one_and_its_parent_that_it_is_not() {
    let (epoch, number) = (Epoch::now(), fork_epoch());
    assert!(epoch.is_current());
    // SAFETY: the child only loads atomics and leaves.
    let child = unsafe {
        fork(|| {
            let stale = !epoch.is_current() && fork_epoch() != number && Epoch::now().is_current();
            libc::_exit(if stale { 17 } else { 1 });
        })
    };
    assert_eq!(code(child), 17);
    assert!(epoch.is_current());
    assert_eq!(fork_epoch(), number);
}

#[test]
fn a_child_of_a_raw_clone_knows_it_too_and_drops_its_parents_lock() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lock");
    let lock = LockFile::open(&path, 0o600).unwrap();
    lock.lock(0).unwrap();
    let epoch = Epoch::now();
    // SAFETY: a fork that no handler sees; the child only loads atomics, closes and leaves.
    let child = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
    if child == 0 {
        let noticed = !epoch.is_current() && lock.try_lock(1).is_err();
        fork_epoch();
        // SAFETY: always sound. The entry of the table was cleared, so nothing is left open.
        unsafe { libc::_exit(if noticed && Epoch::now().is_current() { 17 } else { 1 }) };
    }
    assert_eq!(code(child.try_into().unwrap()), 17);
    assert!(lock.try_lock(0).unwrap());
}

/// Not a test of its own: forks with a lock; the child opens the file itself and drops the old handle.
#[test]
fn stale_peer() {
    let Some((_, path)) = role() else { return };
    let path = std::path::Path::new(&path);
    let mut stale = Some(LockFile::open(path, 0o600).unwrap());
    stale.as_ref().unwrap().lock(0).unwrap();
    // SAFETY: no other thread of this process runs; the C library's allocator survives a fork.
    let child = unsafe {
        fork(|| {
            let refused = stale.as_ref().is_some_and(|l| l.try_lock(0).is_err());
            // Takes the same entry of the table and the same number as the inherited descriptor.
            let new = LockFile::open(path, 0o600);
            let works = || new.as_ref().is_ok_and(|l| l.try_lock(1).is_ok_and(|done| done));
            let before = works();
            drop(stale.take());
            libc::_exit(if refused && before && works() { 17 } else { 1 });
        })
    };
    let code = code(child);
    let other = LockFile::open(path, 0o600).unwrap();
    let held = other.held_by_other(0).unwrap();
    drop(stale);
    say(&format!("{code} {held} {}", other.held_by_other(0).unwrap()));
}

#[test]
fn a_handle_from_before_the_fork_refuses_and_its_drop_closes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lock");
    let test = "sys::unix::fork_tests::stale_peer";
    let mut peer = Peer::start(test, "stale", path.to_str().unwrap());
    assert_eq!(peer.hear(), "17 true false");
}

/// Not a test of its own: opens and locks while another thread forks children that live on.
#[test]
fn peer() {
    let Some((_, path)) = role() else { return };
    let path = std::path::Path::new(&path);
    static STOP: AtomicBool = AtomicBool::new(false);
    let forker = std::thread::spawn(|| {
        let mut children = Vec::new();
        while !STOP.load(Ordering::Relaxed) && children.len() < 150 {
            // SAFETY: pause(2) and nothing else.
            children.push(unsafe {
                fork(|| {
                    libc::pause();
                })
            });
        }
        STOP.store(true, Ordering::Relaxed);
        children
    });
    let mut rounds = 0;
    while !STOP.load(Ordering::Relaxed) {
        let lock = LockFile::open(path, 0o600).unwrap();
        if !lock.lock_within(0, Duration::from_secs(2)).unwrap() {
            break;
        }
        rounds += 1;
    }
    STOP.store(true, Ordering::Relaxed);
    let children = forker.join().unwrap();
    let probe = LockFile::open(path, 0o600).unwrap();
    let kept = probe.held_by_other(0).unwrap();
    children.iter().for_each(|&pid| end(pid));
    say(&format!("{} {kept}", rounds > 0));
}

#[test]
fn no_fork_beside_an_opening_or_closing_leaks_a_lock() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lock");
    let mut peer = Peer::start(PEER, "storm", path.to_str().unwrap());
    assert_eq!(peer.hear(), "true false");
}

#[test]
fn the_table_of_descriptors_has_an_end_and_recovers() {
    let mut peer = Peer::start("sys::unix::fork_tests::table_peer", "table", "");
    let word = peer.hear();
    assert!(word.ends_with("true"), "{word}");
}

/// Not a test of its own: fills the table of a process of its own.
#[test]
fn table_peer() {
    let Some(_) = role() else { return };
    let dir = tempfile::tempdir().unwrap();
    // SAFETY: `limit` is valid for the call.
    unsafe {
        let limit = libc::rlimit { rlim_cur: 4096, rlim_max: 4096 };
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit), 0);
    }
    let path = dir.path().join("lock");
    let mut held = Vec::new();
    let error = loop {
        match LockFile::open(&path, 0o600) {
            Ok(lock) => held.push(lock),
            Err(e) => break e,
        }
    };
    held.pop();
    let again = LockFile::open(&path, 0o600).is_ok();
    dir.close().unwrap();
    say(&format!("{} {error} {again}", held.len()));
}

#[test]
fn a_descriptor_that_a_fork_copied_before_it_was_listed_is_thrown_away() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lock");
    std::fs::write(&path, "").unwrap();
    let opened = std::cell::Cell::new(0);
    let descriptor = Descriptor::open(|| {
        let fd = open_plain(&path);
        if opened.replace(opened.get() + 1) == 0 {
            // SAFETY: the child does nothing.
            assert_eq!(code(unsafe { fork(|| {}) }), 0);
        }
        fd
    });
    assert!(descriptor.unwrap().fd().is_ok());
    assert!(opened.get() >= 2, "the child may hold a copy of the first one");
}
