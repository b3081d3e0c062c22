//! Links in place of the log, and other things in place of archives.

use crate::common::until;
use crate::harness::{Disk, LONG, assert_records, record, until_error, write};
use crlog::Options;
use std::os::unix::fs::symlink;
use std::time::Duration;

#[test]
fn a_log_that_is_a_link_to_another_directory_is_rotated_there() {
    for exists in [true, false] {
        let disk = Disk::plain();
        let link = disk.above().join("link.log");
        if exists {
            std::fs::write(disk.log(), "").unwrap();
        }
        symlink(disk.log(), &link).unwrap();
        let log = Options::new(&link).max_bytes(8_000).backups(99).open().unwrap();
        let mut w = log.writer().unwrap();
        // Whoever uses the real name has the same log.
        let other = disk.options().open().unwrap();
        write(&mut w, 0..300);
        write(&mut other.writer().unwrap(), 300..600);
        log.flush(LONG).unwrap();
        disk.assert_holds(600);
        assert!(disk.archive(1).exists());
        assert_eq!(std::fs::read_link(&link).unwrap(), disk.log());
    }
}

#[test]
fn a_link_that_is_changed_leaves_running_logs_where_they_are() {
    let disk = Disk::plain();
    let link = disk.above().join("link.log");
    let second = disk.above().join("second.log");
    symlink(disk.log(), &link).unwrap();
    let log = Options::new(&link).open().unwrap();
    let mut w = log.writer().unwrap();
    write(&mut w, 0..100);
    log.flush(LONG).unwrap();
    std::fs::remove_file(&link).unwrap();
    symlink(&second, &link).unwrap();
    write(&mut w, 100..200);
    log.flush(LONG).unwrap();
    disk.assert_holds(200);
    let new = Options::new(&link).open().unwrap();
    write(&mut new.writer().unwrap(), 0..10);
    drop(new);
    assert_records(&std::fs::read(second).unwrap(), 0..10);
}

#[test]
fn a_link_put_in_place_of_a_running_log_is_not_followed_and_records_wait_for_its_end() {
    let disk = Disk::plain();
    let elsewhere = disk.above().join("elsewhere");
    std::fs::write(&elsewhere, "theirs").unwrap();
    let log = disk.options().open().unwrap();
    let mut w = log.writer().unwrap();
    write(&mut w, 0..100);
    log.flush(LONG).unwrap();
    std::thread::sleep(Duration::from_millis(30));
    std::fs::remove_file(disk.log()).unwrap();
    symlink(&elsewhere, disk.log()).unwrap();
    write(&mut w, 100..200);
    until_error(&log);
    let error = log.flush(Duration::from_millis(50)).unwrap_err().to_string();
    assert!(error.contains("is a symbolic link, which crlog does not follow"), "{error}");
    std::fs::remove_file(disk.log()).unwrap();
    log.flush(LONG).unwrap();
    assert_records(&disk.content(), 100..200);
    assert_eq!(std::fs::read(&elsewhere).unwrap(), b"theirs");
}

#[test]
fn links_and_directories_in_the_chain_lose_no_record_and_nothing_they_point_to() {
    let disk = Disk::plain();
    let theirs = disk.above().join("theirs");
    std::fs::write(&theirs, "theirs\n").unwrap();
    symlink(&theirs, disk.archive(1)).unwrap();
    std::fs::create_dir(disk.archive(3)).unwrap();
    std::fs::write(disk.archive(3).join("inside"), "inside").unwrap();
    let log = disk.options().max_bytes(8_000).backups(3).open().unwrap();
    let mut w = log.writer().unwrap();
    let mut next = 0;
    until(LONG, "a rotation that fails", || {
        write(&mut w, next..next + 20);
        next += 20;
        log.flush(LONG).unwrap();
        log.stats().unwrap().error.is_some()
    });
    write(&mut w, next..next + 200);
    next += 200;
    log.flush(LONG).unwrap();
    let directory = std::fs::read_dir(disk.dir()).unwrap().map(|e| e.unwrap().path()).find(|p| p.is_dir());
    let directory = directory.unwrap();
    assert_eq!(std::fs::read_to_string(directory.join("inside")).unwrap(), "inside");
    assert_eq!(std::fs::read_to_string(&theirs).unwrap(), "theirs\n");
    let files = crate::harness::files(disk.dir());
    let bytes =
        files.iter().filter(|p| p.is_file() && !p.is_symlink()).flat_map(|p| std::fs::read(p).unwrap());
    let bytes: Vec<u8> = bytes.collect();
    assert_records(&bytes, 0..next);
    std::fs::remove_dir_all(directory).unwrap();
    until(LONG, "a rotation", || {
        write(&mut w, next..next + 1);
        next += 1;
        log.flush(LONG).unwrap();
        log.stats().unwrap().error.is_none()
    });
    assert_eq!(log.stats().unwrap().counters.records, next);
    assert!(std::fs::read(disk.log()).unwrap().ends_with(format!("{}\n", record(next - 1)).as_bytes()));
}
