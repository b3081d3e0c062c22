//! Archives are compressed in the background: whatever is killed, full, shifted or switched meanwhile, every line is in
//! exactly one file, and nothing is left lying about.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod common;

use common::{Place, Small, assert_complete, by_name, until};
use crlog::{Compression, Control, Log, Options};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(60);

/// Not a test: what the other processes do.
#[test]
fn child_role() {
    let Ok(role) = std::env::var(common::ROLE) else { return };
    let options = Options::new(std::env::var(common::LOG).unwrap());
    match role.as_str() {
        "sidecar" => options.sidecar().unwrap().run(&Control::default()).unwrap(),
        other => panic!("no such role: {other}"),
    }
}

/// The log and its archives, oldest first.
fn files(dir: &Path) -> Vec<PathBuf> {
    let age = |path: &PathBuf| {
        let rest = path.file_name()?.to_str()?.strip_prefix("app.log")?;
        let number = rest.trim_end_matches(".gz").trim_end_matches(".zst");
        if number.is_empty() { Some(0) } else { number.strip_prefix('.')?.parse::<u32>().ok() }
    };
    let paths = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    let mut found: Vec<_> = paths.filter_map(|p| Some((std::cmp::Reverse(age(&p)?), p))).collect();
    found.sort();
    found.into_iter().map(|(_, path)| path).collect()
}

/// Their names without `app.log`, newest first.
fn names(dir: &Path) -> Vec<String> {
    let tail = |p: &PathBuf| p.file_name().unwrap().to_str().unwrap()["app.log".len()..].to_owned();
    files(dir).iter().rev().map(tail).collect()
}

fn content(path: &Path) -> Vec<u8> {
    let bytes = std::fs::read(path).unwrap();
    let mut plain = Vec::new();
    match path.extension().unwrap().to_str().unwrap() {
        "gz" => flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_end(&mut plain).unwrap(),
        #[cfg(feature = "zstd")]
        "zst" => zstd::stream::read::Decoder::new(&bytes[..]).unwrap().read_to_end(&mut plain).unwrap(),
        _ => return bytes,
    };
    plain
}

/// Every line of all files, oldest first.
fn lines(dir: &Path) -> Vec<String> {
    let bytes: Vec<u8> = files(dir).iter().flat_map(|f| content(f)).collect();
    String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
}

fn temporaries(dir: &Path) -> usize {
    let found = std::fs::read_dir(dir.join(".app.log.crlog"));
    found.map_or(0, |d| d.flatten().filter(|e| e.file_name().to_string_lossy().starts_with("pack-")).count())
}

fn is_plain_archive(name: &str) -> bool {
    !name.is_empty() && !name.ends_with(".gz") && !name.ends_with(".zst")
}

fn until_packed(dir: &Path) {
    until(LONG, "all archives are packed", || {
        !names(dir).iter().any(|n| is_plain_archive(n)) && temporaries(dir) == 0
    });
}

fn write(log: &Log, numbers: std::ops::Range<u64>) {
    let mut w = log.writer().unwrap();
    for i in numbers {
        w.append(format!("p {i} {}", "la".repeat((i % 50) as usize)).as_bytes()).unwrap();
    }
    log.flush(LONG).unwrap();
}

/// Lines of which 10 MB are packed in some tenths of a second, to about a third.
fn text(bytes: usize, from: u64) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes + 100);
    let mut i = from;
    while text.len() < bytes {
        text.extend(format!("p {i} {:x}\n", i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).into_bytes());
        i += 1;
    }
    text
}

fn small(place: &Place) -> Options {
    place.options().max_bytes(64 * 1024).backups(100)
}

#[test]
fn archives_of_before_are_packed_with_their_rights_and_time_and_later_ones_stay_plain_again() {
    let place = Place::new();
    let log = small(&place).mode(0o604).open().unwrap();
    write(&log, 0..5000);
    drop(log);
    let looks = |path: &PathBuf| {
        let m = path.metadata().unwrap();
        (m.permissions().mode() & 0o777, m.mtime(), m.mtime_nsec(), m.uid(), m.gid())
    };
    let plain: Vec<_> = files(place.path()).iter().map(|f| (content(f), looks(f))).collect();
    assert!(plain.len() > 4, "{:?}", names(place.path()));
    let log = small(&place).compress(Compression::GZIP).open().unwrap();
    drop(log.writer().unwrap());
    until_packed(place.path());
    let packed: Vec<_> = files(place.path()).iter().map(|f| (content(f), looks(f))).collect();
    assert!(plain == packed, "{plain:?} {packed:?}");
    until(LONG, "the count", || log.stats().unwrap().counters.packed as usize == plain.len() - 1);
    assert_eq!(log.stats().unwrap().counters.pack_errors, 0);
    assert_eq!(log.stats().unwrap().files.len(), plain.len(), "statistics know packed archives");
    drop(log);
    let log = small(&place).compress(Compression::None).open().unwrap();
    write(&log, 5000..10_000);
    drop(log);
    let now = names(place.path());
    assert!(is_plain_archive(&now[1]) && now.last().unwrap().ends_with(".gz"), "{now:?}");
    let lines = lines(place.path());
    assert_eq!(lines.len(), 10_000);
    assert_complete(&by_name(&lines));
}

#[test]
fn the_newest_archives_stay_plain_as_long_as_the_delay_says() {
    let place = Place::new();
    let log = small(&place).compress(Compression::Gzip { level: 1 }).compress_delay(2).open().unwrap();
    write(&log, 0..5000);
    let all_but_two = || {
        let names = names(place.path());
        let plain: Vec<_> = names.iter().filter(|n| is_plain_archive(n)).cloned().collect();
        names.len() > 4 && plain == [".1", ".2"]
    };
    until(LONG, "all but two are packed", all_but_two);
    write(&log, 5000..10_000);
    until(LONG, "all but two are packed again", all_but_two);
    assert_complete(&by_name(&lines(place.path())));
    assert_eq!(lines(place.path()).len(), 10_000);
}

#[test]
fn an_archive_that_is_shifted_while_it_is_packed_gets_its_present_name() {
    let place = Place::new();
    let big = text(10 << 20, 0);
    let count = big.iter().filter(|b| **b == b'\n').count() as u64;
    std::fs::write(place.path().join("app.log.1"), &big).unwrap();
    let log = place.options().max_bytes(1 << 30).backups(1000).compress(Compression::GZIP).open().unwrap();
    let mut w = log.writer().unwrap();
    until(LONG, "packing", || temporaries(place.path()) == 1);
    let mut next = count;
    let mut shifts = 0;
    while shifts < 3 && place.path().join(format!("app.log.{}", shifts + 1)).exists() {
        w.append(format!("p {next} short").as_bytes()).unwrap();
        next += 1;
        log.flush(LONG).unwrap();
        let rotations = log.stats().unwrap().counters.rotations;
        log.request_rotation().unwrap();
        until(LONG, "a rotation", || log.stats().unwrap().counters.rotations > rotations);
        shifts += 1;
    }
    assert!(shifts > 1, "the archive was packed before it was shifted");
    until_packed(place.path());
    assert!(place.path().join(format!("app.log.{}.gz", shifts + 1)).exists());
    let all = names(place.path());
    assert_eq!(all.len() as u64, 2 + next - count, "{all:?}");
    let lines = lines(place.path());
    assert_eq!(lines.len() as u64, next);
    assert_complete(&by_name(&lines));
}

#[test]
fn an_archive_that_falls_off_while_it_is_packed_is_gone() {
    let place = Place::new();
    std::fs::write(place.path().join("app.log.1"), text(10 << 20, 0)).unwrap();
    let log = place.options().max_bytes(1 << 30).backups(1).compress(Compression::GZIP).open().unwrap();
    let mut w = log.writer().unwrap();
    until(LONG, "packing", || temporaries(place.path()) == 1);
    w.append(b"p 0").unwrap();
    log.flush(LONG).unwrap();
    log.request_rotation().unwrap();
    until(LONG, "a rotation", || log.stats().unwrap().counters.rotations == 1);
    assert_eq!(temporaries(place.path()), 1, "the archive was packed before it fell off");
    until_packed(place.path());
    assert_eq!(names(place.path()), ["", ".1.gz"]);
    assert_eq!(lines(place.path()), ["p 0"]);
    assert_eq!(log.stats().unwrap().counters.pack_errors, 0);
}

#[test]
fn a_log_that_is_closed_while_an_archive_is_packed_does_not_wait_for_it_and_leaves_it_plain() {
    let place = Place::new();
    let big = text(30 << 20, 0);
    std::fs::write(place.path().join("app.log.1"), &big).unwrap();
    let options = small(&place).compress(Compression::Gzip { level: 9 });
    let log = options.compress_timeout(Duration::ZERO).open().unwrap();
    write(&log, 0..1);
    until(LONG, "packing", || temporaries(place.path()) == 1);
    let start = Instant::now();
    drop(log);
    let took = start.elapsed();
    assert_eq!((temporaries(place.path()), names(place.path())), (0, vec![String::new(), ".1".into()]));
    assert!(std::fs::read(place.path().join("app.log.1")).unwrap() == big);
    eprintln!("closed in {took:?}");
    // Of another test of this process, perhaps; those end, too.
    until(LONG, "the thread ends", || packers().is_empty());
}

/// Threads of this process that pack, of whatever test.
fn packers() -> Vec<i32> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let is_one = |t: &std::fs::DirEntry| {
        std::fs::read_to_string(t.path().join("comm")).is_ok_and(|name| name.trim() == "crlog-packer")
    };
    tasks.filter(is_one).map(|t| t.file_name().to_str().unwrap().parse().unwrap()).collect()
}

/// Class and level that a thread has for the disk.
#[allow(unsafe_code)]
fn disk_priority(thread: i32) -> i64 {
    // SAFETY: takes integers and touches no memory.
    unsafe { libc::syscall(libc::SYS_ioprio_get, 1, thread) }
}

#[test]
fn what_changes_while_it_is_packed_stays_plain_until_it_changes_no_more() {
    let place = Place::new();
    let mut big = text(10 << 20, 0);
    let plain = place.path().join("app.log.1");
    std::fs::write(&plain, &big).unwrap();
    let log = small(&place).compress(Compression::GZIP).open().unwrap();
    drop(log.writer().unwrap());
    until(LONG, "packing", || temporaries(place.path()) == 1);
    until(LONG, "the thread has lowered itself", || {
        packers().into_iter().any(|t| disk_priority(t) == 3 << 13)
    });
    // In place, so that neither its length nor its end tells.
    let file = std::fs::OpenOptions::new().write(true).open(&plain).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"q", 0).unwrap();
    big[0] = b'q';
    until(LONG, "it is noticed", || log.stats().unwrap().counters.pack_errors == 1);
    assert!(std::fs::read(&plain).unwrap() == big && !place.path().join("app.log.1.gz").exists());
    until_packed(place.path());
    assert!(content(&place.path().join("app.log.1.gz")) == big);
}

#[test]
fn a_name_that_somebody_takes_meanwhile_is_not_overwritten() {
    let place = Place::new();
    let big = text(10 << 20, 0);
    std::fs::write(place.path().join("app.log.1"), &big).unwrap();
    let log = small(&place).compress(Compression::GZIP).open().unwrap();
    drop(log.writer().unwrap());
    until(LONG, "packing", || temporaries(place.path()) == 1);
    let theirs = place.path().join("app.log.1.gz");
    std::fs::write(&theirs, b"mine").unwrap();
    until(LONG, "it is counted", || log.stats().unwrap().counters.pack_errors == 1);
    until(LONG, "what was made is removed", || temporaries(place.path()) == 0);
    assert_eq!(std::fs::read(&theirs).unwrap(), b"mine");
    assert!(std::fs::read(place.path().join("app.log.1")).unwrap() == big);
}

/// Packs everything, and returns a second name of what was `app.log.1` before.
fn packed_with_a_copy_of_the_name(place: &Place) -> PathBuf {
    let log = small(place).index(true).open().unwrap();
    write(&log, 0..5000);
    drop(log);
    let kept = place.path().join("kept");
    std::fs::hard_link(place.path().join("app.log.1"), &kept).unwrap();
    let log = small(place).index(true).compress(Compression::GZIP).open().unwrap();
    drop(log.writer().unwrap());
    until_packed(place.path());
    drop(log);
    kept
}

fn flushes_again(place: &Place, how: Compression) -> Log {
    let log = small(place).index(true).compress(how).open().unwrap();
    drop(log.writer().unwrap());
    until(LONG, "a flusher", || log.stats().unwrap().flusher.is_some());
    log
}

#[test]
fn a_flusher_killed_between_the_two_names_has_its_work_finished_by_the_next_one() {
    for (how, shifted) in [(Compression::GZIP, false), (Compression::None, false), (Compression::GZIP, true)]
    {
        let place = Place::new();
        let kept = packed_with_a_copy_of_the_name(&place);
        // What a kill behind the first renaming leaves: the plain file's own name is still there.
        std::fs::rename(&kept, place.path().join("app.log.1")).unwrap();
        let verdict = place.options().verify().unwrap();
        assert!(verdict.is_complete() && verdict.records == 5000, "{verdict:?}");
        if shifted {
            // And what the next rotation makes of it.
            let move_up = |from: &str, to: &str| {
                std::fs::rename(place.path().join(from), place.path().join(to)).unwrap();
            };
            for n in (2..20).rev().filter(|n| place.path().join(format!("app.log.{n}.gz")).exists()) {
                move_up(&format!("app.log.{n}.gz"), &format!("app.log.{}.gz", n + 1));
            }
            move_up("app.log.1", "app.log.2");
        }
        let log = flushes_again(&place, how);
        until(LONG, "the plain file is removed", || !names(place.path()).iter().any(|n| is_plain_archive(n)));
        let lines = lines(place.path());
        assert_eq!(lines.len(), 5000);
        assert_complete(&by_name(&lines));
        assert_eq!(log.stats().unwrap().counters.pack_errors, 0);
    }
}

#[test]
fn a_packed_file_that_is_not_whole_or_not_of_this_archive_removes_nothing() {
    let place = Place::new();
    let kept = packed_with_a_copy_of_the_name(&place);
    let (plain, packed) = (place.path().join("app.log.1"), place.path().join("app.log.1.gz"));
    let whole = std::fs::read(&packed).unwrap();
    // Not whole: our mark, the right archive, and the end is missing.
    std::fs::rename(&kept, &plain).unwrap();
    std::fs::write(&packed, &whole[..whole.len() - 5]).unwrap();
    let log = flushes_again(&place, Compression::GZIP);
    until(LONG, "it is counted", || log.stats().unwrap().counters.pack_errors > 0);
    drop(log);
    assert!(plain.exists() && packed.exists());
    // Whole, of this inode, and with the same content; but it is not the file that was packed: its time says so.
    std::fs::write(&packed, &whole).unwrap();
    let file = std::fs::File::open(&plain).unwrap();
    let time = file.metadata().unwrap().modified().unwrap();
    file.set_modified(time + Duration::from_nanos(4_000)).unwrap();
    looks_once(&place);
    assert!(plain.exists() && packed.exists());
    // The same with the right time, but another inode: a copy.
    file.set_modified(time).unwrap();
    let copied =
        std::process::Command::new("cp").arg("-p").arg(&plain).arg(place.path().join("copy")).status();
    assert!(copied.unwrap().success());
    std::fs::rename(place.path().join("copy"), &plain).unwrap();
    looks_once(&place);
    assert!(plain.exists() && packed.exists());
}

/// Has a flusher look for what is to be done: an archive more is packed.
fn looks_once(place: &Place) {
    let last = place.path().join("app.log.50");
    std::fs::write(&last, b"p 0\n").unwrap();
    let log = flushes_again(place, Compression::GZIP);
    until(LONG, "another archive is packed", || log.stats().unwrap().counters.packed > 0 && !last.exists());
    drop(log);
    std::fs::remove_file(place.path().join("app.log.50.gz")).unwrap();
}

#[test]
fn a_strangers_packed_file_is_neither_overwritten_nor_taken_for_ours() {
    let place = Place::new();
    let log = small(&place).open().unwrap();
    write(&log, 0..5000);
    drop(log);
    std::fs::write(place.path().join("app.log.1.gz"), b"mine").unwrap();
    let log = flushes_again(&place, Compression::GZIP);
    until(LONG, "the others are packed", || {
        names(place.path()).into_iter().filter(|n| is_plain_archive(n)).collect::<Vec<_>>() == [".1"]
    });
    assert_eq!(std::fs::read(place.path().join("app.log.1.gz")).unwrap(), b"mine");
    assert_eq!(log.stats().unwrap().counters.pack_errors, 0);
}

#[test]
fn a_flusher_killed_at_any_moment_of_packing_costs_no_line_and_leaves_nothing_behind() {
    let place = Place::new();
    let log = place
        .options()
        .flusher_thread(false)
        .max_bytes(256 * 1024)
        .backups(2000)
        .compress(Compression::GZIP)
        .open()
        .unwrap();
    let mut w = log.writer().unwrap();
    let (mut next, mut state) = (0u64, 0x9e37_79b9_7f4a_7c15u64);
    let (mut torn, mut pairs, rounds) = (0, 0, 40);
    for _ in 0..rounds {
        let mut sidecar = place.child("sidecar", "");
        until(LONG, "a sidecar at work", || {
            log.stats().unwrap().flusher.is_some_and(|f| f.pid as i32 == sidecar.pid())
        });
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let end = Instant::now() + Duration::from_micros(state >> 33 & 0x7fff);
        while Instant::now() < end {
            for _ in 0..20 {
                let noise = next.wrapping_mul(state);
                w.append(format!("p {next} {noise:x} {:x} {:0200}", noise.rotate_left(9), 0).as_bytes())
                    .unwrap();
                next += 1;
            }
            std::thread::sleep(Duration::from_micros(100));
        }
        sidecar.kill();
        torn += temporaries(place.path());
        let all = names(place.path());
        pairs += all.iter().filter(|n| all.contains(&format!("{n}.gz"))).count();
    }
    eprintln!("{rounds} kills, {next} records: {torn} unfinished files, {pairs} pairs seen");
    assert!(torn > 0, "no kill met a file that was being packed");
    let _sidecar = place.child("sidecar", "");
    log.flush(LONG).unwrap();
    until_packed(place.path());
    let lines = lines(place.path());
    assert_eq!(lines.len() as u64, next);
    assert_complete(&by_name(&lines));
    let numbers: Vec<String> = names(place.path()).into_iter().skip(1).collect();
    let expected: Vec<String> = (1..=numbers.len()).map(|n| format!(".{n}.gz")).collect();
    assert_eq!(numbers, expected, "one file for each number");
}

#[test]
fn packed_archives_are_verified_like_plain_ones() {
    let place = Place::new();
    let options = || small(&place).index(true).compress(Compression::GZIP);
    let verify = || place.options().verify().unwrap();
    let log = options().open().unwrap();
    let mut from = 0;
    // Inodes of packed plain files are given out again while their content is still there, packed.
    while from < 20_000 {
        write(&log, from..from + 2000);
        until_packed(place.path());
        from += 2000;
    }
    drop(log);
    let verdict = verify();
    assert_eq!((verdict.findings, verdict.packed, verdict.records), (vec![], vec![], 20_000));
    assert!(verdict.files.len() > 10 && verdict.files.iter().all(|f| f.covered == f.bytes));
    // Another content under an unchanged mark.
    let victim = place.path().join("app.log.3.gz");
    let whole = std::fs::read(&victim).unwrap();
    let mut damaged = whole.clone();
    *damaged.last_mut().unwrap() ^= 1;
    std::fs::write(&victim, &damaged).unwrap();
    let names = |verdict: crlog::Verdict| {
        let changed = |f| if let crlog::Finding::Changed { file, .. } = f { Some(file) } else { None };
        verdict.findings.into_iter().map(changed).collect::<Vec<_>>()
    };
    assert_eq!(names(verify()), [Some("app.log.3.gz".to_owned())]);
    std::fs::write(&victim, &whole).unwrap();
    assert!(verify().is_complete());
    std::fs::remove_file(&victim).unwrap();
    assert!(matches!(verify().findings[..], [crlog::Finding::FileGone { age: 3, .. }]), "{:?}", verify());
}

#[test]
fn packed_archives_that_fall_off_are_told_from_those_that_somebody_removed() {
    let place = Place::new();
    let log = small(&place).backups(3).index(true).compress(Compression::GZIP).open().unwrap();
    for from in 0..8 {
        write(&log, from * 2000..(from + 1) * 2000);
        until_packed(place.path());
        let verdict = place.options().verify().unwrap();
        assert!(verdict.is_complete() && verdict.packed.is_empty(), "{verdict:?}");
    }
    let index = std::fs::read_dir(place.path().join(".app.log.crlog")).unwrap().flatten();
    let index = index.filter(|e| e.path().extension().is_some_and(|end| end == "idx")).count();
    assert!((4..=6).contains(&index), "{index} index files");
    // A stranger's file takes a place in the chain, so one of ours falls off before its time.
    std::fs::write(place.path().join("app.log.1.zst"), b"theirs").unwrap();
    write(&log, 0..1);
    log.rotate(LONG).unwrap();
    until_packed(place.path());
    assert_eq!(names(place.path()), ["", ".1.gz", ".2.zst", ".3.gz"]);
    let verdict = place.options().verify().unwrap();
    assert_eq!((verdict.findings, verdict.packed), (vec![], vec!["app.log.2.zst".to_owned()]));
}

#[test]
fn dated_archives_are_packed_under_their_dates_and_keep_their_index() {
    let place = Place::new();
    let options = place.options().max_bytes(64 * 1024).names(crlog::Names::Dated).index(true);
    let log = options.compress(Compression::GZIP).compress_delay(1).open().unwrap();
    write(&log, 0..5000);
    let dated = || -> Vec<String> {
        let all = std::fs::read_dir(place.path()).unwrap().flatten();
        let mut all: Vec<_> = all.map(|e| e.file_name().into_string().unwrap()).collect();
        all.retain(|name| name.starts_with("app.log."));
        all
    };
    until(LONG, "all but one are packed", || {
        let all = dated();
        all.len() > 3 && all.iter().filter(|n| n.ends_with(".gz")).count() == all.len() - 1
    });
    write(&log, 5000..6000);
    let verdict = place.options().verify().unwrap();
    assert_eq!((verdict.findings, verdict.packed, verdict.records), (vec![], vec![], 6000));
}

#[test]
fn a_disk_that_is_full_costs_the_plain_archive_nothing_and_it_is_packed_when_there_is_room() {
    let place = Place::new();
    let Some(disk) = Small::mount(place.path().join("disk"), 4 * 1024) else { return };
    let log = disk.0.join("app.log");
    let big = text(2 << 20, 0);
    std::fs::write(disk.0.join("app.log.1"), &big).unwrap();
    std::fs::write(disk.0.join("filler"), vec![7; (2 << 20) - 256 * 1024]).unwrap();
    let log = Options::new(&log).max_bytes(1 << 30).backups(9).compress(Compression::GZIP).open().unwrap();
    write(&log, 0..10);
    until(LONG, "a failure", || log.stats().unwrap().counters.pack_errors > 0);
    until(LONG, "nothing is left of it", || temporaries(&disk.0) == 0);
    assert_eq!(names(&disk.0), ["", ".1"]);
    assert!(std::fs::read(disk.0.join("app.log.1")).unwrap() == big);
    write(&log, 10..20);
    assert_eq!(log.stats().unwrap().error, None, "the log has room, and no error");
    std::fs::remove_file(disk.0.join("filler")).unwrap();
    until_packed(&disk.0);
    assert!(content(&disk.0.join("app.log.1.gz")) == big);
    drop(log);
}

#[cfg(feature = "zstd")]
#[test]
fn a_chain_of_gzip_and_zstd_and_plain_files_is_one_chain() {
    let place = Place::new();
    let mut from = 0;
    for how in [Compression::GZIP, Compression::ZSTD, Compression::None, Compression::Zstd { level: 19 }] {
        let log =
            small(&place).compress(how).compress_delay(u32::from(how == Compression::GZIP)).open().unwrap();
        write(&log, from..from + 3000);
        from += 3000;
        if how != Compression::None {
            until(LONG, "packed", || names(place.path())[2..].iter().all(|n| !is_plain_archive(n)));
        }
    }
    let lines = lines(place.path());
    assert_eq!(lines.len() as u64, from);
    assert_complete(&by_name(&lines));
    let all = names(place.path());
    assert!(all.iter().any(|n| n.ends_with(".gz")) && all.iter().any(|n| n.ends_with(".zst")), "{all:?}");
}

#[cfg(not(feature = "zstd"))]
#[test]
fn a_build_without_zstd_leaves_archives_plain_and_counts_it() {
    let place = Place::new();
    let log = small(&place).compress(Compression::ZSTD).open().unwrap();
    write(&log, 0..5000);
    until(LONG, "it is counted", || log.stats().unwrap().counters.pack_errors > 0);
    assert!(names(place.path()).iter().skip(1).all(|n| is_plain_archive(n)));
    assert_eq!((lines(place.path()).len(), log.stats().unwrap().counters.packed), (5000, 0));
    // Many failures later, gzip is chosen: that is not kept waiting.
    until(LONG, "the delay has grown to 4 s", || log.stats().unwrap().counters.pack_errors >= 3);
    let start = Instant::now();
    log.change(&place.options().compress(Compression::GZIP)).unwrap();
    until_packed(place.path());
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
}

#[test]
fn short_processes_leave_no_plain_archive() {
    let place = Place::new();
    for run in 0..8u32 {
        let log =
            place.options().max_bytes(100_000).backups(50).compress(Compression::Gzip { level: 6 }).open();
        let log = log.unwrap();
        let mut w = log.writer().unwrap();
        for i in 0..300u32 {
            w.append(format!("run{run} {i} {}", "x".repeat(1000)).as_bytes()).unwrap();
        }
        drop((w, log));
    }
    let found = names(place.path());
    assert!(found.len() > 20, "{found:?}");
    assert!(found[1..].iter().all(|name| name.ends_with(".gz")), "{found:?}");
    assert_complete(&by_name(&lines(place.path())));
}

#[test]
fn archives_left_at_a_deadline_are_taken_up_next_time() {
    let place = Place::new();
    let options = || place.options().max_bytes(100_000).backups(50).compress(Compression::Gzip { level: 6 });
    let log = options().compress_timeout(Duration::ZERO).flusher_thread(false).open().unwrap();
    let mut w = log.writer().unwrap();
    for i in 0..300u32 {
        w.append(format!("a {i} {}", "x".repeat(1000)).as_bytes()).unwrap();
    }
    drop((w, log));
    let plain = |names: Vec<String>| names.iter().skip(1).filter(|name| !name.ends_with(".gz")).count();
    assert!(plain(names(place.path())) >= 2, "{:?}", names(place.path()));
    let log = options().flusher_thread(false).open().unwrap();
    log.writer().unwrap().append(b"a 300").unwrap();
    drop(log);
    assert_eq!(plain(names(place.path())), 0, "{:?}", names(place.path()));
}
