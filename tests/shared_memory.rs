//! What stands where the shared memory should: too little of it, none, or somebody else's things. Always one
//! line that says what to do, nothing of others followed, written or removed, and no reader left waiting.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod common;

use common::{LOG, NAME, Place, ROLE, assert_complete, by_name, until};
use crlog::{KIB, Options, SegmentKind};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const NOBODY: u32 = 65534;

/// Not a test: what the other processes do. "try" opens, writes and flushes, and leaves its verdict, with what
/// `/dev/shm` holds afterwards, in a file.
#[test]
fn child_role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let log = PathBuf::from(std::env::var(LOG).unwrap());
    let name = std::env::var(NAME).unwrap();
    let ring = log.with_file_name("ring");
    let shm = Options::new(&log).ring_bytes(256 * KIB);
    match role.as_str() {
        "try" => verdict(&log, shm, &name),
        "try a large ring" => verdict(&log, shm.ring_bytes(8 << 20), &name),
        "try a file" => verdict(&log, shm.segment(SegmentKind::File(ring)), &name),
        "open and be killed" => {
            let log = shm.open().unwrap();
            log.writer().unwrap().append(b"p 0").unwrap();
            std::thread::sleep(Duration::from_secs(60));
        }
        other => panic!("no such role: {other}"),
    }
}

fn verdict(log: &Path, options: Options, name: &str) {
    let said = match options.open() {
        Err(e) => e.to_string(),
        Ok(log) => {
            let mut w = log.writer().unwrap();
            for i in 0..1000 {
                w.append(format!("{name} {i}").as_bytes()).unwrap();
            }
            log.flush(Duration::from_secs(20)).unwrap();
            "opened".into()
        }
    };
    let left: Vec<String> = std::fs::read_dir("/dev/shm")
        .map(|d| d.map(|e| e.unwrap().file_name().into_string().unwrap()).collect())
        .unwrap_or_default();
    std::fs::write(log.with_file_name("verdict"), format!("{said}\n{}", left.join(" "))).unwrap();
}

/// What a child in a role said, and what was in its `/dev/shm` when it had ended.
struct Said {
    line: String,
    left: String,
}

/// Runs a role in a mount namespace of its own, after `prepare` (shell) has changed it; `None`, said loudly,
/// where this user may not.
fn in_a_world(place: &Place, prepare: &str, role: &str) -> Option<Said> {
    let allowed = Command::new("unshare").args(["-m", "true"]).stderr(Stdio::null()).status();
    if !allowed.is_ok_and(|s| s.success()) {
        eprintln!("SKIPPED: may not make a mount namespace (needs root and unshare)");
        return None;
    }
    let script =
        format!("set -e; {prepare}; exec \"$0\" child_role --exact --nocapture --test-threads=1 >&2");
    let output = Command::new("unshare")
        .args(["-m", "sh", "-c", &script])
        .arg(std::env::current_exe().unwrap())
        .env(ROLE, role)
        .env(LOG, place.log())
        .env(NAME, "p")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = std::fs::read_to_string(place.path().join("verdict"));
    let text = text.unwrap_or_else(|_| panic!("{prepare}: {}", String::from_utf8_lossy(&output.stderr)));
    std::fs::remove_file(place.path().join("verdict")).unwrap();
    let (line, left) = text.split_once('\n').unwrap();
    Some(Said { line: line.to_owned(), left: left.to_owned() })
}

impl Said {
    fn says(&self, parts: &[&str]) {
        for part in parts {
            assert!(self.line.contains(part), "{:?} does not say {part:?}", self.line);
        }
    }
}

#[test]
fn too_little_shared_memory_refuses_a_ring_with_what_to_do_and_takes_a_smaller_one() {
    let place = Place::new();
    let small = "mount -t tmpfs -o size=1m none /dev/shm";
    let Some(said) = in_a_world(&place, small, "try a large ring") else { return };
    said.says(&["does not fit on /dev/shm", "1044480 bytes free", "ask for a smaller ring"]);
    assert_eq!(said.left, "", "left behind");
    let enough = "mount -t tmpfs -o size=2m none /dev/shm";
    let said = in_a_world(&place, enough, "try").unwrap();
    assert_eq!((said.line.as_str(), said.left.as_str()), ("opened", ""));
    assert_complete(&by_name(&place.lines_now()));
}

#[test]
fn shared_memory_that_others_have_filled_is_refused_and_theirs_is_left_alone() {
    let place = Place::new();
    let full = "mount -t tmpfs -o size=1m none /dev/shm; head -c 900000 /dev/zero > /dev/shm/theirs";
    let Some(said) = in_a_world(&place, full, "try") else { return };
    said.says(&["does not fit on /dev/shm", "bytes free", "ask for a smaller ring"]);
    assert_eq!(said.left, "theirs");
    let brimful = "mount -t tmpfs -o size=1m none /dev/shm; head -c 1048576 /dev/zero > /dev/shm/theirs";
    let said = in_a_world(&place, brimful, "try").unwrap();
    said.says(&["does not fit on /dev/shm", "0 bytes free"]);
    assert_eq!(said.left, "theirs");
    let no_names = "mount -t tmpfs -o size=9m,nr_inodes=2 none /dev/shm; echo x > /dev/shm/theirs";
    let said = in_a_world(&place, no_names, "try").unwrap();
    said.says(&["/dev/shm/crlog-", "No space left on device", "--segment FILE"]);
    assert_eq!(said.left, "theirs");
}

#[test]
fn without_shared_memory_it_is_said_and_a_mapped_file_does() {
    let place = Place::new();
    let none = "mount -t tmpfs none /dev";
    let Some(said) = in_a_world(&place, none, "try") else { return };
    said.says(&["/dev/shm is missing", "mount a tmpfs there, or use a mapped-file segment"]);
    assert_eq!(in_a_world(&place, none, "try a file").unwrap().line, "opened");
    assert_complete(&by_name(&place.lines_now()));
}

#[test]
fn shared_memory_that_is_read_only_is_refused_with_what_to_do() {
    let place = Place::new();
    let Some(said) = in_a_world(&place, "mount -t tmpfs -o ro none /dev/shm", "try") else { return };
    said.says(&["/dev/shm/crlog-", "Read-only file system", "--segment FILE"]);
    assert_eq!(said.left, "");
}

/// The two kinds of segment for one log: where segment and lock file stand, and how it is opened.
struct Bed {
    place: Place,
    segment: PathBuf,
    lock: PathBuf,
    kind: SegmentKind,
}

impl Bed {
    fn named() -> Bed {
        let place = Place::new();
        let log = crlog::names::canonical(&place.log()).unwrap();
        let segment = Path::new("/dev/shm").join(crlog::names::segment_id(&log));
        let lock = segment.with_extension("lock");
        Bed { place, segment, lock, kind: SegmentKind::Shm }
    }

    fn file() -> Bed {
        let place = Place::new();
        let (segment, lock) = (place.path().join("ring"), place.path().join("ring.lock"));
        let kind = SegmentKind::File(segment.clone());
        Bed { place, segment, lock, kind }
    }

    fn options(&self) -> Options {
        self.place.options().ring_bytes(256 * KIB).segment(self.kind.clone())
    }

    /// Opening, looking and flushing are refused alike, and say this.
    fn refused(&self, parts: &[&str]) {
        let all = [
            self.options().open().err().map(|e| e.to_string()),
            self.options().sidecar().err().map(|e| e.to_string()),
        ];
        for said in all {
            let said = said.expect("opened");
            for part in parts {
                assert!(said.contains(part), "{said:?} does not say {part:?}");
            }
            assert!(!said.contains('\n'), "{said:?} is more than a line");
        }
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        for path in [&self.segment, &self.lock] {
            let _ = std::fs::remove_file(path);
            let _ = std::fs::remove_dir(path);
        }
    }
}

/// All four places a squatter can sit: named and mapped file, segment and lock file.
fn everywhere(test: impl Fn(&Bed, &Path)) {
    for make in [Bed::named, Bed::file] {
        for which in [|b: &Bed| b.segment.clone(), |b: &Bed| b.lock.clone()] {
            let bed = make();
            let at = which(&bed);
            test(&bed, &at);
        }
    }
}

/// What a file is and holds, without following it.
fn fingerprint(path: &Path) -> (u64, u32, u32, u64, i64, Vec<u8>) {
    let m = std::fs::symlink_metadata(path).unwrap();
    let bytes = if m.is_file() { std::fs::read(path).unwrap() } else { Vec::new() };
    (m.ino(), m.mode(), m.uid(), m.len(), m.mtime_nsec(), bytes)
}

#[test]
fn a_symbolic_link_in_place_of_segment_or_lock_is_not_followed() {
    everywhere(|bed, at| {
        let precious = bed.place.path().join("precious");
        std::fs::write(&precious, "somebody's letters").unwrap();
        std::fs::set_permissions(&precious, PermissionsExt::from_mode(0o600)).unwrap();
        let before = fingerprint(&precious);
        symlink(&precious, at).unwrap();
        bed.refused(&[at.to_str().unwrap(), "symbolic link", "remove it"]);
        assert_eq!(fingerprint(&precious), before);
        assert!(at.is_symlink(), "the link is left alone");
        std::fs::remove_file(at).unwrap();
        let missing = bed.place.path().join("missing");
        symlink(&missing, at).unwrap();
        bed.refused(&["symbolic link", "remove it"]);
        assert!(!missing.exists() && at.is_symlink(), "made through a link");
    });
}

#[test]
fn a_directory_in_place_of_segment_or_lock_is_left_alone() {
    everywhere(|bed, at| {
        std::fs::create_dir(at).unwrap();
        bed.refused(&[at.to_str().unwrap(), "is a directory", "choose another path"]);
        assert!(at.is_dir());
    });
}

#[test]
fn a_pipe_in_place_of_segment_or_lock_keeps_nobody_waiting() {
    everywhere(|bed, at| {
        assert!(Command::new("mkfifo").args(["-m", "600"]).arg(at).status().unwrap().success());
        let before = fingerprint(at);
        bed.refused(&[at.to_str().unwrap(), "is a pipe", "choose another path"]);
        assert_eq!(fingerprint(at), before);
    });
}

#[test]
fn a_file_that_anybody_may_write_is_refused_in_place_of_segment_or_lock() {
    everywhere(|bed, at| {
        std::fs::write(at, "").unwrap();
        std::fs::set_permissions(at, PermissionsExt::from_mode(0o666)).unwrap();
        let before = fingerprint(at);
        bed.refused(&[at.to_str().unwrap(), "mode 666", "chmod or remove it"]);
        assert_eq!(fingerprint(at), before);
    });
}

#[test]
fn the_file_of_another_user_is_refused_in_place_of_segment_or_lock() {
    everywhere(|bed, at| {
        std::fs::write(at, "").unwrap();
        std::fs::set_permissions(at, PermissionsExt::from_mode(0o600)).unwrap();
        if std::os::unix::fs::chown(at, Some(NOBODY), None).is_err() {
            eprintln!("SKIPPED: may not give a file to another user (needs root)");
            return;
        }
        let before = fingerprint(at);
        bed.refused(&[at.to_str().unwrap(), "belongs to user 65534", "run as that user"]);
        assert_eq!(fingerprint(at), before);
    });
}

#[test]
fn another_user_cannot_join_a_running_log_and_does_it_no_harm() {
    let bed = Bed::named();
    std::fs::set_permissions(bed.place.path(), PermissionsExt::from_mode(0o777)).unwrap();
    let log = bed.options().mode(0o666).open().unwrap();
    let mut w = log.writer().unwrap();
    w.append(b"p 0").unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["child_role", "--exact", "--nocapture", "--test-threads=1"])
        .env(ROLE, "try")
        .env(LOG, bed.place.log())
        .env(NAME, "other")
        .stdout(Stdio::null())
        .uid(NOBODY)
        .status();
    let Ok(status) = child else {
        eprintln!("SKIPPED: may not become another user (needs root, and a test binary all may run)");
        return;
    };
    assert!(status.success());
    let said = std::fs::read_to_string(bed.place.path().join("verdict")).unwrap();
    assert!(said.contains("belongs to user 0") && said.contains("run as that user"), "{said}");
    w.append(b"p 1").unwrap();
    log.flush(Duration::from_secs(10)).unwrap();
    assert_eq!(bed.place.lines_now(), ["p 0", "p 1"]);
}

#[test]
fn one_mapped_file_for_two_logs_is_refused_to_the_second() {
    let bed = Bed::file();
    let log = bed.options().open().unwrap();
    let mut w = log.writer().unwrap();
    w.append(b"p 0").unwrap();
    let other = Options::new(bed.place.path().join("other.log")).segment(bed.kind.clone());
    let said = other.open().unwrap_err().to_string();
    for part in ["belongs to the log", "app.log", "other.log"] {
        assert!(said.contains(part), "{said:?} does not say {part:?}");
    }
    w.append(b"p 1").unwrap();
    log.flush(Duration::from_secs(10)).unwrap();
    assert_eq!(bed.place.lines_now(), ["p 0", "p 1"]);
}

#[test]
fn a_file_that_begins_with_zeros_is_not_taken_for_a_half_made_segment() {
    // A disk image, say: many begin with a page of zeros.
    let bed = Bed::file();
    let mut image = vec![0; 64 * 1024];
    image[32 * 1024..32 * 1024 + 5].copy_from_slice(b"CD001");
    let short = image[28 * 1024..33 * 1024].to_vec();
    for (mode, content) in [(0o600, &image), (0o644, &image), (0o600, &short)] {
        std::fs::write(&bed.segment, content).unwrap();
        std::fs::set_permissions(&bed.segment, PermissionsExt::from_mode(mode)).unwrap();
        let before = fingerprint(&bed.segment);
        bed.refused(&["not a segment of crlog", "choose another path"]);
        assert_eq!(fingerprint(&bed.segment), before);
    }
}

#[test]
fn a_file_of_the_users_that_bears_the_lock_files_name_is_not_written_to() {
    for make in [Bed::named, Bed::file] {
        let bed = make();
        let longer = "x".repeat(500);
        for text in ["precious", "process", longer.as_str(), "process 12 of the plan: buy milk\n"] {
            std::fs::write(&bed.lock, text).unwrap();
            std::fs::set_permissions(&bed.lock, PermissionsExt::from_mode(0o600)).unwrap();
            let before = fingerprint(&bed.lock);
            bed.refused(&[bed.lock.to_str().unwrap(), "not a lock file of crlog", "remove it"]);
            assert_eq!(fingerprint(&bed.lock), before);
            assert!(!bed.segment.exists(), "made beside a lock file that is none");
        }
    }
}

#[test]
fn whoever_is_killed_while_opening_keeps_no_other_from_opening() {
    let Bed { place, lock, .. } = &Bed::named();
    let mut lived = 0;
    for i in 0..60u32 {
        let mut child = place.child("open and be killed", "p");
        let begun = std::time::Instant::now();
        while !lock.exists() && begun.elapsed() < Duration::from_secs(10) {}
        // From the opening's first step on, which makes the lock file.
        let begun = std::time::Instant::now();
        while begun.elapsed() < Duration::from_micros(20) * i {}
        child.kill();
        let begun = std::time::Instant::now();
        let log = place.options().flusher_thread(false).open().unwrap();
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        lived += u32::from(log.stats().unwrap().producers.len() > 1 || log.stats().unwrap().lag_records > 0);
        drop(log);
    }
    let lines = place.lines();
    assert!(lines.iter().all(|l| l == "p 0"), "{lines:?}");
    eprintln!("{lived} of 60 were killed while attached, {} had written", lines.len());
}

#[test]
fn a_segment_cut_short_after_everybody_was_killed_is_refused_and_kept() {
    let bed = Bed::named();
    let mut child = bed.place.child("open and be killed", "p");
    until(Duration::from_secs(10), "the line", || bed.place.lines_now() == ["p 0"]);
    child.kill();
    let len = std::fs::metadata(&bed.segment).unwrap().len();
    std::fs::OpenOptions::new().write(true).open(&bed.segment).unwrap().set_len(len - 1).unwrap();
    let before = fingerprint(&bed.segment);
    bed.refused(&["was truncated", "remove it once nobody uses it"]);
    assert_eq!(fingerprint(&bed.segment), before);
}
