use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use std::time::{Duration, Instant};

use super::testing::{self, Peer, role, say, skipped};
use super::{Mapping, SegmentObject, full_barrier_everywhere};
use crate::ring::mem::Mem;
use crate::sys::{FileError, MapError, SegmentKind};

const PEER: &str = "sys::unix::map_tests::peer";
const LEN: usize = 64 * 1024;

/// A named object that is removed when the test ends, however it ends.
struct Named(String);

impl Named {
    fn new(what: &str) -> Named {
        Named(format!("crlog-test-{}-{what}", std::process::id()))
    }
    fn path(&self) -> PathBuf {
        Path::new("/dev/shm").join(&self.0)
    }
    fn create(&self) -> Mapping {
        SegmentObject::create(&SegmentKind::Shm, &self.0, LEN, 0o600).unwrap()
    }
    fn find(&self) -> Result<Option<SegmentObject>, MapError> {
        SegmentObject::find(&SegmentKind::Shm, &self.0, 0o600)
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.path());
    }
}

/// Not a test of its own.
#[test]
fn peer() {
    let Some((role, name)) = role() else { return };
    let object = SegmentObject::find(&SegmentKind::Shm, &name, 0o600).unwrap().unwrap();
    let mapping = object.map(LEN).unwrap();
    match role.as_str() {
        "sleep" => {
            say("sleeping");
            let started = Instant::now();
            let woken = mapping.wait(0x1088, 7, Duration::from_secs(20));
            say(&format!("{woken} {}", started.elapsed() < Duration::from_secs(10)));
        }
        "add" => (0..50_000).for_each(|_| {
            mapping.add(0x1000, 1, Relaxed);
        }),
        "hold" => {
            say("mapped");
            testing::sleep_until_killed();
        }
        other => panic!("no role {other}"),
    }
}

#[test]
fn a_wake_crosses_processes() {
    let name = Named::new("wake");
    let mapping = name.create();
    mapping.store(0x1088, 7 | 1 << 40, SeqCst);
    let mut peer = Peer::start(PEER, "sleep", &name.0);
    assert_eq!(peer.hear(), "sleeping");
    testing::until("it sleeps", || mapping.wake(0x1088, true) > 0);
    assert_eq!(peer.hear(), "true true");
}

#[test]
fn a_wait_ends_by_itself_or_at_once_if_the_word_moved_on() {
    let name = Named::new("wait");
    let mapping = name.create();
    let started = Instant::now();
    assert!(!mapping.wait(0x1088, 0, Duration::from_millis(30)));
    assert!(started.elapsed() >= Duration::from_millis(29));
    assert!(mapping.wait(0x1088, 1, Duration::from_secs(20)));
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!(mapping.wake(0x1088, false), 0);
}

#[test]
fn two_processes_add_to_one_word_exactly() {
    let name = Named::new("add");
    let mapping = name.create();
    let mut peers = [Peer::start(PEER, "add", &name.0), Peer::start(PEER, "add", &name.0)];
    assert!(peers.iter_mut().all(|p| p.reap().success()));
    assert_eq!(mapping.load(0x1000, Acquire), 100_000);
}

#[test]
fn words_and_bytes_come_back_as_they_were_put() {
    let dir = tempfile::tempdir().unwrap();
    let kind = SegmentKind::File(dir.path().join("ring"));
    let mapping = SegmentObject::create(&kind, "unused", LEN, 0o600).unwrap();
    assert_eq!((mapping.len(), mapping.links().unwrap()), (LEN, 1));
    mapping.store(8, 1, Release);
    assert_eq!(mapping.cas(8, 1, 2, AcqRel, Relaxed), Ok(1));
    assert_eq!(mapping.cas(8, 1, 3, AcqRel, Relaxed), Err(2));
    assert_eq!(mapping.swap(8, 9, AcqRel), 2);
    mapping.put_word(LEN - 8, 5);
    assert_eq!(mapping.get_word(LEN - 8), 5);
    mapping.put(4097, b"a record");
    let mut out = b"> ".to_vec();
    mapping.get(4097, 8, &mut out);
    assert_eq!(out, b"> a record");
    assert_eq!(mapping.raw(16, 8), mapping.base().wrapping_add(16));
    mapping.fence(SeqCst);
}

#[test]
fn dropping_a_mapping_removes_no_name_and_unlink_spares_a_successor() {
    let name = Named::new("names");
    let first = name.create();
    drop(name.find().unwrap().unwrap().map(LEN).unwrap());
    assert!(matches!(
        SegmentObject::create(&SegmentKind::Shm, &name.0, LEN, 0o600),
        Err(MapError::Exists { .. })
    ));
    assert_eq!(first.links().unwrap(), 1);
    first.unlink().unwrap();
    assert_eq!(first.links().unwrap(), 0);
    let second = name.create();
    first.unlink().unwrap();
    drop(first);
    assert_eq!(second.links().unwrap(), 1);
}

#[test]
fn an_object_has_its_mode_and_a_wider_one_is_refused() {
    let name = Named::new("mode");
    drop(name.create());
    let mode = |m| std::fs::set_permissions(name.path(), PermissionsExt::from_mode(m)).unwrap();
    assert_eq!(name.path().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    mode(0o622);
    let error = name.find().unwrap_err();
    assert!(matches!(error, MapError::File(FileError::TooOpen { found: 0o622, .. })), "{error}");
    assert!(SegmentObject::find(&SegmentKind::Shm, &name.0, 0o622).unwrap().is_some());
}

#[test]
fn a_foreign_object_is_refused() {
    if !testing::is_root() {
        return skipped("only root can make an object another user's");
    }
    let name = Named::new("foreign");
    drop(name.create());
    std::os::unix::fs::chown(name.path(), Some(65534), None).unwrap();
    let error = name.find().unwrap_err();
    assert!(matches!(error, MapError::File(FileError::Foreign { found: 65534, .. })), "{error}");
}

#[test]
fn a_symlink_squatter_is_refused_and_its_target_left_alone() {
    let name = Named::new("squat");
    let victim = Named::new("victim");
    std::os::unix::fs::symlink(victim.path(), name.path()).unwrap();
    let error = name.find().unwrap_err();
    assert!(matches!(error, MapError::File(FileError::Symlink { .. })), "{error}");
    let made = SegmentObject::create(&SegmentKind::Shm, &name.0, LEN, 0o600).unwrap_err();
    assert!(matches!(made, MapError::Exists { .. }), "{made}");
    assert!(!victim.path().exists());
}

#[test]
fn a_truncated_object_is_refused_without_a_signal() {
    let name = Named::new("short");
    drop(name.create());
    let file = std::fs::OpenOptions::new().write(true).open(name.path()).unwrap();
    file.set_len(4096).unwrap();
    let error = name.find().unwrap().unwrap().map(LEN).unwrap_err();
    assert!(matches!(error, MapError::Short { found: 4096, .. }), "{error}");
    file.set_len(0).unwrap();
    let object = name.find().unwrap().unwrap();
    assert_eq!(object.read(&mut [0; 64]).unwrap(), 0);
    assert!(matches!(object.map(LEN), Err(MapError::Short { found: 0, .. })));
}

/// A small tmpfs, unmounted when the test ends.
struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    fn mount(size: &str) -> Option<Tmpfs> {
        let dir = tempfile::tempdir().unwrap();
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", size, "tmpfs"]).arg(dir.path());
        let done = mount.stderr(std::process::Stdio::null()).status();
        done.is_ok_and(|s| s.success()).then_some(Tmpfs(dir))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_ring_larger_than_its_file_system_is_a_clear_error_and_leaves_nothing() {
    let Some(tmpfs) = Tmpfs::mount("size=1m") else {
        return skipped("mounting a tmpfs needs root");
    };
    let path = tmpfs.0.path().join("ring");
    let kind = SegmentKind::File(path.clone());
    let error = SegmentObject::create(&kind, "unused", 8 << 20, 0o600).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, MapError::NoRoom { asked: 8_388_608, free: 1_048_576, .. }), "{text}");
    assert!(text.contains("8388608") && text.contains("smaller ring"), "{text}");
    assert!(!path.exists());
    assert!(SegmentObject::create(&kind, "unused", 512 << 10, 0o600).is_ok());
}

#[test]
fn the_kernel_proves_that_nobody_else_has_the_object() {
    let name = Named::new("alone");
    let own = name.create();
    assert!(!name.find().unwrap().unwrap().is_ours_alone(), "mapped by ourselves");
    drop(own);
    let mut peer = Peer::start(PEER, "hold", &name.0);
    assert_eq!(peer.hear(), "mapped");
    let object = name.find().unwrap().unwrap();
    assert!(!object.is_ours_alone());
    peer.kill();
    peer.reap();
    // Another test's forked child may hold a copy of our own descriptors for a moment.
    testing::until("alone", || object.is_ours_alone());
}

#[test]
fn a_barrier_everywhere_works_or_says_that_it_does_not() {
    let works = full_barrier_everywhere();
    if !works {
        skipped("no membarrier here");
    }
}
