//! Other hands on the directory and the file while the log is written.

use crate::common::until;
use crate::harness::{Disk, LONG, assert_records, content, files, lines, record, until_error, write};
use crlog::{Fsync, Log, Options};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A record, a moment's sleep, and so on, until killed.
pub fn write_for_ever(options: Options) {
    let log = options.open().unwrap();
    let mut w = log.writer().unwrap();
    for i in 0u64.. {
        write(&mut w, i..i + 1);
        std::thread::sleep(Duration::from_micros(20));
    }
}

fn wait_for_records(log: &Log, more: u64) {
    let before = log.stats().unwrap().counters.records;
    until(LONG, "records in the file", || log.stats().unwrap().counters.records >= before + more);
}

#[test]
fn a_directory_that_is_removed_and_made_again_gets_the_records_that_waited() {
    let disk = Disk::plain();
    let log = disk.options().open().unwrap();
    let mut w = log.writer().unwrap();
    write(&mut w, 0..100);
    log.flush(LONG).unwrap();
    std::thread::sleep(Duration::from_millis(30));
    std::fs::remove_dir_all(disk.dir()).unwrap();
    write(&mut w, 100..300);
    until_error(&log);
    write(&mut w, 300..1_000);
    std::fs::create_dir(disk.dir()).unwrap();
    let took = until(LONG, "the rest", || log.flush(Duration::from_millis(20)).is_ok());
    assert!(took < Duration::from_secs(1), "resumed after {took:?}");
    assert_records(&disk.content(), 100..1_000);
}

#[test]
fn a_directory_that_is_moved_away_and_back_gets_the_records_that_waited() {
    let disk = Disk::plain();
    let away = disk.above().join("away");
    let log = disk.options().max_bytes(20_000).backups(99).open().unwrap();
    let mut w = log.writer().unwrap();
    write(&mut w, 0..1_000);
    log.flush(LONG).unwrap();
    std::thread::sleep(Duration::from_millis(30));
    std::fs::rename(disk.dir(), &away).unwrap();
    let before = content(&away);
    write(&mut w, 1_000..2_000);
    until_error(&log);
    assert_eq!(content(&away), before, "a moved directory is left alone");
    std::fs::rename(&away, disk.dir()).unwrap();
    log.flush(LONG).unwrap();
    disk.assert_holds(2_000);
}

#[test]
fn a_directory_that_is_moved_away_and_replaced_goes_on_in_the_new_one() {
    let disk = Disk::plain();
    let away = disk.above().join("away");
    let log = disk.options().max_bytes(20_000).backups(99).open().unwrap();
    let mut w = log.writer().unwrap();
    write(&mut w, 0..1_000);
    log.flush(LONG).unwrap();
    std::thread::sleep(Duration::from_millis(30));
    std::fs::rename(disk.dir(), &away).unwrap();
    std::fs::create_dir(disk.dir()).unwrap();
    write(&mut w, 1_000..2_000);
    log.flush(LONG).unwrap();
    assert_records(&content(&away), 0..1_000);
    assert_records(&disk.content(), 1_000..2_000);
}

/// What logrotate does: shift by rename, make a new file unless somebody did.
fn logrotate_create(disk: &Disk, rotations: u32) {
    for number in (1..=rotations).rev() {
        let from = if number == 1 { disk.log() } else { disk.archive(number - 1) };
        if from.exists() {
            std::fs::rename(from, disk.archive(number)).unwrap();
        }
    }
    let made = std::fs::OpenOptions::new().write(true).create(true).truncate(false).open(disk.log());
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o640);
    made.unwrap().set_permissions(mode).unwrap();
}

#[test]
fn logrotate_that_moves_and_creates_loses_doubles_and_tears_nothing() {
    let disk = Disk::plain();
    let log = disk.options().flusher_thread(false).open().unwrap();
    let busy = disk.child("write for ever");
    for _ in 0..10 {
        wait_for_records(&log, 300);
        logrotate_create(&disk, 20);
    }
    wait_for_records(&log, 300);
    drop(busy);
    log.flush(LONG).unwrap();
    assert_records(&disk.content(), 0..log.stats().unwrap().counters.records);
    assert_eq!(files(disk.dir()).len(), 11);
    assert!(log.stats().unwrap().counters.file_surprises >= 10);
}

#[test]
fn logrotate_that_copies_and_truncates_tears_and_doubles_nothing() {
    let disk = Disk::plain();
    let log = disk.options().flusher_thread(false).open().unwrap();
    let busy = disk.child("write for ever");
    for round in (1..=10).rev() {
        wait_for_records(&log, 300);
        std::fs::copy(disk.log(), disk.archive(round)).unwrap();
        std::fs::OpenOptions::new().write(true).open(disk.log()).unwrap().set_len(0).unwrap();
    }
    wait_for_records(&log, 300);
    drop(busy);
    log.flush(LONG).unwrap();
    // What was written between copy and truncation is lost, in any logger. A copy made in the midst of a
    // write ends there.
    // A truncation in the microseconds between the look at the size and the write leaves zeros before the next record.
    let (mut next, mut holes) = (0, 0);
    for file in files(disk.dir()) {
        let mut bytes = std::fs::read(&file).unwrap();
        let zeros = bytes.iter().take_while(|b| **b == 0).count();
        holes += usize::from(zeros > 0);
        bytes.drain(..zeros);
        let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
        let (lines, rest) = (lines(&bytes[..whole]), &bytes[whole..]);
        assert!(!bytes.contains(&0), "a hole within {file:?}");
        for line in &lines {
            let number: u64 = line.split(' ').nth(1).and_then(|n| n.parse().ok()).unwrap();
            assert_eq!(*line, record(number));
            assert!(number >= next, "record {number} is doubled or out of order");
            next = number + 1;
        }
        assert!(rest.is_empty() || record(next).as_bytes().starts_with(rest), "torn in {file:?}");
    }
    assert!(holes <= 3, "{holes} of 10");
    // The counters of a flusher that is killed may lack its last batch.
    assert!(next >= log.stats().unwrap().counters.records, "the last one is in the log");
}

#[test]
fn a_file_that_is_cut_in_the_middle_of_a_line_gets_the_next_record_on_a_line_of_its_own() {
    let disk = Disk::plain();
    let log = disk.options().open().unwrap();
    let mut w = log.writer().unwrap();
    write(&mut w, 0..10);
    log.flush(LONG).unwrap();
    let cut = disk.content().len() - 5;
    std::fs::OpenOptions::new().write(true).open(disk.log()).unwrap().set_len(cut as u64).unwrap();
    write(&mut w, 10..20);
    log.flush(LONG).unwrap();
    let found = lines(&disk.content());
    assert_eq!(found.len(), 20);
    assert_eq!(found[9], record(9)[..record(9).len() - 4]);
    assert_eq!(found[10..], (10..20).map(record).collect::<Vec<_>>());
}

#[test]
fn a_line_that_a_crash_cut_short_is_not_continued_by_the_next_record() {
    // After a reboot the segment is gone, and the file ends where the kernel had got to.
    for (left, whole) in [("p 0 xx", "p 0 xx\n"), ("p 0\n", "p 0\n"), ("\r\n", "\r\n"), ("", "")] {
        let disk = Disk::plain();
        std::fs::write(disk.log(), left).unwrap();
        let log = disk.options().open().unwrap();
        log.writer().unwrap().append(b"next").unwrap();
        drop(log);
        assert_eq!(std::fs::read_to_string(disk.log()).unwrap(), format!("{whole}next\n"));
    }
    let disk = Disk::plain();
    std::fs::write(disk.log(), "p 0 xx").unwrap();
    let log = disk.options().terminator(b"").open().unwrap();
    log.writer().unwrap().append(b"next").unwrap();
    drop(log);
    assert_eq!(disk.content(), b"p 0 xxnext", "records without ends have no beginnings either");
}

#[test]
fn a_file_that_is_deleted_again_and_again_gives_way_to_a_new_one() {
    let disk = Disk::plain();
    let log = disk.options().flusher_thread(false).open().unwrap();
    let busy = disk.child("write for ever");
    for _ in 0..10 {
        wait_for_records(&log, 300);
        std::fs::remove_file(disk.log()).unwrap();
        until(LONG, "a new file", || disk.log().exists());
    }
    wait_for_records(&log, 300);
    drop(busy);
    log.flush(LONG).unwrap();
    let last = lines(&disk.content());
    let end = (0..).find(|i| last.last() == Some(&record(*i))).unwrap() + 1;
    assert_eq!(last, (end - last.len() as u64..end).map(record).collect::<Vec<_>>());
    // The counters of a flusher that is killed may lack its last batch.
    assert!(end >= log.stats().unwrap().counters.records);
}

#[test]
fn a_file_that_another_program_puts_in_place_is_continued_and_never_cut() {
    let disk = Disk::plain();
    let log = disk.options().max_bytes(100_000).backups(3).open().unwrap();
    let mut w = log.writer().unwrap();
    write(&mut w, 0..100);
    log.flush(LONG).unwrap();
    std::thread::sleep(Duration::from_millis(30));
    let theirs = "theirs\n".repeat(100);
    std::fs::write(disk.dir().join("new"), &theirs).unwrap();
    std::fs::rename(disk.dir().join("new"), disk.log()).unwrap();
    write(&mut w, 100..200);
    log.flush(LONG).unwrap();
    let now = disk.content();
    assert!(now.starts_with(theirs.as_bytes()));
    assert_records(&now[theirs.len()..], 100..200);
}

#[test]
fn a_read_only_file_system_over_the_directory_makes_records_wait() {
    let Some(disk) = Disk::tmpfs("size=1m") else { return };
    let log = disk.options().open().unwrap();
    let mut w = log.writer().unwrap();
    write(&mut w, 0..100);
    log.flush(LONG).unwrap();
    std::thread::sleep(Duration::from_millis(30));
    assert!(disk.mount(&["-t", "tmpfs", "-o", "ro", "none"]));
    write(&mut w, 100..200);
    until(LONG, "the reason", || log.stats().unwrap().error == Some(libc::EROFS));
    write(&mut w, 200..300);
    assert!(disk.unmount());
    log.flush(LONG).unwrap();
    disk.assert_holds(300);
}

/// An ext4 in a file.
fn ext4(disk: &Disk) -> Option<PathBuf> {
    let image = disk.above().join("image");
    std::fs::File::create(&image).unwrap().set_len(4 << 20).unwrap();
    let made = Command::new("mkfs.ext4").args(["-q", "-O", "^has_journal"]).arg(&image).output();
    if !made.is_ok_and(|o| o.status.success()) {
        eprintln!("SKIPPED: mkfs.ext4 is missing");
        return None;
    }
    disk.mount(&mount_args(&image).each_ref().map(String::as_str)).then_some(image)
}

fn mount_args(image: &Path) -> [String; 3] {
    ["-o".into(), "loop,errors=remount-ro".into(), image.to_str().unwrap().into()]
}

#[test]
fn a_file_system_that_turns_read_only_and_is_repaired_goes_on_in_order() {
    let disk = Disk::plain();
    let Some(image) = ext4(&disk) else { return };
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
    let device = mounts.lines().find(|l| l.contains(disk.dir().to_str().unwrap())).unwrap();
    let device = device.split(' ').next().unwrap().trim_start_matches("/dev/").to_owned();
    // What is not synced by then is gone with the file system's turn.
    let options = disk.options().max_bytes(20_000).backups(99).fsync(Fsync::Batch);
    let log = options.flusher_thread(false).open().unwrap();
    // Under strace only because it dies with it; a sidecar, since its open file keeps the disk busy.
    let Some(mut sidecar) = disk.failing_sidecar(&log, &["-e", "trace=none"]) else { return };
    let mut w = log.writer().unwrap();
    write(&mut w, 0..1_000);
    log.flush(LONG).unwrap();
    let before = disk.content();
    if std::fs::write(format!("/sys/fs/ext4/{device}/trigger_fs_error"), "1").is_err() {
        eprintln!("SKIPPED: this kernel's ext4 cannot be made to fail");
        return;
    }
    write(&mut w, 1_000..2_000);
    until(LONG, "the reason", || log.stats().unwrap().error == Some(libc::EROFS));
    assert_eq!(disk.content(), before, "archives and log stay as they were");
    sidecar.kill();
    until(LONG, "unmounted", || disk.unmount());
    let _ = Command::new("e2fsck").arg("-fy").arg(&image).output().unwrap();
    assert!(disk.mount(&mount_args(&image).each_ref().map(String::as_str)));
    log.flush(LONG).unwrap();
    disk.assert_holds(2_000);
}
