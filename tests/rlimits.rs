//! Limits of a process: files that must not grow, descriptors, threads, address space. They are the
//! host's, so they must cost it no more than an error, and the other processes of the log nothing.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, unsafe_code)]

mod common;

use common::os::{exit_now, is_root, limit};
use common::{LOG, Place, ROLE, assert_complete, by_name, until};
use crlog::{KIB, Log, Options, Writer};
use std::fs::File;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Not a test: what the other processes do.
#[test]
fn child_role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let options = Options::new(std::env::var(LOG).unwrap());
    match role.as_str() {
        "no file may grow" => no_file_may_grow(options),
        "no segment can be made" => {
            limit(libc::RLIMIT_FSIZE, 1_000_000);
            let error = options.open().unwrap_err().to_string();
            assert!(error.contains("File too large"), "{error}");
        }
        "flushes by itself" => {
            limit(libc::RLIMIT_FSIZE, 64 * 1024);
            let log = options.flusher_thread(false).open().unwrap();
            let mut w = log.writer().unwrap();
            write(&mut w, 0..20_000);
            let error = log.flush(SECOND).unwrap_err().to_string();
            assert!(error.contains("File too large"), "{error}");
        }
        "flushes in a thread" => {
            limit(libc::RLIMIT_FSIZE, 64 * 1024);
            let log = options.open().unwrap();
            let mut w = log.writer().unwrap();
            // Many times round the ring: somebody must be able to write the file.
            write(&mut w, 0..200_000);
        }
        "sidecar" => {
            limit(libc::RLIMIT_FSIZE, 64 * 1024);
            options.sidecar().unwrap().run(&crlog::Control::default()).unwrap();
        }
        "no descriptor is left" => no_descriptor_is_left(options),
        "no descriptor is left to the flusher" => {
            let log = options.open().unwrap();
            let mut w = log.writer().unwrap();
            write(&mut w, 0..1);
            // Its thread has what it needs until the next rotation.
            let own = u64::from(std::process::id());
            until(10 * SECOND, "its turn", || log.stats().unwrap().flusher.is_some_and(|f| f.pid == own));
            log.flush(10 * SECOND).unwrap();
            let held = all_descriptors();
            write(&mut w, 1..200_000);
            drop(held);
        }
        "no thread can be had" => no_thread_can_be_had(options),
        "no room in the address space" => no_room_in_the_address_space(&options),
        other => panic!("no such role: {other}"),
    }
    exit_now(0);
}

fn write(w: &mut Writer, numbers: std::ops::Range<u64>) {
    for i in numbers {
        w.append(format!("p {i}").as_bytes()).unwrap();
    }
}

/// Attaches, writes and leaves while no file at all may grow by a byte.
fn no_file_may_grow(options: Options) {
    limit(libc::RLIMIT_FSIZE, 0);
    let log = options.open().unwrap();
    let mut w = log.writer().unwrap();
    write(&mut w, 0..1000);
    drop((w, log));
}

fn all_descriptors() -> Vec<File> {
    limit(libc::RLIMIT_NOFILE, 100);
    let held: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    assert!(held.len() > 50);
    held
}

/// Many times round the ring, with a rotation now and then, and no descriptor to be had for it.
fn no_descriptor_is_left(options: Options) {
    let log = options.flusher_thread(false).open().unwrap();
    let mut w = log.writer().unwrap();
    write(&mut w, 0..1000);
    let held = all_descriptors();
    write(&mut w, 1000..2000);
    assert!(log.flush(SECOND / 2).is_err(), "nobody can flush");
    assert!(log.writer().is_ok());
    let _ = log.stats().unwrap();
    drop(held);
    log.flush(10 * SECOND).unwrap();
    write(&mut w, 2000..3000);
    let held = all_descriptors();
    drop((w, log)); // can neither flush nor remove the segment
    drop(held);
}

/// The user's last process was his last but none. Without the thread the producer helps itself.
fn no_thread_can_be_had(options: Options) {
    become_nobody();
    limit(libc::RLIMIT_NPROC, 1);
    assert!(std::thread::Builder::new().spawn(|| ()).is_err(), "the limit does not work");
    let log = options.ring_bytes(256 * KIB).open().unwrap();
    let mut w = log.writer().unwrap();
    write(&mut w, 0..100_000);
    log.flush(10 * SECOND).unwrap();
    drop((w, log));
}

fn become_nobody() {
    const NOBODY: u32 = 65534;
    // SAFETY: sets numbers of this process.
    assert_eq!(unsafe { libc::setresgid(NOBODY, NOBODY, NOBODY) }, 0);
    // SAFETY: as above.
    assert_eq!(unsafe { libc::setresuid(NOBODY, NOBODY, NOBODY) }, 0);
}

/// Each attachment needs 17 MB of it: some succeed, the next one is refused, all records arrive.
fn no_room_in_the_address_space(options: &Options) {
    let used = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = used.split(' ').next().unwrap().parse().unwrap();
    limit(libc::RLIMIT_AS, pages * 4096 + 60_000_000);
    let mut logs: Vec<Log> = Vec::new();
    let mut error = String::new();
    while error.is_empty() && logs.len() < 10 {
        match options.clone().flusher_thread(false).open() {
            Ok(log) => logs.push(log),
            Err(e) => error = e.to_string(),
        }
    }
    assert!(error.contains("Cannot allocate memory"), "{} logs, {error}", logs.len());
    let mut w = logs[0].writer().unwrap();
    write(&mut w, 0..1000);
}

#[test]
fn a_process_whose_files_must_not_grow_can_log_where_others_flush() {
    let place = Place::new();
    let log = place.options().open().unwrap();
    assert!(place.child("no file may grow", "").ends_well(10 * SECOND));
    log.flush(10 * SECOND).unwrap();
    let got = by_name(&place.lines_now());
    assert_complete(&got);
    assert_eq!(got["p"].len(), 1000);
}

#[test]
fn a_segment_beyond_the_size_limit_is_refused_and_leaves_nothing_behind() {
    let place = Place::new();
    assert!(place.child("no segment can be made", "").ends_well(10 * SECOND));
    let id = crlog::names::segment_id(&crlog::names::canonical(&place.log()).unwrap());
    assert!(!std::path::Path::new("/dev/shm").join(id).exists());
}

#[test]
fn a_helper_that_meets_the_size_limit_gets_an_error_and_its_records_wait_for_others() {
    let place = Place::new();
    let log = place.options().flusher_thread(false).open().unwrap();
    assert!(place.child("flushes by itself", "").ends_well(10 * SECOND));
    log.flush(10 * SECOND).unwrap();
    drop(log);
    let got = by_name(&place.lines_now());
    assert_complete(&got);
    assert_eq!(got["p"].len(), 20_000);
}

#[test]
fn a_flusher_that_meets_the_size_limit_gives_way_to_another_process() {
    let place = Place::new();
    // The limited one is elected: this process has no thread until it has a writer.
    let log = place.options().ring_bytes(256 * KIB).open().unwrap();
    let mut limited = place.child("flushes in a thread", "");
    until(10 * SECOND, "the error", || log.stats().unwrap().counters.io_errors > 0);
    let _w = log.writer().unwrap();
    assert!(limited.ends_well(10 * SECOND));
    log.flush(10 * SECOND).unwrap();
    let got = by_name(&place.lines_now());
    assert_complete(&got);
    assert_eq!(got["p"].len(), 200_000);
}

#[test]
fn a_sidecar_that_meets_the_size_limit_lives_and_keeps_its_place() {
    let place = Place::new();
    let log = place.options().open().unwrap();
    let mut sidecar = place.child("sidecar", "");
    until(10 * SECOND, "the sidecar's turn", || log.stats().unwrap().flusher.is_some_and(|f| f.sidecar));
    let mut w = log.writer().unwrap();
    write(&mut w, 0..20_000);
    until(10 * SECOND, "the error", || log.stats().unwrap().error == Some(libc::EFBIG));
    assert!(log.flush(SECOND / 2).unwrap_err().to_string().contains("File too large"));
    assert_eq!(log.stats().unwrap().flusher.unwrap().pid as i32, sidecar.pid());
    sidecar.kill();
    log.flush(10 * SECOND).unwrap();
    let got = by_name(&place.lines_now());
    assert_complete(&got);
    assert_eq!(got["p"].len(), 20_000);
}

#[test]
fn records_wait_while_a_process_has_no_descriptor_left() {
    let place = Place::new();
    assert!(place.child("no descriptor is left", "").ends_well(10 * SECOND));
    let got = by_name(&place.lines());
    assert_complete(&got);
    assert_eq!(got["p"].len(), 3000);
}

#[test]
fn a_flusher_without_descriptors_rotates_through_another_process() {
    let place = Place::new();
    let options = place.options().ring_bytes(256 * KIB).max_bytes(50_000).backups(1000);
    let log = options.open().unwrap();
    let mut limited = place.child("no descriptor is left to the flusher", "");
    until(10 * SECOND, "the error", || log.stats().unwrap().counters.io_errors > 0);
    let _w = log.writer().unwrap();
    assert!(limited.ends_well(10 * SECOND));
    log.flush(10 * SECOND).unwrap();
    let got = by_name(&place.lines_now());
    assert_complete(&got);
    assert_eq!(got["p"].len(), 200_000);
}

#[test]
fn without_a_thread_for_the_flusher_a_producer_flushes_by_itself() {
    if !is_root() {
        eprintln!("skipped: needs root, to become a user who may have no thread");
        return;
    }
    let place = Place::new();
    open_to_all(place.path());
    assert!(place.child("no thread can be had", "").ends_well(10 * SECOND));
    let got = by_name(&place.lines_now());
    assert_complete(&got);
    assert_eq!(got["p"].len(), 100_000);
}

fn open_to_all(dir: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o777)).unwrap();
}

#[test]
fn a_log_that_finds_no_room_in_the_address_space_is_refused_and_others_go_on() {
    let place = Place::new();
    assert!(place.child("no room in the address space", "").ends_well(10 * SECOND));
    let got = by_name(&place.lines());
    assert_complete(&got);
    assert_eq!(got["p"].len(), 1000);
}
