use std::path::{Path, PathBuf};

use super::header::{self, PAGE, Unsound};
use super::name::fnv1a;
use super::*;
use crate::sys::testing::{Peer, role, say, sleep_until_killed};
use crate::sys::{FileId, user};

const PEER: &str = "segment::tests::peer";

/// A log of a test, whose segment is removed when the test ends, however it ends.
struct Bed {
    dir: tempfile::TempDir,
    named: bool,
}

impl Bed {
    fn named() -> Bed {
        Bed { dir: tempfile::tempdir().unwrap(), named: true }
    }
    fn file() -> Bed {
        Bed { dir: tempfile::tempdir().unwrap(), named: false }
    }
    fn log(&self) -> PathBuf {
        canonical(&self.dir.path().join("app.log")).unwrap()
    }
    fn spec(&self) -> SegmentSpec {
        let file = self.dir.path().join("ring");
        spec(&self.log(), if self.named { SegmentKind::Shm } else { SegmentKind::File(file) })
    }
    fn object(&self) -> PathBuf {
        self.spec().object_path()
    }
    /// Changes a made and abandoned segment: bytes at an offset, and the checksum if `sum`.
    fn doctor(&self, offset: usize, bytes: &[u8], sum: bool) -> Vec<u8> {
        drop(Segment::enter(&self.spec()).unwrap());
        let mut all = std::fs::read(self.object()).unwrap();
        all[offset..offset + bytes.len()].copy_from_slice(bytes);
        if sum {
            let crc = crc32c::crc32c(&all[at::VERSION..at::CRC]);
            all[at::CRC..at::CRC + 4].copy_from_slice(&crc.to_le_bytes());
        }
        std::fs::write(self.object(), &all).unwrap();
        all
    }
    /// Asserts that entering fails and changes nothing.
    fn refused(&self, before: &[u8]) -> OpenError {
        let error = Segment::enter(&self.spec()).unwrap_err();
        assert_eq!(std::fs::read(self.object()).unwrap(), before, "left alone");
        assert!(error.to_string().contains(self.object().to_str().unwrap()), "{error}");
        error
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.object());
        let _ = std::fs::remove_file(self.spec().lock_path());
    }
}

fn spec(log: &Path, kind: SegmentKind) -> SegmentSpec {
    SegmentSpec {
        log_path: log.to_path_buf(),
        id: segment_id(log),
        kind,
        geometry: Geometry::new(16, 8, 4096).unwrap(),
        lock_dir: None,
        mode: 0o600,
        config: [7; at::CONFIG_BYTES],
        generation: 1,
    }
}

fn hex(uuid: &[u8]) -> String {
    uuid.iter().map(|b| format!("{b:02x}")).collect()
}

/// Not a test of its own: what the processes of the tests below do.
#[test]
fn peer() {
    let Some((role, log)) = role() else { return };
    let spec = spec(Path::new(&log), SegmentKind::Shm);
    match role.as_str() {
        "enter" => {
            let (segment, _lock, report) = Segment::enter(&spec).unwrap();
            say(&format!("{} {}", report.created, hex(&segment.header().uuid)));
            sleep_until_killed();
        }
        "churn" => {
            for round in 0..200 {
                let (segment, lock, _) = Segment::enter(&spec).unwrap();
                let named = segment.mapping().links().unwrap() == 1;
                assert!(named, "removed while somebody is attached");
                segment.release(&lock, |_| round % 2 == 1).unwrap();
            }
            say("done");
        }
        "open" => {
            let lock = LockFile::open(&spec.lock_path(), 0o600).unwrap();
            let _open = Opening::begin(&lock, "opening").unwrap();
            say("opening");
            sleep_until_killed();
        }
        other => panic!("no role {other}"),
    }
}

#[test]
fn eight_processes_at_once_end_in_one_segment() {
    let bed = Bed::named();
    let log = bed.log();
    let mut peers: Vec<_> = (0..8).map(|_| Peer::start(PEER, "enter", log.to_str().unwrap())).collect();
    let words: Vec<String> = peers.iter_mut().map(Peer::hear).collect();
    let made = words.iter().filter(|w| w.starts_with("true ")).count();
    let mut ids: Vec<_> = words.iter().filter_map(|w| w.split(' ').nth(1)).collect();
    ids.dedup();
    assert_eq!((made, ids.len()), (1, 1), "{words:?}");
}

#[test]
fn processes_that_come_and_go_never_lose_each_other() {
    let bed = Bed::named();
    let log = bed.log();
    let mut peers: Vec<_> = (0..4).map(|_| Peer::start(PEER, "churn", log.to_str().unwrap())).collect();
    assert!(peers.iter_mut().all(|p| p.hear() == "done"));
    assert!(!bed.object().exists());
    assert!(!bed.spec().lock_path().exists());
}

#[test]
fn the_last_one_out_removes_segment_and_lock_file() {
    for bed in [Bed::named(), Bed::file()] {
        let spec = bed.spec();
        let (first, first_lock, report) = Segment::enter(&spec).unwrap();
        assert_eq!(report, Report { created: true, ..Report::default() });
        let (second, second_lock, report) = Segment::enter(&spec).unwrap();
        assert_eq!(report, Report::default());
        assert_eq!(first.header(), second.header());
        let done = first.release(&first_lock, |_| panic!("not alone")).unwrap();
        assert_eq!(done, Departure::OthersRemain);
        let done = second.release(&second_lock, |_| false).unwrap();
        assert_eq!(done, Departure::RecordsRemain);
        assert!(bed.object().exists());
        let (third, third_lock, report) = Segment::enter(&spec).unwrap();
        assert!(!report.created);
        assert_eq!(third.release(&third_lock, |_| true).unwrap(), Departure::Removed);
        assert!(!bed.object().exists() && !spec.lock_path().exists());
    }
}

#[test]
fn a_killed_process_is_no_longer_attached() {
    let bed = Bed::named();
    let log = bed.log();
    let mut peer = Peer::start(PEER, "enter", log.to_str().unwrap());
    assert!(peer.hear().starts_with("true "));
    let (segment, lock, _) = Segment::enter(&bed.spec()).unwrap();
    peer.kill();
    peer.reap();
    assert_eq!(segment.release(&lock, |_| true).unwrap(), Departure::Removed);
}

#[test]
fn who_attaches_inherits_and_is_told_so() {
    let bed = Bed::file();
    let first = Segment::enter(&bed.spec()).unwrap();
    let mut other = bed.spec();
    other.geometry = Geometry::new(16, 16, 4096).unwrap();
    other.config[0] = 8;
    let (segment, _lock, report) = Segment::enter(&other).unwrap();
    assert!(report.geometry_differs && report.config_differs && !report.created);
    assert_eq!(segment.header(), first.0.header());
    assert_eq!(segment.mapping().len(), segment.geometry().segment_bytes());
}

#[test]
fn leftovers_of_a_dead_maker_are_replaced() {
    for bed in [Bed::named(), Bed::file()] {
        std::fs::write(bed.object(), "").unwrap();
        set_mode(&bed.object());
        let (segment, lock, report) = Segment::enter(&bed.spec()).unwrap();
        assert_eq!(report, Report { created: true, replaced: true, ..Report::default() });
        let old = segment.header().uuid;
        drop((segment, lock));
        bed.doctor(at::MAGIC, &[0; 8], false);
        let (segment, _lock, report) = Segment::enter(&bed.spec()).unwrap();
        assert!(report.replaced);
        assert_ne!(segment.header().uuid, old);
        assert_eq!(segment.mapping().load(at::MAGIC, Ordering::Acquire), MAGIC);
    }
}

fn set_mode(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn a_file_that_was_never_a_segment_is_left_alone() {
    let bed = Bed::file();
    for content in ["somebody's letters", "\0\0\0\0\0\0\0\0and a disk image"] {
        std::fs::write(bed.object(), content).unwrap();
        set_mode(&bed.object());
        assert!(matches!(bed.refused(content.as_bytes()), OpenError::NotOurs { .. }));
    }
}

#[test]
fn a_segment_that_somebody_makes_through_a_removed_lock_file_is_looked_at_again() {
    let bed = Bed::file();
    let made = bed.doctor(0, &[], false);
    let mut torn = made.clone();
    torn[..16].fill(0); // read before version and magic were stored, the rest after
    std::fs::write(bed.object(), &torn).unwrap();
    let (object, whole) = (bed.object(), made.clone());
    let maker = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        let file = std::fs::OpenOptions::new().write(true).open(object).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &whole[..16], 0).unwrap();
    });
    let (segment, _lock, report) = Segment::enter(&bed.spec()).unwrap();
    maker.join().unwrap();
    assert!(!report.created, "it is the maker's");
    assert_eq!(segment.header().uuid[..], made[at::UUID..at::UUID + 16]);
}

/// Lock files that are removed exclude nobody: each of us may be alone with one of his own, and make a segment.
#[test]
fn nobody_gets_what_another_one_has_made_while_both_files_are_removed_again_and_again() {
    for bed in [Bed::named(), Bed::file()] {
        let (spec, end) = (bed.spec(), Instant::now() + Duration::from_millis(1500));
        let made = std::thread::scope(|scope| {
            scope.spawn(|| {
                while Instant::now() < end {
                    let _ = std::fs::remove_file(spec.object_path());
                    let _ = std::fs::remove_file(spec.lock_path());
                }
            });
            let enter = || {
                let mut made = 0;
                while Instant::now() < end {
                    let Ok((segment, lock, report)) = Segment::enter(&spec) else { continue };
                    let now = segment.mapping().raw(0, PAGE);
                    // SAFETY: the page is mapped as long as the segment lives; who else writes to it is what this looks for.
                    #[allow(unsafe_code)]
                    let now = unsafe { std::slice::from_raw_parts(now, PAGE) }.to_vec();
                    let header = header::parse(&now).unwrap();
                    assert_eq!(header.uuid, segment.header().uuid, "two have made it");
                    assert_eq!(header.lock, lock.identity(), "two have a lock each");
                    made += u32::from(report.created);
                }
                made
            };
            let all: Vec<_> = (0..3).map(|_| scope.spawn(enter)).collect();
            all.into_iter().map(|thread| thread.join().unwrap()).sum::<u32>()
        });
        assert!(made > 10, "{made}");
    }
}

#[test]
fn another_version_or_word_size_is_refused() {
    for bed in [Bed::named(), Bed::file()] {
        let made = bed.doctor(at::VERSION, &[99], true);
        let error = bed.refused(&made);
        assert!(
            matches!(error, OpenError::Version { found: 99, ours: crate::ring::layout::LAYOUT_VERSION, .. }),
            "{error}"
        );
    }
    let bed = Bed::file();
    let made = bed.doctor(at::VERSION + 4, &[32], true);
    assert!(matches!(bed.refused(&made), OpenError::Version { word_bits: 32, .. }));
}

#[test]
fn damage_is_refused() {
    let bed = Bed::file();
    let made = bed.doctor(at::UUID, &[1, 2, 3], false);
    assert!(matches!(bed.refused(&made), OpenError::Damaged { what: "checksum", .. }));
    let cases = [
        (at::COUNTS, [0; 8], "sizes"),
        (at::SEGMENT_BYTES, 4096u64.to_le_bytes(), "length of the segment"),
        (at::CHUNK + 4, [1, 0, 0, 0, 0, 0, 0, 0], "kind of order numbers"),
        (at::PATH_LEN, [255; 8], "length of the path"),
    ];
    for (offset, bytes, what) in cases {
        let bed = Bed::file();
        let made = bed.doctor(offset, &bytes, true);
        let error = bed.refused(&made);
        assert!(matches!(&error, OpenError::Damaged { what: w, .. } if *w == what), "{error}");
    }
}

#[test]
fn the_segment_of_another_log_is_refused() {
    let bed = Bed::named();
    let made = bed.doctor(at::PATH + 1, b"~", false);
    assert!(matches!(bed.refused(&made), OpenError::Collision { .. }));
}

#[test]
fn a_truncated_segment_is_refused_without_a_signal() {
    for (bed, len) in [(Bed::named(), 8192), (Bed::named(), 100), (Bed::file(), 8192)] {
        let mut made = bed.doctor(at::MAGIC, &MAGIC.to_le_bytes(), false);
        made.truncate(len);
        std::fs::write(bed.object(), &made).unwrap();
        let error = bed.refused(&made);
        let short = matches!(&error, OpenError::Map(MapError::Short { found, .. }) if *found == len as u64);
        assert!(short, "{error}");
    }
}

#[test]
fn a_lost_lock_file_is_replaced_only_if_nobody_is_attached() {
    for bed in [Bed::named(), Bed::file()] {
        let spec = bed.spec();
        let (segment, lock, _) = Segment::enter(&spec).unwrap();
        // While it is open, no other file can be given its number.
        let _lost = std::fs::File::open(spec.lock_path()).unwrap();
        std::fs::remove_file(spec.lock_path()).unwrap();
        let error = Segment::enter(&spec).unwrap_err();
        assert!(matches!(error, OpenError::LockReplaced { .. }), "{error}");
        assert!(!spec.lock_path().exists(), "a lock file that locks nothing");
        let old = segment.header().uuid;
        drop((segment, lock));
        let (segment, lock, report) = enter_alone(&spec);
        assert!(report.adopted && !report.created, "{report:?}");
        assert_eq!((segment.header().uuid, segment.header().lock), (old, lock.identity()));
        let (_again, _lock, report) = Segment::enter(&spec).unwrap();
        assert_eq!(report, Report::default());
    }
}

/// Another test's process, while it starts, may have a copy of our descriptors for a moment.
fn enter_alone(spec: &SegmentSpec) -> (Segment, LockFile, Report) {
    let mut entered = None;
    crate::sys::testing::until("nobody has it", || {
        entered = Segment::enter(spec).ok();
        entered.is_some()
    });
    entered.unwrap()
}

#[test]
fn a_lock_file_removed_meanwhile_is_told() {
    let bed = Bed::file();
    let spec = bed.spec();
    let lock = LockFile::open(&spec.lock_path(), 0o600).unwrap();
    std::fs::remove_file(spec.lock_path()).unwrap();
    let error = Segment::attach(&spec, &lock).unwrap_err();
    assert!(matches!(error, OpenError::LockGone { .. }), "{error}");
    assert!(!bed.object().exists());
}

#[test]
fn a_stopped_opener_is_named_after_the_time_limit() {
    let bed = Bed::named();
    let log = bed.log();
    let mut peer = Peer::start(PEER, "open", log.to_str().unwrap());
    assert_eq!(peer.hear(), "opening");
    let lock = LockFile::open(&bed.spec().lock_path(), 0o600).unwrap();
    let text = OpenError::held(&lock).to_string();
    assert!(text.contains("process ") && text.contains("crlog"), "{text}");
    peer.kill();
    assert!(Segment::enter(&bed.spec()).is_ok(), "its death freed it");
}

#[test]
fn the_lock_directory_is_made_and_used() {
    let bed = Bed::named();
    let mut spec = bed.spec();
    let dir = bed.dir.path().join("run/locks");
    spec.lock_dir = Some(dir.clone());
    let (segment, lock, _) = Segment::enter(&spec).unwrap();
    assert_eq!(lock.path(), dir.join(format!("{}.lock", spec.id)));
    segment.release(&lock, |_| true).unwrap();
}

#[test]
fn a_header_comes_back_as_it_was_written_and_any_flipped_bit_is_noticed() {
    let header = Header {
        geometry: Geometry::new(100, 64, 16384).unwrap(),
        generation: 3,
        uuid: [1; 16],
        boot_id: [2; 16],
        created_ns: 4,
        creator_pid: 5,
        creator_uid: user(),
        lock: FileId { dev: 6, ino: 7 },
        config: [8; at::CONFIG_BYTES],
        path: b"/var/log/app.log".to_vec(),
    };
    let page = header.encode();
    assert_eq!(header::parse(&page), Ok(header));
    for bit in 64..(at::CRC + 4) * 8 {
        let mut bad = page;
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(header::parse(&bad).is_err(), "bit {bit}");
    }
    assert_eq!(header::parse(&[]), Err(Unsound::HalfMade));
    assert_eq!(header::parse(&[0; PAGE]), Err(Unsound::HalfMade));
    assert_eq!(header::parse(&page[..PAGE - 1]), Err(Unsound::Short));
}

#[test]
fn names_are_those_of_the_published_hash() {
    assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
    assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
    assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    let id = segment_id(Path::new("/var/log/app.log"));
    assert!(id.len() <= 28 && id.starts_with("crlog-"), "{id}");
    assert!(id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
}

#[test]
fn one_log_has_one_name() {
    let dir = tempfile::tempdir().unwrap();
    let real = dir.path().canonicalize().unwrap();
    let sub = real.join("sub");
    std::fs::create_dir(&sub).unwrap();
    let link = |to: &str, from: &str| std::os::unix::fs::symlink(to, real.join(from)).unwrap();
    link("sub", "alias");
    link("alias/app.log", "dangling.log");
    link("dangling.log", "twice.log");
    link("loop.log", "loop.log");
    let wanted = sub.join("app.log");
    for name in ["sub/app.log", "alias/app.log", "sub/../sub/./app.log", "dangling.log", "twice.log"] {
        assert_eq!(canonical(&real.join(name)).unwrap(), wanted, "{name}");
    }
    std::fs::write(&wanted, "").unwrap();
    assert_eq!(canonical(&real.join("twice.log")).unwrap(), wanted);
    for (name, why) in [
        ("no/app.log", "does not exist"),
        ("sub", "is a directory"),
        ("sub/", "directory"),
        ("sub/..", "directory"),
        ("loop.log", "symbolic links"),
        ("sub/app.log/x", "is not a directory"),
    ] {
        let error = canonical(&real.join(name)).unwrap_err().to_string();
        assert!(error.contains(why), "{name}: {error}");
    }
}

#[test]
fn after_another_boot_the_journal_is_distrusted_once() {
    use crate::ring::journal::{self, Cell, Found};
    let bed = Bed::file();
    let cell = Cell { file: 1, end: 7, ..Cell::default() };
    let (segment, lock, _) = Segment::enter(&bed.spec()).unwrap();
    let commit = |s: &Segment| {
        let mut taken = crate::ring::reclaim::take_over(s.mapping(), *s.geometry());
        taken.drainer.commit(s.mapping(), &cell).unwrap();
    };
    commit(&segment);
    assert_eq!(journal::read(segment.mapping()).1, Found::Cell(cell));
    drop((segment, lock));
    bed.doctor(at::BOOT_ID, &[7; 16], true);
    let (segment, lock, report) = enter_alone(&bed.spec());
    assert!(report.other_boot, "{report:?}");
    assert_eq!(journal::read(segment.mapping()).1, Found::Damaged);
    commit(&segment);
    drop((segment, lock));
    let (segment, _lock, report) = enter_alone(&bed.spec());
    assert!(!report.other_boot, "the next one finds this boot's");
    assert_eq!(journal::read(segment.mapping()).1, Found::Cell(cell));
}
